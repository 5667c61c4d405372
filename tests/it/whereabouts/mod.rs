//! The test cases of Whereabouts v0.9.4 against nadmit's own ranges, index and reconciler. Each
//! case is a test; one whose results are neither equal nor listed here with a reason fails.

mod configuration;
mod real;
mod reconciler;
mod service;
mod serving;

pub(crate) use self::real::{KINDS, end};
use libtest_mimic::{Failed, Trial};
use nadmit::allocation::{Address, Space};
use serde_json::Value;

const CASES: &str = include_str!("../../fixtures/cases/whereabouts.json");

/// Differences: the test, nadmit's result, and the reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "allocate_iterate::range_end beyond subnet is ignored",
        "refused",
        "a bound outside of the range is a mistake, not nothing",
    ),
    (
        "allocate_iterate::range_end < range_start silently ignored",
        "refused",
        "an end below its start is a mistake, not nothing",
    ),
    (
        "allocate_iterate::exclude outside range has no effect",
        "refused",
        "an exclude that excludes nothing is a mistake",
    ),
    (
        "assign_ip::adopt even outside the CIDR (mask from range)",
        "10.0.0.1/24",
        "what lies in no range of the pool is none of its addresses",
    ),
    (
        "assign_ip::adoption works on a /32 range (no size check before the match)",
        "refused",
        "a range that can never give an address is refused when it is written",
    ),
    (
        "config::/32 accepted at load",
        "refused",
        "a range that can never give an address is refused when it is written",
    ),
    (
        "overlapping_reservation_name::2001:db8::1",
        "2001-0db8-0000-0000-0000-0000-0000-0001",
        "IPv6 in full: one address, one name, whoever writes it",
    ),
    (
        "overlapping_reservation_name::fdef:b041:5422:5::",
        "fdef-b041-5422-0005-0000-0000-0000-0000",
        "IPv6 in full: no name ends in a dash, so none needs a patch",
    ),
    (
        "reconciler::pending pod without network-status is reclaimed",
        "cleaned []",
        "a pod that is there keeps what it was promised, started or not",
    ),
    (
        "reconciler::pre-reservation, pod Pending, no network-status (after 3 refetches x 250 ms)",
        "cleaned []",
        "a pod that is there keeps what it was promised, started or not",
    ),
    (
        "reconciler::pod Succeeded keeps its IP",
        "cleaned [10.0.0.50]",
        "a pod that has ended uses nothing, and never will again",
    ),
    (
        "reconciler::DisruptionTarget=True reason DeletionByTaintManager is treated as gone",
        "cleaned []",
        "a pod about to be evicted may still run: it keeps its address until it is gone",
    ),
];

/// Cases without a counterpart: the prefix of the tests' names, and the reason.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("config::non-whereabouts IPAM", "pools have no IPAM type"),
    ("config::no ipam key", "pools have no IPAM type"),
    (
        "config::kubeconfig missing everywhere",
        "a pool names no kubeconfig",
    ),
    (
        "config::CNI_ARGS IP becomes an extra static address",
        "CNI_ARGS reach no pool",
    ),
    ("pool_name::", "pools are named by people"),
    (
        "node_slice_controller::",
        "pools are not cut into slices yet",
    ),
];

/// A section's name, and the function that runs one of its cases.
type Section = (&'static str, SectionFn);

type SectionFn = fn(&Value) -> Result<CaseResults, Failed>;

const SECTIONS: &[Section] = &[
    ("allocate_iterate", service::lowest),
    ("assign_ip", service::adoption),
    ("config", configuration::meaning),
    ("overlapping_reservation_name", record_name),
    ("pool_name", no_counterpart),
    ("node_slice_controller", no_counterpart),
    ("reconciler", reconciler::cleaned),
];

/// nadmit's and Whereabouts's results of a case.
struct CaseResults {
    nadmit: String,
    whereabouts: String,
}

pub(crate) fn tests() -> Vec<Trial> {
    let all: Value =
        serde_json::from_str(CASES).unwrap_or_else(|error| panic!("whereabouts.json: {error}"));
    let mut named = Vec::new();
    for (section, run) in SECTIONS {
        for case in array(&all[*section]) {
            let id = ["name", "ip", "range"]
                .iter()
                .find_map(|k| case[*k].as_str());
            let beside = case["node_name"].as_str().filter(|node| !node.is_empty());
            let mut name = format!("{section}::{}", id.unwrap_or_default());
            name.extend(beside.map(|node| format!(" on {node}")));
            named.push((name, *run, case.clone()));
        }
    }
    let sections = all.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(sections, SECTIONS.len(), "a section is not run");
    for (name, ..) in DIFFERENCES {
        assert!(named.iter().any(|(n, ..)| n == name), "no case {name}");
    }
    for (name, _) in NOT_APPLICABLE {
        let some = named.iter().any(|(n, ..)| n.starts_with(name));
        assert!(some, "no case {name}");
    }
    let real = real::tests(&all).into_iter().chain(serving::tests());
    named.into_iter().map(test).chain(real).collect()
}

fn test((name, run, case): (String, SectionFn, Value)) -> Trial {
    let missing = NOT_APPLICABLE.iter().find(|(n, _)| name.starts_with(n));
    let different = DIFFERENCES.iter().find(|(n, ..)| *n == name);
    let test = Trial::test(format!("whereabouts::{name}"), move || {
        let results = run(&case)?;
        let expected = different.map_or(&*results.whereabouts, |(_, ours, _)| ours);
        if results.nadmit != expected {
            let CaseResults {
                nadmit,
                whereabouts,
            } = &results;
            return Err(format!("{nadmit}, not {expected}; Whereabouts: {whereabouts}").into());
        }
        if different.is_some() && results.nadmit == results.whereabouts {
            return Err("listed as a difference, but the results are equal".into());
        }
        Ok(())
    });
    match missing {
        Some((_, why)) => test.with_kind(*why).with_ignored_flag(true),
        None => test,
    }
}

fn record_name(case: &Value) -> Result<CaseResults, Failed> {
    let address: Address = text(&case["ip"])?.parse()?;
    let space = Space::new(text(&case["network_name"])?);
    Ok(CaseResults {
        nadmit: space.record_name(address),
        whereabouts: text(&case["expected"])?.to_owned(),
    })
}

fn no_counterpart(_: &Value) -> Result<CaseResults, Failed> {
    Err("nothing of nadmit's answers to this".into())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<&str, Failed> {
    Ok(value
        .as_str()
        .ok_or_else(|| format!("{value} is no text"))?)
}
