//! Backfill: injection after binding, for pods that were bound without a review.

use libtest_mimic::Trial;
use nadmit::allocation::Slice;
use serde_json::json;

use super::fixture::*;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused;
        a_pod_bound_without_review_gets_its_addresses,
        a_normal_binding_is_given_time,
        another_replica_s_injection_is_not_repeated,
        a_pod_of_a_sliced_pool_gets_addresses_of_its_node_s_slice,
        a_pod_that_changed_meanwhile_is_reevaluated,
        a_pod_that_cannot_get_an_address_is_reported_once,
        only_the_leader_injects,
        a_namespace_without_the_label_is_left_alone,
        an_empty_slice_is_deleted_with_its_node,
    ]
}

fn networks(fixture: &ReconcilerFixture, pod: &str) -> String {
    let stored = fixture.server.stored("pods", "db", pod).unwrap_or_default();
    text(&stored["metadata"]["annotations"][NETWORKS])
}

fn plain() -> serde_json::Value {
    json!({NETWORKS: "storage-net"})
}

async fn a_pod_bound_without_review_gets_its_addresses() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let _leader = fixture.replica("a", true).await?;
    seconds(5).await;
    fixture.pod("a", plain(), Some("node-1"));
    seconds(5).await;
    same(
        networks(&fixture, "a"),
        r#"[{"name":"storage-net","ips":["192.0.2.1/24"]}]"#.to_owned(),
    )?;
    same(fixture.held(), holding(&[("192.0.2.1", "a")]))?;
    let stored = fixture.server.stored("pods", "db", "a").ok_or("no pod")?;
    let requested = &stored["metadata"]["annotations"]["nadmit.io/requested-networks"];
    same(requested, &json!("storage-net"))?;
    // Nothing more is written, however long its networks take.
    let written = fixture.server.written();
    seconds(300).await;
    same(fixture.server.written(), written)
}

async fn a_normal_binding_is_given_time() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let _leader = fixture.replica("a", true).await?;
    seconds(5).await;
    fixture.pod("a", plain(), Some("node-1"));
    tokio::time::sleep(std::time::Duration::from_millis(1_900)).await;
    same(fixture.held(), vec![])
}

async fn another_replica_s_injection_is_not_repeated() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let leader = fixture.replica("a", true).await?;
    let other = fixture.replica("b", false).await?;
    seconds(5).await;
    let annotations = json!({
        NETWORKS: asking("192.0.2.1"), "nadmit.io/requested-networks": "storage-net",
    });
    let uid = fixture.pod("a", annotations, Some("node-1"));
    let record = fixture.record("192.0.2.1", "a", &uid, "node-1");
    other.write(record).await?;
    let before = fixture.server.written();
    // Its networks are created late, so that it is checked many times.
    seconds(120).await;
    same(fixture.server.written(), before)?;
    let report = leader.reconciler.pass(true).await;
    same(report.done, std::collections::BTreeMap::new())
}

async fn a_pod_of_a_sliced_pool_gets_addresses_of_its_node_s_slice() -> TestResult {
    let fixture = ReconcilerFixture::sliced();
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    for (pod, node) in [("a", "node-1"), ("b", "node-2"), ("c", "node-1")] {
        fixture.pod(pod, plain(), Some(node));
        seconds(5).await;
    }
    same(
        fixture.held(),
        holding(&[("192.0.2.1", "a"), ("192.0.2.16", "b"), ("192.0.2.2", "c")]),
    )?;
    let index = leader.index.lock();
    let slices = index.slices_of("storage").into_iter();
    let slices: Vec<String> = slices.map(|s| format!("{} {}", s.node, s.window)).collect();
    same(
        slices,
        ["node-1 192.0.2.0/28", "node-2 192.0.2.16/28"]
            .map(str::to_owned)
            .to_vec(),
    )
}

async fn a_pod_that_changed_meanwhile_is_reevaluated() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let _leader = fixture.replica("a", true).await?;
    seconds(5).await;
    // Another client writes between the read and the patch.
    fixture.pod("a", plain(), Some("node-1"));
    use crate::api_server::{FaultAction, FaultRule};
    let slow = FaultAction {
        before: std::time::Duration::from_secs(1),
        ..FaultAction::default()
    };
    fixture
        .server
        .fault(FaultRule::of("patch", "pods", slow).times(1));
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let mut pod = fixture.server.stored("pods", "db", "a").ok_or("no pod")?;
    pod["metadata"]["annotations"] = json!({NETWORKS: "storage-net@data"});
    fixture.server.put(pod);
    seconds(10).await;
    same(
        networks(&fixture, "a"),
        r#"[{"name":"storage-net","interface":"data","ips":["192.0.2.2/24"]}]"#.to_owned(),
    )
}

async fn a_pod_that_cannot_get_an_address_is_reported_once() -> TestResult {
    let fixture = ReconcilerFixture::with(&json!({
        "ranges": [{"range": "192.0.2.0/30"}], "namespaceSelector": {},
    }));
    let leader = fixture.replica("a", true).await?;
    seconds(5).await;
    for pod in ["a", "b", "c"] {
        fixture.pod(pod, plain(), Some("node-1"));
        seconds(5).await;
    }
    seconds(120).await;
    same(fixture.held().len(), 2)?;
    same(leader.events.of("NoAddresses"), vec!["c".to_owned()])?;
    let message = leader.events.messages_of("NoAddresses").concat();
    let begin = "[nadmit pool-exhausted] pod has no address on db/storage-net: ";
    let end = "; delete the pod after you fix it";
    same(message.starts_with(begin) && message.ends_with(end), true)
}

async fn only_the_leader_injects() -> TestResult {
    let fixture = ReconcilerFixture::new();
    let replica = fixture.replica("a", false).await?;
    fixture.pod("a", plain(), Some("node-1"));
    seconds(60).await;
    same(fixture.held(), vec![])?;
    replica.lead(true);
    seconds(5).await;
    same(fixture.held(), holding(&[("192.0.2.1", "a")]))
}

async fn a_namespace_without_the_label_is_left_alone() -> TestResult {
    let fixture = ReconcilerFixture::new();
    fixture.server.namespace("db", &[]);
    let _leader = fixture.replica("a", true).await?;
    fixture.pod("a", plain(), Some("node-1"));
    seconds(60).await;
    same(fixture.held(), vec![])
}

async fn an_empty_slice_is_deleted_with_its_node() -> TestResult {
    let fixture = ReconcilerFixture::sliced();
    let leader = fixture.replica("a", true).await?;
    for (last, node) in [(0u8, "node-1"), (16, "node-2"), (32, "node-2")] {
        let window = format!("192.0.2.{last}/28");
        let window = nadmit::network::range::Subnet::parse(&window)?;
        let slice = Slice::new(&"storage".into(), window, &node.into());
        leader.slices.claim(&slice).await?;
    }
    fixture.running("a", "192.0.2.17", "node-2");
    seconds(5).await;
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> =
        kube::Api::all(fixture.server.client());
    nodes.delete("node-2", &Default::default()).await?;
    seconds(5).await;
    let left = |fixture: &ReconcilerFixture| {
        let all = fixture.server.all(SLICES);
        let names = all.iter().map(|object| text(&object["metadata"]["name"]));
        names.collect::<Vec<_>>()
    };
    let expected = ["storage.192.0.2.0", "storage.192.0.2.16"].map(str::to_owned);
    same(left(&fixture), expected.to_vec())?;
    fixture.delete("a").await?;
    seconds(60).await;
    same(left(&fixture), vec!["storage.192.0.2.0".to_owned()])
}
