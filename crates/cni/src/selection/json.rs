//! The JSON format: a list of objects, read as Multus's decoder (Go's `encoding/json`) does.
//!
//! It shares nothing with the readers of documents (`nadmit.yaml`, manifests): it merges repeated members
//! as Go does, and formats paths only for errors, since every pod passes here.

use std::{borrow::Cow, fmt};

use super::{
    Annotation, AnnotationFormat, Bandwidth, CniArgs, DecodeError, DecodeErrorKind, PortMapping,
    Selection, SelectionMember, slots::Slots,
};
use crate::{
    address::{self, AddressRequest},
    interface,
    json::{JsonMember, JsonNode, folds_to},
    mac::HardwareAddress,
    name,
    text::{Parsed, Span, Spanned},
};

/// The keys that Multus reads, as spelled in the spec and in its own types.
pub const KEYS: [&str; 13] = [
    "name",
    "namespace",
    "ips",
    "mac",
    "interface",
    "infiniband-guid",
    "portMappings",
    "bandwidth",
    "default-route",
    "cni-args",
    "ipam-claim-reference",
    "deviceID",
    OBSOLETE_INTERFACE,
];

/// The name of `interface` before Multus 3.2; still read if `interface` is absent.
pub const OBSOLETE_INTERFACE: &str = "interfaceRequest";

/// Returns the key that Go's decoder matches with a member's name, in any case.
pub fn canonical(name: &str) -> Option<&'static str> {
    // Fast path: nearly all names are spelled exactly so.
    let exactly = KEYS.into_iter().find(|key| *key == name);
    exactly.or_else(|| KEYS.into_iter().find(|key| folds_to(name, key)))
}

pub(super) fn parse(text: &str) -> Annotation<'_> {
    let mut decoder = SelectionDecoder::default();
    let selections = decoder.annotation(text);
    Annotation {
        text,
        format: AnnotationFormat::Json,
        selections,
        decode_errors: decoder.faults,
    }
}

/// Decodes values, and collects the errors of Multus's decoder with their paths.
#[derive(Default)]
struct SelectionDecoder {
    faults: Vec<DecodeError>,
    path: Vec<PathStep>,
}

