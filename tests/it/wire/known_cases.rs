//! Annotations with known outcomes: each was executed, with Multus v4.3.0 and the plugins v1.1.1
//! and v1.10.0.

use libtest_mimic::Trial;

use super::{
    generate::{AnnotationText, SERVED},
    model::outcome,
    multus::{Nad, PodAnnotations},
    plugins::Mac,
    real,
    scenario::WireScenario,
};
use crate::support::TestResult;
use crate::{plugins::host::PluginHost, simulation::rng::Rng};

/// A network with the static plugin.
const STATIC: &str =
    r#"{"cniVersion":"0.3.1","type":"macvlan","master":"MASTER","ipam":{"type":"static"}}"#;
/// A network with the static plugin and the capability `ips`.
const STATIC_CAPABLE: &str = r#"{"cniVersion":"0.3.1","type":"macvlan","master":"MASTER","capabilities":{"ips":true},"ipam":{"type":"static"}}"#;
/// A network with an address in its configuration.
const STATIC_WITH_ADDRESS: &str = r#"{"cniVersion":"0.3.1","type":"macvlan","master":"MASTER","ipam":{"type":"static","addresses":[{"address":"192.0.2.6/29"}]}}"#;
/// A network without addresses.
const PLAIN: &str = r#"{"cniVersion":"0.3.1","type":"macvlan","master":"MASTER"}"#;
/// A bridge network without addresses.
const BRIDGE: &str = r#"{"cniVersion":"0.3.1","type":"bridge","bridge":"BRIDGE"}"#;
/// A network with a chained tuning plugin.
const TUNED: &str = r#"{"cniVersion":"0.3.1","plugins":[{"type":"macvlan","master":"MASTER"},{"type":"tuning","capabilities":{"mac":true}}]}"#;
/// A network with host-local.
const HOST_LOCAL: &str = r#"{"cniVersion":"0.3.1","type":"macvlan","master":"MASTER","ipam":{"type":"host-local","subnet":"192.0.2.0/29"}}"#;

