//! Networks, and annotations over them, generated from a seed: few addresses, so that collisions
//! are common, in every notation that a decoder accepts.

use std::fmt::{self, Write as _};

use super::multus::Nad;
use crate::simulation::rng::Rng;

/// The network that the pool serves.
pub(super) const SERVED: &str = "pool-net";
/// A network on the same wire that no pool serves.
pub(super) const UNSERVED: &str = "free-net";
/// The pod's namespace, Multus's, and another one: each has both networks.
pub(super) const NAMESPACES: [&str; 3] = ["db", "kube-system", "other"];

/// An annotation by format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AnnotationText {
    /// `net-a,ns/net-b@eth1`
    Short(Vec<String>),
    /// A list of selections.
    Json(Vec<GeneratedElement>),
}

/// One element of the JSON format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum GeneratedElement {
    /// The members in their order, each value as JSON.
    Members(Vec<(String, String)>),
    /// A value that is not an object.
    Odd(&'static str),
}

impl fmt::Display for AnnotationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(items) => f.write_str(&items.join(",")),
            Self::Json(elements) => {
                f.write_char('[')?;
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    match element {
                        GeneratedElement::Odd(text) => f.write_str(text)?,
                        GeneratedElement::Members(members) => {
                            let members: Vec<String> = members
                                .iter()
                                .map(|(key, value)| format!("{}:{value}", serde_json::json!(key)))
                                .collect();
                            write!(f, "{{{}}}", members.join(","))?;
                        }
                    }
                }
                f.write_char(']')
            }
        }
    }
}

impl AnnotationText {
    /// Returns this annotation with one part removed, in every possible way.
    pub(super) fn smaller(&self) -> Vec<Self> {
        match self {
            Self::Short(items) => without_one(items).map(Self::Short).collect(),
            Self::Json(elements) => {
                let mut all: Vec<Self> = without_one(elements).map(Self::Json).collect();
                for (place, element) in elements.iter().enumerate() {
                    let GeneratedElement::Members(members) = element else {
                        continue;
                    };
                    all.extend(without_one(members).map(|members| {
                        let mut elements = elements.clone();
                        elements[place] = GeneratedElement::Members(members);
                        Self::Json(elements)
                    }));
                }
                all
            }
        }
    }
}

fn without_one<T: Clone>(list: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..list.len()).map(|gone| {
        let mut list = list.to_vec();
        list.remove(gone);
        list
    })
}

