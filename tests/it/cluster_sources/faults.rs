//! Watches that break, lag or are forbidden.

use std::time::Duration;

use libtest_mimic::Trial;
use nadmit::{
    catalog::{Existence, LiveRead},
    sources::KindState,
};
use tokio::time::sleep;

use super::support::{
    CLIENT, FollowedCluster, TestResult, holds, network, node, paused, pod, put, same, settled,
};
use crate::api_server::{ApiServer, FaultAction, FaultRule, InjectedFailure};

const RESOURCE: &str = "network-attachment-definitions";
/// The resource as counts and kinds name it.
const QUALIFIED: &str = "network-attachment-definitions.k8s.cni.cncf.io";

pub(super) fn tests() -> Vec<Trial> {
    tests!["cluster_sources"; with paused;
        a_watch_that_breaks_goes_on_where_it_was,
        an_expired_watch_starts_a_new_list,
        an_outage_is_reported_without_losing_readiness,
        nothing_is_published_before_required_kinds_are_synced,
        a_kind_that_may_not_be_listed_is_unknown,
        a_necessary_kind_that_may_not_be_listed_keeps_it_unready,
        a_404_from_a_proxy_is_not_a_missing_kind,
        a_silent_connection_is_taken_for_dead,
    ]
}

fn server() -> Result<ApiServer, libtest_mimic::Failed> {
    let server = ApiServer::new();
    put(
        &server,
        [
            network("db", "a-net", "p"),
            pod("db", "a", "a-net"),
            node("n1", "True"),
        ],
    )?;
    Ok(server)
}

fn watches(followed: &FollowedCluster, verb: &str) -> u64 {
    let asked = followed.server.request_counts();
    let key = (verb.to_owned(), QUALIFIED.to_owned());
    asked.get(&key).copied().unwrap_or_default()
}

async fn a_watch_that_breaks_goes_on_where_it_was() -> TestResult {
    let followed = FollowedCluster::synced(server()?).await?;
    settled().await;
    for round in 0..5 {
        followed.server.drop_watches(QUALIFIED);
        followed.put([network("db", &format!("n{round}"), "p")])?;
        sleep(Duration::from_secs(2)).await;
    }
    same(&followed.catalog().network_count(), &6)?;
    same(&watches(&followed, "list"), &1)?;
    same(&watches(&followed, "watch"), &6)
}

async fn an_expired_watch_starts_a_new_list() -> TestResult {
    let followed = FollowedCluster::synced(server()?).await?;
    settled().await;
    let broken: FaultAction = InjectedFailure::Unavailable.into();
    followed
        .server
        .fault(FaultRule::of("watch", RESOURCE, broken));
    followed.server.drop_watches(QUALIFIED);
    followed
        .delete("/apis/k8s.cni.cncf.io/v1/namespaces/db/network-attachment-definitions/a-net")
        .await?;
    followed.put([network("db", "b-net", "p")])?;
    followed.server.compact();
    followed.server.heal();
    sleep(Duration::from_secs(5)).await;
    same(&followed.catalog().network_names("db"), &vec!["b-net"])?;
    holds("listed again", watches(&followed, "list") >= 2)
}

async fn an_outage_is_reported_without_losing_readiness() -> TestResult {
    let followed = FollowedCluster::synced(server()?).await?;
    settled().await;
    let broken: FaultAction = InjectedFailure::Connection.into();
    followed
        .server
        .fault(FaultRule::of("*", "*", broken).for_client(CLIENT));
    for resource in ["pods", QUALIFIED] {
        followed.server.drop_watches(resource);
    }
    followed.put([network("db", "b-net", "p")])?;
    sleep(Duration::from_secs(600)).await;
    let status = followed.source.status();
    let stale: Vec<_> = status.stale().map(|kind| kind.resource.as_str()).collect();
    holds("the kinds are named", stale.contains(&"pods"))?;
    let pods = followed.kind("pods")?;
    holds(
        "it was in step",
        status.synced && pods.state == KindState::Synced,
    )?;
    let since = pods.stale.ok_or("not stale")?.since.elapsed();
    holds(
        "since the beginning",
        (Duration::from_secs(590)..=Duration::from_secs(601)).contains(&since),
    )?;
    same(&followed.catalog().network_names("db"), &vec!["a-net"])?;
    followed.server.heal();
    sleep(Duration::from_secs(31)).await;
    same(
        &followed.catalog().network_names("db"),
        &vec!["a-net", "b-net"],
    )?;
    same(&followed.source.status().stale().count(), &0)
}

