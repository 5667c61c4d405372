//! Existing objects, and their creation, change and deletion.

use std::time::Duration;

use libtest_mimic::Trial;
use nadmit::{
    catalog::{Existence, Mode, Ordinals},
    sources::KindState,
};
use serde_json::json;
use tokio::time::sleep;

use super::support::{
    FollowedCluster, TestResult, holds, network, node, paused, pod, pool, put, same, settled,
};
use crate::api_server::{ApiServer, FakeServerSettings};

pub(super) fn tests() -> Vec<Trial> {
    tests!["cluster_sources"; with paused;
        every_kind_is_listed_and_watched,
        existing_objects_are_in_the_catalog,
        long_lists_are_read_to_their_end,
        creations_changes_and_deletions_are_followed,
        a_change_is_published_at_once_and_many_are_gathered,
        irrelevant_changes_publish_no_catalog,
        a_kind_that_appears_later_is_picked_up,
        a_reservation_holds_while_its_pool_serves_its_namespace,
        errors_in_objects_are_diagnostics,
        it_ends_with_its_token,
    ]
}

/// Returns a cluster with an object of each kind.
fn furnished() -> Result<ApiServer, libtest_mimic::Failed> {
    let server = ApiServer::new();
    server.namespace("db", &[("nadmit.io/mode", "warn"), ("team", "db")]);
    let mut plain = pod("db", "plain", "x");
    plain["metadata"]["annotations"] = json!({"other": "x"});
    let mut ended = pod("db", "ended", "a-net");
    ended["status"]["phase"] = "Succeeded".into();
    put(
        &server,
        [
            network("db", "a-net", "storage"),
            pool("storage", "192.0.2.0/24"),
            pod("db", "a", "a-net"),
            plain,
            ended,
            node("n1", "True"),
            json!({"apiVersion": "nadmit.io/v1alpha1", "kind": "AddressReservation",
                "metadata": {"name": "r", "namespace": "db"},
                "spec": {"network": "a-net", "holder": {"pod": "a"}, "ips": ["192.0.2.9"]}}),
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "db", "namespace": "db"},
                "spec": {"replicas": 3, "ordinals": {"start": 1}}}),
            json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "metadata": {"name": "vm", "namespace": "db"}}),
            json!({"apiVersion": "operator.openshift.io/v1", "kind": "Network",
                "metadata": {"name": "cluster"},
                "spec": {"additionalNetworks": [{"name": "listed", "namespace": "db", "type": "Raw",
                    "rawCNIConfig": "{\"cniVersion\":\"1.0.0\",\"type\":\"macvlan\",\"ipam\":{\"type\":\"dhcp\"}}"}]}}),
            json!({"apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "NodeSlicePool",
                "metadata": {"name": "sliced", "namespace": "kube-system"}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "whereabouts-controller", "namespace": "kube-system"},
                "spec": {"replicas": 1}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "other", "namespace": "kube-system"}}),
        ],
    )?;
    Ok(server)
}

async fn a_reservation_holds_while_its_pool_serves_its_namespace() -> TestResult {
    let server = furnished()?;
    let mut pool = pool("storage", "192.0.2.0/24");
    pool["spec"]["namespaceSelector"] = json!({"matchLabels": {"team": "db"}});
    put(&server, [pool])?;
    let followed = FollowedCluster::synced(server).await?;
    for (team, expected) in [("web", None), ("db", Some("storage"))] {
        followed.server.namespace("db", &[("team", team)]);
        settled().await;
        let catalog = followed.catalog();
        let reserved = catalog.pool_config().reservations.first();
        same(&reserved.and_then(|(_, pool)| pool.as_deref()), &expected)?;
    }
    Ok(())
}

async fn every_kind_is_listed_and_watched() -> TestResult {
    let followed = FollowedCluster::synced(ApiServer::new()).await?;
    settled().await;
    let requested = followed.server.request_counts();
    for kind in followed.source.status().kinds {
        holds(&kind.resource, kind.state == KindState::Synced)?;
        for verb in ["list", "watch"] {
            let key = (verb.to_owned(), kind.resource.clone());
            holds(&kind.resource, requested.contains_key(&key))?;
        }
    }
    Ok(())
}

