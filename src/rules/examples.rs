//! Networks that several rules' examples name, each written once.

/// Static addresses: the capabilities `ips` and `mac` are there.
pub(super) const STORAGE_NET: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "mode": "bridge", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
"#;

/// Addresses of Whereabouts.
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

/// A pod in namespace `db` whose annotation `k8s.v1.cni.cncf.io/networks` is the text given.
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
