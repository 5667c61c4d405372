//! Networks' own configurations: known verdicts, and properties of generated ones.
//!
//! The verdicts are those of nadmit's sources (specification, plugins, Whereabouts executed). The
//! properties: what is built from the plugins' documentation is never denied; each single mistake
//! put into it is found by the rule that is meant for it; and nothing breaks on anything else.

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::Answer,
    catalog::Catalog,
    network::Network,
    rules::{Finding, Level, Policy},
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{properties::run, support, targets};

const CASES: &str = include_str!("../fixtures/cases/networks.json");

/// Cases in which a rule decides otherwise than the source, each with the reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "whereabouts-non-whereabouts-ipam",
        "allow",
        "another IPAM is no mistake of the network's, only not for Whereabouts",
    ),
    (
        "whereabouts-no-ipam-key",
        "allow",
        "Whereabouts is not called at all without ipam",
    ),
    (
        "whereabouts-dash-syntax-overrides-range-start-range-end",
        "warn",
        "invalid-whereabouts-range: says that the bounds are passed over",
    ),
    (
        "whereabouts-kubeconfig-missing-everywhere",
        "allow",
        "the kubeconfig may stand in a file on the node, which is the usual way",
    ),
    (
        "whereabouts-32-accepted-at-load",
        "deny",
        "invalid-whereabouts-range: it loads, and then fails each pod (net mask is too short)",
    ),
];

#[derive(Deserialize)]
struct Case {
    id: String,
    name: String,
    config: String,
    expected: String,
}

pub(crate) fn trials() -> Vec<Trial> {
    let cases: Vec<Case> =
        serde_json::from_str(CASES).unwrap_or_else(|error| panic!("networks.json: {error}"));
    for (id, ..) in DIFFERENCES {
        assert!(cases.iter().any(|case| case.id == *id), "no case {id}");
    }
    let known = cases
        .into_iter()
        .map(|case| Trial::test(format!("networks::{}", case.id), move || verdict(&case)));
    let properties = [
        Trial::test("networks::models_are_never_denied", models),
        Trial::test("networks::any_members_keep_the_promises", any_members),
        Trial::test("networks::a_large_configuration_is_judged_soon", large),
    ];
    let mistakes = mistakes().into_iter().map(|mistake| {
        let Mistake { part, code, .. } = &mistake;
        let change = mistake.change.to_string();
        Trial::test(
            format!("networks::mistake::{part}::{code}::{change}"),
            move || found(&mistake),
        )
    });
    known.chain(properties).chain(mistakes).collect()
}

fn judged(name: &str, config: &str) -> Result<Answer, String> {
    let body = support::create_network(&Network::new("db", name, Some(config)), Some(config));
    support::answer(&body, &Catalog::default(), &Policy::default())
}

fn verdict(case: &Case) -> Result<(), Failed> {
    let known = DIFFERENCES.iter().find(|(id, ..)| *id == case.id);
    let expected = known.map_or(&*case.expected, |(_, ours, _)| ours);
    let answer = judged(&case.name, &case.config)?;
    let verdict = answer.verdict();
    if verdict.name() == expected {
        return Ok(());
    }
    let said = support::lines(&answer);
    Err(format!("expected {expected}, got {}\n{said}", verdict.name()).into())
}

/// A plugin and its IPAM as their documentation has them, and whether another plugin follows.
#[derive(Debug, Clone)]
struct Model {
    plugin: Value,
    ipam: Value,
    chained: bool,
}

impl Model {
    /// The object that a mistake is put into.
    fn part(&mut self, part: &str) -> Option<&mut Value> {
        let is = |value: &Value, kind| value["type"] == kind;
        match part.split_once(':')? {
            ("plugin", kind) if is(&self.plugin, kind) => Some(&mut self.plugin),
            ("ipam", kind) if is(&self.ipam, kind) => Some(&mut self.ipam),
            _ => None,
        }
    }

    fn config(&self) -> Value {
        let mut plugin = self.plugin.clone();
        if !self.ipam.is_null() {
            plugin["ipam"] = self.ipam.clone();
        }
        if self.chained {
            json!({"cniVersion": "1.0.0", "name": "n", "plugins": [plugin, {"type": "tuning"}]})
        } else {
            plugin["cniVersion"] = json!("1.0.0");
            plugin["name"] = json!("n");
            plugin
        }
    }
}

/// Objects put together, those that are there.
fn object(base: Value, parts: Vec<Option<Value>>) -> Value {
    let mut object = base;
    for part in parts.into_iter().flatten() {
        let members = part.as_object().cloned().unwrap_or_default();
        for (key, value) in members {
            object[key] = value;
        }
    }
    object
}

