//! The kinds of objects that are compared, and references to objects.

use std::fmt;

use nadmit_whereabouts::{IpPool, OverlappingReservation, PodName};

/// A kind of object that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    Pod,
    /// A `NetworkAttachmentDefinition`.
    Network,
    /// Whereabouts's record of a range.
    IpPool,
    /// Whereabouts's `OverlappingRangeIPReservation`.
    OverlappingReservation,
    NodeSlicePool,
    Node,
    AddressPool,
    /// An `AddressAllocation`.
    Allocation,
    /// An `IPAMClaim`.
    Claim,
    VirtualMachine,
}

impl RecordKind {
    /// All kinds, in the order of output.
    pub const ALL: [Self; 10] = [
        Self::Pod,
        Self::Network,
        Self::IpPool,
        Self::OverlappingReservation,
        Self::NodeSlicePool,
        Self::Node,
        Self::AddressPool,
        Self::Allocation,
        Self::Claim,
        Self::VirtualMachine,
    ];

    /// Returns `kind`, as manifests have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Network => "NetworkAttachmentDefinition",
            Self::IpPool => "IPPool",
            Self::OverlappingReservation => "OverlappingRangeIPReservation",
            Self::NodeSlicePool => "NodeSlicePool",
            Self::Node => "Node",
            Self::AddressPool => "AddressPool",
            Self::Allocation => "AddressAllocation",
            Self::Claim => "IPAMClaim",
            Self::VirtualMachine => "VirtualMachine",
        }
    }

    /// Returns the API group; empty for core kinds.
    pub fn group(self) -> &'static str {
        match self {
            Self::Pod | Self::Node => "",
            Self::Network | Self::Claim => "k8s.cni.cncf.io",
            Self::IpPool | Self::OverlappingReservation | Self::NodeSlicePool => {
                "whereabouts.cni.cncf.io"
            }
            Self::AddressPool | Self::Allocation => "nadmit.io",
            Self::VirtualMachine => "kubevirt.io",
        }
    }

    /// Returns the resource in URLs.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Network => "network-attachment-definitions",
            Self::IpPool => "ippools",
            Self::OverlappingReservation => "overlappingrangeipreservations",
            Self::NodeSlicePool => "nodeslicepools",
            Self::Node => "nodes",
            Self::AddressPool => "addresspools",
            Self::Allocation => "addressallocations",
            Self::Claim => "ipamclaims",
            Self::VirtualMachine => "virtualmachines",
        }
    }

    /// Returns the resource with its group, as kubectl takes it: other projects have an `ippools`, too.
    pub fn resource(self) -> String {
        match self.group() {
            "" => self.plural().trim_end_matches('s').to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// Returns the kind of an object; `None` if it is not compared.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self::ALL
            .into_iter()
            .find(|one| one.name() == kind && one.group() == group)
    }

    /// Returns the kind with this resource in URLs.
    pub fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.plural() == plural)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A reference to an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    pub kind: RecordKind,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl ObjectRef {
    /// Creates a reference.
    pub fn new(kind: RecordKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A record that is an object, or names one.
pub(crate) trait HasObject {
    /// Returns the reference to the object.
    fn object(&self) -> ObjectRef;
}

impl HasObject for IpPool {
    fn object(&self) -> ObjectRef {
        ObjectRef::new(RecordKind::IpPool, &self.namespace, &self.name)
    }
}

impl HasObject for OverlappingReservation {
    fn object(&self) -> ObjectRef {
        let kind = RecordKind::OverlappingReservation;
        ObjectRef::new(kind, &self.namespace, &self.name)
    }
}

impl HasObject for PodName {
    fn object(&self) -> ObjectRef {
        ObjectRef::new(RecordKind::Pod, &self.namespace, &self.name)
    }
}
