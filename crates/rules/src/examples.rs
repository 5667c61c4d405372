//! Manifests that the examples of several rules share.

/// A running pod of namespace `db` with this address on `pooled-net`.
macro_rules! taken {
    ($name:literal, $address:literal) => {
        concat!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: ",
            $name,
            "\n  namespace: db\n  annotations:\n    k8s.v1.cni.cncf.io/networks: '[{\"name\": \"pooled-net\", \"ips\": [\"",
            $address,
            "/29\"]}]'\nspec:\n  containers: [{name: app, image: registry.example/app:1}]\n"
        )
    };
}

/// A network with IPAM static and the capabilities `ips` and `mac`.
pub(super) const STORAGE_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "mode": "bridge", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
"#;

/// A network with addresses from Whereabouts.
pub(super) const MACVLAN_CONF: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-conf, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan-conf", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "192.0.2.192/27"}}
"#;

/// A network of another namespace.
pub(super) const OTHER_NAMESPACE: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: front-net, namespace: web}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "front-net", "type": "macvlan", "master": "eth1",
     "ipam": {"type": "whereabouts", "range": "198.51.100.0/24"}}
"#;

/// A network with port mappings: bridge and portmap.
pub(super) const PORTMAP_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: portmap-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "portmap-net", "plugins": [
      {"type": "bridge", "ipam": {"type": "host-local", "subnet": "198.51.100.0/24"}},
      {"type": "portmap", "capabilities": {"portMappings": true}}]}
"#;

/// A network with bandwidth limits.
pub(super) const BANDWIDTH_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: bandwidth-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "bandwidth-net", "plugins": [
      {"type": "bridge", "ipam": {"type": "host-local", "subnet": "198.51.100.0/24"}},
      {"type": "bandwidth", "capabilities": {"bandwidth": true}}]}
"#;

/// An InfiniBand network.
pub(super) const IB_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: ib-net
  namespace: db
  annotations: {k8s.v1.cni.cncf.io/resourceName: example.com/ib}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "ib-net", "type": "ib-sriov", "capabilities": {"infinibandGUID": true}}
"#;

/// A network whose name has a dot, and one with the name without it.
pub(super) const DOTTED_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage.v2, namespace: db}
spec:
  config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp"}}'
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-v2, namespace: db}
spec:
  config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp"}}'
"#;

/// A network whose configuration libcni rejects.
pub(super) const BROKEN_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: broken-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "broken-net", "plugins": []}
"#;

/// A bridge network without capabilities.
pub(super) const BRIDGE_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: bridge-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "bridge", "ipam": {"type": "host-local", "subnet": "198.51.100.0/24"}}
"#;

/// A macvlan network with addresses from host-local.
pub(super) const HOST_LOCAL_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: local-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "ipam": {"type": "host-local", "subnet": "198.51.100.0/24"}}
"#;

/// An ipvlan network.
pub(super) const IPVLAN_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: ipvlan-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "ipvlan", "ipam": {"type": "dhcp"}}
"#;

/// A network with addresses from a DHCP server.
pub(super) const DHCP_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: dhcp-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "dhcp"}}
"#;

/// A network with a configured address and its gateway.
pub(super) const CONFIGURED_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: configured-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static",
     "addresses": [{"address": "192.0.2.10/24", "gateway": "192.0.2.1"}]}}
"#;

/// A network that an address pool serves.
pub(super) const SERVED_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: pooled-net
  namespace: db
  annotations: {nadmit.io/address-pool: storage}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "pooled-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "mode": "bridge", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
"#;

/// A pool with two assignable addresses: 192.0.2.2 and 192.0.2.3.
pub(super) const POOL_OF_TWO: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/29, rangeEnd: 192.0.2.3, exclude: [192.0.2.1]}]
  macs: {prefix: "02:5e:00"}
  namespaceSelector: {}
"#;

/// A pool that assigns an address of each family.
pub(super) const DUAL_POOL: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/29}, {range: "2001:db8::/64"}]
  namespaceSelector: {}
