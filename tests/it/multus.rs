//! The annotations and configurations with known verdicts, run through Multus itself with plugins
//! that only record: Multus accepts or rejects each as its case says.
//!
//! Needs Multus (`MULTUS` names the binary: the module registry has none), a real API server, root
//! and `ip`; otherwise the tests are ignored, by name.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, id},
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, PostParams},
};
use libtest_mimic::{Failed, Trial};
use nadmit::admission::Verdict;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::TestResult;
use crate::{
    annotations,
    api_server::{ForeignKind, IGNORE_REASON, RealServer, SharedServer, shared},
    command::CniCall,
    components,
    networks::{self, judged},
    plugins::host::PluginRelease,
    shared::SharedValue,
    support,
};

const NETWORKS: ForeignKind = ForeignKind {
    group: "k8s.cni.cncf.io",
    version: "v1",
    kind: "NetworkAttachmentDefinition",
    plural: "network-attachment-definitions",
};
/// The namespace of Multus's own networks.
const MULTUS_NAMESPACE: &str = "kube-system";

/// A plugin that responds in the requested version. That of the cluster's network creates an
/// interface, the others create none.
const RECORDER: &str = r#"#!/bin/sh
config=$(cat)
version=$(printf %s "$config" | sed -n 's/.*"cniVersion": *"\([^"]*\)".*/\1/p')
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0"]}' ;;
ADD)
  case $0 in
  */cluster-net) nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name nadmit0 ;;
  esac
  printf '{"cniVersion":"%s"}\n' "${version:-0.2.0}"
  ;;
DEL)
  case $0 in
  */cluster-net) nsenter --net="$CNI_NETNS" ip link del "$CNI_IFNAME" ;;
  esac
  ;;
esac
"#;

/// A node on which Multus runs.
struct MultusNode {
    server: Arc<SharedServer>,
    folder: TempDir,
    namespace: String,
}

/// A pod, its annotations, and the networks that exist.
struct PodRequest<'c> {
    namespace: &'c str,
    annotations: Value,
    networks: Vec<(&'c str, &'c str, Option<&'c str>)>,
    isolates: bool,
    global_namespaces: String,
}

pub(crate) fn tests() -> Vec<Trial> {
    let missing = missing();
    let named = |name: String, run: Box<dyn FnOnce() -> TestResult + Send>| {
        let test = Trial::test(name, run);
        match missing {
            Some(why) => test.with_kind(why).with_ignored_flag(true),
            None => test,
        }
    };
    let annotations = annotations::cases().into_iter().map(|case| {
        let name = format!("multus::annotations::{}", case.id);
        named(name, Box::new(move || annotated(&case)))
    });
    let networks = networks::cases().into_iter().map(|case| {
        let name = format!("multus::networks::{}", case.id);
        named(name, Box::new(move || configured(&case)))
    });
    annotations.chain(networks).collect()
}

fn missing() -> Option<&'static str> {
    match components::multus() {
        None => Some("needs MULTUS"),
        Some(_) if !RealServer::is_there() => Some(IGNORE_REASON),
        Some(_) if !PluginRelease::packaged().can_run() => Some("without root, ip or the plugins"),
        Some(_) => None,
    }
}

fn annotated(case: &annotations::AnnotationCase) -> TestResult {
    let mut annotations = json!({});
    for (key, value) in [
        ("k8s.v1.cni.cncf.io/networks", &case.annotation),
        ("v1.multus-cni.io/default-network", &case.default_network),
    ] {
        if let Some(value) = value {
            annotations[key] = json!(value);
        }
    }
    let networks = case.networks.iter();
    let printed = attach(&PodRequest {
        namespace: &case.namespace,
        annotations,
        networks: networks
            .map(|n| (&*n.namespace, &*n.name, n.config.as_deref()))
            .collect(),
        isolates: case.namespace_isolation,
        global_namespaces: case.global_namespaces.clone().unwrap_or_default().join(","),
    })?;
    let starts = case.multus == "allow";
    match printed.is_ok() == starts {
        true => Ok(()),
        false => Err(format!("the case says {}, Multus {printed:?}", case.multus).into()),
    }
}

/// nadmit denies a network that Multus rejects, when it is created or when a pod names it.
fn configured(case: &networks::VerdictCase) -> TestResult {
    let printed = attach(&PodRequest {
        namespace: "test",
        annotations: json!({
            "k8s.v1.cni.cncf.io/networks": json!([{"name": case.name}]).to_string(),
        }),
        networks: vec![("test", &case.name, Some(&case.config))],
        isolates: false,
        global_namespaces: String::new(),
    })?;
    let answer = judged(&case.name, &case.config)?;
    match printed.is_ok() || answer.verdict() == Verdict::Deny {
        true => Ok(()),
        false => Err(format!("Multus: {printed:?}, nadmit: {}", support::lines(&answer)).into()),
    }
}

