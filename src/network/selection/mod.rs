//! The annotation that asks for networks: a list of selections, in one of two formats.
//!
//! - **Short**: `net-a,ns/net-b@eth1`. The `@interface` is Multus's extension.
//! - **JSON**: a list of objects (spec, section 4.1.2).
//!
//! Multus takes any text that holds `[`, `{` or `"` for JSON, and so does [`Annotation::parse`].
//! The parse never fails: what Multus's decoder refuses becomes a [`Fault`] with its place, what
//! is well-formed but means nothing stays in its field as a [`Parsed`] error, and everything else
//! is there to be checked, so that one look shows every mistake.

mod args;
mod edit;
pub mod json;
pub mod meaning;
mod print;
mod short;
mod slots;

pub use self::{args::CniArgs, edit::Addition};

use std::{borrow::Cow, net::IpAddr};

use super::{
    address::{AddressError, AddressRequest},
    interface::{self, InterfaceError},
    json::{Kind, Member},
    mac::{HardwareAddress, HardwareAddressError},
    name::NameError,
    text::{Parsed, Span, Spanned},
};

/// The most bytes that all annotations of an object may have together (Kubernetes,
/// `TotalAnnotationSizeLimitB`).
pub const LONGEST: usize = 256 << 10;

/// Which of the two formats an annotation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Names joined by commas.
    Short,
    /// A list of objects.
    Json,
}

/// An annotation's value, parsed.
#[derive(Debug, Clone)]
pub struct Annotation<'a> {
    /// The value as written; spans are offsets into it.
    pub text: &'a str,
    /// Its format.
    pub format: Format,
    /// The selections in their order. Empty if the text is no list at all.
    pub selections: Vec<Selection<'a>>,
    /// Everything for which Multus's decoder would refuse the whole annotation.
    pub faults: Vec<Fault>,
}

/// One element of the annotation: a network and what is asked of it.
///
/// Members that are absent, `null`, or (for texts) empty are `None`, as they are to Multus.
#[derive(Debug, Clone, Default)]
pub struct Selection<'a> {
    /// The element's place in the list, from 0. `null` elements and faulty ones count.
    pub index: usize,
    /// Where the element stood.
    pub span: Span,
    /// The network's name; `None` if it is missing or empty.
    pub name: Option<Name<'a>>,
    /// The network's namespace; the pod's own if absent.
    pub namespace: Option<Name<'a>>,
    /// The interface's name; an automatic one if absent.
    pub interface: Option<Parsed<'a, (), InterfaceError>>,
    /// Requested addresses.
    pub ips: Option<Spanned<Vec<Parsed<'a, AddressRequest, AddressError>>>>,
    /// Requested hardware address.
    pub mac: Option<Parsed<'a, HardwareAddress, HardwareAddressError>>,
    /// Requested InfiniBand GUID.
    pub infiniband_guid: Option<Parsed<'a, HardwareAddress, HardwareAddressError>>,
    /// Requested port mappings.
    pub port_mappings: Option<Spanned<Vec<PortMapping<'a>>>>,
    /// Requested bandwidth limits.
    pub bandwidth: Option<Spanned<Bandwidth>>,
    /// Gateways of the pod's default route.
    pub default_route: Option<Spanned<Vec<Parsed<'a, IpAddr, AddressError>>>>,
    /// Further arguments for the plugins.
    pub cni_args: Option<CniArgs<'a>>,
    /// The IPAM claim that holds the addresses (spec, version 1.3).
    pub ipam_claim: Option<Spanned<Cow<'a, str>>>,
    /// Multus's `deviceID`.
    pub device_id: Option<Spanned<Cow<'a, str>>>,
    /// The JSON members as written, in order, unknown and repeated ones included; empty in the
    /// short format.
    pub members: Vec<Given<'a>>,
}

/// One member of a selection, as written, and the key that Go's decoder takes it for.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The member.
    pub member: Member<'a>,
    /// The key as the spec writes it; `None` if Multus does not know it.
    pub key: Option<&'static str>,
}

/// A name in a selection.
pub type Name<'a> = Parsed<'a, (), NameError>;

/// One element of `portMappings`, numbers as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortMapping<'a> {
    /// Where it stood.
    pub span: Span,
    /// The port on the node.
    pub host_port: Option<Spanned<i64>>,
    /// The port in the pod.
    pub container_port: Option<Spanned<i64>>,
    /// UDP, TCP or SCTP in any case.
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

/// Something for which Multus's decoder refuses the whole annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member, as a path from the list: `[0].ips`. Empty for the annotation itself.
    pub path: String,
    /// The place in the annotation.
    pub span: Span,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with an annotation's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Meant as JSON (it holds `[`, `{` or `"`), but is none.
    Syntax(String),
    /// A value of another sort than it must be.
    Kind {
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: Kind,
    },
    /// A number that is no whole number of 64 bits.
    NotWhole,
    /// An element that is `null`: Multus crashes on it.
    NullSelection,
    /// More bytes than all annotations of an object may have together.
    TooLong(usize),
    /// A short element with more than one `/`.
    Slashes,
    /// A short element with more than one `@`.
    Ats,
}

impl<'a> Annotation<'a> {
    /// Parses an annotation's value. See the module's documentation for what that means.
    pub fn parse(text: &'a str) -> Self {
        if text.len() > LONGEST {
            return Self::too_long(text);
        }
        if text.contains(['[', '{', '"']) {
            json::parse(text)
        } else {
            short::parse(text)
        }
    }

    /// No API server stores this, so nobody needs it read.
    fn too_long(text: &'a str) -> Self {
        let fault = Fault {
            path: String::new(),
            span: Span::new(0, text.len()),
            kind: FaultKind::TooLong(text.len()),
        };
        Self {
            text,
            format: Format::Short,
            selections: Vec::new(),
            faults: vec![fault],
        }
    }
}

impl<'a> Selection<'a> {
    /// The network's namespace, which is `own` unless another is named.
    pub fn namespace_or<'s>(&'s self, own: &'s str) -> &'s str {
        self.namespace
            .as_ref()
            .map_or(own, |namespace| &namespace.text)
    }

    /// The network's name, if one is given.
    pub fn network_name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| &*name.text)
    }

    /// The interface's name inside the pod, requested or automatic.
    pub fn interface_name(&self) -> Cow<'_, str> {
        match &self.interface {
            Some(interface) => Cow::Borrowed(&interface.text),
            None => Cow::Owned(interface::automatic(self.index)),
        }
    }
}