fn plugin(kind: &'static str) -> BoxedStrategy<Value> {
    use prop::option::of;
    let number = |key: &'static str, range: std::ops::Range<u32>| {
        of(range.prop_map(move |n| json!({key: n})))
    };
    let word = |key: &'static str, words: &'static [&'static str]| {
        of(prop::sample::select(words).prop_map(move |w| json!({key: w})))
    };
    let base = json!({"type": kind});
    match kind {
        "macvlan" => (
            word("mode", &["", "bridge", "private", "vepa", "passthru"]),
            number("mtu", 68..9001),
        )
            .prop_map(move |(a, b)| object(base.clone(), vec![a, b]))
            .boxed(),
        "ipvlan" => (word("mode", &["l2", "l3", "l3s"]), number("mtu", 68..9001))
            .prop_map(move |(a, b)| object(base.clone(), vec![a, b]))
            .boxed(),
        "bridge" => (
            number("vlan", 0..4095),
            of((1..4094u32, 0..100u32).prop_map(|(min, more)| {
                json!({"vlanTrunk": [{"minID": min, "maxID": (min + more).min(4094)}, {"id": min}]})
            })),
            of(any::<bool>().prop_map(|on| json!({"hairpinMode": on, "promiscMode": !on}))),
        )
            .prop_map(move |(a, b, c)| object(base.clone(), vec![a, b, c]))
            .boxed(),
        "vlan" => number("vlanId", 0..4095)
            .prop_map(move |a| object(base.clone(), vec![Some(json!({"master": "eth1"})), a]))
            .boxed(),
        "host-device" => prop::sample::select(&[
            ("device", "eth1"),
            ("hwaddr", "02:5e:00:00:00:01"),
            ("kernelpath", "/sys/devices/pci0/x"),
            ("pciBusID", "0000:3b:00.1"),
        ])
        .prop_map(move |(key, text)| object(base.clone(), vec![Some(json!({key: text}))]))
        .boxed(),
        _ => (
            of((1..4095u32, 0..8u32).prop_map(|(vlan, q)| json!({"vlan": vlan, "vlanQoS": q}))),
            word("spoofchk", &["on", "off"]),
            word("link_state", &["auto", "enable", "disable"]),
            of((0..100u32, 100..200u32)
                .prop_map(|(min, max)| json!({"min_tx_rate": min, "max_tx_rate": max}))),
        )
            .prop_map(move |(a, b, c, d)| object(base.clone(), vec![a, b, c, d]))
            .boxed(),
    }
}

fn ipam(kind: &'static str) -> BoxedStrategy<Value> {
    use prop::option::of;
    match kind {
        "static" => (1..250u8, any::<u8>(), any::<bool>())
            .prop_map(|(host, net, six)| {
                let mut addresses = vec![json!({
                    "address": format!("10.{net}.0.{host}/24"), "gateway": format!("10.{net}.0.254"),
                })];
                if six {
                    addresses.push(json!({"address": format!("2001:db8::{host:x}/64")}));
                }
                json!({"type": "static", "addresses": addresses, "dns": {"search": ["a"]},
                    "routes": [{"dst": "192.0.2.0/24", "gw": format!("10.{net}.0.254")}]})
            })
            .boxed(),
        "dhcp" => any::<u8>()
            .prop_map(|option| {
                json!({"type": "dhcp", "request": [{"option": option.to_string()}],
                    "provide": [{"option": "host-name", "value": "a"}]})
            })
            .boxed(),
        "host-local" => (8..31u32, any::<u32>(), any::<bool>())
            .prop_map(|(prefix, bits, six)| {
                let first = std::net::Ipv4Addr::from_bits(bits & (u32::MAX << (32 - prefix)));
                let mut sets = vec![json!([{"subnet": format!("{first}/{prefix}")}])];
                if six {
                    sets.push(json!([{"subnet": "2001:db8::/64", "rangeStart": "2001:db8::10"}]));
                }
                json!({"type": "host-local", "ranges": sets})
            })
            .boxed(),
        _ => (
            16..29u32,
            any::<u32>(),
            of(1..3u32),
            any::<bool>(),
            of(Just(json!({"network_name": "tenant-a"}))),
        )
            .prop_map(|(prefix, bits, start, six, name)| {
                let first = bits & (u32::MAX << (32 - prefix));
                let address = |n: u32| std::net::Ipv4Addr::from_bits(first + n).to_string();
                let mut base = json!({"type": "whereabouts", "range": format!("{}/{prefix}", address(5)),
                    "exclude": [format!("{}/31", address(0))], "gateway": address(1)});
                if let Some(n) = start {
                    base["range_start"] = json!(address(n));
                    base["range_end"] = json!(address(n + 4));
                }
                if six {
                    base["ipRanges"] = json!([{"range": "2001:db8::5-2001:db8::50/64"}]);
                }
                object(base, vec![name])
            })
            .boxed(),
    }
}

