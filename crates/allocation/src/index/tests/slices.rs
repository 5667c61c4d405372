//! Tests of sliced pools: allocation from own slices, claims and borrowing.

use super::*;
use crate::Slice;
use nadmit_cni::range::Subnet;

/// Eight slices of four addresses. .0, .1, .4 to .7 and .31 are not allocatable, which leaves 25.
const SPEC: &str = r#"{"ranges":[{"range":"192.0.2.0/27","gateway":"192.0.2.1",
    "exclude":["192.0.2.4/30"]}],"nodeSliceSize":"/30","namespaceSelector":{}"#;

pub(super) fn sliced_index(more: &str) -> Index {
    let mut index = index(&[pool("storage", &format!("{SPEC}{more}}}"))], &[]);
    index.enable_slices();
    index
}

pub(super) fn requester_on(node: &str, name: &str) -> Requester {
    requester(name).on_node(Some(node.into()))
}

pub(super) fn slice(node: &str, window: &str) -> Slice {
    let window = Subnet::parse(window).unwrap_or_else(|e| panic!("{e}"));
    Slice::new(&"storage".into(), window, &node.into())
}

pub(super) fn claimed(rejected: &Result<Vec<Assignment>, AllocationError>) -> String {
    let slice = rejected
        .as_ref()
        .err()
        .and_then(AllocationError::required_slice);
    slice.map_or_else(
        || format!("{rejected:?}"),
        |s| format!("{} {}", s.node, s.window),
    )
}

/// Allocates as the server does: records required slices and plans again.
fn allocate_with_slices(
    index: &mut Index,
    requester: &Requester,
    requests: &[AttachmentRequest],
) -> Result<Vec<Assignment>, AllocationError> {
    for _ in 0..16 {
        let assigned = allocate(index, requester, requests);
        let Some(slice) = assigned
            .as_ref()
            .err()
            .and_then(AllocationError::required_slice)
        else {
            return assigned;
        };
        let version = index.slices().count() as u64 + 1;
        index.apply_slice(slice.clone(), Version(version));
    }
    panic!("no number of slices is enough for {requests:?}");
}

pub(super) fn windows(slices: &[&Slice]) -> Vec<String> {
    slices
        .iter()
        .map(|slice| slice.window.to_string())
        .collect()
}

/// Allocates this many addresses to pods of a node.
fn fill(index: &mut Index, node: &str, count: usize) {
    for number in 0..count {
        let assigned = allocate_with_slices(
            index,
            &requester_on(node, &format!("{node}-{number}")),
            &[request(&[])],
        );
        assert_eq!(code(assigned), "given", "{number} of {node}");
    }
}

#[test]
fn a_node_allocates_from_its_slices_and_claims_them_in_order() {
    let mut index = sliced_index("");
    let first = allocate(&mut index, &requester_on("a", "p"), &[request(&[])]);
    assert_eq!(claimed(&first), "a 192.0.2.0/30");
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "p"),
            &[request(&[])]
        )),
        ["192.0.2.2/27"]
    );
    // The second slice has no allocatable address and is skipped.
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("b", "q"),
            &[request(&[])]
        )),
        ["192.0.2.8/27"]
    );
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "r"),
            &[request(&[])]
        )),
        ["192.0.2.3/27"]
    );
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "s"),
            &[request(&[])]
        )),
        ["192.0.2.12/27"]
    );
    let of_a = index.slices_of_node("storage", "a");
    assert_eq!(windows(&of_a), ["192.0.2.0/30", "192.0.2.12/30"]);
    let all = windows(&index.slices_of("storage"));
    assert_eq!(all, ["192.0.2.0/30", "192.0.2.8/30", "192.0.2.12/30"]);
    // An address released in the first slice is allocated first.
    release(&mut index, "192.0.2.3");
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "t"),
            &[request(&[])]
        )),
        ["192.0.2.3/27"]
    );
}

#[test]
fn requests_without_node_or_slice_support_are_rejected() {
    let mut index = sliced_index("");
    let error = allocate(&mut index, &requester("p"), &[request(&[])]).err();
    assert_eq!(error, Some(AllocationError::NodeUnknown("storage".into())));
    let error = allocate(&mut index, &requester_on("", "p"), &[request(&[])]).err();
    assert_eq!(error, Some(AllocationError::NodeUnknown("storage".into())));
    let mac_alone = AttachmentRequest {
        needs_ips: false,
        ..request(&[])
    };
    assert_eq!(
        code(allocate(&mut index, &requester("p"), &[mac_alone])),
        "given"
    );
    let mut bare = super::index(&[pool("storage", &format!("{SPEC}}}"))], &[]);
    let error = allocate(&mut bare, &requester_on("a", "p"), &[request(&[])]).err();
    assert_eq!(
        error,
        Some(AllocationError::SlicesUnsupported("storage".into()))
    );
}

