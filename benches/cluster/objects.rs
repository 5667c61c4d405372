//! The objects of the cluster: kinds, a pool, a network, and nadmit's registration.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{round_kind::RoundKind, server::NadmitServer};

/// The time limit of any wait.
const TIMEOUT_SECONDS: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A cluster's objects.
pub(crate) struct ClusterObjects {
    /// The client of the cluster.
    pub(crate) client: Client,
}

impl ClusterObjects {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates kinds, namespace, pool and network.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
        for kind in [
            "addresspools",
            "addressreservations",
            "addressallocations",
            "addressslices",
        ] {
            let text = fs::read_to_string(crds.join(format!("{kind}.nadmit.io.yaml")))?;
            self.create(&serde_saphyr::from_str::<Value>(&text)?)
                .await?;
        }
        self.create(&networks()).await?;
        for (round_kind, label) in [
            (RoundKind::With, "enabled"),
            (RoundKind::Without, "disabled"),
        ] {
            let labels = json!({"nadmit.io/injection": label});
            self.create(&json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": round_kind.namespace(), "labels": labels},
            }))
            .await?;
        }
        self.create(&json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": "bench"},
            "spec": {"ranges": [{"range": "10.0.0.0/12"}], "namespaceSelector": {}},
        }))
        .await?;
        let config = json!({
            "cniVersion": "0.3.1", "name": "bench",
            "plugins": [{
                "type": "macvlan", "master": "eth0", "capabilities": {"ips": true},
                "ipam": {"type": "static"},
            }],
        });
        for round_kind in [RoundKind::With, RoundKind::Without] {
            self.create(&json!({
                "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
                "metadata": {
                    "name": "bench", "namespace": round_kind.namespace(),
                    "annotations": {"nadmit.io/address-pool": "bench"},
                },
                "spec": {"config": config.to_string()},
            }))
            .await?;
        }
        Ok(())
    }

    /// Waits until nadmit allocates addresses of the pool.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<()> {
        let pools = self.api("nadmit.io/v1alpha1", "AddressPool", None)?;
        for _ in 0..TIMEOUT_SECONDS {
            let pool = pools.get("bench").await?;
            let conditions = pool
                .data
                .pointer("/status/conditions")
                .and_then(Value::as_array);
            if conditions.is_some_and(|all| {
                all.iter()
                    .any(|one| one["type"] == "Ready" && one["status"] == "True")
            }) {
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!("the pool does not become ready")
    }

    /// Registers nadmit's webhooks, or removes them.
    pub(crate) async fn register(&self, nadmit: Option<&NadmitServer>) -> anyhow::Result<()> {
        for (kind, path) in [
            ("MutatingWebhookConfiguration", "mutate"),
            ("ValidatingWebhookConfiguration", "validate"),
        ] {
            let api = self.api("admissionregistration.k8s.io/v1", kind, None)?;
            if api.get_opt("nadmit").await?.is_some() {
                api.delete("nadmit", &DeleteParams::default()).await?;
            }
            if let Some(nadmit) = nadmit {
                self.create(&registration(
                    kind,
                    &format!("{}/{path}", nadmit.url),
                    &nadmit.ca()?,
                ))
                .await?;
            }
        }
        // API servers pick up a registration within about a second.
        sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Returns the client of the recorded addresses.
    pub(crate) fn allocations(&self) -> anyhow::Result<Api<DynamicObject>> {
        self.api("nadmit.io/v1alpha1", "AddressAllocation", None)
    }

    async fn create(&self, object: &Value) -> anyhow::Result<()> {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let (version, kind) = (version.context("apiVersion")?, kind.context("kind")?);
        let api = self.api(version, kind, text("/metadata/namespace"))?;
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        for _ in 0..TIMEOUT_SECONDS {
            match api.create(&PostParams::default(), &object).await {
                Ok(_) => return Ok(()),
                // A kind is served shortly after its definition is created.
                Err(kube::Error::Api(status)) if status.code == 404 => sleep(POLL_INTERVAL).await,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create the {kind}"));
                }
            }
        }
        bail!("{kind} is not served")
    }

    fn api(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<Api<DynamicObject>> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = match &*kind.kind {
            "NetworkAttachmentDefinition" => {
                ApiResource::from_gvk_with_plural(&kind, "network-attachment-definitions")
            }
            _ => ApiResource::from_gvk(&kind),
        };
        let client = self.client.clone();
        Ok(match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        })
    }
}

fn registration(kind: &str, url: &str, ca: &[u8]) -> Value {
    let client = json!({"url": url, "caBundle": BASE64_STANDARD.encode(ca)});
    let hook = |name: &str, resources: &[&str], operations: &[&str]| {
        json!({
            "name": name, "clientConfig": client, "failurePolicy": "Fail",
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": operations, "resources": resources,
            }],
            "namespaceSelector": {"matchLabels": {"nadmit.io/injection": "enabled"}},
            "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
        })
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "nadmit"},
        "webhooks": [
            hook("pods.nadmit.io", &["pods"], &["CREATE", "UPDATE"]),
            hook("bindings.nadmit.io", &["pods/binding", "bindings"], &["CREATE"]),
        ],
    })
}

/// Returns the definition of networks, as Multus ships it.
fn networks() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "network-attachment-definitions.k8s.cni.cncf.io"},
        "spec": {
            "group": "k8s.cni.cncf.io", "scope": "Namespaced",
            "names": {
                "kind": "NetworkAttachmentDefinition", "plural": "network-attachment-definitions",
                "singular": "network-attachment-definition", "shortNames": ["net-attach-def"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"config": {"type": "string"}}},
                }}},
            }],
        },
    })
}
