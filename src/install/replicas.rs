//! Metrics of the replicas, read concurrently through the API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use http::Request;
use jiff::Timestamp;
use kube::{Client, ResourceExt as _, api::DynamicObject};
use serde_json::json;
use tokio::time::timeout;

use super::{InstallError, NAMESPACE};

/// Port of a replica's metrics.
const METRICS_PORT: u16 = 8081;
/// Time limit of one call; a pod on a lost node never responds.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Report of one replica.
#[derive(Debug)]
pub(super) struct ReplicaReport {
    /// Name of the pod.
    pub(super) pod: String,
    /// Metrics of the replica, or the error of reading them.
    pub(super) counters: Result<ReplicaCounters, InstallError>,
}

/// The relevant metrics of a replica.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReplicaCounters {
    /// Number of would-be denials in warn mode, by rule.
    pub(super) would_deny: BTreeMap<String, u64>,
    /// Expiry of its certificate.
    pub(super) expires: Option<Timestamp>,
    /// Digest of the settings that it uses; releases before 0.2 do not report it.
    pub(super) settings: Option<String>,
    /// Number of IPPools in its catalog.
    pub(super) ip_pools: u64,
    /// Number of addresses with an entry in an IPPool.
    pub(super) ip_pool_entries: u64,
    /// Kinds of Whereabouts whose watch is interrupted, as `ippools.whereabouts.cni.cncf.io`.
    pub(super) unwatched: BTreeSet<String>,
}

/// End of the resources of Whereabouts.
const WHEREABOUTS: &str = ".whereabouts.cni.cncf.io";

/// Reads the metrics of every running pod.
pub(super) async fn scrape_all(client: &Client, pods: &[DynamicObject]) -> Vec<ReplicaReport> {
    let running = pods.iter().filter(|pod| {
        pod.data["status"]["phase"] == json!("Running") && pod.metadata.deletion_timestamp.is_none()
    });
    let scraped = running.map(async |pod| {
        let pod = pod.name_any();
        let counters = scrape(client, &pod).await;
        ReplicaReport {
            counters: counters.map(|text| ReplicaCounters::of(&text)),
            pod,
        }
    });
    join_all(scraped).await
}

/// Awaits a response of the API server for at most [`CALL_TIMEOUT`].
pub(super) async fn with_timeout<T>(
    what: impl Into<String>,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, InstallError> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(InstallError::of(what, &error)),
        Err(_) => Err(InstallError::NoAnswer {
            what: what.into(),
            waited: CALL_TIMEOUT,
        }),
    }
}

async fn scrape(client: &Client, pod: &str) -> Result<String, InstallError> {
    let what = format!("read the metrics of Pod {NAMESPACE}/{pod} (get of pods/proxy)");
    let path =
        format!("/api/v1/namespaces/{NAMESPACE}/pods/http:{pod}:{METRICS_PORT}/proxy/metrics");
    let request = Request::get(path).body(Vec::new());
    let request =
        request.map_err(|error| InstallError::of(&*what, &kube::Error::HttpError(error)))?;
    with_timeout(what, client.request_text(request)).await
}

impl ReplicaCounters {
    fn of(metrics: &str) -> Self {
        let mut counters = Self::default();
        for line in metrics.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if let Some(digest) = label(name, "nadmit_settings_info{sha256=\"") {
                counters.settings = Some(digest.to_owned());
            }
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            if let Some(code) = label(name, "nadmit_would_deny_total{code=\"") {
                // Counters are integers.
                *counters.would_deny.entry(code.to_owned()).or_default() += value as u64;
            } else if name == "nadmit_certificate_expiry_timestamp_seconds" {
                counters.expires = Timestamp::from_second(value as i64).ok();
            } else {
                counters.add_whereabouts(name, value);
            }
        }
        counters
    }

    /// Adds a sample, if it is about Whereabouts.
    fn add_whereabouts(&mut self, name: &str, value: f64) {
        let entries = [
            "nadmit_ippool_used{pool=\"",
            "nadmit_ippool_outside{pool=\"",
        ];
        let pools = format!("nadmit_watch_objects{{resource=\"ippools{WHEREABOUTS}\"}}");
        let stale = label(name, "nadmit_watch_stale{resource=\"");
        if entries.iter().any(|head| name.starts_with(head)) {
            // Gauges of numbers of entries are integers.
            self.ip_pool_entries += value as u64;
        } else if name == pools {
            self.ip_pools = value as u64;
        } else if let Some(resource) = stale.filter(|_| value > 0.0) {
            let is_own = resource.ends_with(WHEREABOUTS);
            self.unwatched.extend(is_own.then(|| resource.to_owned()));
        }
    }
}

/// Returns the value of a metric's only label.
fn label<'n>(name: &'n str, head: &str) -> Option<&'n str> {
    name.strip_prefix(head)?.strip_suffix("\"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_that_matter_are_read() {
        let counters = ReplicaCounters::of(
            "nadmit_would_deny_total{code=\"unknown-network\"} 3\n\
             nadmit_certificate_expiry_timestamp_seconds 1800000000\n\
             nadmit_settings_info{sha256=\"abc\"} 1\n\
             nadmit_watch_objects{resource=\"ippools.whereabouts.cni.cncf.io\"} 2\n\
             nadmit_watch_objects{resource=\"pods\"} 7\n\
             nadmit_watch_stale{resource=\"ippools.whereabouts.cni.cncf.io\"} 0\n\
             nadmit_watch_stale{resource=\"nodeslicepools.whereabouts.cni.cncf.io\"} 1\n\
             nadmit_watch_stale{resource=\"pods\"} 1\n\
             nadmit_ippool_used{pool=\"IPPool/a\"} 5.0\n\
             nadmit_ippool_used{pool=\"IPPool/b\"} 6.0\n\
             nadmit_ippool_outside{pool=\"IPPool/b\"} 1.0\n# EOF\n",
        );
        assert_eq!((counters.ip_pools, counters.ip_pool_entries), (2, 12));
        let unwatched: Vec<_> = counters.unwatched.iter().collect();
        assert_eq!(unwatched, ["nodeslicepools.whereabouts.cni.cncf.io"]);
        assert_eq!(counters.would_deny.get("unknown-network"), Some(&3));
        assert_eq!(
            counters.expires.map(Timestamp::as_second),
            Some(1_800_000_000)
        );
        assert_eq!(counters.settings.as_deref(), Some("abc"));
        assert_eq!(ReplicaCounters::of("garbage\n"), ReplicaCounters::default());
    }
}