/// Name, network, the selection's members after its name, and what is on the wire.
type KnownCase = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[KnownCase] = &[
    (
        "ips_without_the_capability",
        STATIC,
        r#""ips":["192.0.2.5/29"]"#,
        "192.0.2.5",
    ),
    (
        "ips_are_appended_without_the_capability",
        STATIC_WITH_ADDRESS,
        r#""ips":["192.0.2.5/29"]"#,
        "192.0.2.5 192.0.2.6",
    ),
    (
        "ips_without_prefix",
        STATIC,
        r#""ips":["192.0.2.5"]"#,
        "fails",
    ),
    (
        "keys_of_any_case",
        STATIC,
        r#""IPS":["192.0.2.4/29"],"ipſ":["192.0.2.5/29"]"#,
        "192.0.2.5",
    ),
    (
        "null_makes_ips_nil",
        STATIC_WITH_ADDRESS,
        r#""ips":["192.0.2.5/29"],"ips":null"#,
        "192.0.2.6",
    ),
    (
        "null_elements_keep_earlier_values",
        STATIC,
        r#""ips":["192.0.2.4/29","192.0.2.5/29"],"ips":["192.0.2.3/29"],"ips":[null,null]"#,
        "192.0.2.3 192.0.2.5",
    ),
    (
        "an_empty_list_forgets",
        STATIC,
        r#""ips":["192.0.2.4/29"],"ips":[],"ips":[null]"#,
        "fails",
    ),
    (
        "mapped_addresses_are_ipv4",
        STATIC,
        r#""ips":["::ffff:192.0.2.5/125"]"#,
        "192.0.2.5",
    ),
    (
        "an_unspecified_ipv6_address",
        STATIC,
        r#""ips":["::/0"]"#,
        "fails",
    ),
    (
        "an_ipv6_loopback_address",
        STATIC,
        r#""ips":["::1/128"]"#,
        "fails",
    ),
    (
        "an_ipv6_multicast_address",
        STATIC,
        r#""ips":["192.0.2.5/29","ff02::1/64"]"#,
        "192.0.2.5 fails",
    ),
    (
        "an_unspecified_ipv4_address",
        STATIC,
        r#""ips":["0.0.0.0/0","192.0.2.5/29"]"#,
        "192.0.2.5",
    ),
    (
        "one_address_with_two_prefixes",
        STATIC,
        r#""ips":["192.0.2.5/29","192.0.2.5/24"]"#,
        "192.0.2.5",
    ),
    (
        "one_address_twice",
        STATIC,
        r#""ips":["192.0.2.5/29","192.0.2.5/29"]"#,
        "192.0.2.5 fails",
    ),
    (
        "port_mappings_of_null",
        STATIC,
        r#""ips":["192.0.2.5/29"],"portMappings":[null]"#,
        "192.0.2.5",
    ),
    (
        "cni_args_are_flat",
        STATIC,
        r#""cni-args":{"ips":["192.0.2.5/29"]}"#,
        "192.0.2.5",
    ),
    (
        "cni_args_in_a_nested_cni_do_nothing",
        STATIC_WITH_ADDRESS,
        r#""cni-args":{"cni":{"ips":["192.0.2.5/29"]}}"#,
        "192.0.2.6",
    ),
    (
        "cni_args_win_over_ips_without_the_capability",
        STATIC,
        r#""ips":["192.0.2.4/29"],"cni-args":{"ips":["192.0.2.5/29"]}"#,
        "192.0.2.5",
    ),
    (
        "ips_win_over_cni_args_with_the_capability",
        STATIC_CAPABLE,
        r#""ips":["192.0.2.4/29"],"cni-args":{"ips":["192.0.2.5/29"]}"#,
        "192.0.2.4",
    ),
    (
        "cni_args_of_any_case_are_merged_in_the_order_of_bytes",
        STATIC,
        r#""cni-args":{"ips":[null],"IPS":["192.0.2.5/29"]}"#,
        "192.0.2.5",
    ),
    (
        "cni_args_twice_are_one",
        STATIC,
        r#""cni-args":{"ips":["192.0.2.5/29"]},"cni-args":{"x":1}"#,
        "192.0.2.5",
    ),
    (
        "cni_args_without_prefix",
        STATIC,
        r#""cni-args":{"ips":["192.0.2.5"]}"#,
        "fails",
    ),
    (
        "mac_without_the_capability",
        PLAIN,
        r#""mac":"02:5e:00:00:00:05""#,
        "02:5e:00:00:00:05",
    ),
    (
        "mac_of_a_bridge",
        BRIDGE,
        r#""mac":"02:5e:00:00:00:05""#,
        "02:5e:00:00:00:05",
    ),
    (
        "mac_of_a_bridge_by_cni_args",
        BRIDGE,
        r#""mac":"02:5e:00:00:00:04","cni-args":{"mac":"02:5e:00:00:00:05"}"#,
        "02:5e:00:00:00:05",
    ),
    (
        "macvlan_reads_no_cni_args",
        PLAIN,
        r#""cni-args":{"mac":"02:5e:00:00:00:05"}"#,
        "",
    ),
    (
        "tuning_puts_cni_args_over_everything",
        TUNED,
        r#""mac":"02:5e:00:00:00:04","cni-args":{"mac":"02:5e:00:00:00:05"}"#,
        "02:5e:00:00:00:04 02:5e:00:00:00:05",
    ),
    (
        "tuning_cuts_a_long_mac",
        TUNED,
        r#""cni-args":{"mac":"02:5e:00:00:00:05:00:00"}"#,
        "02:5e:00:00:00:05",
    ),
    (
        "macvlan_takes_no_long_mac",
        PLAIN,
        r#""mac":"02:5e:00:00:00:05:00:00""#,
        "fails",
    ),
    (
        "a_mac_with_dots",
        PLAIN,
        r#""mac":"025e.0000.0005""#,
        "02:5e:00:00:00:05",
    ),
    (
        "host_local_assigns_requested_addresses",
        HOST_LOCAL,
        r#""ips":["192.0.2.5"]"#,
        "192.0.2.5",
    ),
    (
        "host_local_takes_it_from_cni_args",
        HOST_LOCAL,
        r#""cni-args":{"ips":["192.0.2.5"]}"#,
        "192.0.2.5",
    ),
    (
        "host_local_takes_one_alone",
        HOST_LOCAL,
        r#""ips":["192.0.2.5","192.0.2.4"]"#,
        "fails",
    ),
    (
        "host_local_takes_no_gateway",
        HOST_LOCAL,
        r#""ips":["192.0.2.1"]"#,
        "fails",
    ),
];

