//! The measurement of one size, from an empty cluster to the last release.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::{
    api::ClusterApi,
    cluster_size::{self, BenchSet, ClusterSize},
    fill::{self, SetUids},
    median, objects,
    real::RealServer,
    release,
    replica::Replica,
    report::SizeFigures,
    rest::{self, Changes, Comparisons, RestCost},
    restart::{self, RestartPace},
    storage::{KINDS, Storage},
};

/// The time limits of a replica for becoming ready, and for recording all addresses.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
const ADOPTION_TIMEOUT: Duration = Duration::from_secs(1800);
/// The time after which a replica has done what follows from its start.
const SETTLE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The number of restarts without nadmit's webhooks, and with them.
const TURNS: usize = 3;

/// A filled cluster.
struct FilledCluster {
    server: RealServer,
    api: ClusterApi,
    size: ClusterSize,
    uids: SetUids,
    /// The time for which the cost at rest is measured.
    period: Duration,
    /// The cost at rest without nadmit.
    without: RestCost,
}

/// Measures everything at one size, the cost at rest for a `period`.
pub(crate) async fn measure(size: ClusterSize, period: Duration) -> anyhow::Result<SizeFigures> {
    println!(
        "\n{} pods, {} nodes, {} networks, {} StatefulSets, {} pools",
        size.pods,
        size.nodes(),
        size.networks(),
        size.sets(),
        size.namespaces() + 1,
    );
    let mut figures = SizeFigures {
        size,
        figures: Vec::new(),
    };
    let cluster = FilledCluster::start(size, period).await?;
    cluster.adopt(&mut figures).await?;
    let leader = cluster.start_up("leader", &mut figures).await?;
    let follower = cluster.start_up("second replica", &mut figures).await?;
    sleep(SETTLE).await;
    memory("leader, settled", &leader, &mut figures)?;
    memory("second replica, settled", &follower, &mut figures)?;
    let replicas = [&leader, &follower];
    cluster.rest(&replicas, &mut figures).await?;
    drop(follower);
    cluster.new_network(&leader, &mut figures).await?;
    cluster.stored(&mut figures).await?;
    cluster.restarts(&leader, &mut figures).await?;
    let release = release::measure(&cluster.api, size).await?;
    figures.add(
        "release after the quarantine, median",
        "s",
        release.median.as_secs_f64(),
    );
    figures.add(
        "release after the quarantine, last",
        "s",
        release.last.as_secs_f64(),
    );
    memory("leader, at the end", &leader, &mut figures)?;
    drop(leader);
    Ok(figures)
}

impl FilledCluster {
    async fn start(size: ClusterSize, period: Duration) -> anyhow::Result<Self> {
        let error = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
        let server = RealServer::start().await.map_err(error)?;
        let client = kube::Client::try_from(server.config().map_err(error)?)?;
        let api = ClusterApi { client };
        let begun = Instant::now();
        let uids = fill::fill(&api, size).await?;
        println!("  filled in {:.0?}", begun.elapsed());
        let without = rest::measure(&api, size, &[], Changes::None, period).await?;
        println!("  requests a second without nadmit: {}", without.requests);
        Ok(Self {
            server,
            api,
            size,
            uids,
            period,
            without,
        })
    }

    fn pools(&self) -> usize {
        self.size.namespaces() + 1
    }

    fn records(&self) -> usize {
        2 * self.size.pods
    }

    /// Measures a replica that finds no records.
    async fn adopt(&self, figures: &mut SizeFigures) -> anyhow::Result<()> {
        let first = Replica::start("first", &self.server)?;
        let ready = first.until_ready(READY_TIMEOUT).await?;
        figures.add("start without records to Ready", "s", ready.as_secs_f64());
        let adopted = first
            .until_pools_ready(self.pools(), self.records(), ADOPTION_TIMEOUT)
            .await?;
        figures.add("adoption of all addresses", "s", adopted.as_secs_f64());
        let rate = self.records() as f64 / adopted.as_secs_f64();
        figures.add("addresses adopted a second", "", rate);
        let memory = first.memory()?;
        figures.add("memory while adopting, at most", "MiB", memory.most);
        Ok(())
    }

    /// Measures the start of a replica that finds all records.
    async fn start_up(&self, name: &str, figures: &mut SizeFigures) -> anyhow::Result<Replica> {
        let replica = Replica::start(&name.replace(' ', "-"), &self.server)?;
        let ready = replica.until_ready(READY_TIMEOUT).await?;
        figures.add(format!("{name}: start to Ready"), "s", ready.as_secs_f64());
        let cpu = replica.cpu_seconds()?;
        figures.add(format!("{name}: CPU of the start"), "s", cpu);
        let pools = replica
            .until_pools_ready(self.pools(), self.records(), READY_TIMEOUT)
            .await?;
        let name_of_pools = format!("{name}: start to all pools Ready");
        figures.add(name_of_pools, "s", pools.as_secs_f64());
        Ok(replica)
    }

