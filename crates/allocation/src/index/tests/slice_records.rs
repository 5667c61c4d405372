//! Tests of slice records in the index, and of previews.

use super::{
    slices::{claimed, requester_on, slice, sliced_index, windows},
    *,
};
use crate::SliceMismatch;

#[test]
fn mismatched_slices_are_reported_and_unused() {
    let mut index = sliced_index("");
    let mismatched = [
        (slice("a", "192.0.2.0/29"), SliceMismatch::OtherSize(30)),
        (slice("a", "192.0.2.9/32"), SliceMismatch::OtherSize(30)),
        (slice("a", "198.51.100.0/30"), SliceMismatch::Outside),
        (slice("a", "2001:db8::/126"), SliceMismatch::Outside),
        (slice("a", "0.0.0.0/0"), SliceMismatch::Outside),
    ];
    for (slice, _) in &mismatched {
        index.apply_slice(slice.clone(), Version(1));
    }
    let mut found: Vec<_> = index
        .mismatched_slices()
        .into_iter()
        .map(|(s, m)| (s.clone(), m))
        .collect();
    found.sort_by_key(|(s, _)| mismatched.iter().position(|(o, _)| o == s));
    assert_eq!(found, mismatched);
    assert!(index.slices_of_node("storage", "a").is_empty());
    // The name of the first slot is taken; the slice that the record overlaps is not.
    let rejected = allocate(&mut index, &requester_on("a", "p"), &[request(&[])]);
    assert_eq!(claimed(&rejected), "a 192.0.2.8/30");
    index.drop_claim(&slice("a", "192.0.2.8/30"));
    index.apply_slice_delete("storage.192.0.2.0", Version(1));
    let rejected = allocate(&mut index, &requester_on("a", "p"), &[request(&[])]);
    assert_eq!(claimed(&rejected), "a 192.0.2.0/30");
}

#[test]
fn slice_events_apply_by_version_and_survive_config_changes() {
    let mut index = sliced_index("");
    index.apply_slice(slice("a", "192.0.2.0/30"), Version(5));
    index.apply_slice(slice("b", "192.0.2.0/30"), Version(4));
    index.apply_slice_delete("storage.192.0.2.0", Version(4));
    assert_eq!(index.slices_of_node("storage", "a").len(), 1);
    let pool_config = Arc::clone(index.pool_config());
    index.sync(&Arc::new(PoolConfig::default()));
    assert_eq!(index.mismatched_slices().len(), 1);
    assert_eq!(index.slicing_usage("storage"), None);
    index.sync(&pool_config);
    index.set_ready("storage");
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester_on("a", "p"),
            &[request(&[])]
        )),
        ["192.0.2.2/27"]
    );
    let usage = index.slice_usages("storage");
    assert_eq!((usage[0].capacity, usage[0].free), (2, 1));
    index.replace_slices(vec![(slice("b", "192.0.2.8/30"), Version(6))], Version(6));
    assert_eq!(windows(&index.slices_of("storage")), ["192.0.2.8/30"]);
    // A pod keeps its address when the slice is deleted.
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester_on("a", "p"),
            &[request(&[])]
        )),
        ["192.0.2.2/27"]
    );
    assert_eq!(
        claimed(&allocate(
            &mut index,
            &requester_on("a", "q"),
            &[request(&[])]
        )),
        "a 192.0.2.0/30"
    );
}

#[test]
fn a_preview_assumes_slices_and_leaves_none() {
    let mut index = sliced_index("");
    let assigned = index.preview(&requester_on("a", "p"), &[request(&[])], NOW);
    assert_eq!(
        assigned.map(|g| ips(Ok(g))).ok(),
        Some(vec!["192.0.2.2/27".to_owned()])
    );
    let usage = index.slicing_usage("storage").unwrap_or_default();
    assert_eq!((usage.all, usage.claimed, usage.free_outside), (7, 0, 25));
    assert_eq!(
        claimed(&allocate(
            &mut index,
            &requester_on("b", "q"),
            &[request(&[])]
        )),
        "b 192.0.2.0/30"
    );
    // A pending claim survives a preview.
    let assigned = index.preview(&requester_on("b", "q"), &[request(&[])], NOW);
    assert_eq!(
        assigned.map(|g| ips(Ok(g))).ok(),
        Some(vec!["192.0.2.2/27".to_owned()])
    );
    let assigned = index.preview(&requester_on("a", "p"), &[request(&[])], NOW);
    assert_eq!(
        assigned.map(|g| ips(Ok(g))).ok(),
        Some(vec!["192.0.2.8/27".to_owned()])
    );
    assert_eq!(
        claimed(&allocate(
            &mut index,
            &requester_on("c", "r"),
            &[request(&[])]
        )),
        "c 192.0.2.8/30"
    );
}