"#;

/// A pool that is divided into node slices.
pub(super) const SLICED_POOL: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/24}]
  nodeSliceSize: /28
  namespaceSelector: {}
"#;

/// A pool with a limit per namespace.
pub(super) const POOL_WITH_LIMIT: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/29}]
  namespaceSelector: {}
  maxPerNamespace: 1
"#;

/// Two pods that hold both addresses of [`POOL_OF_TWO`].
pub(super) const TAKEN: &str = concat!(
    taken!("web-0", "192.0.2.2"),
    "---\n",
    taken!("web-1", "192.0.2.3")
);
/// A pod that holds one address of [`POOL_OF_TWO`].
pub(super) const TAKEN_ONE: &str = taken!("web-0", "192.0.2.2");
/// The pod of the example, already running.
pub(super) const ITSELF: &str = taken!("db-0", "192.0.2.2");

/// A reservation of an address for another pod.
pub(super) const RESERVED_ADDRESS: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: web-0, namespace: db}
spec: {network: pooled-net, holder: {pod: web-0}, ips: [192.0.2.3/29]}
"#;

/// A pool of addresses and MACs.
pub(super) const POOL: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges:
  - range: 192.0.2.192/27
    exclude: [192.0.2.192/30]
  macs: {prefix: "02:5e:00"}
  namespaceSelector: {}
"#;

/// A network that [`POOL`] serves.
pub(super) const POOLED_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: storage-net
  namespace: db
  annotations: {nadmit.io/address-pool: storage}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "mode": "bridge", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
"#;

/// A reservation of an address of [`POOL`].
pub(super) const RESERVATION: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: db-0, namespace: db}
spec:
  network: storage-net
  holder: {statefulSet: db, ordinal: 0}
  ips: [192.0.2.205/27]
"#;

/// A pod with `hostNetwork: true`.
pub(super) const HOST_NETWORK_POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: node-agent
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/networks: macvlan-conf
spec:
  hostNetwork: true
  containers: [{name: app, image: registry.example/app:1}]
"#;

/// A pod in namespace `db` with the given annotation `k8s.v1.cni.cncf.io/networks`.
macro_rules! pod {
    ($networks:literal) => {
        concat!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: db-0\n  namespace: db\n  annotations:\n",
            "    k8s.v1.cni.cncf.io/networks: '",
            $networks,
            "'\nspec:\n  containers: [{name: app, image: registry.example/app:1}]\n"
        )
    };
}
pub(super) use pod;

/// The network `storage-net` with the given configuration, by default in namespace `db`.
macro_rules! network {
    ($config:literal) => {
        network!("db", $config)
    };
    ($namespace:literal, $config:literal) => {
        concat!(
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n",
            "metadata: {name: storage-net, namespace: ",
            $namespace,
            "}\nspec:\n  config: |\n    ",
            $config,
            "\n"
        )
    };
}
pub(super) use network;

/// The network `storage-net` of namespace `db` with the given configuration, served by the pool `storage`.
macro_rules! pooled {
    ($config:literal) => {
        concat!(
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n",
            "metadata:\n  name: storage-net\n  namespace: db\n",
            "  annotations: {nadmit.io/address-pool: storage}\nspec:\n  config: |\n    ",
            $config,
            "\n"
        )
    };
}
pub(super) use pooled;

/// A pool, by default named `storage`, with the given spec, which is indented by two spaces.
macro_rules! pool {
    ($spec:literal) => {
        pool!("storage", $spec)
    };
    ($name:literal, $spec:literal) => {
        concat!(
            "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: ",
            $name,
            "}\nspec:\n",
            $spec,
            "\n"
        )
    };
}
pub(super) use pool;

/// The reservation `db-0` of namespace `db` with the given spec, which is indented by two spaces.
macro_rules! reservation {
    ($spec:literal) => {
        concat!(
            "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\n",
            "metadata: {name: db-0, namespace: db}\nspec:\n",
            $spec,
            "\n"
        )
    };
}
pub(super) use reservation;
