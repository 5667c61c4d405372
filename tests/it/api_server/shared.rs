//! A real API server shared by tests that need only its objects.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
    core::GroupVersionKind,
};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::sleep};

use super::RealServer;
use crate::shared::SharedValue;
use crate::support::TestResult;

/// Runs until [`end`] is called.
pub(crate) struct SharedServer {
    // Dropped before the server, so that requests in progress end first.
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) kubeconfig: PathBuf,
    _server: RealServer,
}

/// A kind defined by another project, without most fields of its schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignKind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
}

impl ForeignKind {
    /// Returns the client of its objects in a namespace.
    pub(crate) fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, self.plural);
        Api::namespaced_with(client.clone(), namespace, &resource)
    }

    /// Returns its CustomResourceDefinition.
    pub(crate) fn definition(self) -> Value {
        let any = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let mut schema = any();
        if self.kind == "IPPool" {
            // The installer knows Whereabouts from v0.8 on by this field.
            let mut entry = any();
            entry["properties"]["ifname"] = json!({"type": "string"});
            let mut spec = any();
            spec["properties"]["allocations"] =
                json!({"type": "object", "additionalProperties": entry});
            schema["properties"]["spec"] = spec;
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{}", self.plural, self.group)},
            "spec": {
                "group": self.group, "scope": "Namespaced",
                "names": {
                    "kind": self.kind, "plural": self.plural, "singular": self.kind.to_lowercase(),
                },
                "versions": [{
                    "name": self.version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        })
    }

    /// Creates its definition, and waits until it is served.
    pub(crate) async fn define(self, client: &Client) -> TestResult {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definition = serde_json::from_value(self.definition())?;
        definitions
            .create(&PostParams::default(), &definition)
            .await?;
        let objects = self.api(client, "default");
        for _ in 0..100 {
            if objects.list(&ListParams::default()).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(format!("{} is not served", self.kind).into())
    }
}

impl SharedServer {
    fn start() -> Result<Self, Failed> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let failed = |error: Box<dyn std::error::Error>| Failed::from(error.to_string());
        let server = runtime.block_on(RealServer::start()).map_err(failed)?;
        let config = server.config().map_err(failed)?;
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config)?
        };
        Ok(Self {
            kubeconfig: server.kubeconfig()?,
            runtime,
            client,
            _server: server,
        })
    }
}

static SHARED: SharedValue<SharedServer> = SharedValue::new();

/// Returns the shared server, starting it on the first call.
pub(crate) fn shared() -> Result<Arc<SharedServer>, Failed> {
    SHARED.get(SharedServer::start)
}

/// Ends the shared server after the last test: nothing else would end its processes.
pub(crate) fn end() {
    SHARED.end();
}
