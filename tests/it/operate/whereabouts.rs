//! The records of Whereabouts, as operators' commands show them: from a cluster, and over the socket of
//! a replica that watches it.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{
    cluster::ageless,
    fixture::{OperatorFixture, same},
    scenario::has,
};
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    tests!["operate::whereabouts";
        pools_have_the_capacity_that_whereabouts_assigns,
        a_map_has_holders_and_what_is_kept,
        allocations_list_the_entries,
        whois_tells_entry_and_reservation,
        a_pod_is_compared_with_its_entries,
        the_socket_answers_the_same,
        records_that_may_not_be_listed_are_named,
        records_that_cannot_be_read_are_named,
        a_release_says_whose_address_it_is,
    ]
}

fn record(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec,
    })
}

/// Returns the pod `name` on network `white`, whose network-status has an address.
fn pod(name: &str, address: &str) -> Value {
    let status = json!([{"name": "db/white", "interface": "net1", "ips": [address]}]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "db", "annotations": {
            "k8s.v1.cni.cncf.io/networks": "white",
            "k8s.v1.cni.cncf.io/network-status": status.to_string(),
        }},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "example"}]},
        "status": {"phase": "Running"},
    })
}

/// Returns a cluster with a pool of Whereabouts: of 10.0.0.0/28 it assigns .2, .3, .5 and .6.
fn fixture() -> Result<OperatorFixture, Failed> {
    let fixture = OperatorFixture::new()?;
    let ipam =
        json!({"type": "whereabouts", "range": "10.0.0.2-10.0.0.6/28", "exclude": ["10.0.0.4"]});
    let config = json!({"cniVersion": "1.0.0", "type": "macvlan", "ipam": ipam});
    let entry = |pod: &str, id: &str| json!({"id": id, "podref": pod, "ifname": "net1"});
    let reserved = |pod: &str| json!({"podref": pod, "ifname": "net1"});
    for object in [
        json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "white", "namespace": "db"}, "spec": {"config": config.to_string()},
        }),
        record(
            "IPPool",
            "10.0.0.0-28",
            &json!({"range": "10.0.0.0/28", "allocations": {
                "2": entry("db/app", "c-2"),
                "3": entry("db/moved", "c-3"),
                "5": {"id": "", "podref": "", "ifname": ""},
                "9": entry("db/old", "c-9"),
            }}),
        ),
        record(
            "OverlappingRangeIPReservation",
            "10.0.0.2",
            &reserved("db/app"),
        ),
        record(
            "OverlappingRangeIPReservation",
            "10.0.0.6",
            &reserved("db/leaked"),
        ),
        pod("app", "10.0.0.2"),
        pod("moved", "10.0.0.6"),
    ] {
        if !fixture.server.put(object) {
            return Err("a kind that is not served".into());
        }
    }
    Ok(fixture)
}

/// Records 10.0.0.3 as nadmit does.
fn allocate(fixture: &OperatorFixture) {
    fixture.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": "10.0.0.3"},
        "spec": {"address": "10.0.0.3", "networkName": "", "pool": "own", "interface": "net1",
            "network": {"namespace": "db", "name": "white"}, "since": "2026-03-01T12:00:00Z",
            "holder": {"pod": {"namespace": "db", "name": "own"}}, "pod": {"name": "own"}},
    }));
}

