//! The JSON format: a list of objects, read as Multus's decoder (Go's `encoding/json`) does.
//!
//! It shares nothing with the readers of documents (`nadmit.yaml`, manifests): it merges repeated members
//! as Go does, and formats paths only for errors, since every pod passes here.

use std::{borrow::Cow, fmt};

use super::{
    Annotation, AnnotationFormat, Bandwidth, CniArgs, DecodeError, DecodeErrorKind, PortMapping,
    Selection, SelectionDetails, SelectionMember, slots::Slots,
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
        let mut details = SelectionDetails::default();
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
                "mac" => decoder.text(value, &mut details.mac, HardwareAddress::parse),
                "infiniband-guid" => {
                    decoder.text(value, &mut details.infiniband_guid, HardwareAddress::parse);
                }
                "ipam-claim-reference" => decoder.plain_text(value, &mut details.ipam_claim),
                "deviceID" => decoder.plain_text(value, &mut details.device_id),
                "ips" => details.ips = decoder.texts(value, &mut ips, AddressRequest::parse),
                "default-route" => {
                    let mut slots = Slots::default();
                    details.default_route =
                        decoder.texts(value, &mut slots, address::parse_address);
                }
                "portMappings" => details.port_mappings = decoder.port_mappings(value, &mut ports),
                "bandwidth" => decoder.bandwidth(value, &mut details.bandwidth),
                "cni-args" => decoder.cni_args(value, &mut details.cni_args),
                _ => {}
            });
        }
        if found.interface.is_none() {
            found.interface = obsolete_interface;
        }
        if !members.is_empty() {
            details.members = members;
            found.details = Some(Box::new(details));
        }
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
mod tests;
