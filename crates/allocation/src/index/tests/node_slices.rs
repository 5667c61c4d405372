//! Addresses in slices that Whereabouts gives to nodes.

use super::*;
use crate::{
    ForeignPod, NodeSlices,
    index::{AddressGiver, ForeignUse},
};
use nadmit_cni::range::Subnet;

/// A /27 in slices of eight addresses; node `c` has none, and that of `192.0.2.24` is free.
/// 192.0.2.2 is excluded, and 192.0.2.9 is the gateway.
fn sliced_index(slices: &NodeSlices, reservations: &[Arc<Reservation>]) -> Index {
    let spec = r#"{"ranges":[{"range":"192.0.2.0/27","gateway":"192.0.2.9",
        "exclude":["192.0.2.2/32"]}],"retention":"Pod","namespaceSelector":{}}"#;
    let mut sliced = Arc::unwrap_or_clone(pool("storage", spec));
    sliced.node_slices = Some(slices.clone());
    index(&[Arc::new(sliced)], reservations)
}

fn slices() -> NodeSlices {
    let slices = [
        ("a", "192.0.2.0/29"),
        ("b", "192.0.2.8/29"),
        ("d", "192.0.2.16/29"),
        ("", "192.0.2.24/29"),
    ];
    let slices = slices.map(|(node, range)| {
        let range = Subnet::parse(range).unwrap_or_else(|e| panic!("{e}"));
        (node, range)
    });
    NodeSlices::new("net", slices)
}

fn on(node: &str, name: &str) -> Requester {
    requester(name).on_node(Some(node.into()))
}

fn one(index: &mut Index, requester: &Requester, named: &[&str]) -> Result<String, String> {
    let request = AttachmentRequest {
        mac: MacRequest::None,
        ..request(named)
    };
    match allocate(index, requester, &[request]) {
        Ok(assigned) => Ok(ips(Ok(assigned)).concat()),
        Err(error) => Err(format!("{}: {error}", error.code())),
    }
}

fn refused(result: Result<String, String>, words: &str) {
    match result {
        Err(error) if error.contains(words) => {}
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn a_pod_has_an_address_of_the_slice_of_its_node() {
    let mut index = sliced_index(&slices(), &[]);
    // Neither the first and last of the slice, nor what the network excludes; the prefix is the range's.
    for (pod, node, expected) in [
        ("p", "b", "192.0.2.10/27"),
        ("q", "a", "192.0.2.1/27"),
        ("r", "a", "192.0.2.3/27"),
        ("p", "b", "192.0.2.10/27"),
        ("s", "d", "192.0.2.17/27"),
    ] {
        assert_eq!(
            one(&mut index, &on(node, pod), &[]).as_deref(),
            Ok(expected),
            "{pod}"
        );
    }
    for number in 4..=6 {
        let pod = on("a", &format!("a-{number}"));
        let expected = format!("192.0.2.{number}/27");
        assert_eq!(one(&mut index, &pod, &[]), Ok(expected));
    }
    let full = one(&mut index, &on("a", "last"), &[]);
    refused(
        full,
        "pool-exhausted: pool \"storage\" is full for node \"a\": all addresses of its slice \
        192.0.2.0/29 are in use (NodeSlicePool \"net\")",
    );
    release(&mut index, "192.0.2.5");
    assert_eq!(
        one(&mut index, &on("a", "last"), &[]).as_deref(),
        Ok("192.0.2.5/27")
    );
}

#[test]
fn a_node_without_a_slice_has_no_address() {
    let mut index = sliced_index(&slices(), &[]);
    refused(
        one(&mut index, &on("c", "p"), &[]),
        "pool-not-ready: node \"c\" has no slice of network db/storage-net in NodeSlicePool \"net\"",
    );
    refused(
        one(&mut index, &requester("p"), &[]),
        "pool-not-ready: pool \"storage\" assigns by node",
    );
    let mut index = sliced_index(&NodeSlices::missing("net"), &[]);
    refused(
        one(&mut index, &on("a", "p"), &[]),
        "pool-not-ready: node \"a\" has no slice of network db/storage-net: NodeSlicePool \"net\" does not \
         exist",
    );
}

#[test]
fn a_holder_on_another_node_gets_another_address() {
    let mut index = sliced_index(&slices(), &[]);
    let db_0 = |node: &str, uid: &str| replica(0, uid).on_node(Some(node.into()));
    assert_eq!(
        one(&mut index, &db_0("a", "u1"), &[]).as_deref(),
        Ok("192.0.2.1/27")
    );
    // The record of its predecessor is there until the comparison releases it.
    assert_eq!(
        one(&mut index, &db_0("b", "u2"), &[]).as_deref(),
        Ok("192.0.2.10/27")
    );
    assert_eq!(
        one(&mut index, &db_0("a", "u3"), &[]).as_deref(),
        Ok("192.0.2.1/27")
    );
}

#[test]
fn a_named_address_is_given_on_its_node_alone() {
    let mut index = sliced_index(&slices(), &[]);
    let given = one(&mut index, &requester("p"), &["192.0.2.12"]);
    assert_eq!(given.as_deref(), Ok("192.0.2.12/27"));
    // The annotation of a served network does not name it any more when the pod is bound.
    refused(
        one(&mut index, &on("a", "p"), &[]),
        "address-reserved: 192.0.2.12 is in the slice of node \"b\", not of \"a\" (NodeSlicePool \"net\")",
    );
    assert_eq!(
        one(&mut index, &on("b", "p"), &[]).as_deref(),
        Ok("192.0.2.12/27")
    );
    for (pod, ip, words) in [
        (on("a", "q"), "192.0.2.13", "is in the slice of node \"b\""),
        (
            requester("q"),
            "192.0.2.25",
            "192.0.2.25 is in the slice of no node",
        ),
        (requester("q"), "192.0.2.12", "address-in-use"),
        (requester("q"), "192.0.2.2", "address-excluded"),
        (requester("q"), "198.51.100.1", "address-outside-pool"),
    ] {
        refused(one(&mut index, &pod, &[ip]), words);
    }
}

#[test]
fn a_reserved_address_is_given_on_its_node_alone() {
    let spec = r#"{"network":"storage-net","holder":{"statefulSet":"db","ordinal":0},"ips":["192.0.2.19"]}"#;
    let mut index = sliced_index(&slices(), &[reservation("r", spec)]);
    let db_0 = |node: &str| replica(0, "u1").on_node(Some(node.into()));
    refused(
        one(&mut index, &db_0("a"), &[]),
        "is in the slice of node \"d\"",
    );
    assert_eq!(
        one(&mut index, &db_0("d"), &[]).as_deref(),
        Ok("192.0.2.19/27")
    );
}

#[test]
fn what_the_plugin_gave_counts_on_its_node() {
    let used = |ip: &str| ForeignUse {
        space: Space::default(),
        address: ip.parse().unwrap_or_else(|e| panic!("{e}")),
        pod: Some(ForeignPod::new("db", "p")),
        interface: "net1".into(),
        giver: AddressGiver::Plugin,
    };
    for (node, expected) in [
        ("a", "192.0.2.1/27"),
        ("b", "192.0.2.13/27"),
        ("d", "192.0.2.22/27"),
    ] {
        let mut index = sliced_index(&slices(), &[]);
        index.set_foreign([used("192.0.2.13"), used("192.0.2.22")]);
        assert_eq!(
            one(&mut index, &on(node, "p"), &[]).as_deref(),
            Ok(expected),
            "{node}"
        );
    }
}
