//! Nonsensical configurations: nothing panics, and the response comes soon.

use libtest_mimic::Trial;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{judged, models::IPAMS};
use crate::support::TestResult;
use crate::{properties::run, targets};

pub(super) fn tests() -> Vec<Trial> {
    tests!["networks";
        any_members_keep_the_promises,
        a_large_configuration_is_judged_soon,
    ]
}

/// Valid members with values that belong to others.
fn any_members_keep_the_promises() -> TestResult {
    const KEYS: &[&str] = &[
        "type",
        "plugins",
        "ipam",
        "name",
        "cniVersion",
        "capabilities",
        "args",
        "range",
        "ranges",
        "subnet",
        "rangeStart",
        "rangeEnd",
        "range_start",
        "range_end",
        "exclude",
        "ipRanges",
        "gateway",
        "node_slice_size",
        "network_name",
        "addresses",
        "address",
        "routes",
        "dst",
        "gw",
        "dns",
        "nameservers",
        "vlan",
        "vlanTrunk",
        "minID",
        "maxID",
        "id",
        "mode",
        "mtu",
        "provide",
        "request",
        "option",
        "sysctl",
        "subnets",
        "disableCheck",
        "ſubnet",
    ];
    const TEXTS: &[&str] = &[
        "macvlan",
        "bridge",
        "sriov",
        "tuning",
        "bandwidth",
        "portmap",
        "ovn-k8s-cni-overlay",
        "static",
        "dhcp",
        "host-local",
        "whereabouts",
        "0.3.1",
        "0.2.0",
        "10.0.0.0/24",
        "10.0.0.0/0",
        "0.0.0.0/0",
        "::/0",
        "::/128",
        "10.0.0.5-10.0.0.9/24",
        "10.0.0.9-10.0.0.5/24",
        "255.255.255.255/32",
        "10.0.0.5",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:10.0.0.1/120",
        "/24",
        "-",
        "/",
        "256",
        "",
    ];
    let leaf = prop_oneof![
        prop::sample::select(TEXTS).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(1.5)),
    ];
    let value = leaf.prop_recursive(5, 48, 6, |inner| {
        let member = (prop::sample::select(KEYS), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..8).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    });
    let ipam = prop::collection::vec((prop::sample::select(KEYS), value.clone()), 0..8);
    let ipam = (prop::sample::select(&IPAMS), ipam);
    run(300, (value, ipam), |(value, (kind, members))| {
        targets::nad_config(value.to_string().as_bytes());
        let mut ipam: Value = members
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect();
        ipam["type"] = json!(kind);
        let config = json!({"type": "bridge", "vlanTrunk": value, "ipam": ipam});
        targets::nad_config(config.to_string().as_bytes());
        Ok(())
    })
}

/// Very many mistakes, in configurations of a quarter of a megabyte and more: the response is
/// bounded in size and time.
fn a_large_configuration_is_judged_soon() -> TestResult {
    let many = |text: &str, count: usize| vec![text; count].join(",");
    let excludes = many("\"10.0.0.0/25\"", 15_000);
    let ranges = many(r#"{"range":"10.0.0.0/24"}"#, 10_000);
    let sets = many(r#"[{"subnet":"10.0.0.0/24"}]"#, 9_000);
    let keys = many(r#""rangestart":1"#, 15_000);
    let plugins = many(r#"{"type":"bridge","vlan":-1}"#, 9_000);
    for config in [
        format!(
            r#"{{"type":"x","ipam":{{"type":"whereabouts","range":"10.0.0.0/24","exclude":[{excludes}]}}}}"#
        ),
        format!(r#"{{"type":"x","ipam":{{"type":"whereabouts","ipRanges":[{ranges}]}}}}"#),
        format!(r#"{{"type":"x","ipam":{{"type":"host-local","ranges":[{sets}]}}}}"#),
        format!(r#"{{"type":"x","ipam":{{"type":"whereabouts",{keys}}}}}"#),
        format!(r#"{{"plugins":[{plugins}]}}"#),
        format!(
            r#"{{"type":"x","ipam":{{"type":"whereabouts","{}":1}}}}"#,
            "k".repeat(1_000_000)
        ),
    ] {
        let answer = judged("n", &config)?;
        let findings = answer.findings();
        assert!(findings.len() <= 200, "{}", findings.len());
        let longest = findings.iter().map(|f| f.message.len()).max().unwrap_or(0);
        assert!(longest < 1000, "a message of {longest} bytes");
    }
    Ok(())
}
