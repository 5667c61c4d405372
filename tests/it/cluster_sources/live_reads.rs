//! Live reads past the watches, and their effect on the catalog.

use std::time::Duration;

use libtest_mimic::Trial;
use nadmit::catalog::LiveRead;
use serde_json::json;
use tokio::time::sleep;

use super::support::{
    CLIENT, FollowedCluster, TestResult, holds, network, paused, pod, pool, put, same, settled,
};
use crate::api_server::{ApiServer, FaultAction, FaultRule, InjectedFailure};

const LAG: Duration = Duration::from_secs(5);

pub(super) fn tests() -> Vec<Trial> {
    tests!["cluster_sources"; with paused;
        a_live_read_finds_objects_missing_from_the_watch,
        a_deletion_seen_live_is_not_undone,
        a_pod_created_and_deleted_between_reads_stays_deleted,
        a_recreated_pod_has_its_new_uid,
        an_unbound_pod_of_a_uid_is_taken_from_the_watch,
        an_unbound_pod_that_the_watch_lacks_is_read,
        a_watch_that_is_ahead_is_not_set_back,
        namespaces_pools_and_the_operator_are_read_live,
        users_of_a_network_are_read_live,
        a_failed_live_read_is_an_error,
    ]
}

/// Returns a cluster whose watches lag by [`LAG`].
async fn lagging() -> Result<FollowedCluster, libtest_mimic::Failed> {
    let server = ApiServer::new();
    server.namespace("db", &[]);
    put(
        &server,
        [network("db", "a-net", "p"), pod("db", "a", "a-net")],
    )?;
    let followed = FollowedCluster::synced(server).await?;
    settled().await;
    followed.server.lag(CLIENT, LAG);
    Ok(followed)
}

async fn a_live_read_finds_objects_missing_from_the_watch() -> TestResult {
    let followed = lagging().await?;
    followed.put([network("db", "b-net", "p"), pod("db", "b", "b-net")])?;
    settled().await;
    same(&followed.catalog().network_count(), &1)?;
    followed.read(LiveRead::network("db", "b-net")).await?;
    same(
        &followed.catalog().network_names("db"),
        &vec!["a-net", "b-net"],
    )?;
    followed.read(LiveRead::pods_of("db")).await?;
    same(&followed.catalog().pod_count(), &2)?;
    sleep(LAG * 2).await;
    same(
        &(
            followed.catalog().network_count(),
            followed.catalog().pod_count(),
        ),
        &(2, 2),
    )
}

async fn a_deletion_seen_live_is_not_undone() -> TestResult {
    let followed = lagging().await?;
    followed.put([pod("db", "a", "other")])?;
    sleep(LAG / 2).await;
    followed.delete("/api/v1/namespaces/db/pods/a").await?;
    followed.read(LiveRead::pod("db", "a")).await?;
    for _ in 0..100 {
        same(&followed.networks_of("db", "a"), &None)?;
        sleep(LAG / 10).await;
    }
    Ok(())
}

async fn a_pod_created_and_deleted_between_reads_stays_deleted() -> TestResult {
    let followed = lagging().await?;
    followed.put([pod("db", "brief", "a-net"), pod("db", "brief-2", "a-net")])?;
    sleep(LAG / 2).await;
    followed.delete("/api/v1/namespaces/db/pods/brief").await?;
    followed
        .delete("/api/v1/namespaces/db/pods/brief-2")
        .await?;
    followed.read(LiveRead::pod("db", "brief")).await?;
    followed.read(LiveRead::pods_of("db")).await?;
    followed.put([pod("db", "later", "a-net")])?;
    for _ in 0..100 {
        same(&followed.networks_of("db", "brief"), &None)?;
        same(&followed.networks_of("db", "brief-2"), &None)?;
        sleep(LAG / 10).await;
    }
    same(&followed.catalog().pod_count(), &2)
}