/// Cases for the default network, which has no runtime configuration. Members as in `CASES`.
const DEFAULT_CASES: &[KnownCase] = &[
    (
        "default_network_has_no_runtime_config",
        STATIC_CAPABLE,
        r#""ips":["192.0.2.4/29"],"cni-args":{"ips":["192.0.2.5/29"]}"#,
        "192.0.2.5",
    ),
    (
        "default_network_has_cni_args_of_multus",
        STATIC_CAPABLE,
        r#""ips":["192.0.2.4/29"],"mac":"02:5e:00:00:00:05""#,
        "192.0.2.4 02:5e:00:00:00:05",
    ),
];

/// The whole annotation and what is on the wire, over [`STATIC`].
const WHOLE: &[(&str, &str, &str)] = &[
    (
        "a_null_selection",
        r#"[{"name":"pool-net","ips":["192.0.2.5/29"]},null]"#,
        "fails",
    ),
    (
        "a_faulty_selection_behind",
        r#"[{"name":"pool-net","ips":["192.0.2.5/29"]},{"name":"pool-net","ips":["x"]}]"#,
        "fails",
    ),
    (
        "an_interface_twice",
        r#"[{"name":"pool-net","interface":"x","ips":["192.0.2.5/29"]},{"name":"pool-net","interface":"x","ips":["192.0.2.4/29"]}]"#,
        "192.0.2.5 fails",
    ),
    (
        "an_interface_with_a_colon",
        r#"[{"name":"pool-net","interface":"a:b","ips":["192.0.2.5/29"]}]"#,
        "fails",
    ),
    ("the_short_format", "pool-net", "fails"),
];

pub(super) fn tests() -> Vec<Trial> {
    let case_from = |name: &str, pipeline: CaseInput, expected: &'static str| {
        Trial::test(format!("wire::model::{name}"), move || {
            pipeline.outcome(expected)
        })
    };
    let known = known();
    known
        .into_iter()
        .map(|(name, pipeline, expected)| case_from(name, pipeline, expected))
        .collect()
}

/// Compares each case with the real plugins.
pub(super) fn real(host: &PluginHost) -> TestResult {
    for (name, known, _) in known() {
        let compared = real::fixed(host, known.annotated(), &known.scenario);
        compared.map_err(|error| format!("{name}: {error:?}"))?;
    }
    Ok(())
}

fn known() -> Vec<(&'static str, CaseInput, &'static str)> {
    let member = |(name, config, members, expected): &KnownCase, is_default| {
        let text = format!(r#"[{{"name":"{SERVED}",{members}}}]"#);
        (*name, CaseInput::new(config, text, is_default), *expected)
    };
    let networks = CASES.iter().map(|case| member(case, false));
    let defaults = DEFAULT_CASES.iter().map(|case| member(case, true));
    let whole = WHOLE.iter().map(|(name, text, expected)| {
        (
            *name,
            CaseInput::new(STATIC, (*text).to_owned(), false),
            *expected,
        )
    });
    networks.chain(defaults).chain(whole).collect()
}

/// One network and one annotation.
struct CaseInput {
    scenario: WireScenario,
    text: String,
    is_default: bool,
}

impl CaseInput {
    fn new(config: &str, text: String, is_default: bool) -> Self {
        let plain = WireScenario::of(&Rng::of(0));
        let nads = ["db", "kube-system"].map(|namespace| Nad {
            namespace,
            name: SERVED,
            config: config.to_owned(),
        });
        let none: [Option<AnnotationText>; 2] = [None, None];
        let scenario = WireScenario::new(nads.into(), none, plain.settings, plain.way, plain.who);
        Self {
            scenario,
            text,
            is_default,
        }
    }

    fn annotated(&self) -> PodAnnotations<'_> {
        let text = Some(&*self.text);
        PodAnnotations {
            namespace: "db",
            networks: text.filter(|_| !self.is_default),
            default_network: text.filter(|_| self.is_default),
        }
    }

    fn outcome(&self, expected: &str) -> TestResult {
        let outcome = outcome(self.annotated(), &self.scenario.nads);
        let mut words: Vec<String> = Vec::new();
        for started in &outcome.started {
            words.extend(started.on_wire.ips.iter().map(ToString::to_string));
            words.extend(started.on_wire.macs.iter().map(|mac| describe(*mac)));
        }
        words.extend(outcome.failure.as_ref().map(|_| "fails".to_owned()));
        if words.join(" ") == expected {
            return Ok(());
        }
        Err(format!("{} instead of {expected}: {outcome:?}", words.join(" ")).into())
    }
}

fn describe(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
