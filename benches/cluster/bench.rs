//! The cluster, nadmit, and the cost of each round.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use super::{
    allowing_server::AllowingServer,
    api::ClusterApi,
    cost::Cost,
    objects::ClusterObjects,
    real::RealServer,
    requests::RequestCounts,
    round::{self, RoundPace},
    round_kind::RoundKind,
    server::NadmitServer,
};

/// A running cluster, and nadmit.
pub(crate) struct ClusterBench {
    // Ends before the cluster does.
    nadmit: NadmitServer,
    cluster: RealServer,
    allowing: AllowingServer,
    objects: ClusterObjects,
    pods: usize,
    last: BTreeMap<RoundKind, RoundCost>,
}

/// The requests and the CPU time of a round, per pod.
pub(crate) struct RoundCost {
    requests: RequestCounts,
    pub(crate) cpu: Cost,
    /// The calls of the server that allows everything.
    pub(crate) allowed_calls: f64,
}

impl ClusterBench {
    /// Starts both, and prints the server's version.
    pub(crate) async fn start(pods: usize) -> anyhow::Result<Self> {
        let totals = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
        let cluster = RealServer::start().await.map_err(totals)?;
        let client = kube::Client::try_from(cluster.config().map_err(totals)?)?;
        let version = client.apiserver_version().await?.git_version;
        println!("kube-apiserver {version}");
        let objects = ClusterObjects {
            api: ClusterApi { client },
        };
        objects.prepare().await?;
        let nadmit = NadmitServer::start(&cluster.kubeconfig()?, "")?;
        objects.until_ready().await?;
        Ok(Self {
            nadmit,
            cluster,
            allowing: AllowingServer::start().await?,
            objects,
            pods,
            last: BTreeMap::new(),
        })
    }

    /// Runs one round, with at most one pod per `interval`.
    pub(crate) async fn run_round(
        &mut self,
        round_kind: RoundKind,
        interval: Duration,
    ) -> anyhow::Result<RoundPace> {
        let of_nadmit = self.nadmit.webhooks()?;
        let server = match round_kind {
            RoundKind::With => Some(&of_nadmit),
            RoundKind::Calls => Some(&self.allowing.address),
            _ => None,
        };
        self.objects.api.register(server).await?;
        let calls = self.allowing.calls();
        let requests = RequestCounts::read(&self.objects.api.client).await?;
        let cost = Cost::read(&self.cluster, &self.nadmit)?;
        let pace = round::run(&self.objects, self.pods, round_kind, interval).await?;
        let cost = Cost::read(&self.cluster, &self.nadmit)?.since(&cost, self.pods);
        let after = RequestCounts::read(&self.objects.api.client).await?;
        let round = RoundCost {
            requests: after.since(&requests, self.pods),
            cpu: cost,
            allowed_calls: (self.allowing.calls() - calls) as f64 / self.pods as f64,
        };
        self.last.insert(round_kind, round);
        round::finish(&self.objects, self.pods, round_kind).await?;
        Ok(pace)
    }

    /// Prints and resets the requests and the cost of the last round of each kind.
    pub(crate) fn report(&mut self) {
        let last = std::mem::take(&mut self.last);
        let lines = |what: &str, select: &dyn Fn(&RoundCost) -> &dyn Display| {
            println!("\n{what} in the last turns");
            for (round_kind, round) in &last {
                let name = format!("{round_kind:?}").to_lowercase();
                println!("{name:<8}  {}", select(round));
            }
        };
        lines("requests a pod", &|round| &round.requests);
        lines("milliseconds of CPU a pod", &|round| &round.cpu);
    }

    /// Returns the cost of the last round of a kind.
    pub(crate) fn last(&self, round_kind: RoundKind) -> Option<&RoundCost> {
        self.last.get(&round_kind)
    }
}
