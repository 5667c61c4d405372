//! Configurations built from the documentation of the plugins and IPAMs: none is denied.

use libtest_mimic::Trial;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::judged;
use crate::support::TestResult;
use crate::{properties::run, support};

pub(super) fn tests() -> Vec<Trial> {
    tests!["networks"; models_are_never_denied]
}

/// A plugin and its IPAM as documented, optionally with a chained plugin.
#[derive(Debug, Clone)]
pub(super) struct PluginModel {
    plugin: Value,
    ipam: Value,
    chained: bool,
}

impl PluginModel {
    /// Returns the object that a mistake is put into.
    pub(super) fn part(&mut self, part: &str) -> Option<&mut Value> {
        let is = |value: &Value, kind| value["type"] == kind;
        match part.split_once(':')? {
            ("plugin", kind) if is(&self.plugin, kind) => Some(&mut self.plugin),
            ("ipam", kind) if is(&self.ipam, kind) => Some(&mut self.ipam),
            _ => None,
        }
    }

    /// Returns the whole configuration.
    pub(super) fn config(&self) -> Value {
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

/// Merges the objects that are present.
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
            .prop_map(move |(a, b, c, d)| {
                let device = json!({"deviceID": "0000:3b:00.1"});
                object(base.clone(), vec![Some(device), a, b, c, d])
            })
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
/// The IPAMs that have a model.
pub(super) const IPAMS: [&str; 4] = ["static", "dhcp", "host-local", "whereabouts"];

/// Returns a model with this part (`plugin:macvlan`, `ipam:static`), or with any.
pub(super) fn model(part: &str) -> impl Strategy<Value = PluginModel> + use<> {
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
    (plugins, ipams, any::<bool>()).prop_map(|(plugin, ipam, chained)| PluginModel {
        plugin,
        ipam,
        chained,
    })
}

fn models_are_never_denied() -> TestResult {
    run(1000, model(""), |model| {
        let answer = judged("n", &model.config().to_string()).map_err(TestCaseError::fail)?;
        prop_assert!(answer.findings().is_empty(), "{}", support::lines(&answer));
        Ok(())
    })
}
