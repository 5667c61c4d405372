//! The watched kinds.
//!
//! Everything about a kind follows from its row in [`WatchedKind`]: its list and watch, status, metrics and
//! live reads, and the kinds of the fake API server. Tests hold the permissions in `deploy/` to the rows.

mod known_objects;
mod migrations;
mod nodes;
mod stateful_sets;
mod virtual_machines;
mod whereabouts;

use crate::cluster::kinds::{self, ClusterKind};
use nadmit_catalog::LiveRead;
use nadmit_cni::ipam::SLICE_CONTROLLER;

use self::known_objects::{KnownObjects, KnownObjectsTable};

pub(super) use self::known_objects::{DecodeError, SetContent};

/// A row of the table of watched kinds.
struct KindRow {
    kind: &'static ClusterKind,
    required: bool,
    only: Option<&'static str>,
    known_objects: Option<KnownObjectsTable>,
}

impl KindRow {
    const fn optional(kind: &'static ClusterKind) -> Self {
        Self {
            kind,
            required: false,
            only: None,
            known_objects: None,
        }
    }

    const fn required(kind: &'static ClusterKind) -> Self {
        Self {
            required: true,
            ..Self::optional(kind)
        }
    }

    const fn of<O: KnownObjects>() -> Self {
        Self {
            known_objects: Some(KnownObjectsTable::of::<O>()),
            ..Self::optional(O::KIND)
        }
    }
}

macro_rules! watched_kinds {
    ($($(#[$doc:meta])* $name:ident: $row:expr,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum WatchedKind {
            $($(#[$doc])* $name,)*
        }

        impl WatchedKind {
            /// All kinds, in the order of [`Self::index`].
            pub(super) const ALL: [Self; [$(Self::$name),*].len()] = [$(Self::$name),*];

            fn row(self) -> &'static KindRow {
                match self {
                    $(Self::$name => const { &$row },)*
                }
            }
        }
    };
}

watched_kinds! {
    Namespaces: KindRow::required(&kinds::NAMESPACES),
    Networks: KindRow::required(&kinds::NETWORKS),
    Pools: KindRow::required(&kinds::POOLS),
    Reservations: KindRow::required(&kinds::RESERVATIONS),
    Pods: KindRow::required(&kinds::PODS),
    Operators: KindRow::optional(&kinds::OPERATORS),
    SlicePools: KindRow::of::<whereabouts::SlicePools>(),
    IpPools: KindRow::of::<whereabouts::IpPools>(),
    OverlappingReservations: KindRow::of::<whereabouts::OverlappingReservations>(),
    /// The Deployment of Whereabouts's slice controller, and no other.
    Controllers: KindRow {
        only: Some(SLICE_CONTROLLER),
        ..KindRow::optional(&kinds::DEPLOYMENTS)
    },
    StatefulSets: KindRow::of::<stateful_sets::StatefulSets>(),
    VirtualMachines: KindRow::of::<virtual_machines::VirtualMachines>(),
    VirtualMachineInstances: KindRow::of::<virtual_machines::VirtualMachineInstances>(),
    Migrations: KindRow::of::<migrations::Migrations>(),
    Nodes: KindRow::of::<nodes::Nodes>(),
}

impl WatchedKind {
    /// Returns the index in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Returns the kind as served by the API.
    pub(super) fn kind(self) -> &'static ClusterKind {
        self.row().kind
    }

    /// Returns true if no decision is made before the kind is known.
    pub(super) fn is_required(self) -> bool {
        self.row().required
    }

    /// Returns the only relevant name, for kinds where others do not matter.
    pub(super) fn only(self) -> Option<&'static str> {
        self.row().only
    }

    /// Returns the functions of a kind of which the catalog keeps a few fields.
    pub(super) fn known_objects(self) -> Option<&'static KnownObjectsTable> {
        self.row().known_objects.as_ref()
    }

    /// Returns the kinds that a live read of one object reads, with its namespace and name.
    pub(super) fn of_object(read: &LiveRead) -> Option<(&'static [Self], &str, &str)> {
        Some(match read {
            LiveRead::Node { name } => (&[Self::Nodes], "", name),
            LiveRead::Network { namespace, name } => (&[Self::Networks], namespace, name),
            LiveRead::StatefulSet { namespace, name } => (&[Self::StatefulSets], namespace, name),
            LiveRead::VirtualMachine { namespace, name } => {
                let kinds = &[Self::VirtualMachines, Self::VirtualMachineInstances];
                (kinds, namespace, name)
            }
            LiveRead::Migration { namespace, name } => (&[Self::Migrations], namespace, name),
            LiveRead::Pod { namespace, name } => (&[Self::Pods], namespace, name),
            LiveRead::PodOfUid { .. }
            | LiveRead::PodsOf { .. }
            | LiveRead::NetworkOperator
            | LiveRead::Pool { .. }
            | LiveRead::NetworkUsers { .. }
            | LiveRead::Allocations { .. }
            | LiveRead::Holdings { .. } => return None,
        })
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

/// Returns `apiVersion`, `kind` and resource of each custom kind that is watched.
pub fn watched_custom_kinds() -> impl Iterator<Item = [&'static str; 3]> {
    let kinds = WatchedKind::ALL.into_iter().map(WatchedKind::kind);
    let custom = kinds.filter(|kind| !kind.built_in);
    custom.map(|kind| [kind.api_version, kind.name, kind.resource])
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