    /// Measures the cost at rest.
    async fn rest(&self, replicas: &[&Replica], figures: &mut SizeFigures) -> anyhow::Result<()> {
        let [leader, ..] = replicas else {
            return Ok(());
        };
        for (changes, name) in [
            (Changes::None, "at rest"),
            (Changes::Heartbeats, "with heartbeats"),
        ] {
            let before = Comparisons::read(leader).await?;
            let cost = rest::measure(&self.api, self.size, replicas, changes, self.period).await?;
            let comparisons = Comparisons::read(leader).await?.since(before);
            println!("  requests a second {name}: {}", cost.requests);
            let requests = cost.requests_beyond(&self.without);
            figures.add(format!("{name}: requests, both replicas"), "1/s", requests);
            for (cpu, replica) in cost.cpu.iter().zip(["leader", "second replica"]) {
                let name = format!("{name}: CPU of the {replica}");
                figures.add(name, "% of a core", 100.0 * cpu);
            }
            let minutes = self.period.as_secs_f64() / 60.0;
            let count = format!("{name}: comparisons of the leader");
            figures.add(count, "1/min", comparisons.count() / minutes);
            if comparisons.count() > 0.0 {
                let mean = format!("{name}: a comparison, mean");
                figures.add(mean, "ms", 1000.0 * comparisons.mean());
            }
        }
        Ok(())
    }

    /// Measures the comparison after a new network, for which all pods are looked at again.
    async fn new_network(&self, leader: &Replica, figures: &mut SizeFigures) -> anyhow::Result<()> {
        let before = Comparisons::read(leader).await?;
        let home = cluster_size::namespace(0);
        let network = objects::network(&home, "new", Some(objects::SHARED_POOL));
        self.api.create(&network).await?;
        let begun = Instant::now();
        let comparisons = loop {
            let comparisons = Comparisons::read(leader).await?.since(before);
            if comparisons.count() >= 1.0 {
                break comparisons;
            }
            ensure!(begun.elapsed() < READY_TIMEOUT, "no comparison");
            sleep(POLL_INTERVAL).await;
        };
        let mean = 1000.0 * comparisons.mean();
        figures.add("a comparison after a new network", "ms", mean);
        Ok(())
    }

    /// Measures the objects in etcd.
    async fn stored(&self, figures: &mut SizeFigures) -> anyhow::Result<()> {
        let storage = Storage::of(&self.server)?;
        for kind in KINDS {
            let objects = storage.objects(kind).await?;
            let mib = objects.count * objects.bytes / f64::from(1 << 20);
            println!("  {:.0} objects {}", objects.count, kind.name);
            figures.add(format!("etcd: a {}", kind.name), "bytes", objects.bytes);
            figures.add(format!("etcd: all {}s", kind.name), "MiB", mib);
        }
        let mib = storage.bytes_in_use().await? / f64::from(1 << 20);
        figures.add("etcd: in use, with history", "MiB", mib);
        Ok(())
    }

    /// Measures rolling restarts without nadmit's webhooks and with them, turn about.
    async fn restarts(&self, leader: &Replica, figures: &mut SizeFigures) -> anyhow::Result<()> {
        let webhooks = leader.webhooks()?;
        let [plain, pooled] = [self.size.plain_sets(), self.size.restarted_sets()];
        let mut without: Vec<RestartPace> = Vec::new();
        let mut with: Vec<RestartPace> = Vec::new();
        let cpu = leader.cpu_seconds()?;
        for _ in 0..TURNS {
            self.api.register(None).await?;
            without.push(self.restart(&plain).await?);
            self.api.register(Some(&webhooks)).await?;
            with.push(self.restart(&pooled).await?);
        }
        let restarted = (TURNS * pooled.len() * cluster_size::REPLICAS) as f64;
        let cpu = (leader.cpu_seconds()? - cpu) / restarted;
        let rate = |paces: &[RestartPace]| median(paces.iter().map(|pace| pace.rate).collect());
        let latency = |paces: &[RestartPace]| {
            let all = paces.iter().map(|pace| pace.latency.as_secs_f64());
            1000.0 * median(all.collect())
        };
        let ratios = with.iter().zip(&without);
        let ratios = ratios.map(|(with, without)| with.rate / without.rate);
        let refusals: u32 = with.iter().map(|pace| pace.refusals).sum();
        figures.add("restart without nadmit", "pods/s", rate(&without));
        figures.add("restart with nadmit", "pods/s", rate(&with));
        figures.add("restart: ratio", "", median(ratios.collect()));
        figures.add(
            "restart without nadmit: a pod, median",
            "ms",
            latency(&without),
        );
        figures.add("restart with nadmit: a pod, median", "ms", latency(&with));
        figures.add("restart: refused Bindings", "", f64::from(refusals));
        figures.add("restart: CPU of nadmit a pod", "ms", 1000.0 * cpu);
        Ok(())
    }

    async fn restart(&self, sets: &[BenchSet]) -> anyhow::Result<RestartPace> {
        let pace = restart::run(&self.api, self.size, sets, &self.uids).await?;
        println!("  restarted: {pace:.1?}");
        Ok(pace)
    }
}

/// Adds the memory of a replica.
fn memory(name: &str, replica: &Replica, figures: &mut SizeFigures) -> anyhow::Result<()> {
    let memory = replica.memory()?;
    figures.add(format!("memory: {name}"), "MiB", memory.now);
    figures.add(format!("memory: {name}, at most"), "MiB", memory.most);
    Ok(())
}
