//! Who an allocation is for.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The lasting identity behind an allocation. The same holder, asking again for the same network and
/// interface, gets the same addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Holder {
    /// A pod, by name: at CREATE it has no UID yet.
    Pod {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A pod whose name is not made yet (`generateName`), by a random token that an annotation
    /// carries; provisional until the pod is seen.
    Unnamed {
        /// Its namespace.
        namespace: Arc<str>,
        /// What its name will begin with.
        generate_name: Arc<str>,
        /// The token.
        token: Arc<str>,
    },
    /// A `StatefulSet`'s replica, whichever pod it is at the moment.
    Replica {
        /// The set's namespace.
        namespace: Arc<str>,
        /// The set's name.
        stateful_set: Arc<str>,
        /// The replica's number.
        ordinal: u32,
    },
    /// A KubeVirt virtual machine, whichever launcher it runs in.
    #[serde(rename = "machine")]
    VirtualMachine {
        /// Its namespace.
        namespace: Arc<str>,
        /// The name of machine and instance.
        name: Arc<str>,
    },
    /// An `AddressReservation` that nobody has taken.
    Reservation {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A network whose own configuration gives the address (static IPAM).
    Network {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

/// The pod that uses an allocation now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// Its name.
    pub name: Arc<str>,
    /// Its UID, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Arc<str>>,
    /// The node that it is on, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
}

impl Holder {
    /// The namespace that the holder lives in, to which its addresses count.
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

    /// Whether it may outlive the pod that uses it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_written_by_its_kind_and_read_back() {
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