async fn nothing_is_published_before_required_kinds_are_synced() -> TestResult {
    let server = server()?;
    let busy: FaultAction = InjectedFailure::TooManyRequests(2).into();
    server.fault(FaultRule::of("list", "pods", busy).times(3));
    let followed = FollowedCluster::start(server);
    sleep(Duration::from_secs(3)).await;
    holds(
        "no catalog yet",
        followed.catalog.load().is_none() && !followed.source.is_synced(),
    )?;
    same(&followed.kind("pods")?.state, &KindState::Waiting)?;
    same(&followed.kind("namespaces")?.state, &KindState::Synced)?;
    sleep(Duration::from_secs(5)).await;
    holds("now there is", followed.source.is_synced())?;
    same(&followed.catalog().pod_count(), &1)
}

async fn a_kind_that_may_not_be_listed_is_unknown() -> TestResult {
    let server = server()?;
    for resource in [
        "nodes",
        "statefulsets",
        "virtualmachines",
        "networks",
        "nodeslicepools",
    ] {
        server.fault(FaultRule::of(
            "list",
            resource,
            InjectedFailure::Forbidden.into(),
        ));
    }
    let followed = FollowedCluster::synced(server).await?;
    let catalog = followed.catalog();
    same(&catalog.nodes().node("n1"), &Existence::Unknown)?;
    same(
        &catalog.workloads().stateful_set("db", "db"),
        &Existence::Unknown,
    )?;
    same(
        &catalog.workloads().machine("db", "vm"),
        &Existence::Unknown,
    )?;
    same(&followed.kind("nodes")?.state, &KindState::Forbidden)?;
    followed.server.heal();
    sleep(Duration::from_secs(31)).await;
    holds(
        "now known",
        matches!(followed.catalog().nodes().node("n1"), Existence::Present(_)),
    )?;
    same(
        &followed.catalog().workloads().machine("db", "vm"),
        &Existence::Absent,
    )
}

async fn a_necessary_kind_that_may_not_be_listed_keeps_it_unready() -> TestResult {
    let server = server()?;
    server.fault(FaultRule::of(
        "list",
        RESOURCE,
        InjectedFailure::Forbidden.into(),
    ));
    let followed = FollowedCluster::start(server);
    sleep(Duration::from_secs(60)).await;
    holds(
        "no catalog",
        followed.catalog.load().is_none() && !followed.source.is_synced(),
    )?;
    let kind = followed.kind(QUALIFIED)?;
    same(&kind.state, &KindState::Forbidden)?;
    let reported = kind.stale.ok_or("no error")?.error;
    let rule = r#"{apiGroups: ["k8s.cni.cncf.io"], resources: [network-attachment-definitions], verbs: [list, watch]}"#;
    holds(&reported, reported.contains(rule))?;
    followed.server.heal();
    sleep(Duration::from_secs(31)).await;
    holds("a catalog", followed.source.is_synced())
}

async fn a_404_from_a_proxy_is_not_a_missing_kind() -> TestResult {
    let followed = FollowedCluster::synced(server()?).await?;
    let page = crate::api_server::ApiStatus::new(404, "Whatever", "<html>nothing here</html>");
    let refused: FaultAction = InjectedFailure::Refused(page).into();
    followed.server.fault(FaultRule::of("*", RESOURCE, refused));
    followed.server.drop_watches(QUALIFIED);
    sleep(Duration::from_secs(60)).await;
    same(&followed.catalog().network_names("db"), &vec!["a-net"])?;
    holds(
        "an error",
        followed
            .read(LiveRead::network("db", "a-net"))
            .await
            .is_err(),
    )?;
    same(&followed.catalog().network_names("db"), &vec!["a-net"])
}

/// A watch that hangs: neither an event nor its end ever arrives.
async fn a_silent_connection_is_taken_for_dead() -> TestResult {
    let server = server()?;
    let hangs: FaultAction = InjectedFailure::Silence.into();
    server.fault(FaultRule::of("watch", RESOURCE, hangs).times(1));
    let followed = FollowedCluster::synced(server).await?;
    followed.put([network("db", "b-net", "p")])?;
    settled().await;
    same(&followed.catalog().network_count(), &1)?;
    sleep(Duration::from_secs(300)).await;
    same(&followed.catalog().network_count(), &2)
}
