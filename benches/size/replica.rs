//! A replica of nadmit: its start, memory and CPU time.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use kube::{Client, Config};
use tokio::time::sleep;

use super::{cpu, real::RealServer, registration::WebhookServer, server::NadmitServer};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The pause between two looks at its metrics, which cost it some work.
const METRICS_INTERVAL: Duration = Duration::from_millis(500);
const KIB_PER_MIB: f64 = 1024.0;

/// A running replica, which ends when this is dropped.
pub(crate) struct Replica {
    server: NadmitServer,
    admin: Client,
    started: Instant,
}

/// The memory of a process, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResidentMemory {
    /// The memory in use now.
    pub(crate) now: f64,
    /// The most that was in use so far.
    pub(crate) most: f64,
}

impl Replica {
    /// Starts a replica of this name.
    pub(crate) fn start(name: &str, cluster: &RealServer) -> anyhow::Result<Self> {
        let started = Instant::now();
        let server = NadmitServer::start_replica(name, &cluster.kubeconfig()?, "")?;
        let admin = plain_client(&server.admin)?;
        Ok(Self {
            server,
            admin,
            started,
        })
    }

    /// Returns the address that webhooks are registered with.
    pub(crate) fn webhooks(&self) -> anyhow::Result<WebhookServer> {
        self.server.webhooks()
    }

    /// Waits until `/readyz` says so, and returns the time since the start.
    pub(crate) async fn until_ready(&self, limit: Duration) -> anyhow::Result<Duration> {
        while self.read("/readyz").await.is_err() {
            self.check(limit, "it does not become ready")?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(self.started.elapsed())
    }

    /// Waits until it assigns addresses of this many pools, with this many held addresses in them, and
    /// returns the time since the start.
    pub(crate) async fn until_pools_ready(
        &self,
        pools: usize,
        records: usize,
        limit: Duration,
    ) -> anyhow::Result<Duration> {
        loop {
            let text = self.read("/metrics").await?;
            let ready = sum(&text, "nadmit_pool_ready");
            let held = sum(&text, "nadmit_pool_allocated");
            if ready >= pools as f64 && held >= records as f64 {
                return Ok(self.started.elapsed());
            }
            let problem = format!("{ready} of {pools} pools are ready, with {held} addresses");
            self.check(limit, &problem)?;
            sleep(METRICS_INTERVAL).await;
        }
    }

    /// Returns a metric, added up over its labels.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        Ok(sum(&self.read("/metrics").await?, name))
    }

    /// Returns the memory of the process.
    pub(crate) fn memory(&self) -> anyhow::Result<ResidentMemory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let mib = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next());
            Ok(kib.context("no such line")?.parse::<f64>()? / KIB_PER_MIB)
        };
        Ok(ResidentMemory {
            now: mib("VmRSS:")?,
            most: mib("VmHWM:")?,
        })
    }

    /// Returns the CPU seconds of the process so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu::seconds(self.server.id())
    }

    async fn read(&self, path: &str) -> kube::Result<String> {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        self.admin.request_text(request).await
    }

    fn check(&self, limit: Duration, problem: &str) -> anyhow::Result<()> {
        if self.started.elapsed() > limit {
            bail!("after {limit:?}: {problem}");
        }
        Ok(())
    }
}

/// Returns a client of a server without TLS.
pub(crate) fn plain_client(url: &str) -> anyhow::Result<Client> {
    Ok(Client::try_from(Config::new(url.parse()?))?)
}

/// Returns the sum of a metric over its labels.
pub(crate) fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok()
    });
    values.sum()
}
