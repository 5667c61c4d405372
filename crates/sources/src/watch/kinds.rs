//! The watched kinds.

use crate::cluster::kinds::{self, ClusterKind, built_in, custom};
use nadmit_cni::ipam::SLICE_CONTROLLER;

const STATEFUL_SETS: ClusterKind = built_in("StatefulSet", "apps/v1", "statefulsets", &[]);
const INSTANCES: ClusterKind = custom(
    "VirtualMachineInstance",
    "kubevirt.io/v1",
    "virtualmachineinstances",
    &[],
);
const MIGRATIONS: ClusterKind = custom(
    "VirtualMachineInstanceMigration",
    "kubevirt.io/v1",
    "virtualmachineinstancemigrations",
    &[],
);
const NODES: ClusterKind = built_in("Node", "v1", "nodes", &[]);

/// A watched kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WatchedKind {
    Namespaces,
    Networks,
    Pools,
    Reservations,
    Pods,
    Operators,
    SlicePools,
    /// The Deployment of Whereabouts's slice controller, and no other.
    Controllers,
    StatefulSets,
    VirtualMachines,
    VirtualMachineInstances,
    Migrations,
    Nodes,
}

impl WatchedKind {
    /// All kinds, in the order of [`Self::index`].
    pub(super) const ALL: [Self; 13] = [
        Self::Namespaces,
        Self::Networks,
        Self::Pools,
        Self::Reservations,
        Self::Pods,
        Self::Operators,
        Self::SlicePools,
        Self::Controllers,
        Self::StatefulSets,
        Self::VirtualMachines,
        Self::VirtualMachineInstances,
        Self::Migrations,
        Self::Nodes,
    ];

    /// Returns the index in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Returns the kind as served by the API.
    pub(super) fn kind(self) -> &'static ClusterKind {
        match self {
            Self::Namespaces => &kinds::NAMESPACES,
            Self::Networks => &kinds::NETWORKS,
            Self::Pools => &kinds::POOLS,
            Self::Reservations => &kinds::RESERVATIONS,
            Self::Pods => &kinds::PODS,
            Self::Operators => &kinds::OPERATORS,
            Self::SlicePools => &kinds::SLICE_POOLS,
            Self::Controllers => &kinds::DEPLOYMENTS,
            Self::StatefulSets => &STATEFUL_SETS,
            Self::VirtualMachines => &kinds::VIRTUAL_MACHINES,
            Self::VirtualMachineInstances => &INSTANCES,
            Self::Migrations => &MIGRATIONS,
            Self::Nodes => &NODES,
        }
    }

    /// Returns true if no decision is made before the kind is known.
    pub(super) fn is_required(self) -> bool {
        matches!(
            self,
            Self::Namespaces | Self::Networks | Self::Pools | Self::Reservations | Self::Pods
        )
    }

    /// Returns the only relevant name, for kinds where others do not matter.
    pub(super) fn only(self) -> Option<&'static str> {
        (self == Self::Controllers).then_some(SLICE_CONTROLLER)
    }

    /// Returns the RBAC rule that lets nadmit watch the kind.
    pub(super) fn rule(self) -> String {
        let kind = self.kind();
        format!(
            "{{apiGroups: [{:?}], resources: [{}], verbs: [list, watch]}}",
            kind.group(),
            kind.resource
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_position_in_all() {
        for (index, watched) in WatchedKind::ALL.into_iter().enumerate() {
            assert_eq!(watched.index(), index);
        }
        assert_eq!(
            WatchedKind::Networks.rule(),
            r#"{apiGroups: ["k8s.cni.cncf.io"], resources: [network-attachment-definitions], verbs: [list, watch]}"#
        );
    }
}