const PLUGINS: [&str; 6] = [
    "macvlan",
    "ipvlan",
    "bridge",
    "vlan",
    "host-device",
    "sriov",
];
const IPAMS: [&str; 4] = ["static", "dhcp", "host-local", "whereabouts"];

/// A model with this part (`plugin:macvlan`, `ipam:static`), or with any.
fn model(part: &str) -> impl Strategy<Value = Model> + use<> {
    let chosen = |prefix: &str, all: &[&'static str]| {
        let kind = part.strip_prefix(prefix);
        let found = all
            .iter()
            .copied()
            .filter(|k| kind.is_none_or(|kind| kind == *k));
        found.collect::<Vec<_>>()
    };
    let plugins = prop::sample::select(chosen("plugin:", &PLUGINS)).prop_flat_map(plugin);
    let ipams = prop::sample::select(chosen("ipam:", &IPAMS)).prop_flat_map(ipam);
    (plugins, ipams, any::<bool>()).prop_map(|(plugin, ipam, chained)| Model {
        plugin,
        ipam,
        chained,
    })
}

fn models() -> Result<(), Failed> {
    run(1000, model(""), |model| {
        let answer = judged("n", &model.config().to_string()).map_err(TestCaseError::fail)?;
        prop_assert!(answer.findings().is_empty(), "{}", support::lines(&answer));
        Ok(())
    })
}

/// Members put into a part of a model, and the rule that has to find them.
#[derive(Clone)]
struct Mistake {
    part: &'static str,
    change: Value,
    code: &'static str,
    level: Level,
}

