//! The memory that a large cluster takes: 50,000 pods with two networks each, 50,000 without
//! networks, and 10,000 networks. Objects are as large as real ones (pods 8 KB) and are generated
//! on request, so that the source alone is measured.
//!
//! Has to run alone, because it measures the whole process: `cargo test --test it -- --ignored
//! cluster_sources::a_large_cluster_takes_little_memory --nocapture`

use std::{
    convert::Infallible,
    fmt::Write as _,
    fs,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use http::{Request, Response};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    catalog::{Catalog, LiveRead},
    sources::{ClusterSource, ClusterSourceOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::support::{TestResult, holds, same};

const NETWORKS: usize = 10_000;
/// With networks, and as many without.
const PODS: usize = 50_000;
const NAMESPACES: usize = 500;
const PAGE: usize = 500;
/// In MiB.
const MAX_MIB: u64 = 200;

pub(super) fn tests() -> Vec<Trial> {
    // Ignored because it measures the process, and so has to run alone.
    let test = trial!["cluster_sources"; a_large_cluster_takes_little_memory];
    vec![test.with_ignored_flag(true)]
}

fn a_large_cluster_takes_little_memory() -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measured())
}

async fn measured() -> TestResult {
    let catalog = Arc::new(ArcSwapOption::empty());
    let large = LargeCluster::default();
    let client = kube::Client::new(large.clone(), "default");
    let source = ClusterSource::new(
        client,
        ClusterSourceOptions::default(),
        Arc::clone(&catalog),
    );
    let cancel = CancellationToken::new();
    let empty = memory("VmRSS")?;
    let began = Instant::now();
    let run = tokio::spawn(source.clone().run(cancel.clone()));
    source.wait_synced().await;
    let took = began.elapsed();
    let (now, most) = (memory("VmRSS")?, memory("VmHWM")?);
    println!("empty: {empty} MiB; synced in {took:.1?}: {now} MiB, at most {most} MiB");
    let published = catalog.load_full().ok_or("no catalog")?;
    same(
        &(published.pod_count(), published.network_count()),
        &(PODS, NETWORKS),
    )?;
    let began = Instant::now();
    source
        .refresh(&LiveRead::pods_of("ns-7"), "kube-system")
        .await?;
    println!("looked up a namespace's pods in {:.1?}", began.elapsed());
    // The watch expires, and every pod has been replaced.
    for times in 1..=2 {
        let (began, before) = (Instant::now(), source.status().published);
        large.lost.notify_one();
        while !replaced(&catalog, times) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let published = source.status().published - before;
        println!(
            "all pods replaced in {:.1?}, in {published} catalogs",
            began.elapsed()
        );
        println!("now {} MiB", memory("VmRSS")?);
    }
    let most = memory("VmHWM")?;
    println!("at most {most} MiB");
    cancel.cancel();
    run.await?;
    holds("it takes too much memory", most < MAX_MIB)
}

/// Returns true if the catalog has the pods of this many replacements.
fn replaced(catalog: &ArcSwapOption<Catalog>, times: usize) -> bool {
    let catalog = catalog.load_full();
    let pods = catalog.iter().flat_map(|catalog| catalog.pods());
    let begins = format!("{times:08}");
    let uid = |uid: &str| uid.starts_with(&begins);
    pods.filter_map(|pod| pod.uid.as_deref()).all(uid)
}

/// Returns a memory statistic of the process, in MiB.
fn memory(which: &str) -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(which));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    Ok(kib.ok_or("no such line")? / 1024)
}

/// An API server that generates a cluster on request.
#[derive(Clone, Default)]
struct LargeCluster {
    /// Ends the watch of pods.
    lost: Arc<Notify>,
    /// The number of replacements.
    replaced: Arc<AtomicUsize>,
}

impl tower::Service<Request<kube::client::Body>> for LargeCluster {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let (uri, large) = (request.uri().clone(), self.clone());
        Box::pin(async move {
            let query = uri.query().unwrap_or_default();
            let times = large.replaced.load(Ordering::Relaxed);
            if !query.contains("watch=true") {
                return Ok(Response::new(Body::from(page(uri.path(), query, times))));
            }
            let pods = uri.path() == "/api/v1/pods";
            let lines = futures_util::stream::once(async move {
                if !pods {
                    std::future::pending::<()>().await;
                }
                large.lost.notified().await;
                large.replaced.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(format!("{LOST}\n"))
            });
            Ok(Response::new(Body::from_stream(lines)))
        })
    }
}

const LOST: &str = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}"#;

