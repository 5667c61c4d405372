//! Warnings about duplicates and drift.

use nadmit_allocation::reconcile::ActionReason;
use nadmit_catalog::Pod;
use serde_json::{Value, json};

use super::fixture::*;
use crate::PodWarning;

const ADDRESS: &str = "192.0.2.7";

fn texts(warnings: Vec<PodWarning>) -> Vec<(String, String)> {
    let warnings = warnings.into_iter();
    warnings
        .map(|one| (one.pod.name.into(), one.reason.to_string()))
        .collect()
}

#[test]
fn each_of_two_users_is_warned_about_and_the_first_is_recorded() {
    let mut cluster = Cluster::new();
    cluster.put(running("b", ADDRESS, "node-2"));
    cluster.put(running("a", ADDRESS, "node-1"));
    let plan = cluster.pass();
    let reasons: Vec<&str> = plan
        .actions
        .iter()
        .map(|planned| planned.action.reason.name())
        .collect();
    assert_eq!(reasons, ["duplicate", "adopted"]);
    assert_eq!(plan.duplicates(), 1);
    let mut warnings = texts(cluster.planner.duplicate_warnings(&plan));
    warnings.sort();
    let message = "192.0.2.7 is used by pods db/a and db/b; delete one, its successor gets another \
                   address";
    let expected = ["a", "b"].map(|pod| (pod.to_owned(), message.to_owned()));
    assert_eq!(warnings, expected);
    assert_eq!(
        cluster.held(ADDRESS).map(|record| &record.holder),
        Some(&holder("a"))
    );
    // With one of them gone, the other one becomes the holder, and nothing is left to warn about.
    cluster.remove("a");
    let plan = cluster.pass();
    assert_eq!(plan.duplicates(), 0);
    assert_eq!(
        plan.actions.first().map(|one| &one.action.reason),
        Some(&ActionReason::Transferred)
    );
    assert!(cluster.planner.duplicate_warnings(&plan).is_empty());
}

#[test]
fn a_pod_that_its_controller_let_go_is_not_a_second_user() {
    let mut cluster = Cluster::new();
    cluster.put(Pod {
        holder: replica(0),
        ..running("web-0", ADDRESS, "node-1")
    });
    cluster.wait(5);
    cluster.put(running("web-0", ADDRESS, "node-1"));
    let plan = cluster.pass();
    assert_eq!(plan.duplicates(), 0);
    assert_eq!(cluster.freed(ADDRESS), None);
}

/// Returns the drift that a pod with this request and this status shows, given a record of the address.
fn drift(request: &Value, status: &Value) -> Vec<String> {
    let mut cluster = Cluster::with(&json!({"macs": {"prefix": "02:5e:00"}}));
    let record = cluster.allocation(ADDRESS, "a");
    cluster.record(record);
    cluster.put(Pod {
        networks: Some(json!([request]).to_string().into()),
        network_status: Some(json!([status]).to_string().into()),
        ..pod("a", Some("node-1"))
    });
    // What it reports is recorded first.
    cluster.wait(2);
    let plan = cluster.plan();
    let warnings = texts(cluster.planner.drift_warnings(&plan));
    warnings.into_iter().map(|(_, message)| message).collect()
}

#[test]
fn an_interface_that_reports_something_else_is_warned_about() {
    let request = |mac: bool| match mac {
        true => {
            json!({"name": "storage-net", "ips": ["192.0.2.7/24"], "mac": "02:5e:00:00:01:00"})
        }
        false => json!({"name": "storage-net", "ips": ["192.0.2.7/24"]}),
    };
    let status = |ips: &[&str], mac: Option<&str>| json!({"name": "db/storage-net", "interface": "net1", "ips": ips, "mac": mac});
    let message = |has: &str| {
        format!(
            "interface net1 of network db/storage-net reports {has}; the plugin ignores the request, \
             or the annotation was changed without nadmit; delete the pod"
        )
    };
    let table = [
        (
            "the recorded address",
            false,
            status(&[ADDRESS], None),
            None,
        ),
        (
            "another one",
            false,
            status(&["192.0.2.99"], None),
            Some("192.0.2.99, but nadmit recorded 192.0.2.7, 192.0.2.99"),
        ),
        (
            "none",
            false,
            status(&[], None),
            Some("no address, but nadmit recorded 192.0.2.7"),
        ),
        (
            "one more, outside of the pool",
            false,
            status(&[ADDRESS, "198.51.100.1"], None),
            None,
        ),
        (
            "the recorded MAC",
            true,
            status(&[ADDRESS], Some("02:5e:00:00:01:00")),
            None,
        ),
        (
            "another MAC",
            true,
            status(&[ADDRESS], Some("02:5e:00:00:00:05")),
            Some("MAC 02:5e:00:00:00:05, but nadmit recorded 02:5e:00:00:01:00"),
        ),
    ];
    for (name, has_mac, status, expected) in table {
        let found = drift(&request(has_mac), &status);
        let expected: Vec<String> = expected.into_iter().map(message).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_is_not_recorded_yet_has_not_drifted() {
    let mut cluster = Cluster::new();
    cluster.put(reporting(
        asking(pod("a", Some("node-1")), ADDRESS),
        "192.0.2.99",
    ));
    let plan = cluster.plan();
    assert!(cluster.planner.drift_warnings(&plan).is_empty());
    // Nor has an unbound pod, whose status is not of its own.
    cluster.wait(2);
    cluster.put(reporting(asking(pod("a", None), ADDRESS), "192.0.2.99"));
    let plan = cluster.plan();
    assert!(cluster.planner.drift_warnings(&plan).is_empty());
}