fn mistakes() -> Vec<Mistake> {
    let options = "invalid-plugin-option";
    let range = "invalid-whereabouts-range";
    let (deny, warn) = (Level::Deny, Level::Warn);
    let plugin = [
        ("plugin:macvlan", json!({"mode": "brigde"}), options, deny),
        ("plugin:macvlan", json!({"mtu": -1}), options, deny),
        ("plugin:macvlan", json!({"mtu": 1500.5}), options, deny),
        ("plugin:macvlan", json!({"mtu": "1500"}), options, deny),
        ("plugin:macvlan", json!({"mac": "02:5e"}), options, deny),
        (
            "plugin:macvlan",
            json!({"type": "tuning"}),
            "plugin-order",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": {"MAC": true}}),
            "ignored-capabilities",
            warn,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": ["mac"]}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": {"mac": "true"}}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"args": "a"}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"type": 5}),
            "invalid-network-config",
            deny,
        ),
        ("plugin:macvlan", json!({"mtu": 67}), options, deny),
        (
            "plugin:macvlan",
            json!({"mac": "01:00:5e:00:00:01"}),
            options,
            deny,
        ),
        ("plugin:ipvlan", json!({"mode": "bridge"}), options, deny),
        ("plugin:bridge", json!({"vlan": 4095}), options, deny),
        ("plugin:bridge", json!({"vlan": "100"}), options, deny),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"minID": 10}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"minID": 10, "maxID": 9}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"id": 0}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": {"id": 1}}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"hairpinMode": true, "promiscMode": true}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"disableContainerInterface": true}),
            options,
            deny,
        ),
        ("plugin:vlan", json!({"vlanId": 4095}), options, deny),
        ("plugin:vlan", json!({"master": null}), options, deny),
        (
            "plugin:host-device",
            json!({"device": "a", "pciBusID": "b"}),
            options,
            warn,
        ),
        ("plugin:sriov", json!({"vlan": 4095}), options, deny),
        (
            "plugin:sriov",
            json!({"vlan": 0, "vlanQoS": 1}),
            options,
            deny,
        ),
        (
            "plugin:sriov",
            json!({"vlan": 1, "vlanQoS": 8}),
            options,
            deny,
        ),
        (
            "plugin:sriov",
            json!({"vlan": null, "vlanQoS": 1}),
            options,
            deny,
        ),
        ("plugin:sriov", json!({"spoofchk": "yes"}), options, deny),
        ("plugin:sriov", json!({"trust": true}), options, deny),
        ("plugin:sriov", json!({"link_state": "up"}), options, deny),
        (
            "plugin:sriov",
            json!({"min_tx_rate": 9, "max_tx_rate": 8}),
            options,
            deny,
        ),
    ];
    let fixed = "invalid-static-ipam";
    let local = "invalid-host-local-ipam";
    let dhcp = "invalid-dhcp-ipam";
    let slice = "invalid-node-slice-size";
    let ipam = [
        (
            "ipam:static",
            json!({"capabilities": {"ips": true}}),
            "ignored-capabilities",
            warn,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": 5}]}),
            fixed,
            deny,
        ),
        ("ipam:static", json!({"addresses": [{}]}), fixed, deny),
        (
            "ipam:static",
            json!({"addresses": "10.0.0.5/24"}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"routes": [{"dst": "10.0.0.5"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"routes": [{"dst": "10.0.0.0/8", "gw": "x"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"dns": {"nameservers": "192.0.2.1"}}),
            fixed,
            deny,
        ),
        ("ipam:static", json!({"dns": {"search": [5]}}), fixed, deny),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24", "gateway": "10.1.0.1"}]}),
            "gateway-outside-subnet",
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24"}, {"address": "10.0.0.5/16"}]}),
            "repeated-address",
            deny,
        ),
        (
            "ipam:dhcp",
            json!({"request": [{"option": "256"}]}),
            dhcp,
            deny,
        ),
        (
            "ipam:dhcp",
            json!({"provide": [{"option": "hostname"}]}),
            dhcp,
            deny,
        ),
        ("ipam:dhcp", json!({"daemonSocketPath": 5}), dhcp, deny),
        (
            "ipam:dhcp",
            json!({"daemonSocketPath": "dhcp.sock"}),
            dhcp,
            warn,
        ),
        ("ipam:host-local", json!({"ranges": []}), local, deny),
        ("ipam:host-local", json!({"ranges": [[]]}), local, deny),
        (
            "ipam:host-local",
            json!({"ranges": [{"subnet": "10.0.0.0/24"}]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/31"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "2001:db8::/127"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.1/24"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}, {"subnet": "2001:db8::/64"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.0.0.0/16"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}]]}),
            "gateway-outside-subnet",
            deny,
        ),
        ("ipam:whereabouts", json!({"range": "abc/24"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/31"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "2001:db8::/127"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.9-10.0.0.8/24"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.1.9-10.0.0.8/24"}),
            range,
            deny,
        ),
        ("ipam:whereabouts", json!({"range": 5}), range, deny),
        ("ipam:whereabouts", json!({"range_start": "x"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"range_start": "2001:db8:1::"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/24", "range_start": "10.0.0.9", "range_end": "10.0.0.8"}),
            range,
            deny,
        ),
        ("ipam:whereabouts", json!({"gateway": "x"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"gateway": "2001:db8:1::1"}),
            "gateway-outside-subnet",
            deny,
        ),
        ("ipam:whereabouts", json!({"ipRanges": [{}]}), range, deny),
        (
            "ipam:whereabouts",
            json!({"ipRanges": [{"range": "10.0.0.0/24"}, {"range": "10.0.0.128/25"}]}),
            "overlapping-windows",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["a.b.c.d/23"]}),
            "invalid-exclude",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": "10.0.0.0/30"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["2001:db8:1::/64"]}),
            "exclude-outside-range",
            warn,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["0.0.0.0/0"]}),
            "no-usable-address",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "x"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "/8"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "31"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "2001:db8:1::/64", "node_slice_size": "/80"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclued": []}),
            "unknown-ipam-key",
            warn,
        ),
        (
            "ipam:whereabouts",
            json!({"network_name": "a_b"}),
            "fragile-network-name",
            warn,
        ),
    ];
    let read = |(part, change, code, level)| Mistake {
        part,
        change,
        code,
        level,
    };
    plugin.into_iter().chain(ipam).map(read).collect()
}

fn found(mistake: &Mistake) -> Result<(), Failed> {
    run(20, model(mistake.part), |mut model| {
        let object = model.part(mistake.part).expect("the part");
        for (key, value) in mistake.change.as_object().expect("members") {
            object[key] = value.clone();
        }
        let config = model.config().to_string();
        let answer = judged("n", &config).map_err(TestCaseError::fail)?;
        let is_it = |f: &Finding| (f.code, f.level) == (mistake.code, mistake.level);
        let said = support::lines(&answer);
        prop_assert!(answer.findings().iter().any(is_it), "{config}\n{said}");
        Ok(())
    })
}

/// Members that belong somewhere, with values that belong elsewhere.
fn any_members() -> Result<(), Failed> {
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

/// Mistakes without end, in configurations of a quarter of a megabyte and more: the answer is bounded, and comes.
fn large() -> Result<(), Failed> {
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