fn lines(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

fn has_line(text: &str, line: &str) -> TestResult {
    match lines(text).iter().any(|one| one == line) {
        true => Ok(()),
        false => Err(format!("no {line:?} in\n{text}").into()),
    }
}

fn pools_have_the_capacity_that_whereabouts_assigns() -> TestResult {
    let fixture = fixture()?;
    let printed = fixture.run(&["pools"])?;
    has_line(
        &printed,
        "IPPool/10.0.0.0-28 10.0.0.0/28 4 3 0 1 ████████████▒▒▒▒ 100 %",
    )?;
    has(
        &printed,
        "IPPool/10.0.0.0-28: assigned by Whereabouts for network db/white; 1 more entry is outside of what \
         Whereabouts assigns",
    )?;
    for name in ["IPPool/10.0.0.0-28", "IPPool/kube-system/10.0.0.0-28"] {
        let rows: Value = serde_json::from_str(&fixture.run(&["pools", name, "-o", "json"])?)?;
        let row = &rows[0];
        same(&row["name"], &json!("IPPool/10.0.0.0-28"))?;
        same(&row["kind"], &json!("IPPool"))?;
        same(&row["outside"], &json!(1))?;
        same(&row["networks"], &json!(["db/white"]))?;
    }
    let all: Value = serde_json::from_str(&fixture.run(&["pools", "-o", "json"])?)?;
    same(&all[0]["kind"], &json!("AddressPool"))?;
    let error = fixture.refused(&["pools", "IPPool/10.0.0.0-29"])?;
    has(&error, "existing pools: storage, IPPool/10.0.0.0-28")
}

fn a_map_has_holders_and_what_is_kept() -> TestResult {
    let fixture = fixture()?;
    let map = ["pools", "IPPool/10.0.0.0-28", "--map"];
    let printed = fixture.run(&map)?;
    has(
        &printed,
        "10.0.0.0/28  3 of 4 addresses used, 1 reserved, 0 free",
    )?;
    for line in [
        "10.0.0.0 ××ab×▒c× ×d××××××",
        "a 1 pod db/app 10.0.0.2",
        "b 1 pod db/moved 10.0.0.3",
        "c 1 pod db/leaked 10.0.0.6",
        "d 1 pod db/old 10.0.0.9",
        "▒ 1 kept by Whereabouts 10.0.0.5",
    ] {
        has_line(&printed, line)?;
    }
    allocate(&fixture);
    has_line(&fixture.run(&map)?, "b 1 pod db/own 10.0.0.3")
}

fn allocations_list_the_entries() -> TestResult {
    let fixture = fixture()?;
    let printed = fixture.run(&["allocations"])?;
    has_line(
        &printed,
        "10.0.0.2 - IPPool/10.0.0.0-28 db/white net1 - pod db/app",
    )?;
    has_line(
        &printed,
        "10.0.0.5 - IPPool/10.0.0.0-28 db/white - - no pod (kept from others)",
    )?;
    same(lines(&printed).len(), 5)?;
    for (arguments, expected) in [
        (
            ["--pool", "IPPool/10.0.0.0-28"],
            "10.0.0.2 10.0.0.3 10.0.0.5 10.0.0.9",
        ),
        (["--pod", "db/old"], "10.0.0.9"),
        (["--pod", "app"], "10.0.0.2"),
        (
            ["--network", "white"],
            "10.0.0.2 10.0.0.3 10.0.0.5 10.0.0.9",
        ),
        (["--namespace", "db"], "10.0.0.2 10.0.0.3 10.0.0.9"),
        (["--pool", "storage"], ""),
    ] {
        let command = [&["allocations", "-o", "json"][..], &arguments].concat();
        let rows: Value = serde_json::from_str(&fixture.run(&command)?)?;
        let rows = rows.as_array().ok_or("no list")?;
        let found: Vec<&str> = rows
            .iter()
            .filter_map(|row| row["address"].as_str())
            .collect();
        same(found.join(" "), expected.to_owned())?;
    }
    // A record of nadmit takes precedence.
    allocate(&fixture);
    let printed = fixture.run(&["allocations"])?;
    same(lines(&printed).len(), 5)?;
    has(&printed, "pod db/own")?;
    match printed.contains("db/moved") {
        true => Err(printed.into()),
        false => Ok(()),
    }
}

fn whois_tells_entry_and_reservation() -> TestResult {
    let fixture = fixture()?;
    for (address, expected) in [
        (
            "10.0.0.2",
            &[
                "10.0.0.2 is assigned to pod db/app by Whereabouts",
                "pool IPPool/10.0.0.0-28 (the unnamed address space)",
                "network db/white",
                "interface net1",
                "reservation kube-system/10.0.0.2",
                "container c-2",
            ][..],
        ),
        (
            "10.0.0.5",
            &["10.0.0.5 is kept from all pods by Whereabouts"],
        ),
        (
            "10.0.0.6",
            &[
                "10.0.0.6 is assigned to pod db/leaked by Whereabouts",
                "pool none has an entry (the unnamed address space)",
                "reservation kube-system/10.0.0.6",
            ],
        ),
        (
            "10.0.0.4",
            &[
                "10.0.0.4 is not held in pool IPPool/10.0.0.0-28 (10.0.0.0/28): never assigned: no network of the pool assigns it",
            ],
        ),
    ] {
        let printed = fixture.run(&["whois", address])?;
        for line in expected {
            has_line(&printed, line)?;
        }
    }
    allocate(&fixture);
    let printed = fixture.run(&["whois", "10.0.0.3"])?;
    let (own, theirs) = printed.split_once("\n\n").ok_or("one holder")?;
    has(own, "10.0.0.3 is held by pod db/own")?;
    has(
        theirs,
        "10.0.0.3 is assigned to pod db/moved by Whereabouts",
    )
}

fn a_pod_is_compared_with_its_entries() -> TestResult {
    let fixture = fixture()?;
    let printed = fixture.run(&["describe", "pod", "db/app"])?;
    has_line(&printed, "- 10.0.0.2 10.0.0.2 ✓ IPPool/10.0.0.0-28")?;
    let printed = fixture.run(&["describe", "pod", "db/moved"])?;
    has_line(
        &printed,
        "- 10.0.0.3 - ! recorded by Whereabouts, but not on the interface IPPool/10.0.0.0-28",
    )?;
    has_line(
        &printed,
        "- - 10.0.0.6 ! in use, but Whereabouts has no record of it",
    )?;
    // The pod is gone.
    let printed = fixture.run(&["describe", "pod", "db/old"])?;
    has(&printed, "net1 on network db/white")?;
    has_line(&printed, "? 10.0.0.9 ? IPPool/10.0.0.0-28")
}

fn the_socket_answers_the_same() -> TestResult {
    let fixture = fixture()?;
    allocate(&fixture);
    let serving = fixture.place.serve_cluster("IPPool/")?;
    for arguments in [
        &["pools", "IPPool/10.0.0.0-28"][..],
        &["pools", "IPPool/10.0.0.0-28", "-o", "json"],
        &["pools", "IPPool/10.0.0.0-28", "--map"],
        &["allocations", "--pool", "IPPool/10.0.0.0-28"],
        &["allocations", "--network", "white", "-o", "json"],
        &["whois", "10.0.0.2"],
        &["whois", "10.0.0.6"],
        &["whois", "10.0.0.2", "-o", "json"],
        &["describe", "pod", "db/app"],
        &["describe", "pod", "db/moved"],
    ] {
        let served = ageless(&fixture.place.run(arguments)?);
        same(ageless(&fixture.output(arguments)?), served)?;
    }
    serving.stop()
}

fn records_that_may_not_be_listed_are_named() -> TestResult {
    let fixture = fixture()?;
    fixture.forbid("list", "ippools");
    fixture.forbid("list", "overlappingrangeipreservations");
    let warning = "warning: the addresses of Whereabouts are not known: may not list ippools";
    for arguments in [
        &["pools"][..],
        &["allocations"],
        &["whois", "10.0.0.2"],
        &["describe", "pod", "db/app"],
    ] {
        let printed = fixture.output(arguments)?;
        has(&printed, warning)?;
        has(&printed, "the ClusterRole nadmit-operate")?;
    }
    // Nothing follows from records that are unknown.
    let printed = fixture.output(&["describe", "pod", "db/app"])?;
    has_line(&printed, "- - 10.0.0.2")
}

fn records_that_cannot_be_read_are_named() -> TestResult {
    let fixture = fixture()?;
    let entries = json!({"x": {"podref": "db/app"}, "2": {"podref": "db/app", "ifname": "net1"}});
    fixture.server.put(record(
        "IPPool",
        "10.0.0.0-28",
        &json!({"range": "10.0.0.0/28", "allocations": entries}),
    ));
    fixture.server.put(record(
        "IPPool",
        "broken",
        &json!({"range": "?", "allocations": {}}),
    ));
    let printed = fixture.output(&["pools"])?;
    has(
        &printed,
        "warning: IPPool kube-system/10.0.0.0-28: spec.allocations[x] has a key that is not an offset; nadmit ignores it",
    )?;
    has(
        &printed,
        "warning: IPPool kube-system/broken: spec.range \"?\"",
    )?;
    has_line(
        &printed,
        "IPPool/10.0.0.0-28 10.0.0.0/28 4 1 2 1 ████▒▒▒▒········ 50 %",
    )
}

fn a_release_says_whose_address_it_is() -> TestResult {
    let fixture = fixture()?;
    let error = fixture.refused(&["release", "10.0.0.2", "--yes"])?;
    has(
        &error,
        "10.0.0.2 is assigned by Whereabouts, which releases it with its pod; for a record that is left over, \
         nadmit audit --cluster shows the command",
    )
}
