//! A node: attaches pods as Multus does.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    links::{NodeLinks, remove_namespace},
    network::{BenchNetwork, NETWORK, NodeFiles},
    programs::Programs,
};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// The time limit of a plugin, as an argument of `timeout`: that of a kubelet for a sandbox.
const TIMEOUT_SECONDS: &str = "240";
/// The number of sandboxes that are tried for a pod.
const MAX_ATTEMPTS: usize = 5;
/// The pause before the next sandbox.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The nodes of the cluster, which share the processors.
#[derive(Clone)]
pub(crate) struct Node(Arc<NodeParts>);

struct NodeParts {
    client: Client,
    links: NodeLinks,
    /// The plugins and Whereabouts's settings.
    folder: TempDir,
    kubeconfig: PathBuf,
    plugins: Arc<Semaphore>,
}

/// The network namespace of a pod, and the container that plugins are called for.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    pub(crate) namespace: PathBuf,
    container: String,
    interface: String,
    args: String,
}

/// A pod with an interface on the network.
pub(crate) struct AttachedPod {
    pub(crate) name: String,
    /// The address in the result of ADD, without a prefix length.
    pub(crate) address: String,
    pub(crate) sandbox: Sandbox,
    /// The time when ADD had succeeded.
    pub(crate) since: Instant,
    /// The number of ADDs that failed before.
    pub(crate) failed: usize,
}

impl Node {
    /// Makes a node that runs at most this number of plugins at the same time.
    pub(crate) fn new(
        client: Client,
        programs: &Programs,
        kubeconfig: PathBuf,
        plugins: usize,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        programs.gather(folder.path())?;
        fs::write(folder.path().join("whereabouts.conf"), "{}")?;
        Ok(Self(Arc::new(NodeParts {
            client,
            links: NodeLinks::new()?,
            folder,
            kubeconfig,
            plugins: Arc::new(Semaphore::new(plugins)),
        })))
    }

    /// Returns the objects of a network whose plugins find their files here.
    pub(crate) fn objects(&self, network: &BenchNetwork) -> [Value; 2] {
        let settings = self.0.folder.path().join("whereabouts.conf");
        network.objects(&self.0.files(&settings))
    }

    /// Creates the network namespaces of this number of pods.
    pub(crate) fn namespaces(&self, pods: usize) -> anyhow::Result<Vec<PathBuf>> {
        (0..pods).map(|_| self.0.links.namespace()).collect()
    }

    /// Attaches a bound pod. After a failure the kubelet makes another sandbox.
    pub(crate) async fn attach(
        &self,
        network: &BenchNetwork,
        name: &str,
        namespace: PathBuf,
    ) -> anyhow::Result<AttachedPod> {
        let place = self.0.plugins.acquire().await?;
        let pods: Api<Pod> = Api::namespaced(self.0.client.clone(), &network.namespace);
        let mut failed = 0;
        let (sandbox, result) = loop {
            let pod = pods.get(name).await?;
            let sandbox = Sandbox::new(&pod, namespace.clone())?;
            match self.run("ADD", network, &sandbox).await {
                Ok(result) => break (sandbox, result),
                Err(error) => {
                    failed += 1;
                    eprintln!("{name}: {error:#}");
                    if failed == MAX_ATTEMPTS {
                        return Err(error);
                    }
                    // It may have nothing to delete.
                    let _ = self.run("DEL", network, &sandbox).await;
                    sleep(RETRY_PAUSE).await;
                }
            }
        };
        drop(place);
        let since = Instant::now();
        let address = result["ips"][0]["address"].as_str().unwrap_or_default();
        let address = address.split('/').next().unwrap_or_default().to_owned();
        let status = json!([{
            "name": format!("{}/{NETWORK}", network.namespace), "interface": sandbox.interface,
            "ips": [address], "mac": result["interfaces"][0]["mac"], "dns": {},
        }]);
        let patch = json!({"metadata": {"annotations": {STATUS: status.to_string()}}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(AttachedPod {
            name: name.to_owned(),
            address,
            sandbox,
            since,
            failed,
        })
    }

    /// Detaches a pod, and removes its network namespace.
    pub(crate) async fn detach(
        &self,
        network: &BenchNetwork,
        sandbox: &Sandbox,
    ) -> anyhow::Result<()> {
        let _place = self.0.plugins.acquire().await?;
        self.run("DEL", network, sandbox).await?;
        let namespace = sandbox.namespace.clone();
        Ok(spawn_blocking(move || remove_namespace(&namespace)).await?)
    }

    async fn run(
        &self,
        verb: &'static str,
        network: &BenchNetwork,
        sandbox: &Sandbox,
    ) -> anyhow::Result<Value> {
        let (node, network, sandbox) = (Arc::clone(&self.0), network.clone(), sandbox.clone());
        spawn_blocking(move || node.call(verb, &network, &sandbox)).await?
    }
}

impl NodeParts {
    fn files<'f>(&'f self, settings: &'f Path) -> NodeFiles<'f> {
        NodeFiles {
            master: &self.links.master,
            kubeconfig: &self.kubeconfig,
            settings,
        }
    }

    /// Runs the plugin as libcni does.
    fn call(&self, verb: &str, network: &BenchNetwork, sandbox: &Sandbox) -> anyhow::Result<Value> {
        let folder = self.folder.path();
        let config = network.config(&self.files(&folder.join("whereabouts.conf")));
        let mut process = Command::new("timeout")
            .arg(TIMEOUT_SECONDS)
            .arg(folder.join("macvlan"))
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", &sandbox.container)
            .env("CNI_NETNS", &sandbox.namespace)
            .env("CNI_IFNAME", &sandbox.interface)
            .env("CNI_ARGS", &sandbox.args)
            .env("CNI_PATH", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = process.stdin.take().context("no standard input")?;
        input.write_all(config.to_string().as_bytes())?;
        drop(input);
        let output = process.wait_with_output()?;
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
        }
        bail!(
            "{verb} fails ({}): {} {}",
            output.status,
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        )
    }
}

impl Sandbox {
    /// Makes a sandbox with what Multus passes for the network of a pod.
    fn new(pod: &Pod, namespace: PathBuf) -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let container: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let networks = pod.annotations().get(NETWORKS);
        let networks = networks.map(String::as_str).unwrap_or_default();
        // A plain list of names is no JSON.
        let selections: Value = serde_json::from_str(networks).unwrap_or_default();
        let ips = selections[0]["ips"].as_array().into_iter().flatten();
        let ips: Vec<&str> = ips.filter_map(Value::as_str).collect();
        let mut args = format!(
            "IgnoreUnknown=true;K8S_POD_NAMESPACE={};K8S_POD_NAME={};\
             K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID={}",
            pod.namespace().unwrap_or_default(),
            pod.name_any(),
            pod.uid().unwrap_or_default()
        );
        if !ips.is_empty() {
            args.push_str(&format!(";IP={}", ips.join(",")));
        }
        let interface = selections[0]["interface"].as_str().unwrap_or("net1");
        Ok(Self {
            namespace,
            container,
            interface: interface.to_owned(),
            args,
        })
    }
}
