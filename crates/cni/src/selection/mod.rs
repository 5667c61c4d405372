//! The annotation that requests networks: a list of selections, in one of two formats.
//!
//! - **Short**: `net-a,ns/net-b@eth1`. The `@interface` is Multus's extension.
//! - **JSON**: a list of objects (spec, section 4.1.2).
//!
//! Multus takes any text that contains `[`, `{` or `"` for JSON, and so does [`Annotation::parse`].
//! Parsing never fails: what Multus's decoder rejects becomes a [`DecodeError`] with its span, a
//! well-formed but invalid value becomes the error of its [`Parsed`] field, and everything else is
//! available for checks, so that one pass finds every mistake.

mod args;
mod edit;
pub mod json;
pub mod normalized;
mod print;
mod short;
mod slots;

pub use self::{args::CniArgs, edit::Addition};

use std::{borrow::Cow, net::IpAddr};

use super::{
    address::{AddressError, AddressRequest},
    interface::{self, InterfaceError},
    json::{JsonMember, ValueKind},
    mac::{HardwareAddress, HardwareAddressError},
    name::NameError,
    text::{Parsed, Span, Spanned},
};

/// The maximum total size of an object's annotations in bytes (Kubernetes,
/// `TotalAnnotationSizeLimitB`).
pub const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationFormat {
    /// Names separated by commas.
    Short,
    /// A list of objects.
    Json,
}

/// The parsed value of an annotation.
#[derive(Debug, Clone)]
pub struct Annotation<'a> {
    /// The value as written; spans are offsets in it.
    pub text: &'a str,
    pub format: AnnotationFormat,
    /// The selections in their order. Empty if the text is not a list.
    pub selections: Vec<Selection<'a>>,
    /// The errors for which Multus's decoder rejects the whole annotation.
    pub decode_errors: Vec<DecodeError>,
}

/// An element of the annotation: a network and what is requested of it.
///
/// Members that are absent, `null`, or empty strings are `None`, as Multus treats them.
#[derive(Debug, Clone, Default)]
pub struct Selection<'a> {
    /// The element's index in the list, from 0. `null` elements and invalid ones are counted.
    pub index: usize,
    /// The span of the element.
    pub span: Span,
    /// The network's name; `None` if it is missing or empty.
    pub name: Option<SelectionName<'a>>,
    /// The network's namespace; the pod's if absent.
    pub namespace: Option<SelectionName<'a>>,
    /// The interface's name; `netN` if absent.
    pub interface: Option<Parsed<'a, (), InterfaceError>>,
    /// The other members; `None` if there are none, as always in the short format.
    pub details: Option<Box<SelectionDetails<'a>>>,
}

/// The requests of a selection to its network. They are kept apart, because most selections have none,
/// and an annotation of commas has very many selections.
#[derive(Debug, Clone, Default)]
pub struct SelectionDetails<'a> {
    /// The requested addresses.
    pub ips: Option<Spanned<Vec<Parsed<'a, AddressRequest, AddressError>>>>,
    /// The requested hardware address.
    pub mac: Option<Parsed<'a, HardwareAddress, HardwareAddressError>>,
    /// The requested InfiniBand GUID.
    pub infiniband_guid: Option<Parsed<'a, HardwareAddress, HardwareAddressError>>,
    /// The requested port mappings.
    pub port_mappings: Option<Spanned<Vec<PortMapping<'a>>>>,
    /// The requested bandwidth limits.
    pub bandwidth: Option<Spanned<Bandwidth>>,
    /// The gateways of the pod's default route.
    pub default_route: Option<Spanned<Vec<Parsed<'a, IpAddr, AddressError>>>>,
    /// Additional arguments for the plugins.
    pub cni_args: Option<CniArgs<'a>>,
    /// The IPAM claim that holds the addresses (spec, version 1.3).
    pub ipam_claim: Option<Spanned<Cow<'a, str>>>,
    /// Multus's `deviceID`.
    pub device_id: Option<Spanned<Cow<'a, str>>>,
    /// The JSON members as written, in order, including unknown and repeated ones; empty in the
    /// short format.
    pub members: Vec<SelectionMember<'a>>,
}

