//! The objects of the benchmark: namespaces, a pool and a network.

use std::time::Duration;

use anyhow::bail;
use kube::{Api, api::DynamicObject};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    api::ClusterApi,
    record_kinds::{self, SchemaParts},
    round_kind::RoundKind,
};

/// The time limit of any wait.
const TIMEOUT_SECONDS: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A cluster's objects.
pub(crate) struct ClusterObjects {
    /// The client of the cluster.
    pub(crate) api: ClusterApi,
}

impl ClusterObjects {
    /// Creates kinds, namespaces, pool and network.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        self.api.define_kinds().await?;
        self.define_records().await?;
        for (round_kind, label) in [
            (RoundKind::With, "enabled"),
            (RoundKind::Calls, "enabled"),
            (RoundKind::Without, "disabled"),
        ] {
            let labels = json!({"nadmit.io/injection": label});
            self.api
                .create(&json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": round_kind.namespace(), "labels": labels},
                }))
                .await?;
        }
        self.api
            .create(&json!({
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
        for round_kind in [RoundKind::With, RoundKind::Calls, RoundKind::Without] {
            let annotations = match round_kind {
                RoundKind::Calls => json!({}),
                _ => json!({"nadmit.io/address-pool": "bench"}),
            };
            self.api
                .create(&json!({
                    "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
                    "metadata": {
                        "name": "bench", "namespace": round_kind.namespace(),
                        "annotations": annotations,
                    },
                    "spec": {"config": config.to_string()},
                }))
                .await?;
        }
        Ok(())
    }

    /// Creates the kinds of the records with parts left out, and the policy.
    async fn define_records(&self) -> anyhow::Result<()> {
        let mut with_policy = vec!["nadmit.io"];
        for round_kind in RoundKind::ALL {
            let Some(group) = round_kind.record_group() else {
                continue;
            };
            let parts = match round_kind {
                RoundKind::AnyObject => SchemaParts::None,
                RoundKind::Schema => SchemaParts::WithoutRules,
                RoundKind::Rules => SchemaParts::All,
                RoundKind::Policy => {
                    with_policy.push(group);
                    SchemaParts::All
                }
                _ => continue,
            };
            self.api
                .create(&record_kinds::definition(group, parts)?)
                .await?;
        }
        for object in record_kinds::policy(&with_policy)? {
            self.api.create(&object).await?;
        }
        Ok(())
    }

    /// Waits until nadmit allocates addresses of the pool.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<()> {
        let pools = self
            .api
            .objects("nadmit.io/v1alpha1", "AddressPool", None)?;
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

    /// Returns the client of the recorded addresses of an API group.
    pub(crate) fn allocations(&self, group: &str) -> anyhow::Result<Api<DynamicObject>> {
        let version = format!("{group}/v1alpha1");
        self.api.objects(&version, "AddressAllocation", None)
    }
}
