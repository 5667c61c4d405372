//! Holders: the owners of allocations.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The owner of an allocation. A holder that requests addresses again for the same network and
/// interface gets the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Holder {
    /// A pod, identified by its name because a pod has no UID yet when its CREATE is reviewed.
    Pod {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The name of the holder.
        name: Arc<str>,
    },
    /// A pod whose name is still to be generated (`generateName`), identified by a random token in an
    /// annotation. Provisional until the pod is observed.
    Unnamed {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The prefix of the generated name.
        generate_name: Arc<str>,
        /// The value of the holder token annotation.
        token: Arc<str>,
    },
    /// A replica of a `StatefulSet`, independent of its current pod.
    Replica {
        /// The namespace of the `StatefulSet`.
        namespace: Arc<str>,
        /// The name of the `StatefulSet`.
        stateful_set: Arc<str>,
        /// The ordinal of the replica.
        ordinal: u32,
    },
    /// A KubeVirt virtual machine, independent of its current launcher pod.
    #[serde(rename = "machine")]
    VirtualMachine {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The common name of the `VirtualMachine` and its `VirtualMachineInstance`.
        name: Arc<str>,
    },
    /// An `AddressReservation` whose address its holder does not use yet.
    Reservation {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The name of the holder.
        name: Arc<str>,
    },
    /// A network whose CNI configuration contains the address (static IPAM).
    Network {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The name of the holder.
        name: Arc<str>,
    },
}

/// A pod that uses an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// The name of the holder.
    pub name: Arc<str>,
    /// The UID, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Arc<str>>,
    /// The node that the pod is bound to, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
}

impl Holder {
    /// Returns the namespace of the holder, whose limit its addresses count against.
    pub fn namespace(&self) -> &Arc<str> {
        match self {
            Self::Pod { namespace, .. }
            | Self::Unnamed { namespace, .. }
            | Self::Replica { namespace, .. }
            | Self::VirtualMachine { namespace, .. }
            | Self::Reservation { namespace, .. }
            | Self::Network { namespace, .. } => namespace,
        }
    }

    /// Returns true if the holder can outlive the pod that uses its addresses.
    pub fn is_persistent(&self) -> bool {
        match self {
            Self::Replica { .. }
            | Self::VirtualMachine { .. }
            | Self::Reservation { .. }
            | Self::Network { .. } => true,
            Self::Pod { .. } | Self::Unnamed { .. } => false,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } => write!(f, "pod {namespace}/{name}"),
            Self::Unnamed {
                namespace,
                generate_name,
                ..
            } => write!(f, "a new pod {namespace}/{generate_name}*"),
            Self::Replica {
                namespace,
                stateful_set,
                ordinal,
            } => write!(
                f,
                "replica {ordinal} of StatefulSet {namespace}/{stateful_set}"
            ),
            Self::VirtualMachine { namespace, name } => {
                write!(f, "virtual machine {namespace}/{name}")
            }
            Self::Reservation { namespace, name } => write!(f, "reservation {namespace}/{name}"),
            Self::Network { namespace, name } => {
                write!(f, "the configuration of network {namespace}/{name}")
            }
        }
    }
}

/// A pod as the record of another allocator names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForeignPod {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ForeignPod {
    /// Creates the name of a pod.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_round_trips_through_json() {
        let replica = Holder::Replica {
            namespace: "db".into(),
            stateful_set: "db".into(),
            ordinal: 2,
        };
        let json = serde_json::to_string(&replica).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            json,
            r#"{"replica":{"namespace":"db","statefulSet":"db","ordinal":2}}"#
        );
        assert_eq!(serde_json::from_str::<Holder>(&json).ok(), Some(replica));
    }
}
