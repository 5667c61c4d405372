//! A node without containers: each pod has a network namespace with the interfaces that the real
//! plugins create, and only nadmit's image is run.
//!
//! It behaves like a kubelet as far as controllers, scheduler and nadmit can observe: Nodes and
//! Leases, retried sandboxes, Events, probes, status, and the end of a pod.

mod attacher;
mod cni;
mod container;
mod container_runner;
mod env;
mod host_network;
mod pod_lifecycle;
mod probe;
mod registration;
mod sandbox;
mod status;
mod volumes;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tempfile::TempDir;
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

pub(in crate::real) use self::host_network::{Wire, end_processes, ip};
use self::{attacher::Attacher, pod_lifecycle::ObservedPod};
use super::parts::Programs;

/// The settings of a node.
pub(super) struct NodeConfig {
    pub(super) parts: Programs,
    pub(super) client: Client,
    pub(super) kubeconfig: PathBuf,
    /// The address and port where pods reach the API server.
    pub(super) api_server: (IpAddr, u16),
    /// The names of the nodes.
    pub(super) names: Vec<String>,
    /// The prefix of the names of images whose containers are run, without the registry.
    pub(super) image: &'static str,
}

/// The state that the lifecycles of all pods share.
struct NodeContext {
    client: Client,
    api_server: (IpAddr, u16),
    names: Vec<String>,
    image: &'static str,
    attacher: Attacher,
    plugins: PathBuf,
    wire: Arc<Wire>,
    folder: TempDir,
    /// The network namespaces of running pods, by namespace and name.
    places: Mutex<BTreeMap<(String, String), String>>,
    /// Faults that no Event reports.
    complaints: Mutex<Vec<String>>,
}

/// The running nodes, until [`RunningNodes::end`].
pub(super) struct RunningNodes {
    node: Arc<NodeContext>,
    stop: oneshot::Sender<()>,
    work: JoinHandle<()>,
    leases: JoinHandle<()>,
}

impl RunningNodes {
    /// Returns the folder that contains the containers' roots.
    pub(super) fn roots(&self) -> PathBuf {
        self.node.folder.path().join("roots")
    }

    /// Registers the nodes and begins to watch pods.
    ///
    /// # Errors If the API server refuses, or a folder cannot be created.
    pub(super) async fn start(
        config: NodeConfig,
        wire: Arc<Wire>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["logs", "roots", "host-local"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let plugins = config
            .parts
            .gather_plugins(&folder.path().join("plugins"))?;
        let cluster = wire.cluster_network(&folder.path().join("host-local"));
        let attacher = Attacher::new(
            config.parts.multus,
            &cluster,
            &config.kubeconfig,
            &plugins,
            folder.path(),
        )?;
        registration::register(&config.client, &config.names, wire.address.into()).await?;
        let leases = tokio::spawn(registration::keep(
            config.client.clone(),
            config.names.clone(),
        ));
        let node = Arc::new(NodeContext {
            client: config.client,
            api_server: config.api_server,
            names: config.names,
            image: config.image,
            attacher,
            plugins,
            wire,
            folder,
            places: Mutex::default(),
            complaints: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let work = tokio::spawn(watch_pods(Arc::clone(&node), stopped));
        Ok(Self {
            node,
            stop,
            work,
            leases,
        })
    }

    /// Ends all processes, and leaves the pods as they are.
    pub(super) async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.work.await;
        self.leases.abort();
    }

    /// Returns the name of what attaches pods.
    pub(super) fn attacher(&self) -> &'static str {
        self.node.attacher.name()
    }

    /// Returns the network namespace of a running pod.
    pub(super) fn place(&self, namespace: &str, pod: &str) -> Option<String> {
        let places = self.node.places.lock();
        let places = places.unwrap_or_else(PoisonError::into_inner);
        places.get(&(namespace.to_owned(), pod.to_owned())).cloned()
    }

    /// Returns the faults that no Event reports.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaints = self.node.complaints.lock();
        complaints.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the faults and the last lines of nadmit's logs.
    pub(super) fn logs(&self) -> String {
        let mut printed = self.complaints().join("\n");
        let logs = fs::read_dir(self.node.folder.path().join("logs"));
        for log in logs.into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(15).collect();
            printed += &format!("\n--- {}", log.file_name().to_string_lossy());
            for line in lines.iter().rev() {
                printed += &format!("\n{line}");
            }
        }
        printed
    }
}

impl NodeContext {
    fn complain(&self, what: String) {
        let complaints = self.complaints.lock();
        complaints
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
    }
}

/// Starts a lifecycle task for each pod of these nodes.
async fn watch_pods(node: Arc<NodeContext>, mut stopped: oneshot::Receiver<()>) {
    let pods: Api<Pod> = Api::all(node.client.clone());
    let mut events = pin!(watcher(pods, watcher::Config::default()).default_backoff());
    let mut lives = JoinSet::new();
    let mut known: BTreeMap<String, watch::Sender<ObservedPod>> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    loop {
        let event = tokio::select! {
            _ = &mut stopped => break,
            Some(ended) = lives.join_next(), if !lives.is_empty() => {
                if let Err(error) = ended {
                    node.complain(format!("the life of a pod: {error}"));
                }
                continue;
            }
            event = events.next() => event,
        };
        let pod = match event {
            None => break,
            Some(Err(_) | Ok(Event::Init)) => {
                listed.clear();
                continue;
            }
            Some(Ok(Event::InitDone)) => {
                for (_, sender) in known.extract_if(.., |uid, _| !listed.contains(uid)) {
                    let _ = sender.send(ObservedPod::Gone);
                }
                continue;
            }
            Some(Ok(Event::Delete(pod))) => {
                if let Some(sender) = known.remove(&pod.uid().unwrap_or_default()) {
                    let _ = sender.send(ObservedPod::Gone);
                }
                continue;
            }
            Some(Ok(Event::InitApply(pod))) => {
                listed.extend(pod.uid());
                pod
            }
            Some(Ok(Event::Apply(pod))) => pod,
        };
        let on = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        if !on.is_some_and(|on| node.names.contains(&on)) {
            continue;
        }
        let uid = pod.uid().unwrap_or_default();
        let pod = Arc::new(pod);
        match known.get(&uid) {
            Some(sender) => {
                let _ = sender.send(ObservedPod::There(pod));
            }
            None => {
                let (sender, seen) = watch::channel(ObservedPod::There(Arc::clone(&pod)));
                known.insert(uid, sender);
                lives.spawn(pod_lifecycle::run_pod(Arc::clone(&node), pod, seen));
            }
        }
    }
    lives.shutdown().await;
}

/// Runs blocking work on processes and files on a thread of its own.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(what).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

/// Returns the current time in Kubernetes's format.
fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