async fn existing_objects_are_in_the_catalog() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    let catalog = followed.catalog();
    let network = catalog.network("db", "a-net").ok_or("no network")?;
    same(&network.address_pool.as_deref(), &Some("storage"))?;
    let namespace = catalog.namespace("db").ok_or("no namespace")?;
    same(&namespace.labels.mode, &Some(Mode::Warn))?;
    same(
        &catalog.namespace_labels("db").get("team").map(|v| &**v),
        &Some("db"),
    )?;
    same(&catalog.pod_count(), &1)?;
    let pod = catalog.pod("db", "a").ok_or("no pod")?;
    same(&pod.node.as_deref(), &Some("n1"))?;
    holds("a UID", pod.uid.is_some())?;
    holds("the pool", catalog.pool("storage").valid().is_some())?;
    let reserved = catalog.pool_config().reservations.iter();
    let reserved: Vec<_> = reserved
        .map(|(r, pool)| (&*r.name, pool.as_deref()))
        .collect();
    same(&reserved, &vec![("r", Some("storage"))])?;
    let ordinals = Ordinals {
        start: 1,
        replicas: 3,
    };
    same(
        &catalog.workloads().stateful_set("db", "db"),
        &Existence::Present(ordinals),
    )?;
    same(
        &catalog.workloads().stateful_set("db", "x"),
        &Existence::Absent,
    )?;
    same(
        &catalog.workloads().machine("db", "vm"),
        &Existence::Present(()),
    )?;
    same(&catalog.workloads().machine("db", "x"), &Existence::Absent)?;
    holds(
        "a ready node",
        matches!(catalog.nodes().node("n1"), Existence::Present(n) if n.ready),
    )?;
    same(&catalog.nodes().node("n2"), &Existence::Absent)?;
    holds(
        "what the operator lists",
        catalog.network("db", "listed").is_some(),
    )?;
    same(&catalog.operator().map(|daemons| daemons.dhcp), &Some(true))?;
    same(&catalog.slicing().controller("kube-system"), &Some(true))?;
    holds(
        "the pool of slices",
        catalog.slicing().has_pool("kube-system", "sliced"),
    )?;
    let status = followed.source.status();
    holds(
        "nothing is stale",
        status.synced && status.stale().next().is_none(),
    )?;
    same(&(status.published, status.problems.len()), &(1, 0))
}

async fn long_lists_are_read_to_their_end() -> TestResult {
    let server = ApiServer::with(FakeServerSettings {
        page: 7,
        ..FakeServerSettings::default()
    });
    put(
        &server,
        (0..100).map(|n| pod("db", &format!("p{n}"), "a-net")),
    )?;
    let followed = FollowedCluster::synced(server).await?;
    same(&followed.catalog().pod_count(), &100)?;
    same(&followed.kind("pods")?.objects, &100)
}

async fn creations_changes_and_deletions_are_followed() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    followed
        .server
        .namespace("web", &[("nadmit.io/injection", "enabled")]);
    followed.put([
        network("web", "front", ""),
        network("db", "a-net", "other"),
        pod("db", "b", "a-net"),
        pod("db", "a", "front"),
        node("n1", "Unknown"),
    ])?;
    settled().await;
    let catalog = followed.catalog();
    holds("a new network", catalog.network("web", "front").is_some())?;
    let pool = catalog
        .network("db", "a-net")
        .and_then(|n| n.address_pool.as_deref());
    same(&pool, &Some("other"))?;
    same(
        &catalog
            .pool_config()
            .reservations
            .first()
            .map(|(_, pool)| pool.is_none()),
        &Some(true),
    )?;
    holds(
        "new labels",
        catalog.namespace("web").is_some_and(|n| n.labels.injection),
    )?;
    same(&followed.networks_of("db", "a"), &Some("front".to_owned()))?;
    same(&catalog.pod_count(), &2)?;
    holds(
        "not ready",
        matches!(catalog.nodes().node("n1"), Existence::Present(n) if !n.ready),
    )?;
    for path in [
        "/apis/k8s.cni.cncf.io/v1/namespaces/db/network-attachment-definitions/a-net",
        "/api/v1/namespaces/db/pods/a",
        "/apis/nadmit.io/v1alpha1/addresspools/storage",
        "/apis/apps/v1/namespaces/db/statefulsets/db",
        "/apis/kubevirt.io/v1/namespaces/db/virtualmachineinstances/vm",
        "/apis/operator.openshift.io/v1/networks/cluster",
        "/api/v1/nodes/n1",
    ] {
        followed.delete(path).await?;
    }
    // A pod that has ended holds no address.
    let mut ended = pod("db", "b", "a-net");
    ended["status"]["phase"] = "Failed".into();
    followed.put([ended])?;
    settled().await;
    let catalog = followed.catalog();
    same(&catalog.network_names("db"), &Vec::new())?;
    same(&(catalog.pod_count(), catalog.pool_names().len()), &(0, 0))?;
    same(
        &catalog.workloads().stateful_set("db", "db"),
        &Existence::Absent,
    )?;
    same(&catalog.workloads().machine("db", "vm"), &Existence::Absent)?;
    same(&catalog.nodes().node("n1"), &Existence::Absent)?;
    same(&catalog.operator().is_none(), &true)
}

