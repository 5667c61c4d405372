//! Tests of successive pods of one holder.

use core::time::Duration;

use super::*;

#[test]
fn a_replica_s_next_pod_takes_over_under_the_old_version() {
    let mut index = index(&[storage("")], &[]);
    let first = ips(allocate(&mut index, &replica(0, "u-1"), &[request(&[])]));
    let next = index.plan(&replica(0, "u-2"), &[request(&[])], NOW);
    let next = next.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(matches!(&next.writes[..], [Write::Update(_, Version(1))]));
    assert_eq!(ips(Ok(next.assignments)), first);
    // A pending write excludes others; after it the version differs.
    assert!(
        index
            .plan(&replica(0, "u-3"), &[request(&[])], NOW)
            .is_err()
    );
    index.commit(next.id, &[Version(2)]);
    assert!(index.recorded().all(|(_, version)| version == Version(2)));
}

#[test]
fn a_record_lists_former_nodes_of_its_holder() {
    let mut index = index(&[storage("")], &[]);
    let former = |index: &mut Index, uid: &str, node: &str| {
        let requester = replica(0, uid).on_node(Some(node.into()));
        allocate(index, &requester, &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
        let (record, _) = index.recorded().next().unwrap_or_else(|| panic!("none"));
        record.former_nodes.join(" ")
    };
    assert_eq!(former(&mut index, "u-1", "node-1"), "");
    assert_eq!(former(&mut index, "u-2", "node-1"), "node-1");
    assert_eq!(former(&mut index, "u-3", "node-2"), "node-1");
    assert_eq!(former(&mut index, "u-4", "node-3"), "node-1 node-2");
    // Its binding to node-1 fails; the pod before it may still run on node-3.
    assert_eq!(former(&mut index, "u-5", "node-1"), "node-1 node-2 node-3");
    assert_eq!(former(&mut index, "u-5", "node-3"), "node-1 node-2 node-3");
    for number in 10..20 {
        former(&mut index, &number.to_string(), &format!("node-{number}"));
    }
    let last = former(&mut index, "u-6", "node-30");
    assert_eq!(last.split(' ').count(), 8);
    assert!(last.starts_with("node-12 ") && last.ends_with(" node-19"));
}

#[test]
fn a_pod_with_a_reused_name_renews_the_record() {
    let mut index = index(&[storage("")], &[]);
    allocate(&mut index, &requester("a"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    let later = NOW.plus(Duration::from_secs(3600));
    let planned = index.plan(&requester("a"), &[request(&[])], later);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(matches!(&planned.writes[..], [Write::Update(a, _)] if a.since == later));
    index.abort(planned.id);
}

#[test]
fn only_a_later_pod_takes_an_address_over() {
    let mut index = index(&[storage("")], &[]);
    let taken = |index: &mut Index, uid: &str, node: &str| {
        let requester = replica(0, uid).on_node(Some(node.into()));
        allocate(index, &requester, &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
        let (record, _) = index.recorded().next().unwrap_or_else(|| panic!("none"));
        record.taken
    };
    assert_eq!(taken(&mut index, "u-1", "node-1"), None);
    // Its first Binding failed: the pod has not used the address.
    assert_eq!(taken(&mut index, "u-1", "node-2"), None);
    assert_eq!(taken(&mut index, "u-2", "node-2"), Some(NOW));
    assert_eq!(taken(&mut index, "u-2", "node-1"), Some(NOW));
}