async fn a_recreated_pod_has_its_new_uid() -> TestResult {
    let followed = lagging().await?;
    let uid = |followed: &FollowedCluster| {
        let catalog = followed.catalog();
        catalog.pod("db", "a").and_then(|pod| pod.uid.clone())
    };
    let before = uid(&followed);
    followed.delete("/api/v1/namespaces/db/pods/a").await?;
    followed.put([pod("db", "a", "a-net")])?;
    same(&uid(&followed), &before)?;
    followed.read(LiveRead::pod("db", "a")).await?;
    let stored = followed.server.stored("pods", "db", "a").ok_or("no pod")?;
    let stored = stored["metadata"]["uid"].as_str().map(Into::into);
    for _ in 0..100 {
        same(&uid(&followed), &stored)?;
        sleep(LAG / 10).await;
    }
    Ok(())
}

/// Returns the read of a pod by the UID that the API server has given to it.
fn read_by_uid(followed: &FollowedCluster, name: &str) -> Result<LiveRead, libtest_mimic::Failed> {
    let stored = followed.server.stored("pods", "db", name).ok_or("no pod")?;
    let uid = stored["metadata"]["uid"].as_str().ok_or("no UID")?;
    Ok(LiveRead::PodOfUid {
        namespace: "db".into(),
        name: name.into(),
        uid: uid.into(),
    })
}

fn unbound(mut pod: serde_json::Value) -> serde_json::Value {
    pod["spec"]["nodeName"] = serde_json::Value::Null;
    pod["status"] = json!({});
    pod
}

fn lists_of_pods(followed: &FollowedCluster) -> u64 {
    let counts = followed.server.request_counts();
    let lists = counts
        .iter()
        .filter(|((verb, kind), _)| verb == "list" && kind == "pods");
    lists.map(|(_, count)| count).sum()
}

/// With additional networks and without, also before a catalog with it is published.
async fn an_unbound_pod_of_a_uid_is_taken_from_the_watch() -> TestResult {
    let server = ApiServer::new();
    server.namespace("db", &[]);
    let followed = FollowedCluster::synced(server).await?;
    settled().await;
    let before = lists_of_pods(&followed);
    let mut plain = unbound(pod("db", "plain", ""));
    plain["metadata"]["annotations"] = json!({});
    followed.put([unbound(pod("db", "b", "b-net")), plain])?;
    for name in ["b", "plain"] {
        followed.read(read_by_uid(&followed, name)?).await?;
    }
    same(&followed.networks_of("db", "b"), &Some("b-net".to_owned()))?;
    same(&followed.networks_of("db", "plain"), &None)?;
    same(&lists_of_pods(&followed), &before)
}

async fn an_unbound_pod_that_the_watch_lacks_is_read() -> TestResult {
    let followed = lagging().await?;
    followed.put([unbound(pod("db", "b", "b-net"))])?;
    let before = lists_of_pods(&followed);
    followed.read(read_by_uid(&followed, "b")?).await?;
    same(&followed.networks_of("db", "b"), &Some("b-net".to_owned()))?;
    same(&lists_of_pods(&followed), &(before + 1))
}

/// The response takes so long that the watch has delivered later changes.
async fn a_watch_that_is_ahead_is_not_set_back() -> TestResult {
    let server = ApiServer::new();
    put(&server, [pod("db", "a", "first")])?;
    let followed = FollowedCluster::synced(server).await?;
    settled().await;
    let slow = FaultAction::slow(Duration::ZERO, Duration::from_secs(2));
    followed
        .server
        .fault(FaultRule::of("list", "pods", slow).for_client(CLIENT));
    let source = followed.source.clone();
    let asked = tokio::spawn(async move {
        let read = LiveRead::pod("db", "a");
        source.refresh(&read, "kube-system").await
    });
    settled().await;
    followed.put([pod("db", "a", "second")])?;
    settled().await;
    same(&followed.networks_of("db", "a"), &Some("second".to_owned()))?;
    asked.await??;
    same(&followed.networks_of("db", "a"), &Some("second".to_owned()))
}