/// Returns a page of a list; `times` is the number of times that the pods were replaced.
fn page(path: &str, query: &str, times: usize) -> String {
    let (count, make): (usize, fn(usize, usize) -> String) = match path {
        "/api/v1/pods" => (PODS * 2, pod),
        "/api/v1/namespaces" => (NAMESPACES, namespace),
        "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions" => (NETWORKS, network),
        "/api/v1/namespaces/ns-7/pods" => (PODS * 2 / NAMESPACES, |n, times| {
            pod(n * NAMESPACES + 7, times)
        }),
        _ => (0, namespace),
    };
    let place = query
        .split('&')
        .find_map(|part| part.strip_prefix("continue="));
    let start: usize = place
        .and_then(|place| place.parse().ok())
        .unwrap_or_default();
    let end = count.min(start + PAGE);
    let more = if end < count {
        end.to_string()
    } else {
        String::new()
    };
    let items: Vec<String> = (start..end).map(|number| make(number, times)).collect();
    format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"90000{times}","continue":"{more}"}},"items":[{}]}}"#,
        items.join(",")
    )
}

fn namespace(number: usize, _: usize) -> String {
    format!(
        r#"{{"metadata":{{"name":"ns-{number}","resourceVersion":"{number}","labels":{{"kubernetes.io/metadata.name":"ns-{number}","team":"t"}}}}}}"#
    )
}

fn network(number: usize, _: usize) -> String {
    let home = number % NAMESPACES;
    format!(
        r#"{{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{{"name":"net-{number}","namespace":"ns-{home}","resourceVersion":"{number}","uid":"{number}","annotations":{{"nadmit.io/address-pool":"storage"}}}},"spec":{{"config":"{{\"cniVersion\":\"1.0.0\",\"name\":\"net-{number}\",\"plugins\":[{{\"type\":\"macvlan\",\"master\":\"eth1\",\"mode\":\"bridge\",\"capabilities\":{{\"ips\":true,\"mac\":true}},\"ipam\":{{\"type\":\"whereabouts\",\"range\":\"10.{}.{}.0/24\",\"exclude\":[\"10.0.0.0/30\"]}}}},{{\"type\":\"tuning\",\"sysctl\":{{\"net.core.somaxconn\":\"500\"}}}}]}}"}}}}"#,
        number / 250,
        number % 250
    )
}

/// Returns a pod like one of a StatefulSet, with two networks; every second pod has none.
fn pod(number: usize, times: usize) -> String {
    let (home, a, b) = (number % NAMESPACES, number / 65_536, number % 65_536);
    let (b, c) = (b / 256, b % 256);
    let mut annotations = format!(
        r#""k8s.v1.cni.cncf.io/network-status":"[{{\"name\":\"ovn-kubernetes\",\"interface\":\"eth0\",\"ips\":[\"10.{a}.{b}.{c}\"],\"mac\":\"0a:58:0a:{a:02x}:{b:02x}:{c:02x}\",\"default\":true,\"dns\":{{}}}}"#
    );
    if number.is_multiple_of(2) {
        for net in 1..=2 {
            let _ = write!(
                annotations,
                r#",{{\"name\":\"ns-{home}/net-{home}\",\"interface\":\"net{net}\",\"ips\":[\"172.{a}.{b}.{c}\"],\"mac\":\"02:5e:00:{a:02x}:{b:02x}:{c:02x}\",\"dns\":{{}}}}"#
            );
        }
        let _ = write!(
            annotations,
            r#"]","k8s.v1.cni.cncf.io/networks":"[{{\"name\":\"net-{home}\",\"ips\":[\"172.{a}.{b}.{c}/16\"],\"mac\":\"02:5e:00:{a:02x}:{b:02x}:{c:02x}\"}},{{\"name\":\"net-{home}\",\"ips\":[\"172.{a}.{b}.{c}/16\"]}}]","nadmit.io/requested-networks":"net-{home},net-{home}""#
        );
    } else {
        annotations.push_str("]\"");
    }
    let padding = "x".repeat(6_000);
    format!(
        r#"{{"metadata":{{"name":"db-{number}","namespace":"ns-{home}","uid":"{times:08}-0000-4000-8000-{number:012}","resourceVersion":"{number}","generateName":"db-","ownerReferences":[{{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"u","controller":true,"blockOwnerDeletion":true}}],"annotations":{{{annotations}}},"managedFields":[{{"manager":"{padding}"}}]}},"spec":{{"nodeName":"node-{}","containers":[{{"name":"c","image":"registry.example/db:1","env":[{{"name":"A","value":"b"}}]}}]}},"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}]}}}}"#,
        number % 1000
    )
}
