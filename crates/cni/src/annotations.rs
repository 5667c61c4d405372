//! The annotation and label keys that nadmit reads.

/// A pod's additional networks (spec, section 4.1).
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// The network requested by the dry-run pod with which `nadmit install` tests that the webhook is
/// called. A network with this name never exists.
pub const SELF_TEST_NETWORK: &str = "nadmit-self-test-no-such-network";

/// The network of a pod's `eth0`, in place of the cluster's default network. Only Multus knows this
/// key.
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// The networks that a pod is attached to (spec, section 5). Multus writes it through
/// `pods/status`.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// On a NAD: the device plugin resource behind the network (spec, section 3.2.2).
pub const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";

/// On the API server's copy of a static pod (a mirror pod): set by the kubelet.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// On a NAD: the name of the address pool that serves the network.
pub const ADDRESS_POOL: &str = "nadmit.io/address-pool";

/// On a NAD with Whereabouts: `false` if nadmit does not serve the network.
pub const SERVE: &str = "nadmit.io/serve";

/// On a pod: the value of [`NETWORKS`] before nadmit injected addresses into it.
pub const REQUESTED_NETWORKS: &str = "nadmit.io/requested-networks";

/// On a pod: the value of [`DEFAULT_NETWORK`] before nadmit injected addresses into it.
pub const REQUESTED_DEFAULT_NETWORK: &str = "nadmit.io/requested-default-network";

/// On a pod with a generated name: the token that identifies it as a holder of addresses.
pub const HOLDER_TOKEN: &str = "nadmit.io/holder-token";

/// On a namespace: the mode for the pods in it (`deny`, `warn` or `off`).
pub const MODE_LABEL: &str = "nadmit.io/mode";

/// On a namespace: `mutable` if the attachments of running pods may change, because another
/// component attaches networks to them (hot plug); `immutable` (the default) if not.
pub const ATTACHMENTS_LABEL: &str = "nadmit.io/attachments";

/// On a namespace: `enabled` if addresses are injected when pods are bound, because the webhook for
/// bindings is called for it; `disabled` (the default) if not.
pub const INJECTION_LABEL: &str = "nadmit.io/injection";

/// On a pod: the name of the `VirtualMachineInstanceMigration` whose target it is. Set by KubeVirt.
pub const MIGRATION_NAME: &str = "kubevirt.io/migrationJobName";

/// On a pod: the label with the UID of that migration.
pub const MIGRATION_UID_LABEL: &str = "kubevirt.io/migrationJobUID";

/// On a pod: the label with its role in KubeVirt.
pub const KUBEVIRT_LABEL: &str = "kubevirt.io";

/// The value of [`KUBEVIRT_LABEL`] on a pod that runs a virtual machine.
pub const VIRT_LAUNCHER: &str = "virt-launcher";