async fn namespaces_pools_and_the_operator_are_read_live() -> TestResult {
    let followed = lagging().await?;
    followed
        .server
        .namespace("db", &[("nadmit.io/mode", "off")]);
    followed.put([
        pool("p", "192.0.2.0/24"),
        json!({"apiVersion": "operator.openshift.io/v1", "kind": "Network",
            "metadata": {"name": "cluster"}, "spec": {}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "db"}, "spec": {}}),
        super::support::node("n9", "True"),
        json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"name": "vm", "namespace": "db"}}),
    ])?;
    settled().await;
    for read in [
        LiveRead::Pool {
            name: "p".into(),
            namespace: Some("db".into()),
        },
        LiveRead::NetworkOperator,
        LiveRead::stateful_set("db", "db"),
        LiveRead::node("n9"),
        LiveRead::virtual_machine("db", "vm"),
    ] {
        followed.read(read).await?;
    }
    let catalog = followed.catalog();
    holds(
        "labels",
        catalog
            .namespace("db")
            .is_some_and(|db| db.labels.mode.is_some()),
    )?;
    holds("a pool", catalog.pool("p").valid().is_some())?;
    holds("an operator", catalog.operator().is_some())?;
    let here = |existence: bool| holds("what was looked up", existence);
    use nadmit::catalog::Existence::Present;
    here(matches!(
        catalog.workloads().stateful_set("db", "db"),
        Present(_)
    ))?;
    here(matches!(catalog.nodes().node("n9"), Present(_)))?;
    here(matches!(
        catalog.workloads().machine("db", "vm"),
        Present(())
    ))?;
    // A missing kind has no object of that name.
    followed.server.unregister("networks.operator.openshift.io");
    followed.read(LiveRead::NetworkOperator).await?;
    holds("no operator", followed.catalog().operator().is_none())
}

async fn users_of_a_network_are_read_live() -> TestResult {
    let followed = lagging().await?;
    let users = |followed: &FollowedCluster| {
        let catalog = followed.catalog();
        let users = catalog.users("db", "a-net", "kube-system");
        users
            .iter()
            .map(|pod| pod.name.to_string())
            .collect::<Vec<_>>()
    };
    followed.put([pod("db", "b", "a-net"), pod("web", "far", "db/a-net")])?;
    sleep(LAG * 2).await;
    same(
        &users(&followed),
        &vec!["a".to_owned(), "b".to_owned(), "far".to_owned()],
    )?;
    // All pods are deleted except those on other nodes: one of these needs a live read.
    for name in ["a", "b"] {
        followed
            .delete(&format!("/api/v1/namespaces/db/pods/{name}"))
            .await?;
    }
    let read = LiveRead::NetworkUsers {
        namespace: "db".into(),
        name: "a-net".into(),
    };
    followed.read(read.clone()).await?;
    same(&users(&followed), &vec!["far".to_owned()])?;
    followed.delete("/api/v1/namespaces/web/pods/far").await?;
    followed.read(read).await?;
    same(&users(&followed), &Vec::new())
}

async fn a_failed_live_read_is_an_error() -> TestResult {
    let followed = lagging().await?;
    // A transient error is retried.
    let broken: FaultAction = InjectedFailure::Internal.into();
    followed
        .server
        .fault(FaultRule::of("list", "pods", broken).times(2));
    followed.read(LiveRead::pod("db", "a")).await?;
    followed.server.fault(FaultRule::of(
        "list",
        "pods",
        InjectedFailure::Forbidden.into(),
    ));
    let reported = followed.read(LiveRead::pod("db", "a")).await;
    let reported = reported
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    let rule = r#"{apiGroups: [""], resources: [pods], verbs: [list, watch]}"#;
    holds(
        &reported,
        reported.contains("may not list and watch pods") && reported.contains(rule),
    )?;
    holds(
        "it stays what it was",
        followed.networks_of("db", "a").is_some(),
    )
}