#[test]
fn without_a_slice_lax_pools_borrow_and_strict_pools_reject() {
    let mut index = sliced_index("");
    fill(&mut index, "a", 23);
    let planned = index.plan(&requester_on("b", "p"), &[request(&[])], NOW);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!((planned.borrowed, planned.writes.len()), (1, 1));
    assert_eq!(planned.assignments[0].ips[0].0.to_string(), "192.0.2.29");
    index.commit(planned.id, &[Version(90)]);
    // It is kept although a lower one is free now.
    release(&mut index, "192.0.2.8");
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester_on("b", "p"),
            &[request(&[])]
        )),
        ["192.0.2.29/27"]
    );
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester_on("b", "q"),
            &[request(&[])]
        )),
        ["192.0.2.8/27"]
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester_on("b", "r"),
            &[request(&[])]
        )),
        "given"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester_on("b", "s"),
            &[request(&[])]
        )),
        "pool-exhausted"
    );

    let mut strict = sliced_index(r#","strictSlices":true"#);
    fill(&mut strict, "a", 21);
    fill(&mut strict, "b", 3);
    let error = allocate(&mut strict, &requester_on("b", "p"), &[request(&[])]).err();
    let error = error.unwrap_or_else(|| panic!("an address was assigned"));
    assert_eq!(
        error.to_string(),
        "pool \"storage\" is full for node \"b\": all addresses of its slices of 192.0.2.0/27 are \
         in use, and no slice is free (strictSlices: true)"
    );
    assert_eq!(
        error.detail().as_deref(),
        Some("3 addresses in its slice, 1 free in slices of other nodes")
    );
    let error = allocate(&mut strict, &requester_on("c", "q"), &[request(&[])]).err();
    let message = error.map(|r| r.to_string()).unwrap_or_default();
    assert!(
        message.contains("every slice of 192.0.2.0/27 belongs to another node"),
        "{message}"
    );
}

#[test]
fn a_node_has_one_claim_and_a_slice_one_claimant() {
    let mut index = sliced_index("");
    let plan = |index: &mut Index, node: &str, now: i64| {
        let requester = requester_on(node, &format!("{node}-{now}"));
        let rejected = index.plan(&requester, &[request(&[])], Timestamp(NOW.0 + now));
        claimed(&Err(rejected.map(|_| ()).unwrap_err()[0].error.clone()))
    };
    assert_eq!(plan(&mut index, "a", 0), "a 192.0.2.0/30");
    assert_eq!(plan(&mut index, "a", 1), "a 192.0.2.0/30");
    assert_eq!(plan(&mut index, "b", 2), "b 192.0.2.8/30");
    // A dropped claim and an expired one can be claimed again.
    index.drop_claim(&slice("a", "192.0.2.0/30"));
    assert_eq!(plan(&mut index, "c", 3), "c 192.0.2.0/30");
    index.drop_claim(&slice("a", "192.0.2.0/30"));
    assert_eq!(plan(&mut index, "a", 4), "a 192.0.2.12/30");
    assert_eq!(plan(&mut index, "d", 62), "d 192.0.2.8/30");
    // Another replica was faster: its slice is applied, and the next one is claimed.
    index.apply_slice(slice("z", "192.0.2.8/30"), Version(7));
    assert_eq!(plan(&mut index, "d", 62), "d 192.0.2.16/30");
    // A slice is claimed only for a pod that can get an address.
    let mut limited = sliced_index(r#","maxPerNamespace":1"#);
    fill(&mut limited, "a", 1);
    assert_eq!(
        code(allocate(
            &mut limited,
            &requester_on("b", "p"),
            &[request(&[])]
        )),
        "namespace-limit"
    );
    let two = [
        request(&[]),
        AttachmentRequest {
            interface: "net2".into(),
            ..request(&["192.0.2.5"])
        },
    ];
    let mut index = sliced_index("");
    let rejected = index
        .plan(&requester_on("a", "p"), &two, NOW)
        .err()
        .unwrap_or_default();
    let codes: Vec<_> = rejected
        .iter()
        .map(|one| (one.request, one.error.code()))
        .collect();
    assert_eq!(codes, [(1, "address-excluded")]);
    assert_eq!(plan(&mut index, "b", 0), "b 192.0.2.0/30");
}

#[test]
fn a_pod_on_another_node_gets_another_address() {
    let mut index = sliced_index(r#","maxPerNamespace":1"#);
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "p"),
            &[request(&[])]
        )),
        ["192.0.2.2/27"]
    );
    // The replaced address does not count toward the limit.
    let moved = ips(allocate_with_slices(
        &mut index,
        &requester_on("b", "p"),
        &[request(&[])],
    ));
    assert_eq!(moved, ["192.0.2.8/27"]);
    for (node, expected) in [
        ("b", "192.0.2.8/27"),
        ("a", "192.0.2.2/27"),
        ("b", "192.0.2.8/27"),
    ] {
        let again = index.plan(&requester_on(node, "p"), &[request(&[])], NOW);
        let again = again.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!((again.writes.len(), again.borrowed), (0, 0));
        index.commit(again.id, &[]);
        assert_eq!(ips(Ok(again.assignments)), [expected], "on {node}");
    }
    // The address on the old node can be released once the pod is observed with the new one.
    release(&mut index, "192.0.2.2");
    let rejected = allocate(&mut index, &requester_on("a", "q"), &[request(&[])]);
    assert_eq!(code(rejected), "namespace-limit");
}

