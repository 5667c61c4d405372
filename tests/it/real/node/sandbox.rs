//! A pod's sandbox: its network namespace and its attachments.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::time::sleep;

use super::{
    NodeContext, attacher::ModelAttachments, blocking, cni::CniSandbox, host_network::PodNamespace,
    status::SandboxAddresses,
};

const MAX_DETACH_ATTEMPTS: u32 = 5;
const DETACH_BACKOFF: Duration = Duration::from_secs(1);

/// The network of a pod.
pub(super) enum Sandbox {
    /// A network namespace of its own.
    Own {
        namespace: PodNamespace,
        target: CniSandbox,
        made: ModelAttachments,
        place: SandboxAddresses,
    },
    /// The host's network.
    OfHost { place: SandboxAddresses },
}

impl Sandbox {
    /// Creates a sandbox, and cleans up after a failure.
    ///
    /// # Errors If the pod cannot be attached, in the kubelet's words.
    pub(super) async fn make(node: &Arc<NodeContext>, pod: &Pod) -> Result<Self, String> {
        let host = node.wire.address.to_string();
        let of_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        if of_host {
            let addresses = vec![host.clone()];
            let place = SandboxAddresses { host, addresses };
            return Ok(Self::OfHost { place });
        }
        let wire = Arc::clone(&node.wire);
        let namespace = blocking(move || wire.namespace()).await?;
        let container = identifier()?;
        let target = CniSandbox {
            args: format!(
                "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={container};\
                 K8S_POD_UID={}",
                pod.namespace().unwrap_or_default(),
                pod.name_any(),
                pod.uid().unwrap_or_default()
            ),
            namespace: namespace.path(),
            interface: "eth0".to_owned(),
            plugins: node.plugins.clone(),
            node: pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            container,
        };
        let mut made = ModelAttachments::new();
        let added = node
            .attacher
            .add(&node.client, pod, &target, &mut made)
            .await;
        let added = added.and_then(|addresses| match addresses.is_empty() {
            true => Err("the cluster's network gives no address".to_owned()),
            false => Ok(addresses),
        });
        match added {
            Ok(addresses) => {
                let plain = addresses.iter().filter_map(|text| text.split('/').next());
                let addresses = plain.map(str::to_owned).collect();
                Ok(Self::Own {
                    place: SandboxAddresses { host, addresses },
                    namespace,
                    target,
                    made,
                })
            }
            Err(why) => {
                // Deleting an attachment that was not created may fail.
                let _ = node.attacher.del(&target, made).await;
                Err(format!(
                    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for \
                     sandbox \"{}\": {why}",
                    target.container
                ))
            }
        }
    }

    /// Returns the pod's addresses in the cluster's network.
    pub(super) fn place(&self) -> &SandboxAddresses {
        match self {
            Self::Own { place, .. } | Self::OfHost { place } => place,
        }
    }

    /// Returns the name of its network namespace.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Own { namespace, .. } => Some(namespace.name()),
            Self::OfHost { .. } => None,
        }
    }

    /// Detaches the pod, and removes the namespace.
    pub(super) async fn remove(self, node: &NodeContext) {
        if let Self::Own {
            namespace,
            target,
            made,
            ..
        } = self
        {
            if let Err(why) = detach(node, &target, &made).await {
                node.complain(format!("{}: {why}", target.args));
            }
            drop(namespace);
        }
    }
}

/// Runs DEL, again after a failure as the kubelet does: a plugin may fail to get its lease in time.
async fn detach(
    node: &NodeContext,
    target: &CniSandbox,
    made: &ModelAttachments,
) -> Result<(), String> {
    let mut outcome = Ok(());
    for _ in 0..MAX_DETACH_ATTEMPTS {
        outcome = node.attacher.del(target, made.clone()).await;
        if outcome.is_ok() {
            break;
        }
        sleep(DETACH_BACKOFF).await;
    }
    outcome
}

/// Returns 64 hexadecimal digits, as in containerd's sandbox IDs.
fn identifier() -> Result<String, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