/// A step of a path. Paths are formatted only for errors.
enum PathStep {
    /// An element of a list.
    Index(usize),
    /// A member of an object.
    Key(&'static str),
}

type SpannedText<'a> = Spanned<Cow<'a, str>>;

impl SelectionDecoder {
    fn annotation<'a>(&mut self, text: &'a str) -> Vec<Selection<'a>> {
        let document = match JsonNode::document(text) {
            Ok(document) => document,
            Err(error) => {
                let span = Span {
                    start: error.offset,
                    end: error.offset,
                };
                self.fault(span, DecodeErrorKind::Syntax(error.reason));
                return Vec::new();
            }
        };
        if document.is_null() {
            return Vec::new();
        }
        let Some(elements) = self.list(document, "a list of objects") else {
            return Vec::new();
        };
        let mut selections = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            self.at(PathStep::Index(index), |decoder| {
                if element.is_null() {
                    decoder.fault(element.span(), DecodeErrorKind::NullSelection);
                } else if let Some(members) = decoder.object(element, "an object") {
                    selections.push(decoder.selection(index, element.span(), members));
                }
            });
        }
        selections
    }

    /// Decodes the members in their order. The last of repeated members counts to Go's decoder;
    /// `null` leaves a string unchanged but empties a list or an object.
    fn selection<'a>(
        &mut self,
        index: usize,
        span: Span,
        members: Vec<JsonMember<'a>>,
    ) -> Selection<'a> {
        let members: Vec<SelectionMember<'a>> = members
            .into_iter()
            .map(|member| SelectionMember {
                key: canonical(&member.name.value),
                member,
            })
            .collect();
        let mut found = Selection {
            index,
            span,
            ..Selection::default()
        };
        let mut obsolete_interface = None;
        let (mut ips, mut ports) = (Slots::default(), Slots::default());
        for member in &members {
            let Some(key) = member.key else { continue };
            let value = member.member.value;
            self.at(PathStep::Key(key), |decoder| match key {
                "name" => decoder.text(value, &mut found.name, name::subdomain),
                "namespace" => decoder.text(value, &mut found.namespace, name::label),
                "interface" => decoder.text(value, &mut found.interface, interface::check),
                OBSOLETE_INTERFACE => {
                    decoder.text(value, &mut obsolete_interface, interface::check);
                }
                "mac" => decoder.text(value, &mut found.mac, HardwareAddress::parse),
                "infiniband-guid" => {
                    decoder.text(value, &mut found.infiniband_guid, HardwareAddress::parse);
                }
                "ipam-claim-reference" => decoder.plain_text(value, &mut found.ipam_claim),
                "deviceID" => decoder.plain_text(value, &mut found.device_id),
                "ips" => found.ips = decoder.texts(value, &mut ips, AddressRequest::parse),
                "default-route" => {
                    let mut slots = Slots::default();
                    found.default_route = decoder.texts(value, &mut slots, address::parse_address);
                }
                "portMappings" => found.port_mappings = decoder.port_mappings(value, &mut ports),
                "bandwidth" => decoder.bandwidth(value, &mut found.bandwidth),
                "cni-args" => decoder.cni_args(value, &mut found.cni_args),
                _ => {}
            });
        }
        if found.interface.is_none() {
            found.interface = obsolete_interface;
        }
        found.members = members;
        found
    }

    /// Decodes `portMappings`. The elements are pointers in Go: `null` is an element without a
    /// mapping, and a repeated list is merged into the previous values of its elements.
    fn port_mappings<'a>(
        &mut self,
        value: JsonNode<'a>,
        slots: &mut Slots<PortMapping<'a>>,
    ) -> Option<Spanned<Vec<PortMapping<'a>>>> {
        if value.is_null() {
            slots.clear();
            return None;
        }
        let elements = self.list(value, "a list of objects")?;
        slots.begin(elements.len());
        let mut mappings = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let mut mapping = PortMapping::default();
            if element.is_null() {
                slots.remove(index);
            } else {
                mapping = slots.get(index).cloned().unwrap_or_default();
                self.at(PathStep::Index(index), |decoder| {
                    decoder.port_mapping(element, &mut mapping);
                });
                slots.set(index, mapping.clone());
            }
            mapping.span = element.span();
            mappings.push(mapping);
        }
        Some(Spanned {
            value: mappings,
            span: value.span(),
        })
    }

    fn port_mapping<'a>(&mut self, element: JsonNode<'a>, mapping: &mut PortMapping<'a>) {
        let Some(members) = self.object(element, "an object") else {
            return;
        };
        for member in &members {
            let field = ["hostPort", "containerPort", "protocol", "hostIP"]
                .into_iter()
                .find(|field| folds_to(&member.name.value, field));
            let Some(field) = field else { continue };
            self.at(PathStep::Key(field), |decoder| match field {
                "hostPort" => decoder.integer(member.value, &mut mapping.host_port),
                "containerPort" => decoder.integer(member.value, &mut mapping.container_port),
                "protocol" => decoder.plain_text(member.value, &mut mapping.protocol),
                _ => decoder.plain_text(member.value, &mut mapping.host_ip),
            });
        }
    }

    /// Decodes `cni-args`, a map in Go: a repeated object is merged into the previous one, by exact
    /// keys.
    fn cni_args<'a>(&mut self, value: JsonNode<'a>, found: &mut Option<CniArgs<'a>>) {
        if value.is_null() {
            *found = None;
            return;
        }
        let Some(members) = self.object(value, "an object") else {
            return;
        };
        let args = found.get_or_insert_with(CniArgs::default);
        args.span = value.span();
        args.merge(members);
    }

    /// Decodes `bandwidth`. A repeated object is merged into the previous one, as Go does with a
    /// pointer to a structure.
    fn bandwidth(&mut self, value: JsonNode<'_>, found: &mut Option<Spanned<Bandwidth>>) {
        if value.is_null() {
            *found = None;
            return;
        }
        let Some(members) = self.object(value, "an object") else {
            return;
        };
        let mut merged = found.take().map(|before| before.value).unwrap_or_default();
        for member in &members {
            let fields = [
                ("ingressRate", &mut merged.ingress_rate),
                ("ingressBurst", &mut merged.ingress_burst),
                ("egressRate", &mut merged.egress_rate),
                ("egressBurst", &mut merged.egress_burst),
            ];
            for (name, field) in fields {
                if folds_to(&member.name.value, name) {
                    self.at(PathStep::Key(name), |decoder| {
                        decoder.integer(member.value, field)
                    });
                }
            }
        }
        *found = Some(Spanned {
            value: merged,
            span: value.span(),
        });
    }

    /// Decodes a string and parses it. `null` leaves the value unchanged, an empty string removes
    /// it.
    fn text<'a, T, E>(
        &mut self,
        value: JsonNode<'a>,
        found: &mut Option<Parsed<'a, T, E>>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) {
        let mut text = None;
        self.plain_text(value, &mut text);
        match text {
            Some(text) => *found = Some(Parsed::new(text, parse)),
            None if value.is_null() => {}
            None => *found = None,
        }
    }

    fn plain_text<'a>(&mut self, value: JsonNode<'a>, found: &mut Option<SpannedText<'a>>) {
        match value.spanned_string() {
            Some(text) => *found = Some(text).filter(|text| !text.value.is_empty()),
            None if value.is_null() => {}
            None => self.kind(value, "a string"),
        }
    }

    /// Decodes a list of strings. To Go, a `null` element is the previous string at its index, or
    /// an empty one.
    fn texts<'a, T, E>(
        &mut self,
        value: JsonNode<'a>,
        slots: &mut Slots<SpannedText<'a>>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Spanned<Vec<Parsed<'a, T, E>>>> {
        if value.is_null() {
            slots.clear();
            return None;
        }
        let elements = self.list(value, "a list of strings")?;
        slots.begin(elements.len());
        let mut texts = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let text = match element.spanned_string() {
                Some(text) => text,
                None if element.is_null() => Spanned {
                    value: slots
                        .get(index)
                        .map_or(Cow::Borrowed(""), |text| text.value.clone()),
                    span: element.span(),
                },
                None => {
                    self.at(PathStep::Index(index), |decoder| {
                        decoder.kind(element, "a string")
                    });
                    continue;
                }
            };
            slots.set(index, text.clone());
            texts.push(Parsed::new(text, &parse));
        }
        Some(Spanned {
            value: texts,
            span: value.span(),
        })
    }

    fn integer(&mut self, value: JsonNode<'_>, found: &mut Option<Spanned<i64>>) {
        match value.integer() {
            Some(number) => {
                *found = Some(Spanned {
                    value: number,
                    span: value.span(),
                })
            }
            None if value.is_null() => {}
            None if value.kind() == super::ValueKind::Number => {
                self.fault(value.span(), DecodeErrorKind::NotAnInteger);
            }
            None => self.kind(value, "a whole number"),
        }
    }

    fn list<'a>(
        &mut self,
        value: JsonNode<'a>,
        expected: &'static str,
    ) -> Option<Vec<JsonNode<'a>>> {
        let elements = value.elements();
        if elements.is_none() {
            self.kind(value, expected);
        }
        elements
    }

    fn object<'a>(
        &mut self,
        value: JsonNode<'a>,
        expected: &'static str,
    ) -> Option<Vec<JsonMember<'a>>> {
        let members = value.members();
        if members.is_none() {
            self.kind(value, expected);
        }
        members
    }

    fn kind(&mut self, value: JsonNode<'_>, expected: &'static str) {
        self.fault(
            value.span(),
            DecodeErrorKind::Kind {
                expected,
                found: value.kind(),
            },
        );
    }

    fn fault(&mut self, span: Span, kind: DecodeErrorKind) {
        self.faults.push(DecodeError {
            path: self.path.iter().map(PathStep::to_string).collect(),
            span,
            kind,
        });
    }

    /// Runs `read` with one more step in the path.
    fn at(&mut self, step: PathStep, read: impl FnOnce(&mut Self)) {
        self.path.push(step);
        read(self);
        self.path.pop();
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, ".{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ValueKind, *};

    fn only(text: &str) -> Selection<'_> {
        let annotation = Annotation::parse(text);
        assert_eq!(annotation.decode_errors, [], "{text}");
        annotation
            .selections
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{text}: no selection"))
    }

    fn faults(text: &str) -> Vec<(String, DecodeErrorKind)> {
        Annotation::parse(text)
            .decode_errors
            .into_iter()
            .map(|f| (f.path, f.kind))
            .collect()
    }

    #[test]
    fn every_key_of_the_spec_is_read() {
        let s = only(
            r#"[{"name":"n","namespace":"ns","interface":"eth1","ips":["192.0.2.5/24"],
                "mac":"02:00:00:00:00:01","infiniband-guid":"24:8a:07:03:00:8d:ae:2f",
                "portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}],
                "bandwidth":{"ingressRate":2048,"ingressBurst":300},
                "default-route":["192.0.2.1"],"cni-args":{"a":1},"ipam-claim-reference":"c",
                "deviceID":"0000:00:01.0","example.com/x":1}]"#,
        );
        assert_eq!((s.network_name(), s.namespace_or("own")), (Some("n"), "ns"));
        assert_eq!(s.interface_name(), "eth1");
        assert_eq!(s.ips.as_ref().map(|ips| ips.value.len()), Some(1));
        assert!(s.mac.is_some() && s.infiniband_guid.is_some() && s.cni_args.is_some());
        let mapping = &s
            .port_mappings
            .as_ref()
            .unwrap_or_else(|| panic!("ports"))
            .value[0];
        assert_eq!(mapping.host_port.as_ref().map(|p| p.value), Some(80));
        let rate = s
            .bandwidth
            .as_ref()
            .and_then(|b| b.value.ingress_rate.as_ref());
        assert_eq!(rate.map(|r| r.value), Some(2048));
        assert_eq!(s.default_route.as_ref().map(|r| r.value.len()), Some(1));
        assert_eq!(s.ipam_claim.as_ref().map(|c| &*c.value), Some("c"));
        assert_eq!(s.members.len(), 13);
    }

    #[test]
    fn keys_are_read_in_any_case_and_the_last_counts() {
        let s = only(r#"[{"NAME":"a","name":"b","Name":null,"ips":["10.0.0.1"],"IPS":null}]"#);
        assert_eq!(s.network_name(), Some("b"));
        assert!(s.ips.is_none(), "null empties a list");
    }

    #[test]
    fn the_obsolete_interface_key_counts_where_the_new_one_is_absent() {
        assert_eq!(
            only(r#"[{"name":"n","interfaceRequest":"foo0"}]"#).interface_name(),
            "foo0"
        );
        let both = only(r#"[{"name":"n","interface":"a","interfaceRequest":"b"}]"#);
        assert_eq!(both.interface_name(), "a");
    }

    #[test]
    fn a_repeated_bandwidth_is_merged() {
        let s =
            only(r#"[{"name":"n","bandwidth":{"ingressRate":1},"bandwidth":{"egressRate":2}}]"#);
        let merged = s.bandwidth.unwrap_or_else(|| panic!("bandwidth")).value;
        assert!(merged.ingress_rate.is_some() && merged.egress_rate.is_some());
    }

    /// The expectations were produced with Go's `encoding/json`.
    #[test]
    fn null_elements_keep_the_previous_values() {
        for (members, expected) in [
            (r#""ips":["a","b"],"ips":[null]"#, vec!["a"]),
            (
                r#""ips":["a","b"],"ips":["c"],"ips":[null,null,null]"#,
                vec!["c", "b", ""],
            ),
            (
                r#""ips":["a","b"],"ips":null,"ips":[null,null]"#,
                vec!["", ""],
            ),
            (r#""ips":["a","b"],"ips":[],"ips":[null]"#, vec![""]),
            (
                r#""ips":["a"],"IPS":["c","d"],"ip\u017f":[null,null,null]"#,
                vec!["c", "d", ""],
            ),
            (r#""default-route":["a"],"default-route":[null]"#, vec![]),
        ] {
            let text = format!(r#"[{{"name":"n",{members}}}]"#);
            let selection = only(&text);
            let ips = selection.ips.iter().flat_map(|ips| &ips.value);
            let ips: Vec<&str> = ips.map(|ip| &*ip.text).collect();
            assert_eq!(ips, expected, "{text}");
        }
    }

    #[test]
    fn port_mappings_may_be_null_and_are_merged_when_repeated() {
        let s = only(
            r#"[{"name":"n","portMappings":[{"hostPort":1},{"hostPort":2}],"portMappings":[{"containerPort":3},null,null]}]"#,
        );
        let ports = s.port_mappings.unwrap_or_else(|| panic!("ports")).value;
        let numbers = ports.iter().map(|port| {
            let number = |n: &Option<Spanned<i64>>| n.as_ref().map(|n| n.value);
            (number(&port.host_port), number(&port.container_port))
        });
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers, [(Some(1), Some(3)), (None, None), (None, None)]);
    }

    #[test]
    fn repeated_cni_args_are_merged_by_exact_keys_in_the_order_of_their_bytes() {
        let args = |text: &str| {
            let args = only(text).cni_args.unwrap_or_default();
            let members = args.members.iter();
            members
                .map(|m| format!("{}={}", m.name.value, m.value.text()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            args(
                r#"[{"name":"n","cni-args":{"ips":["x"],"m":{"a":1}},"CNI-ARGS":{"m":{"b":1},"IPS":[1]}}]"#
            ),
            ["IPS=[1]", r#"ips=["x"]"#, r#"m={"b":1}"#]
        );
        assert_eq!(
            args(r#"[{"name":"n","cni-args":{"ips":["x"]},"cni-args":null,"cni-args":{"b":1}}]"#),
            ["b=1"]
        );
    }

    #[test]
    fn decode_errors_have_paths_and_the_rest_is_still_read() {
        let text = r#"[{"name":1,"ips":"10.0.0.1","mac":"zz"},{"name":"b","portMappings":[{"hostPort":"80"}]}]"#;
        let annotation = Annotation::parse(text);
        let paths: Vec<_> = annotation.decode_errors.iter().map(|f| &*f.path).collect();
        assert_eq!(
            paths,
            ["[0].name", "[0].ips", "[1].portMappings[0].hostPort"]
        );
        assert!(
            annotation.selections[0]
                .mac
                .as_ref()
                .is_some_and(|mac| mac.value.is_err())
        );
        assert_eq!(annotation.selections[1].network_name(), Some("b"));
    }

    #[test]
    fn numbers_must_be_whole() {
        assert_eq!(
            faults(r#"[{"name":"n","bandwidth":{"ingressRate":1.5}}]"#),
            [(
                "[0].bandwidth.ingressRate".to_owned(),
                DecodeErrorKind::NotAnInteger
            )]
        );
    }

    #[test]
    fn the_list_itself_may_be_wrong() {
        let kind = |found| DecodeErrorKind::Kind {
            expected: "a list of objects",
            found,
        };
        assert_eq!(
            faults(r#"{"name":"n"}"#),
            [(String::new(), kind(ValueKind::Object))]
        );
        assert_eq!(
            faults(r#""net1""#),
            [(String::new(), kind(ValueKind::String))]
        );
        assert_eq!(
            faults("[null]"),
            [("[0]".to_owned(), DecodeErrorKind::NullSelection)]
        );
        assert!(matches!(
            &*faults("[adsf]"),
            [(_, DecodeErrorKind::Syntax(_))]
        ));
        assert!(matches!(
            &*faults(r#"[{"name":"n"}] x"#),
            [(_, DecodeErrorKind::Syntax(_))]
        ));
        assert_eq!(faults("[]"), []);
    }
}