#[test]
fn a_pod_borrows_its_own_former_address_first() {
    let mut index = sliced_index("");
    fill(&mut index, "a", 22);
    assert_eq!(
        ips(allocate_with_slices(
            &mut index,
            &requester_on("a", "p"),
            &[request(&[])]
        )),
        ["192.0.2.28/27"]
    );
    let planned = index.plan(&requester_on("b", "p"), &[request(&[])], NOW);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(
        (planned.borrowed, ips(Ok(planned.assignments))),
        (1, vec!["192.0.2.28/27".to_owned()])
    );
    assert!(matches!(&planned.writes[..], [Write::Update(a, _)]
        if a.pod.as_ref().and_then(|p| p.node.as_deref()) == Some("b")));
    index.abort(planned.id);
}

#[test]
fn a_requested_address_may_be_borrowed_unless_strict() {
    let mut index = sliced_index("");
    fill(&mut index, "a", 1);
    for ip in ["192.0.2.3", "192.0.2.29"] {
        let planned = index.plan(&requester_on("b", ip), &[request(&[ip])], NOW);
        let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(planned.borrowed, 1, "{ip}");
        index.commit(planned.id, &[Version(50)]);
    }
    let mut strict = sliced_index(r#","strictSlices":true"#);
    fill(&mut strict, "a", 1);
    let error = allocate(
        &mut strict,
        &requester_on("b", "p"),
        &[request(&["192.0.2.3"])],
    )
    .err();
    assert_eq!(
        error.map(|r| r.to_string()).unwrap_or_default(),
        "192.0.2.3 is in no slice of node \"b\" in pool \"storage\" (strictSlices: true): its \
         slice belongs to node \"a\""
    );
    let nobody_s = allocate(
        &mut strict,
        &requester_on("b", "p"),
        &[request(&["192.0.2.29"])],
    );
    assert_eq!(claimed(&nobody_s), "b 192.0.2.28/30");
    let meanwhile = allocate(
        &mut strict,
        &requester_on("c", "q"),
        &[request(&["192.0.2.30"])],
    );
    assert!(meanwhile.err().is_some_and(|error| error.is_busy()));
    let assigned = allocate_with_slices(
        &mut strict,
        &requester_on("b", "p"),
        &[request(&["192.0.2.29"])],
    );
    assert_eq!(ips(assigned), ["192.0.2.29/27"]);
    // It is not kept on a node that does not own the slice.
    let moved = allocate(
        &mut strict,
        &requester_on("a", "p"),
        &[request(&["192.0.2.29"])],
    );
    assert_eq!(code(moved), "address-reserved");
}

#[test]
fn a_reserved_address_is_kept_on_every_node() {
    let spec = r#"{"network":"storage-net","holder":{"pod":"p"},"ips":["192.0.2.9"]}"#;
    let pools = |more: &str| pool("storage", &format!("{SPEC}{more}}}"));
    let mut lax = index(&[pools("")], &[reservation("r", spec)]);
    lax.enable_slices();
    lax.apply_slice(slice("a", "192.0.2.8/30"), Version(1));
    for node in ["a", "b", "a"] {
        let assigned = allocate_with_slices(&mut lax, &requester_on(node, "p"), &[request(&[])]);
        assert_eq!(ips(assigned), ["192.0.2.9/27"], "on {node}");
    }
    let mut strict = index(
        &[pools(r#","strictSlices":true"#)],
        &[reservation("r", spec)],
    );
    strict.enable_slices();
    let assigned = allocate_with_slices(&mut strict, &requester_on("a", "p"), &[request(&[])]);
    assert_eq!(ips(assigned), ["192.0.2.9/27"]);
    let elsewhere = allocate(&mut strict, &requester_on("b", "p"), &[request(&[])]);
    assert_eq!(code(elsewhere), "address-reserved");
}

#[test]
fn each_range_is_sliced_separately() {
    let dual = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/29"},{"range":"2001:db8::/124"}],"nodeSliceSize":"/30"}"#,
    );
    let mut index = index(&[dual], &[]);
    index.enable_slices();
    let assigned = allocate_with_slices(&mut index, &requester_on("a", "p"), &[request(&[])]);
    assert_eq!(ips(assigned), ["192.0.2.1/29", "2001:db8::1/124"]);
    let assigned = allocate_with_slices(&mut index, &requester_on("b", "q"), &[request(&[])]);
    assert_eq!(ips(assigned), ["192.0.2.4/29", "2001:db8::4/124"]);
    let of_b = windows(&index.slices_of_node("storage", "b"));
    assert_eq!(of_b, ["192.0.2.4/30", "2001:db8::4/126"]);
    let usage = index.slicing_usage("storage").unwrap_or_default();
    assert_eq!((usage.all, usage.claimed, usage.free_outside), (6, 4, 7));
}
