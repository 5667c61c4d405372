//! The data of the load tests: many networks, and a pod as large as real ones.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use anyhow::Context as _;
use nadmit::{
    catalog::Catalog,
    network::{Network, annotations},
};
use serde_json::{Value, json};

const NAMESPACES: usize = 500;
const NETWORKS: usize = 20;
/// A network's configuration.
pub(crate) const CONFIG: &str = r#"{"cniVersion":"0.3.1","plugins":[{"type":"macvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}},{"type":"tuning","capabilities":{"mac":true}}]}"#;
/// Two of the networks, with addresses that the pod chose.
pub(crate) const ANNOTATION: &str = r#"[{"name":"net-3","ips":["192.0.2.205/24"],"mac":"02:5e:00:00:00:01"},{"name":"net-4","ips":["198.51.100.7/24"]}]"#;

/// Writes 10,000 networks.
pub(crate) fn write_networks(manifests: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(manifests)?;
    for namespace in 0..NAMESPACES {
        let mut text = String::new();
        for network in 0..NETWORKS {
            write!(
                text,
                "---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                 metadata: {{name: net-{network}, namespace: tenant-{namespace}}}\n\
                 spec:\n  config: '{CONFIG}'\n"
            )?;
        }
        fs::write(manifests.join(format!("tenant-{namespace}.yaml")), text)?;
    }
    Ok(())
}

/// Returns the same networks as a catalog.
pub(crate) fn catalog() -> Catalog {
    let networks = (0..NAMESPACES).flat_map(|namespace| {
        (0..NETWORKS).map(move |network| {
            let (namespace, name) = (format!("tenant-{namespace}"), format!("net-{network}"));
            Arc::new(Network::new(&namespace, &name, Some(CONFIG)))
        })
    });
    Catalog::new([], networks, [])
}

/// Returns a captured review of a pod as large as real ones, with these networks.
pub(crate) fn review(networks: &str) -> anyhow::Result<Vec<u8>> {
    let captured = include_str!("../../tests/fixtures/reviews/pod-create-name.validate.json");
    let mut review: Value = serde_json::from_str(captured).context("the fixture")?;
    let request = &mut review["request"];
    request["namespace"] = json!("tenant-7");
    let pod = &mut request["object"];
    pod["metadata"]["annotations"][annotations::NETWORKS] = json!(networks);
    let variables: Vec<Value> = (0..60)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value number {n}")}))
        .collect();
    pod["spec"]["containers"][0]["env"] = variables.into();
    Ok(review.to_string().into_bytes())
}
