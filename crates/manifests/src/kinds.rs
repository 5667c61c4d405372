//! The table of known kinds.

use nadmit_cni::document::DocumentNode;
use nadmit_cni::ipam::SLICE_CONTROLLER;

use super::{Manifest, objects, pools, reader::ManifestReader, workloads};

/// The version of nadmit's own kinds.
const OWN_VERSION: &str = "nadmit.io/v1alpha1";

pub(super) struct KnownKind {
    /// `kind`
    pub name: &'static str,
    pub api_version: &'static str,
    /// Other versions with the same format.
    pub other_versions: &'static [&'static str],
    /// The callers for which it is read.
    pub scope: KindScope,
    /// Reads an object of this kind, and reports errors.
    pub read: fn(&mut ManifestReader, &DocumentNode<'_>) -> Option<Manifest>,
}

impl KnownKind {
    /// Returns true if no other API group has a kind with this name.
    pub(super) fn has_unique_name(&self) -> bool {
        self.name == "NetworkAttachmentDefinition"
    }
}

/// The callers for which an object of a kind is read: [`super::read_all`], which checks everything,
/// or both it and [`super::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindScope {
    /// For both: the catalog uses it.
    Always,
    CheckOnly,
    /// For checks; for both if it has this name.
    CheckOrNamed(&'static str),
    /// For checks if it has one of these names.
    CheckNamed(&'static [&'static str]),
}

impl KindScope {
    /// Returns true if an object with this name is read; `checks` is true for [`super::read_all`].
    pub(super) fn includes(self, checks: bool, name: Option<&str>) -> bool {
        match self {
            Self::Always => true,
            Self::CheckOnly => checks,
            Self::CheckOrNamed(known) => checks || name == Some(known),
            Self::CheckNamed(known) => checks && name.is_some_and(|name| known.contains(&name)),
        }
    }
}

/// The `ConfigMap`s with schedules: Whereabouts's and nadmit's.
const RECONCILER_SETTINGS: &[&str] = &["whereabouts-config", "nadmit-config"];

/// All known kinds.
pub(super) static KINDS: &[KnownKind] = &[
    KnownKind {
        name: "NetworkAttachmentDefinition",
        api_version: "k8s.cni.cncf.io/v1",
        other_versions: &[],
        scope: KindScope::Always,
        read: objects::network,
    },
    KnownKind {
        name: "Namespace",
        api_version: "v1",
        other_versions: &[],
        scope: KindScope::Always,
        read: objects::namespace,
    },
    KnownKind {
        name: "Network",
        api_version: "operator.openshift.io/v1",
        other_versions: &[],
        scope: KindScope::Always,
        read: objects::operator,
    },
    KnownKind {
        name: "NodeSlicePool",
        api_version: "whereabouts.cni.cncf.io/v1alpha1",
        other_versions: &[],
        scope: KindScope::Always,
        read: objects::slice_pool,
    },
    KnownKind {
        name: "ConfigMap",
        api_version: "v1",
        other_versions: &[],
        scope: KindScope::CheckNamed(RECONCILER_SETTINGS),
        read: objects::config_map,
    },
    KnownKind {
        name: "Pod",
        api_version: "v1",
        other_versions: &[],
        scope: KindScope::Always,
        read: objects::pod,
    },
    KnownKind {
        name: "AddressPool",
        api_version: OWN_VERSION,
        other_versions: &[],
        scope: KindScope::Always,
        read: pools::pool,
    },
    KnownKind {
        name: "AddressReservation",
        api_version: OWN_VERSION,
        other_versions: &[],
        scope: KindScope::Always,
        read: pools::reservation,
    },
    KnownKind {
        name: "Deployment",
        api_version: "apps/v1",
        other_versions: &[],
        scope: KindScope::CheckOrNamed(SLICE_CONTROLLER),
        read: workloads::deployment,
    },
    KnownKind {
        name: "ReplicaSet",
        api_version: "apps/v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::replica_set,
    },
    KnownKind {
        name: "StatefulSet",
        api_version: "apps/v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::stateful_set,
    },
    KnownKind {
        name: "DaemonSet",
        api_version: "apps/v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::daemon_set,
    },
    KnownKind {
        name: "Job",
        api_version: "batch/v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::job,
    },
    KnownKind {
        name: "CronJob",
        api_version: "batch/v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::cron_job,
    },
    KnownKind {
        name: "ReplicationController",
        api_version: "v1",
        other_versions: &[],
        scope: KindScope::CheckOnly,
        read: workloads::replication_controller,
    },
    KnownKind {
        name: "VirtualMachine",
        api_version: "kubevirt.io/v1",
        other_versions: &["kubevirt.io/v1alpha3"],
        scope: KindScope::CheckOnly,
        read: workloads::virtual_machine,
    },
];

/// The kinds of nadmit's API group and of that of networks, including those that are not read.
const KINDS_BY_GROUP: &[(&str, &[&str])] = &[
    (
        NETWORK_GROUP,
        &[
            "NetworkAttachmentDefinition",
            "MultiNetworkPolicy",
            "IPAMClaim",
        ],
    ),
    (
        "nadmit.io",
        &[
            "AddressPool",
            "AddressReservation",
            "AddressAllocation",
            "AddressSlice",
        ],
    ),
];

/// The API group of networks.
const NETWORK_GROUP: &str = "k8s.cni.cncf.io";

/// Returns the kind that was likely intended by one that does not exist in its group.
pub(super) fn intended_kind(group: &str, kind: &str) -> Option<&'static str> {
    /// The maximum length of a kind that is compared.
    const LONGEST: usize = 60;
    let (_, kinds) = KINDS_BY_GROUP.iter().find(|(known, _)| *known == group)?;
    let base = kind.strip_suffix("List").unwrap_or(kind);
    if kind.len() > LONGEST || kinds.contains(&base) {
        return None;
    }
    let lower = kind.to_ascii_lowercase();
    let alike = |known: &&&str| strsim::jaro_winkler(&known.to_ascii_lowercase(), &lower);
    let best = kinds.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= SIMILARITY_THRESHOLD).then_some(*best)
}

/// The minimum similarity of a misspelt kind (Jaro-Winkler, 0 to 1).
const SIMILARITY_THRESHOLD: f64 = 0.85;
