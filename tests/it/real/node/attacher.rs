//! Attaching a pod to its networks: by Multus, or by the model of it with the same plugins.

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use nadmit::network::annotations;
use serde_json::{Value, json};

use super::{
    blocking,
    cni::{self, CniSandbox, Verb},
};
use crate::wire::{self, NadDefinition};

const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// The program, or the model, that attaches.
pub(super) enum Attacher {
    /// Multus, thin, with its configuration.
    Multus { program: PathBuf, config: Value },
    /// The model in `wire`, with the plugins of the cluster's network.
    Model { cluster: Vec<Value> },
}

/// The attachments that the model has created, to be deleted later.
pub(super) type ModelAttachments = Vec<(CniSandbox, Vec<Value>)>;

impl Attacher {
    /// Chooses Multus if it is available, and writes its files into the folder.
    pub(super) fn new(
        multus: Option<PathBuf>,
        cluster_network: &Value,
        kubeconfig: &Path,
        plugins: &Path,
        folder: &Path,
    ) -> std::io::Result<Self> {
        let Some(program) = multus else {
            return Ok(Self::Model {
                cluster: cni::plugins_of(cluster_network),
            });
        };
        let [confs, cache] = ["net.d", "multus"].map(|name| folder.join(name));
        fs::create_dir_all(&confs)?;
        fs::create_dir_all(&cache)?;
        let config = json!({
            "cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus",
            // If the cluster's network is named by `clusterNetwork`, Multus 4.3.0 forgets its
            // ranges before DEL.
            "delegates": [cluster_network], "kubeconfig": kubeconfig, "confDir": confs,
            "cniDir": cache, "binDir": plugins, "namespaceIsolation": false,
            "logLevel": "error", "logFile": folder.join("multus.log"), "logToStderr": false,
        });
        Ok(Self::Multus { program, config })
    }

    /// Returns the name of the attacher.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Multus { .. } => "Multus",
            Self::Model { .. } => "the model of Multus",
        }
    }

    /// Attaches a pod, and returns its addresses in the cluster's network.
    pub(super) async fn add(
        &self,
        client: &Client,
        pod: &Pod,
        target: &CniSandbox,
        made: &mut ModelAttachments,
    ) -> Result<Vec<String>, String> {
        match self {
            Self::Multus { program, config } => {
                let (program, config) = (program.clone(), config.clone());
                let target = target.clone();
                let result =
                    blocking(move || cni::exec(&program, Verb::Add, &target, &config)).await?;
                Ok(cni::addresses(&result))
            }
            Self::Model { cluster } => model(client, pod, target, cluster, made).await,
        }
    }

    /// Detaches what was attached.
    pub(super) async fn del(
        &self,
        target: &CniSandbox,
        made: ModelAttachments,
    ) -> Result<(), String> {
        match self {
            Self::Multus { program, config } => {
                let (program, config) = (program.clone(), config.clone());
                let target = target.clone();
                blocking(move || cni::exec(&program, Verb::Del, &target, &config).map(drop)).await
            }
            Self::Model { .. } => {
                blocking(move || {
                    let each = made.iter().rev();
                    each.map(|(target, plugins)| cni::del(target, plugins))
                        .fold(Ok(()), Result::and)
                })
                .await
            }
        }
    }
}

/// Attaches as the model says, and writes the status as Multus does.
async fn model(
    client: &Client,
    pod: &Pod,
    target: &CniSandbox,
    cluster: &[Value],
    made: &mut ModelAttachments,
) -> Result<Vec<String>, String> {
    let namespace = pod.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    // Multus reads the pod again, too.
    let pod = pods
        .get(&pod.name_any())
        .await
        .map_err(|error| error.to_string())?;
    let annotation = |key: &str| pod.annotations().get(key).map(String::as_str);
    let attachments = wire::attached(
        &namespace,
        annotation(annotations::NETWORKS),
        annotation(annotations::DEFAULT_NETWORK),
        definitions(client).await?,
    )
    .map_err(|why| format!("{why}: {}", text(&pod)))?;
    let has_default = attachments.iter().any(|attachment| attachment.is_default);
    let mut wanted = Vec::new();
    if !has_default {
        wanted.push(("cluster".to_owned(), target.clone(), cluster.to_vec()));
    }
    for attachment in attachments {
        let target = CniSandbox {
            interface: attachment.interface,
            args: format!("{}{}", target.args, attachment.args),
            ..target.clone()
        };
        wanted.push((attachment.network, target, attachment.plugins));
    }
    let (mut addresses, mut status) = (Vec::new(), Vec::new());
    for (network, target, plugins) in wanted {
        made.push((target.clone(), plugins.clone()));
        let interface = target.interface.clone();
        let result = blocking(move || cni::add(&target, &plugins)).await?;
        if interface == "eth0" {
            addresses = cni::addresses(&result);
        }
        status.push(cni::status(&network, &interface, &result));
    }
    let patch = json!({"metadata": {"annotations": {STATUS: json!(status).to_string()}}});
    let parameters = PatchParams::default();
    pods.patch_status(&pod.name_any(), &parameters, &Patch::Merge(patch))
        .await
        .map_err(|error| error.to_string())?;
    Ok(addresses)
}

/// Returns the networks annotation.
fn text(pod: &Pod) -> &str {
    let found = pod.annotations().get(annotations::NETWORKS);
    found.map(String::as_str).unwrap_or_default()
}

async fn definitions(client: &Client) -> Result<Vec<NadDefinition>, String> {
    let kind = GroupVersionKind::gvk("k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition");
    let resource = ApiResource::from_gvk_with_plural(&kind, "network-attachment-definitions");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let list = api.list(&ListParams::default()).await;
    let list = list.map_err(|error| error.to_string())?;
    let definitions = list.items.into_iter().map(|object| {
        let config = object.data["spec"]["config"].as_str().unwrap_or_default();
        (
            object.namespace().unwrap_or_default(),
            object.name_any(),
            config.to_owned(),
        )
    });
    Ok(definitions.collect())
}
