//! The map of a pool at several fill levels, drawn from an imported file.

use std::{fmt::Write as _, fs};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{server::WorkFolder, snapshot};
use crate::support::TestResult;

/// A pool, its holders with the first and last of their addresses, and the snapshot's name.
struct MapCase {
    name: &'static str,
    range: &'static str,
    held: &'static [(&'static str, u128, u128)],
}

/// From empty to full, small to large.
const CASES: &[MapCase] = &[
    MapCase {
        name: "map-empty",
        range: "192.0.2.0/28",
        held: &[],
    },
    MapCase {
        name: "map-full",
        range: "192.0.2.0/28",
        held: &[("db", 1, 9), ("web", 10, 14)],
    },
    MapCase {
        name: "map-half",
        range: "192.0.2.0/24",
        held: &[
            ("db", 1, 40),
            ("web", 50, 80),
            ("db", 100, 110),
            ("x", 200, 200),
        ],
    },
    MapCase {
        name: "map-blocks",
        range: "10.20.0.0/16",
        held: &[("db", 1, 700), ("web", 5000, 5300), ("web", 40000, 40010)],
    },
    MapCase {
        name: "map-wide",
        range: "2001:db8::/64",
        held: &[("db", 1, 30), ("web", 4096, 4096)],
    },
];

pub(super) fn tests() -> Vec<Trial> {
    let drawn = CASES.iter().map(|case| {
        let name = format!("operate::{}", case.name);
        Trial::test(name, || draw(case))
    });
    drawn.collect()
}

fn draw(case: &MapCase) -> TestResult {
    let place = WorkFolder::new()?;
    let pool = json!({"apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": case.range}], "namespaceSelector": {}}});
    fs::write(place.path("manifests/world.yaml"), pool.to_string())?;
    fs::write(place.path("export.jsonl"), export(case)?)?;
    place.run(&["import", "export.jsonl"])?;
    let printed = place.run(&["pools", "storage", "--map", "--manifests", "manifests"])?;
    if let Some(long) = printed.lines().find(|line| line.chars().count() > 80) {
        return Err(format!("longer than 80 characters: {long}").into());
    }
    snapshot(case.name, &printed)
}

fn export(case: &MapCase) -> Result<String, Failed> {
    let mut lines = Vec::new();
    for (set, first, last) in case.held {
        for number in *first..=*last {
            lines.push(record(case.range, set, number)?);
        }
    }
    let header = json!({"kind": "nadmit.io/allocations", "schema": 1, "records": lines.len()});
    let mut export = header.to_string();
    for line in lines {
        write!(export, "\n{line}")?;
    }
    Ok(export + "\n")
}

fn record(range: &str, set: &str, number: u128) -> Result<Value, Failed> {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let base: IpAddr = range.split('/').next().unwrap_or_default().parse()?;
    let address = match base {
        IpAddr::V4(base) => {
            IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() + u32::try_from(number)?))
        }
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() + number)),
    };
    Ok(json!({
        "address": address, "networkName": "", "pool": "storage",
        "network": {"namespace": "db", "name": "storage-net"}, "interface": "net1",
        "holder": {"replica": {"namespace": "db", "statefulSet": set, "ordinal": number as u32}},
        "since": 1_700_000_000,
    }))
}
