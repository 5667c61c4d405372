//! The cluster, nadmit, and the cost of each round.

use std::{fmt::Display, time::Duration};

use super::{
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
    objects: ClusterObjects,
    pods: usize,
    last: [Option<(RequestCounts, Cost)>; 3],
}

impl ClusterBench {
    /// Starts both, and prints the server's version.
    pub(crate) async fn start(pods: usize) -> anyhow::Result<Self> {
        let totals = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
        let cluster = RealServer::start().await.map_err(totals)?;
        let client = kube::Client::try_from(cluster.config().map_err(totals)?)?;
        let version = client.apiserver_version().await?.git_version;
        println!("kube-apiserver {version}");
        let objects = ClusterObjects::new(client);
        objects.prepare().await?;
        let nadmit = NadmitServer::start(&cluster.kubeconfig()?)?;
        objects.until_ready().await?;
        Ok(Self {
            nadmit,
            cluster,
            objects,
            pods,
            last: [None, None, None],
        })
    }

    /// Runs one round, with at most one pod per `interval`.
    pub(crate) async fn run_round(
        &mut self,
        round_kind: RoundKind,
        interval: Duration,
    ) -> anyhow::Result<RoundPace> {
        let nadmit = (round_kind == RoundKind::With).then_some(&self.nadmit);
        self.objects.register(nadmit).await?;
        let requests = RequestCounts::read(&self.objects.client).await?;
        let cost = Cost::read(&self.cluster, &self.nadmit)?;
        let pace = round::run(&self.objects, self.pods, round_kind, interval).await?;
        let cost = Cost::read(&self.cluster, &self.nadmit)?.since(&cost, self.pods);
        let after = RequestCounts::read(&self.objects.client).await?;
        self.last[round_kind as usize] = Some((after.since(&requests, self.pods), cost));
        round::finish(&self.objects, self.pods, round_kind).await?;
        Ok(pace)
    }

    /// Prints and resets the requests and the cost of the last round of each kind.
    pub(crate) fn report(&mut self) {
        let last = std::mem::take(&mut self.last);
        let lines = |what: &str, select: &dyn Fn(&(RequestCounts, Cost)) -> &dyn Display| {
            println!("\n{what} in the last turns");
            for (which, totals) in ["without ", "recorded", "with    "].iter().zip(&last) {
                if let Some(totals) = totals {
                    println!("{which}  {}", select(totals));
                }
            }
        };
        lines("requests a pod", &|totals| &totals.0);
        lines("milliseconds of CPU a pod", &|totals| &totals.1);
    }
}
