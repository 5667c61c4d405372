//! The annotation and label keys that nadmit reads, each named in this one place.

/// A pod's additional networks (spec, section 4.1).
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// The network that `nadmit install` has a pod ask for that is never made, to see that nadmit is asked.
/// No network has this name.
pub const SELF_TEST_NETWORK: &str = "nadmit-self-test-no-such-network";

/// The network of a pod's `eth0`, instead of the cluster's own. Known to Multus only.
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// What a pod really got (spec, section 5). Multus writes it through `pods/status`.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// The device plugin resource behind a network, on a NAD (spec, section 3.2.2).
pub const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";

/// Set by the kubelet on the API's copy of a static pod.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// On a NAD: the address pool that serves it.
pub const ADDRESS_POOL: &str = "nadmit.io/address-pool";

/// On a pod: its networks as they were written, before addresses were put in.
pub const REQUESTED_NETWORKS: &str = "nadmit.io/requested-networks";

/// On a pod: its default network as it was written.
pub const REQUESTED_DEFAULT_NETWORK: &str = "nadmit.io/requested-default-network";

/// On a pod whose name was made by the API server: the token under which it holds addresses.
pub const HOLDER_TOKEN: &str = "nadmit.io/holder-token";

/// On a namespace: how nadmit treats the pods in it (`deny`, `warn` or `off`).
pub const MODE_LABEL: &str = "nadmit.io/mode";

/// On a namespace: whether the attachments of its running pods may change (`mutable`), because
/// something there attaches networks to them, or not (`immutable`, the default).
pub const ATTACHMENTS_LABEL: &str = "nadmit.io/attachments";

/// On a namespace: whether addresses are put into its pods when they are bound (`enabled`), because
/// the webhook on bindings is called for it, or not (`disabled`, the default).
pub const INJECTION_LABEL: &str = "nadmit.io/injection";

/// On a pod: the name of the migration as whose target KubeVirt made it.
pub const MIGRATION_NAME: &str = "kubevirt.io/migrationJobName";

/// The label that says that migration's UID.
pub const MIGRATION_UID_LABEL: &str = "kubevirt.io/migrationJobUID";

/// On a pod: what KubeVirt calls its role.
pub const KUBEVIRT_LABEL: &str = "kubevirt.io";

/// The role of the pod in which a virtual machine runs.
pub const VIRT_LAUNCHER: &str = "virt-launcher";
