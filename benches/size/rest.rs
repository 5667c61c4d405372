//! The cost of a cluster in which no pod comes or goes.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    api::ClusterApi, cluster_size::ClusterSize, objects, replica::Replica, requests::RequestCounts,
};

/// The seconds in which each kubelet reports its node's status, if it does not change
/// (KubeletConfiguration v1beta1, `nodeStatusReportFrequency`).
const REPORT_SECONDS: usize = 300;
/// The number of reports at the same time.
const CONCURRENCY: usize = 16;
/// The requests of the benchmark itself.
const OWN_REQUESTS: [&str; 2] = ["GET ", "PATCH nodes/status"];

/// The changes in a cluster at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Nothing changes.
    None,
    /// Kubelets report that their nodes are as before.
    Heartbeats,
}

/// The cost of a cluster at rest, per second.
pub(crate) struct RestCost {
    /// Requests to the API server, by verb and resource.
    pub(crate) requests: RequestCounts,
    /// CPU seconds of each replica.
    pub(crate) cpu: Vec<f64>,
}

/// The comparisons of records and cluster by a replica's reconciler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparisons {
    count: f64,
    seconds: f64,
}

impl Comparisons {
    /// Reads the values since the replica started.
    pub(crate) async fn read(replica: &Replica) -> anyhow::Result<Self> {
        Ok(Self {
            count: replica
                .metric("nadmit_comparison_duration_seconds_count")
                .await?,
            seconds: replica
                .metric("nadmit_comparison_duration_seconds_sum")
                .await?,
        })
    }

    /// Returns those after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            seconds: self.seconds - before.seconds,
        }
    }

    /// Returns the number of comparisons.
    pub(crate) fn count(self) -> f64 {
        self.count
    }

    /// Returns the seconds of one comparison, on average.
    pub(crate) fn mean(self) -> f64 {
        self.seconds / self.count.max(1.0)
    }
}

/// Measures the cost for a while.
pub(crate) async fn measure(
    api: &ClusterApi,
    size: ClusterSize,
    replicas: &[&Replica],
    changes: Changes,
    period: Duration,
) -> anyhow::Result<RestCost> {
    let cpu = || -> anyhow::Result<Vec<f64>> {
        replicas
            .iter()
            .map(|replica| replica.cpu_seconds())
            .collect()
    };
    let requests = RequestCounts::read(&api.client).await?;
    let (start, before) = (Instant::now(), cpu()?);
    if changes == Changes::Heartbeats {
        heartbeats(api, size, start, period).await?;
    }
    sleep_until(start + period).await;
    let took = start.elapsed().as_secs_f64();
    let after = cpu()?;
    let requests = RequestCounts::read(&api.client)
        .await?
        .since(&requests, period.as_secs() as usize);
    let own = |name: &str| OWN_REQUESTS.contains(&name);
    let others = requests.0.into_iter().filter(|(name, _)| !own(name));
    Ok(RestCost {
        requests: RequestCounts(others.collect::<BTreeMap<_, _>>()),
        cpu: after
            .iter()
            .zip(&before)
            .map(|(after, before)| (after - before) / took)
            .collect(),
    })
}

/// Reports the status of nodes at the pace of their kubelets.
async fn heartbeats(
    api: &ClusterApi,
    size: ClusterSize,
    start: Instant,
    period: Duration,
) -> anyhow::Result<()> {
    let nodes = api.objects("v1", "Node", None)?;
    let reports = size.nodes() * period.as_secs() as usize / REPORT_SECONDS;
    let interval = period / u32::try_from(reports.max(1))?;
    stream::iter(0..reports)
        .map(async |number| {
            sleep_until(start + interval * u32::try_from(number)?).await;
            let time = jiff::Timestamp::now().to_string();
            let status = json!({"status": {"conditions": objects::node_conditions(&time)}});
            let name = objects::node_name(number % size.nodes());
            nodes
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                .await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

impl RestCost {
    /// Returns the requests per second beyond those of a cluster without nadmit.
    pub(crate) fn requests_beyond(&self, without: &Self) -> f64 {
        let total = |cost: &Self| cost.requests.0.values().sum::<f64>();
        (total(self) - total(without)).max(0.0)
    }
}
