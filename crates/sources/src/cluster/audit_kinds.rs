//! The kinds that an audit compares.

use super::kinds::{
    ClusterKind, IP_POOLS, NETWORKS, OVERLAPPING_RESERVATIONS, SLICE_POOLS, built_in, custom,
};

/// All kinds that an audit compares.
pub(super) const ALL: [ClusterKind; 10] = [
    built_in(
        "Pod",
        "v1",
        "pods",
        &[
            "metadata.annotations",
            "metadata.creationTimestamp",
            "metadata.deletionTimestamp",
            "metadata.ownerReferences",
            "metadata.uid",
            "spec.hostNetwork",
            "spec.nodeName",
            "status.phase",
        ],
    ),
    NETWORKS,
    IP_POOLS,
    OVERLAPPING_RESERVATIONS,
    SLICE_POOLS,
    built_in("Node", "v1", "nodes", &[]),
    custom("AddressPool", NADMIT, "addresspools", &["spec"]),
    custom("AddressAllocation", NADMIT, "addressallocations", &["spec"]),
    custom(
        "IPAMClaim",
        "k8s.cni.cncf.io/v1alpha1",
        "ipamclaims",
        &["spec", "status"],
    ),
    custom(
        "VirtualMachine",
        "kubevirt.io/v1",
        "virtualmachines",
        &[
            "spec.running",
            "spec.runStrategy",
            "spec.template.spec.networks",
            "spec.template.spec.domain.devices.interfaces",
            "status.printableStatus",
        ],
    ),
];

const NADMIT: &str = "nadmit.io/v1alpha1";
