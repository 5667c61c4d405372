//! Addresses that another allocator has given.

use super::*;
use crate::{
    ForeignPod, PoolOrigin,
    index::{AddressGiver, ForeignUse},
};

fn used(ip: &str, pod: Option<&str>) -> ForeignUse {
    ForeignUse {
        space: Space::default(),
        address: ip.parse().unwrap_or_else(|e| panic!("{e}")),
        pod: pod.map(|name| ForeignPod {
            namespace: "db".into(),
            name: name.into(),
        }),
        interface: "net1".into(),
        giver: AddressGiver::Plugin,
    }
}

fn first_ip(planned: Result<Vec<Assignment>, AllocationError>) -> Result<String, AllocationError> {
    planned.map(|all| all[0].ips[0].0.to_string())
}

#[test]
fn they_are_given_to_no_other_pod() {
    let mut index = index(&[storage("")], &[]);
    index.set_foreign([used("192.0.2.2", Some("other")), used("192.0.2.3", None)]);
    let free = |index: &Index| index.usage("storage").map(|usage| usage.free);
    assert_eq!(free(&index), Some(3));
    let lowest = first_ip(allocate(&mut index, &requester("a"), &[request(&[])]));
    assert_eq!(lowest.as_deref(), Ok("192.0.2.4"));
    for ip in ["192.0.2.2", "192.0.2.3"] {
        let error = allocate(&mut index, &requester("b"), &[request(&[ip])]);
        assert_eq!(
            error.err().map(|error| error.code()),
            Some("address-in-use"),
            "{ip}"
        );
    }
    // They are free again when the record is gone, and stay allocated while nadmit has one.
    index.set_foreign([used("192.0.2.4", Some("a"))]);
    assert_eq!(free(&index), Some(4));
    index.set_foreign([]);
    assert_eq!(free(&index), Some(4));
    let next = first_ip(allocate(&mut index, &requester("c"), &[request(&[])]));
    assert_eq!(next.as_deref(), Ok("192.0.2.2"));
}

#[test]
fn a_pod_gets_the_address_that_it_was_given() {
    let mut index = index(&[storage("")], &[]);
    index.set_foreign([used("192.0.2.5", Some("db-0"))]);
    let given = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(given.as_deref(), Ok("192.0.2.5"));
    // The record names the pod, and so does the other allocator: no other pod has it.
    let again = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(again.as_deref(), Ok("192.0.2.5"));
}

#[test]
fn a_held_address_that_another_pod_was_given_is_refused() {
    let mut index = index(&[storage("")], &[]);
    let first = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(first.as_deref(), Ok("192.0.2.2"));
    index.set_foreign([used("192.0.2.2", Some("other"))]);
    let error = allocate(&mut index, &replica(0, "u2"), &[request(&[])]).err();
    let message = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("pod db/other"), "{message}");
}

#[test]
fn they_survive_a_change_of_the_pools() {
    let mut index = index(&[storage("")], &[]);
    index.set_foreign([used("192.0.2.2", Some("other"))]);
    let wider = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/28"}],"namespaceSelector":{}}"#,
    );
    index.sync(&Arc::new(PoolConfig::new([wider], [], |_| None)));
    index.set_ready("storage");
    let usage = index
        .usage("storage")
        .map(|usage| (usage.capacity, usage.free));
    assert_eq!(usage, Some((14, 13)));
}

#[test]
fn an_address_that_another_space_has_is_given_to_no_pod() {
    let mut index = index(&[storage("")], &[]);
    let own = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(own.as_deref(), Ok("192.0.2.2"));
    let kept = |ip, pod| ForeignUse {
        giver: AddressGiver::Nadmit,
        ..used(ip, pod)
    };
    index.set_foreign([
        kept("192.0.2.3", Some("db-0")),
        kept("192.0.2.4", None),
        kept("192.0.2.5", Some("other")),
    ]);
    let again = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(again.as_deref(), Ok("192.0.2.2"));
    // Also the pod itself gets it only by its network of that space.
    for (name, ip) in [
        ("db-0", "192.0.2.3"),
        ("x", "192.0.2.4"),
        ("x", "192.0.2.5"),
    ] {
        let error = allocate(&mut index, &requester(name), &[request(&[ip])]).err();
        let code = error.map(|error| error.code());
        assert_eq!(code, Some("address-in-use"), "{ip}");
    }
    let next = first_ip(allocate(&mut index, &requester("c"), &[request(&[])]));
    assert_eq!(next.as_deref(), Ok("192.0.2.6"));
}

/// Two Bindings at once recorded one address in two spaces that share an `IPPool`: its entry decides.
#[test]
fn of_two_records_of_an_address_the_one_with_the_entry_counts() {
    let mut index = index(&[storage("")], &[]);
    let renewed = |index: &mut Index| {
        let planned = allocate(index, &replica(0, "u2"), &[request(&[])]);
        first_ip(planned).map_err(|error| error.code())
    };
    let own = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(own.as_deref(), Ok("192.0.2.2"));
    let kept = |pod| ForeignUse {
        giver: AddressGiver::Nadmit,
        ..used("192.0.2.2", pod)
    };
    for pod in [Some("other"), None] {
        index.set_foreign([kept(pod)]);
        assert_eq!(renewed(&mut index), Err("address-in-use"), "{pod:?}");
    }
    // The definition of its network changed: the entry is of the earlier record of the pod.
    index.set_foreign([kept(Some("db-0"))]);
    assert_eq!(renewed(&mut index).as_deref(), Ok("192.0.2.2"));
}

#[test]
fn a_taken_address_is_learned_by_the_spaces_that_share_it() {
    let mut of_whereabouts = Arc::unwrap_or_clone(storage(""));
    of_whereabouts.origin = PoolOrigin::Whereabouts;
    let mut index = index(&[Arc::new(of_whereabouts)], &[]);
    let address = [192, 0, 2, 2].into();
    let next = |index: &mut Index, name| {
        first_ip(allocate(index, &requester(name), &[request(&[])])).unwrap_or_default()
    };
    // The entry is for this space's own record, which is just being written.
    index.add_taken(address, None, Some(""));
    assert_eq!(next(&mut index, "a"), "192.0.2.2");
    index.add_taken([192, 0, 2, 3].into(), None, Some("another"));
    index.add_taken([192, 0, 2, 4].into(), None, None);
    assert_eq!(next(&mut index, "b"), "192.0.2.5");
}
