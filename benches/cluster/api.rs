//! Requests to the cluster, and the objects that every benchmark in a cluster needs.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;
use tokio::time::sleep;

use self::network_definition::network_definition;
use super::registration::{self, WebhookServer};

#[path = "../../tests/it/api_server/network_definition.rs"]
mod network_definition;

/// The number of attempts to create an object whose kind is not served yet.
const MAX_ATTEMPTS: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A client for objects of any kind.
pub(crate) struct ClusterApi {
    /// The client of the cluster.
    pub(crate) client: Client,
}

impl ClusterApi {
    /// Creates the kinds of nadmit, and that of networks.
    pub(crate) async fn define_kinds(&self) -> anyhow::Result<()> {
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
        self.create(&network_definition()).await
    }

    /// Registers nadmit's webhooks for a server, or removes them.
    pub(crate) async fn register(&self, server: Option<&WebhookServer>) -> anyhow::Result<()> {
        for kind in [
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
        ] {
            let api = self.objects("admissionregistration.k8s.io/v1", kind, None)?;
            if api.get_opt("nadmit").await?.is_some() {
                api.delete("nadmit", &DeleteParams::default()).await?;
            }
        }
        if let Some(server) = server {
            for object in registration::webhooks(server)? {
                self.create(&object).await?;
            }
        }
        // API servers pick up a registration within about a second.
        sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Creates an object, as soon as its kind is served.
    pub(crate) async fn create(&self, object: &Value) -> anyhow::Result<()> {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let (version, kind) = (version.context("apiVersion")?, kind.context("kind")?);
        let api = self.objects(version, kind, text("/metadata/namespace"))?;
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        for _ in 0..MAX_ATTEMPTS {
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

    /// Returns the client of the objects of a kind.
    pub(crate) fn objects(
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
