//! The cluster, nadmit, and the measurement of one way.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use tokio::time::sleep;

use super::{
    api::ClusterApi,
    cost::Cost,
    network::{BenchNetwork, Mode, definitions},
    node::Node,
    programs::Programs,
    real::RealServer,
    records::AddressRecords,
    requests::RequestCounts,
    round::{self, RunningPods},
    server::NadmitServer,
};

const SETTINGS: &str = "mode: deny\ninjection: bind\nwhereabouts: serve\ninlinePools: enabled\n";

/// The second octets of the networks' ranges; those below are for the cluster.
const FIRST_OCTET: u8 = 64;

/// The time after the last ADD in which nadmit finishes its records.
const SETTLE: Duration = Duration::from_secs(3);
/// The time limit for a network to be served.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit for the release of all addresses: the quarantine is 30 s, the slowest comparison 60 s.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(150);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The measurement of a way to give addresses.
pub(crate) struct RoundResult {
    pub(crate) mode: Mode,
    /// Pods a minute from the first creation until the last ADD succeeded.
    pub(crate) rate: f64,
    /// Requests and CPU time per pod.
    pub(crate) effort: Effort,
    /// ADDs that failed, and were repeated.
    pub(crate) failed: usize,
    /// Live pods with the address of another one.
    pub(crate) duplicates: usize,
    /// Live pods with another address than the records say.
    pub(crate) unrecorded: usize,
    /// Entries, reservations and allocations after all pods had ended.
    pub(crate) left: usize,
}

/// Requests and CPU time so far, or per pod.
pub(crate) struct Effort {
    pub(crate) requests: RequestCounts,
    pub(crate) cost: Cost,
}

/// A running cluster.
pub(crate) struct WhereaboutsBench {
    // Ends before the cluster does.
    nadmit: Option<NadmitServer>,
    pub(super) node: Node,
    cluster: RealServer,
    pub(super) api: ClusterApi,
    next_octet: u8,
}

impl Effort {
    /// Returns the difference, per pod.
    pub(crate) fn since(&self, before: &Self, pods: usize) -> Self {
        Self {
            requests: self.requests.since(&before.requests, pods),
            cost: self.cost.since(&before.cost, pods),
        }
    }

    /// Returns the number of requests.
    pub(crate) fn requests(&self) -> f64 {
        self.requests.0.values().sum()
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU: {}", self.cost)?;
        writeln!(f, "              requests: {}", self.requests)
    }
}

impl WhereaboutsBench {
    /// Starts the cluster, with the kinds of nadmit and of Whereabouts.
    pub(crate) async fn start(programs: &Programs, plugins: usize) -> anyhow::Result<Self> {
        let started = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
        let cluster = RealServer::start().await.map_err(started)?;
        let client = Client::try_from(cluster.config().map_err(started)?)?;
        let node = Node::new(client.clone(), programs, cluster.kubeconfig()?, plugins)?;
        let api = ClusterApi { client };
        api.define_kinds().await?;
        for definition in definitions() {
            api.create(&definition).await?;
        }
        Ok(Self {
            nadmit: None,
            node,
            cluster,
            api,
            next_octet: FIRST_OCTET,
        })
    }

    /// Returns the version of the API server.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        Ok(self.api.client.apiserver_version().await?.git_version)
    }

    /// Creates a network with a range that no other had.
    pub(super) async fn network(&mut self, mode: Mode) -> anyhow::Result<BenchNetwork> {
        let network = BenchNetwork::new(mode, self.next_octet);
        self.next_octet = self.next_octet.checked_add(1).context("too many turns")?;
        for object in self.node.objects(&network) {
            self.api.create(&object).await?;
        }
        Ok(network)
    }

    /// Starts nadmit, and registers its webhooks.
    pub(super) async fn start_nadmit(&mut self) -> anyhow::Result<()> {
        let nadmit = NadmitServer::start(&self.cluster.kubeconfig()?, SETTINGS)?;
        self.api.register(Some(&nadmit.webhooks()?)).await?;
        self.nadmit = Some(nadmit);
        Ok(())
    }

    /// Removes nadmit's webhooks, and ends it.
    pub(super) async fn end_nadmit(&mut self) -> anyhow::Result<()> {
        self.api.register(None).await?;
        self.nadmit = None;
        Ok(())
    }

    /// Waits until nadmit gives addresses of the network.
    pub(super) async fn until_ready(&self, network: &BenchNetwork) -> anyhow::Result<()> {
        let probe = round::create(&self.api.client, network, "probe").await?;
        let until = Instant::now() + READY_TIMEOUT;
        while let Err(error) = round::bind(&self.api.client, network, &probe).await {
            if Instant::now() > until {
                return Err(error.context("the network is not served"));
            }
            sleep(POLL_INTERVAL).await;
        }
        match self.records().has_allocation(network, "probe").await? {
            true => Ok(()),
            false => bail!("nadmit gave no address of {}", network.ip_pool()),
        }
    }

    /// Measures a way to give addresses. The pods go on running.
    pub(super) async fn round(
        &self,
        network: &BenchNetwork,
        pods: usize,
    ) -> anyhow::Result<(RunningPods, RoundResult)> {
        let namespaces = self.node.namespaces(pods)?;
        let client = &self.api.client;
        let before = self.effort().await?;
        let running = RunningPods::start(client, &self.node, network, namespaces).await?;
        sleep(SETTLE).await;
        let effort = self.effort().await?.since(&before, pods);
        let recorded = self.records().by_pod(network).await?;
        let unrecorded = running
            .attached
            .iter()
            .filter(|pod| recorded.get(&pod.name) != Some(&pod.address))
            .count();
        let result = RoundResult {
            mode: network.mode,
            rate: pods as f64 * 60.0 / running.elapsed.as_secs_f64(),
            effort,
            failed: running.failed(),
            duplicates: running.duplicates(),
            unrecorded,
            left: 0,
        };
        Ok((running, result))
    }

    /// Returns the requests and the CPU time so far.
    pub(super) async fn effort(&self) -> anyhow::Result<Effort> {
        Ok(Effort {
            requests: RequestCounts::read(&self.api.client).await?,
            cost: Cost::read(&self.cluster, self.nadmit.as_ref())?,
        })
    }

    /// Deletes the pods of a network.
    pub(super) async fn delete_pods(&self, network: &BenchNetwork) -> anyhow::Result<()> {
        let api: Api<Pod> = Api::namespaced(self.api.client.clone(), &network.namespace);
        let now = DeleteParams::default().grace_period(0);
        api.delete_collection(&now, &ListParams::default()).await?;
        Ok(())
    }

    /// Waits until no record of the network is left, and returns their number after the time limit.
    pub(super) async fn left(&self, network: &BenchNetwork) -> anyhow::Result<usize> {
        let until = Instant::now() + RELEASE_TIMEOUT;
        loop {
            let left = self.records().count(network).await?;
            if left == 0 || Instant::now() > until {
                return Ok(left);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn records(&self) -> AddressRecords<'_> {
        AddressRecords(&self.api)
    }
}