/// Returns one of these texts.
fn one(rng: &Rng, of: &[&'static str]) -> &'static str {
    rng.pick(of).copied().unwrap_or_default()
}

/// Returns both networks in each namespace, on one wire.
pub(super) fn networks(rng: &Rng) -> Vec<Nad> {
    let kind = one(
        rng,
        &[
            "macvlan", "macvlan", "macvlan", "bridge", "bridge", "ipvlan",
        ],
    );
    let [served, unserved] = [(); 2].map(|()| config(kind, rng));
    let of = |name: &'static str, config: &str| {
        NAMESPACES.map(|namespace| Nad {
            namespace,
            name,
            config: config.to_owned(),
        })
    };
    [of(SERVED, &served), of(UNSERVED, &unserved)].concat()
}

fn config(kind: &str, rng: &Rng) -> String {
    let capabilities = || {
        let all = [
            "{}",
            r#"{"ips":true}"#,
            r#"{"mac":true}"#,
            r#"{"ips":true,"mac":true}"#,
        ];
        one(rng, &all)
    };
    let place = if kind == "bridge" {
        r#""bridge":"BRIDGE""#
    } else {
        r#""master":"MASTER""#
    };
    let ipam = match rng.below(8) {
        0 if kind != "ipvlan" => "",
        1 => r#","ipam":{"type":"host-local","subnet":"192.0.2.0/29"}"#,
        2 => r#","ipam":{"type":"static","addresses":[{"address":"192.0.2.6/29"}]}"#,
        _ => r#","ipam":{"type":"static"}"#,
    };
    let args = match rng.below(12) {
        0 => r#","args":{"cni":{"ips":["192.0.2.6/29"]}}"#,
        1 => r#","args":{"cni":{"IPS":["192.0.2.6/29"],"mac":"02:5e:00:00:00:06"}}"#,
        2 => r#","args":{"labels":[]}"#,
        _ => "",
    };
    let capable = capabilities();
    let main = format!(r#""type":"{kind}",{place},"capabilities":{capable}{ipam}{args}"#);
    let version = if rng.percent(4) { "0.2.0" } else { "0.3.1" };
    match rng.percent(40) {
        true => {
            let tuning = capabilities();
            format!(
                r#"{{"cniVersion":"{version}","plugins":[{{{main}}},{{"type":"tuning","capabilities":{tuning}}}]}}"#
            )
        }
        false => format!(r#"{{"cniVersion":"{version}",{main}}}"#),
    }
}

/// Returns an annotation over these networks.
pub(super) fn annotation(rng: &Rng, longest: u64) -> AnnotationText {
    let count = 1 + rng.below(longest);
    if rng.percent(10) {
        let items = (0..count).map(|_| {
            let namespace = one(rng, &["", "", "", "db/", "other/"]);
            let interface = one(rng, &["", "", "", "@net1", "@net7", " @ net8 "]);
            format!("{namespace}{}{interface}", network(rng))
        });
        return AnnotationText::Short(items.collect());
    }
    let element = |_| match rng.percent(1) {
        true => GeneratedElement::Odd(one(rng, &["null", "7", "\"pool-net\"", "[]"])),
        false => GeneratedElement::Members(selection(rng)),
    };
    AnnotationText::Json((0..count).map(element).collect())
}

fn network(rng: &Rng) -> &'static str {
    let unknown = rng.percent(1);
    if unknown {
        "nowhere"
    } else {
        one(rng, &[SERVED, SERVED, SERVED, UNSERVED, UNSERVED])
    }
}

/// Returns the members of one selection.
fn selection(rng: &Rng) -> Vec<(String, String)> {
    let mut members = vec![(key(rng, "name"), format!("\"{}\"", network(rng)))];
    let mut add = |chance: u64, name: &str, value: &dyn Fn() -> String| {
        let mut times = u64::from(rng.percent(chance));
        times += u64::from(times > 0 && rng.percent(15)) * (1 + rng.below(2));
        for _ in 0..times {
            let value = if rng.percent(3) {
                "null".to_owned()
            } else {
                value()
            };
            members.push((key(rng, name), value));
        }
    };
    add(15, "namespace", &|| {
        format!("\"{}\"", one(rng, &["db", "other", "kube-system", ""]))
    });
    add(60, "ips", &|| ips(rng));
    add(40, "mac", &|| format!("\"{}\"", mac(rng)));
    add(35, "cni-args", &|| cni_args(rng));
    let names = ["net1", "net2", "net3", "eth0", "x", "y", "", "a:b"];
    add(12, "interface", &|| format!("\"{}\"", one(rng, &names)));
    add(4, "interfaceRequest", &|| {
        format!("\"{}\"", one(rng, &names))
    });
    add(5, "portMappings", &|| {
        one(
            rng,
            &[
                "[null]",
                "[]",
                "[{}]",
                "[{\"hostPort\":80}]",
                "\"x\"",
                "[7]",
            ],
        )
        .to_owned()
    });
    add(2, "bandwidth", &|| {
        one(rng, &["{}", "{\"ingressRate\":1.5}", "[]"]).to_owned()
    });
    add(2, "default-route", &|| {
        one(rng, &["[]", "[\"x\"]", "[null]", "{}"]).to_owned()
    });
    add(1, "infiniband-guid", &|| {
        one(rng, &["\"x\"", "\"02:5e:00:00:00:02:00:00\"", "7"]).to_owned()
    });
    add(2, "deviceID", &|| {
        one(rng, &["\"x\"", "7", "{}"]).to_owned()
    });
    add(3, "ipam-claim-reference", &|| {
        one(rng, &["\"x\"", "7", "\"\""]).to_owned()
    });
    add(4, "example.com/x", &|| {
        one(rng, &["1", "{\"ips\":[\"192.0.2.2/29\"]}"]).to_owned()
    });
    // In random order.
    for place in (1..members.len()).rev() {
        members.swap(place, rng.index(place + 1));
    }
    members
}

/// Returns a spelling of a member's name that Go accepts for this key, mostly.
fn key(rng: &Rng, name: &str) -> String {
    match rng.below(12) {
        0 => name.to_ascii_uppercase(),
        1 => {
            let odd = |c: char| match c {
                's' => 'ſ',
                'k' => '\u{212a}',
                other => other,
            };
            name.chars().map(odd).collect()
        }
        2 => {
            let mut name = name.to_owned();
            let place = rng.index(name.len());
            name[place..=place].make_ascii_uppercase();
            name
        }
        _ => name.to_owned(),
    }
}

/// Returns an address that is held or could be allocated, in some notation.
fn ip(rng: &Rng) -> String {
    let last = 1 + rng.below(6);
    let prefix = match rng.below(14) {
        0 => "",
        1 => "/029",
        2 => "/32",
        3 | 4 => "/24",
        _ => "/29",
    };
    match rng.below(30) {
        0 => format!(
            "::ffff:192.0.2.{last}/{}",
            one(rng, &["125", "120", "29", "128"])
        ),
        1 => format!("::FFFF:c000:020{last}"),
        2..=4 => format!(
            "2001:db8::{last}{}",
            one(rng, &["/125", "/125", "/64", "/128", ""])
        ),
        5 => format!("2001:0DB8:0::0{last}/125"),
        6 => "198.51.100.5/24".to_owned(),
        7 => one(
            rng,
            &[
                "192.0.2.300/29",
                "192.0.2.2/33",
                "",
                " 192.0.2.2/29",
                "192.0.2.02/29",
                "fe80::1%eth0",
                "192.0.2.7/29",
                "192.0.2.0/29",
                "192.0.2.2/",
                "::/0",
                "::1/128",
                "ff02::1/64",
                "0.0.0.0/0",
            ],
        )
        .to_owned(),
        _ => format!("192.0.2.{last}{prefix}"),
    }
}

/// Returns a list of addresses, or something close to one.
fn ips(rng: &Rng) -> String {
    if rng.percent(1) {
        return one(rng, &["\"192.0.2.2/29\"", "{}", "[7]", "[[]]"]).to_owned();
    }
    let count = *rng.pick(&[0, 1, 1, 1, 1, 2, 2, 3]).unwrap_or(&1);
    let elements: Vec<String> = (0..count)
        .map(|_| match rng.percent(6) {
            true => "null".to_owned(),
            false => format!("\"{}\"", ip(rng)),
        })
        .collect();
    format!("[{}]", elements.join(","))
}

/// Returns a hardware address in some notation.
fn mac(rng: &Rng) -> String {
    let last = 1 + rng.below(6);
    match rng.below(24) {
        0 => format!("02:5E:00:00:00:0{last}"),
        1 => format!("02-5e-00-00-00-0{last}"),
        2 => format!("025e.0000.000{last}"),
        3 => format!("02:5e:00:00:00:0{last}:00:00"),
        4 => format!("02:5e:00:00:00:0{last}:{}", ["00"; 14].join(":")),
        5 | 6 => "02:aa:00:00:00:01".to_owned(),
        7 => "02:bb:00:00:00:09".to_owned(),
        8 => one(
            rng,
            &[
                "01:00:5e:00:00:01",
                "00:00:00:00:00:00",
                "02:5e:00:00:00",
                "x",
                "",
            ],
        )
        .to_owned(),
        _ => format!("02:5e:00:00:00:0{last}"),
    }
}

/// Returns `cni-args`: addresses and MACs at every depth, and other members.
fn cni_args(rng: &Rng) -> String {
    if rng.percent(2) {
        return one(rng, &["[]", "\"x\"", "7", "{}"]).to_owned();
    }
    let mut members = Vec::new();
    for _ in 0..=rng.below(3) {
        let value = match rng.below(12) {
            0..=4 => (key(rng, "ips"), ips(rng)),
            5..=7 => (key(rng, "mac"), format!("\"{}\"", mac(rng))),
            8 => (
                key(rng, "mac"),
                one(rng, &["null", "\"\"", "7", "[]"]).to_owned(),
            ),
            9 => {
                let inner = [
                    (key(rng, "ips"), ips(rng)),
                    (key(rng, "mac"), "7".to_owned()),
                ];
                let (name, value) = &inner[rng.index(2)];
                (key(rng, "cni"), format!("{{\"{name}\":{value}}}"))
            }
            10 => (
                key(rng, "args"),
                format!("{{\"cni\":{{\"ips\":{}}}}}", ips(rng)),
            ),
            _ => {
                let more = [
                    ("mtu", "1400"),
                    ("promisc", "true"),
                    ("mtu", "\"x\""),
                    ("y", "null"),
                ];
                let (name, value) = more[rng.index(more.len())];
                (name.to_owned(), value.to_owned())
            }
        };
        members.push(value);
    }
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{}:{value}", serde_json::json!(key)))
        .collect();
    format!("{{{}}}", members.join(","))
}
