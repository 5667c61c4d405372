//! Addresses that another allocator has given.

use super::*;
use crate::{
    ForeignPod,
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
    // One entry is that of the own record, also while it is held for its holder.
    index.set_foreign([
        kept("192.0.2.2", None),
        kept("192.0.2.3", Some("db-0")),
        kept("192.0.2.4", Some("other")),
    ]);
    let again = first_ip(allocate(&mut index, &replica(0, "u1"), &[request(&[])]));
    assert_eq!(again.as_deref(), Ok("192.0.2.2"));
    let next = first_ip(allocate(&mut index, &requester("c"), &[request(&[])]));
    assert_eq!(next.as_deref(), Ok("192.0.2.5"));
}