/// Attaches a pod; returns Multus's error if it fails. One at a time: the cases share names.
fn attach(asked: &PodRequest<'_>) -> Result<Result<(), String>, Failed> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let node = NODE.get(MultusNode::new)?;
    let mut namespaces: BTreeSet<&str> = asked.networks.iter().map(|(home, ..)| *home).collect();
    namespaces.insert(asked.namespace);
    node.server
        .runtime
        .block_on(node.make(asked, &namespaces))?;
    let printed = node.run(asked);
    node.server.runtime.block_on(node.unmake(asked))?;
    printed
}

impl MultusNode {
    fn new() -> Result<Self, Failed> {
        let server = shared()?;
        server.runtime.block_on(NETWORKS.define(&server.client))?;
        let folder = tempfile::tempdir()?;
        for name in ["bin", "conf", "state"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let recorder = folder.path().join("recorder");
        fs::write(&recorder, RECORDER)?;
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755))?;
        let namespace = format!("nadmit-mu-{}", id());
        let made = Command::new("ip")
            .args(["netns", "add", &namespace])
            .status()?;
        match made.success() {
            true => Ok(Self {
                server,
                folder,
                namespace,
            }),
            false => Err("no network namespace".into()),
        }
    }

    /// Creates the objects that Multus reads.
    async fn make(&self, asked: &PodRequest<'_>, namespaces: &BTreeSet<&str>) -> TestResult {
        let client = &self.server.client;
        let homes: Api<Namespace> = Api::all(client.clone());
        for name in namespaces {
            let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            if homes.get_opt(name).await?.is_none() {
                homes.create(&PostParams::default(), &namespace).await?;
            }
        }
        for (home, name, config) in &asked.networks {
            let mut network = json!({
                "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
                "metadata": {"name": name, "namespace": home}, "spec": {},
            });
            if let Some(config) = config {
                network["spec"]["config"] = json!(config);
            }
            let network: DynamicObject = serde_json::from_value(network)?;
            NETWORKS
                .api(client, home)
                .create(&PostParams::default(), &network)
                .await?;
        }
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "annotations": asked.annotations},
            "spec": {"containers": [{"name": "main", "image": "image"}]},
        }))?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), asked.namespace);
        pods.create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    async fn unmake(&self, asked: &PodRequest<'_>) -> TestResult {
        let client = &self.server.client;
        let now = DeleteParams::default().grace_period(0);
        let pods: Api<Pod> = Api::namespaced(client.clone(), asked.namespace);
        pods.delete("p", &now).await?;
        for (home, name, _) in &asked.networks {
            NETWORKS.api(client, home).delete(name, &now).await?;
        }
        Ok(())
    }

    /// Runs Multus as a container runtime does.
    fn run(&self, asked: &PodRequest<'_>) -> Result<Result<(), String>, Failed> {
        let at = |name: &str| self.folder.path().join(name);
        for (.., config) in &asked.networks {
            record(&at("recorder"), &at("bin"), config.unwrap_or_default())?;
        }
        record(&at("recorder"), &at("bin"), r#"{"type": "cluster-net"}"#)?;
        let config = json!({
            "cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus",
            "kubeconfig": self.server.kubeconfig, "binDir": at("bin"), "confDir": at("conf"),
            "cniDir": at("state"), "multusNamespace": MULTUS_NAMESPACE,
            "namespaceIsolation": asked.isolates, "globalNamespaces": asked.global_namespaces,
            "delegates": [{"cniVersion": "0.3.1", "name": "cluster-net", "type": "cluster-net"}],
        });
        let args = format!(
            "IgnoreUnknown=true;K8S_POD_NAMESPACE={};K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c1",
            asked.namespace
        );
        let program = components::multus().ok_or("no Multus")?;
        let run = |verb: &str| {
            let call = CniCall {
                program: &program,
                verb,
                container: "c1",
                namespace: &Path::new("/var/run/netns").join(&self.namespace),
                interface: "eth0",
                args: &args,
                plugins: &at("bin"),
            };
            call.run(&config)
        };
        let output = run("ADD")?;
        run("DEL")?;
        let printed = [output.stdout, output.stderr]
            .map(|printed| String::from_utf8_lossy(&printed).into_owned());
        Ok(match output.status.success() {
            true => Ok(()),
            false => Err(printed.concat()),
        })
    }
}

/// Replaces the plugins that a configuration names by the recording plugin.
fn record(recorder: &Path, folder: &Path, config: &str) -> TestResult {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let chained = config["plugins"].as_array().into_iter().flatten();
    for kind in chained
        .chain([&config])
        .filter_map(|one| one["type"].as_str())
    {
        let plugin = folder.join(kind);
        if !kind.is_empty() && !kind.contains('/') && !plugin.exists() {
            symlink(recorder, plugin)?;
        }
    }
    Ok(())
}

static NODE: SharedValue<MultusNode> = SharedValue::new();

/// Removes the network namespace after the last test.
pub(crate) fn end() {
    NODE.end();
}

impl Drop for MultusNode {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}