/// The details of a selection without any.
static NO_DETAILS: SelectionDetails<'static> = SelectionDetails {
    ips: None,
    mac: None,
    infiniband_guid: None,
    port_mappings: None,
    bandwidth: None,
    default_route: None,
    cni_args: None,
    ipam_claim: None,
    device_id: None,
    members: Vec::new(),
};

impl<'a> std::ops::Deref for Selection<'a> {
    type Target = SelectionDetails<'a>;

    fn deref(&self) -> &Self::Target {
        self.details.as_deref().unwrap_or(&NO_DETAILS)
    }
}

/// A member of a selection, and the key that Go's decoder matches it with.
#[derive(Debug, Clone)]
pub struct SelectionMember<'a> {
    pub member: JsonMember<'a>,
    /// The key as the spec spells it; `None` if Multus does not know it.
    pub key: Option<&'static str>,
}

pub type SelectionName<'a> = Parsed<'a, (), NameError>;

/// An element of `portMappings`, with the numbers as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortMapping<'a> {
    /// The span of the element.
    pub span: Span,
    /// The port on the node.
    pub host_port: Option<Spanned<i64>>,
    /// The port in the pod.
    pub container_port: Option<Spanned<i64>>,
    /// The protocol: UDP, TCP or SCTP in any case.
    pub protocol: Option<Spanned<Cow<'a, str>>>,
    /// The node's address to listen on.
    pub host_ip: Option<Spanned<Cow<'a, str>>>,
}

/// `bandwidth`: rates in bit/s, bursts in bits, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// Rate into the pod.
    pub ingress_rate: Option<Spanned<i64>>,
    /// Burst into the pod.
    pub ingress_burst: Option<Spanned<i64>>,
    /// Rate out of the pod.
    pub egress_rate: Option<Spanned<i64>>,
    /// Burst out of the pod.
    pub egress_burst: Option<Spanned<i64>>,
}

/// An error for which Multus's decoder rejects the whole annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The path of the member from the list: `[0].ips`. Empty for the annotation itself.
    pub path: String,
    /// The span in the annotation.
    pub span: Span,
    pub kind: DecodeErrorKind,
}

/// The kind of an error for which Multus's decoder rejects an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// The text contains `[`, `{` or `"`, but is not valid JSON.
    Syntax(String),
    /// A value has the wrong type.
    Kind {
        /// The expected type, for messages.
        expected: &'static str,
        /// The actual type.
        found: ValueKind,
    },
    /// A number is not an integer of 64 bits.
    NotAnInteger,
    /// An element is `null`, on which Multus crashes.
    NullSelection,
    /// The text, with this number of bytes, exceeds [`MAX_ANNOTATIONS_BYTES`].
    TooLong(usize),
    /// An element of the short format has more than one `/`.
    TooManySlashes,
    /// An element of the short format has more than one `@`.
    TooManyAts,
}

impl<'a> Annotation<'a> {
    /// Parses an annotation's value; see the module documentation.
    pub fn parse(text: &'a str) -> Self {
        if text.len() > MAX_ANNOTATIONS_BYTES {
            return Self::too_long(text);
        }
        if text.contains(['[', '{', '"']) {
            json::parse(text)
        } else {
            short::parse(text)
        }
    }

    /// Returns the error for a text that no API server stores, without parsing it.
    fn too_long(text: &'a str) -> Self {
        let fault = DecodeError {
            path: String::new(),
            span: Span::new(0, text.len()),
            kind: DecodeErrorKind::TooLong(text.len()),
        };
        Self {
            text,
            format: AnnotationFormat::Short,
            selections: Vec::new(),
            decode_errors: vec![fault],
        }
    }
}

impl<'a> Selection<'a> {
    /// Returns the network's namespace; `own` if none is given.
    pub fn namespace_or<'s>(&'s self, own: &'s str) -> &'s str {
        self.namespace
            .as_ref()
            .map_or(own, |namespace| &namespace.text)
    }

    /// Returns the network's name, if one is given.
    pub fn network_name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| &*name.text)
    }

    /// Returns the name of the interface in the pod: the requested or the default one.
    pub fn interface_name(&self) -> Cow<'_, str> {
        match &self.interface {
            Some(interface) => Cow::Borrowed(&interface.text),
            None => Cow::Owned(interface::default_name(self.index)),
        }
    }
}