async fn a_change_is_published_at_once_and_many_are_gathered() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    settled().await;
    followed.put([pod("db", "first", "a-net")])?;
    sleep(Duration::from_millis(1)).await;
    holds("at once", followed.networks_of("db", "first").is_some())?;
    let before = followed.source.status();
    for number in 0..500 {
        followed.put([pod("db", &format!("p{number}"), "a-net")])?;
        sleep(Duration::from_millis(1)).await;
    }
    settled().await;
    let after = followed.source.status();
    same(&(after.events - before.events), &500)?;
    let published = after.published - before.published;
    holds("one in 20 ms, no more", (20..=30).contains(&published))?;
    same(&followed.catalog().pod_count(), &502)
}

async fn irrelevant_changes_publish_no_catalog() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    settled().await;
    let before = followed.source.status();
    let mut busy = pod("db", "a", "a-net");
    let uid = followed
        .catalog()
        .pod("db", "a")
        .and_then(|pod| pod.uid.clone());
    busy["metadata"]["uid"] = json!(uid);
    busy["status"]["message"] = "busy".into();
    followed.put([busy])?;
    let mut plain = pod("db", "plain", "x");
    plain["metadata"]["annotations"] = json!({"other": "y"});
    followed.put([plain])?;
    settled().await;
    let after = followed.source.status();
    same(
        &(after.events, after.published),
        &(before.events + 2, before.published),
    )
}

async fn a_kind_that_appears_later_is_picked_up() -> TestResult {
    let server = furnished()?;
    let kinds = crate::api_server::installed();
    let resource = "network-attachment-definitions.k8s.cni.cncf.io";
    let kind = kinds.into_iter().find(|kind| kind.qualified() == resource);
    let kind = kind.ok_or("no such kind")?;
    for missing in [
        resource,
        "virtualmachines.kubevirt.io",
        "virtualmachineinstances.kubevirt.io",
    ] {
        server.unregister(missing);
    }
    let followed = FollowedCluster::synced(server).await?;
    same(&followed.catalog().network_names("db"), &vec!["listed"])?;
    same(
        &followed.catalog().workloads().machine("db", "vm"),
        &Existence::Absent,
    )?;
    same(
        &followed.kind(resource)?.state,
        &nadmit::sources::KindState::Missing,
    )?;
    sleep(Duration::from_secs(3600)).await;
    let lists = followed.server.request_counts();
    let lists = lists.get(&("list".to_owned(), resource.to_owned()));
    holds("not too often", lists.is_some_and(|lists| *lists < 140))?;
    followed.server.register(kind);
    followed.put([network("db", "a-net", "storage")])?;
    sleep(Duration::from_secs(31)).await;
    same(
        &followed.catalog().network_names("db"),
        &vec!["a-net", "listed"],
    )?;
    // And in reverse.
    followed.server.unregister(resource);
    sleep(Duration::from_secs(31)).await;
    same(&followed.catalog().network_names("db"), &vec!["listed"])
}

async fn errors_in_objects_are_diagnostics() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    followed.put([pool("broken", "192.0.2.0")])?;
    followed
        .server
        .namespace("loud", &[("nadmit.io/mode", "loud")]);
    settled().await;
    let remarks = followed.source.status().problems;
    same(&remarks.len(), &2)?;
    holds(
        "the label",
        remarks
            .concat()
            .contains("Namespace loud: the label nadmit.io/mode is"),
    )?;
    holds(
        "the pool",
        remarks
            .concat()
            .contains("AddressPool broken is not valid and has no effect"),
    )?;
    let catalog = followed.catalog();
    holds(
        "no pool",
        catalog.pool("broken").valid().is_none() && catalog.pool_names().len() == 2,
    )?;
    followed.put([pool("broken", "198.51.100.0/24")])?;
    followed.delete("/api/v1/namespaces/loud").await?;
    settled().await;
    same(&followed.source.status().problems, &Vec::new())?;
    holds(
        "mended",
        followed.catalog().pool("broken").valid().is_some(),
    )
}

async fn it_ends_with_its_token() -> TestResult {
    let followed = FollowedCluster::synced(furnished()?).await?;
    followed.cancel.cancel();
    settled().await;
    followed.put([pod("db", "late", "a-net")])?;
    settled().await;
    holds(
        "nothing is followed",
        followed.networks_of("db", "late").is_none(),
    )
}
