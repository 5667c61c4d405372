//! Allocations, slices and pools.

use serde_json::{Value, json};

use crate::{Coverage, audit};

use super::world::{World, check, consistent, network_on, pod, pool};

fn allocation(address: &str, holder: Value, since: &str) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": address},
        "spec": {
            "address": address, "pool": "storage", "network": {"namespace": "db", "name": "net"},
            "interface": "net1", "holder": holder, "pod": {"name": "a"}, "since": since,
        },
    })
}

/// Returns an AddressPool with a quarantine of 100 hours for the pool of a network.
fn settings(network: &str) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "keep"},
        "spec": {"whereabouts": {"networks": [network]}, "quarantine": "100h"},
    })
}

#[test]
fn allocations() {
    let net = || network_on("eth1", "net", json!({"type": "static"}));
    let of_pod = || json!({"pod": {"namespace": "db", "name": "a"}});
    let replica = json!({"replica": {"namespace": "db", "statefulSet": "a", "ordinal": 0}});
    let old = "1000";
    check(&[
        (
            "no pod",
            World::of([allocation("10.0.0.5", of_pod(), old)]),
            &["warn leaked-allocation: 10.0.0.5 is held by pod db/a, which does not exist"],
        ),
        (
            "in quarantine",
            World::of([allocation("10.0.0.5", of_pod(), "999500")]),
            &[],
        ),
        (
            "in the quarantine of an AddressPool that names the network",
            World::of([
                allocation("10.0.0.5", of_pod(), "900000"),
                settings("db/net"),
            ]),
            &[],
        ),
        (
            "an AddressPool names another network",
            World::of([
                allocation("10.0.0.5", of_pod(), "900000"),
                settings("db/other"),
            ]),
            &["warn leaked-allocation: 10.0.0.5 is held by pod db/a, which does not exist"],
        ),
        (
            "kept by its workload",
            World::of([allocation("10.0.0.5", replica, old)]),
            &[],
        ),
        (
            "another address",
            World::of([
                net(),
                pod("a", &["10.0.0.6"]),
                allocation("10.0.0.5", of_pod(), old),
            ]),
            &[
                "deny drift: 10.0.0.5 is recorded for pod db/a, whose interface has 10.0.0.6 instead",
            ],
        ),
        (
            "the address",
            World::of([
                net(),
                pod("a", &["10.0.0.5"]),
                allocation("10.0.0.5", of_pod(), old),
            ]),
            &[],
        ),
    ]);
    assert_eq!(
        World::of([allocation("10.0.0.5", of_pod(), old)]).commands(),
        ["kubectl exec -n nadmit deploy/nadmit -- /nadmit release 10.0.0.5 --pool storage --yes"]
    );
}

#[test]
fn slices() {
    let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let pool = |nodes: &[&str]| {
        let slices = nodes
            .iter()
            .map(|node| json!({"nodeName": node, "sliceRange": "10.0.0.0/28"}));
        json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "NodeSlicePool",
            "metadata": {"name": "net", "namespace": "kube-system"},
            "spec": {"range": "10.0.0.0/24", "sliceSize": "/28"},
            "status": {"allocations": slices.collect::<Vec<_>>()},
        })
    };
    let gone = World::of([node("n1"), pool(&["n1", "n2", ""])]);
    check(&[
        (
            "slices are left",
            World::of([node("n1"), pool(&["n1", ""])]),
            &[],
        ),
        (
            "none is left",
            World::of([node("n1"), pool(&["n1"])]),
            &[
                "warn exhausted-slice: NodeSlicePool kube-system/net has no free slice, so a new node gets no addresses",
            ],
        ),
        (
            "a node has none",
            World::of([node("n1"), node("n2"), pool(&["n1"])]),
            &["deny exhausted-slice: NodeSlicePool kube-system/net has no free slice for node n2"],
        ),
        (
            "no such node",
            gone.clone(),
            &[
                "warn slice-of-missing-node: slice 10.0.0.0/28 of NodeSlicePool kube-system/net belongs to node n2, which does not exist",
            ],
        ),
    ]);
    // Files may lack some of the nodes.
    assert_eq!(audit(&gone.snapshot(Coverage::Files)), []);
    assert_eq!(
        gone.commands(),
        [
            "kubectl patch nodeslicepools.whereabouts.cni.cncf.io -n kube-system net --type=json -p \
             '[{\"op\":\"test\",\"path\":\"/status/allocations/1/nodeName\",\"value\":\"n2\"},\
             {\"op\":\"replace\",\"path\":\"/status/allocations/1/nodeName\",\"value\":\"\"}]'"
        ]
    );
}

#[test]
fn unused_pools() {
    let old = || pool("old-10.9.0.0-24", "10.9.0.0/24", &[]);
    let on_node = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "file", "namespace": "db"},
    });
    let message = "warn unused-pool: no network uses IPPool kube-system/old-10.9.0.0-24, so its address space is read from its name";
    check(&[
        ("no network", consistent().with(old()), &[message]),
        (
            "a configuration on the nodes",
            consistent().with(old()).with(on_node),
            &[],
        ),
    ]);
    assert_eq!(
        audit(&consistent().with(old()).snapshot(Coverage::Files)),
        []
    );
}
