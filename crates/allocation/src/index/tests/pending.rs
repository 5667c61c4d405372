//! Pending writes, and responses and events that arrive late.

use super::*;

#[test]
fn a_pending_write_does_not_hide_a_committed_record() {
    let mut index = index(&[storage("")], &[]);
    let planned = index.plan(&requester("a"), &[request(&[])], NOW);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    // Another replica was faster, for another holder.
    let own = replica(0, "u");
    let Write::Create(desired) = planned.writes[0].clone() else {
        panic!("{:?}", planned.writes)
    };
    let stored = Stored {
        allocation: Allocation {
            holder: own.holder.clone(),
            pod: own.pod.clone(),
            ..desired.clone()
        },
        version: Version(7),
    };
    index.apply(stored.clone());
    let held = index.held_by(&own.holder, &network("storage-net"), "net1");
    assert_eq!(held, [&stored.allocation]);
    // It gets nothing else in the meantime, and its own address once the plan is aborted.
    let rejected = index.plan(&own, &[request(&[])], NOW).err();
    let rejected = rejected.unwrap_or_default();
    assert_eq!(rejected[0].error, AllocationError::Busy(desired.address));
    index.abort(planned.id);
    let assigned = ips(allocate(&mut index, &own, &[request(&[])]));
    assert_eq!(assigned, ["192.0.2.2/29"]);
    let a = index.held_by(&requester("a").holder, &network("storage-net"), "net1");
    assert_eq!(a, Vec::<&Allocation>::new());
}

#[test]
fn a_rejected_attachment_aborts_the_whole_plan() {
    let mut index = index(&[storage("")], &[]);
    let second = AttachmentRequest {
        interface: "net2".into(),
        ..request(&["192.0.2.1"])
    };
    let rejected = index.plan(&requester("a"), &[request(&[]), second], NOW);
    assert_eq!(rejected.err().map(|r| r[0].request), Some(1));
    assert_eq!(index.usage("storage").unwrap_or_default().free, 5);
    assert!(
        index
            .held_by(&requester("a").holder, &network("storage-net"), "net1")
            .is_empty()
    );
}

#[test]
fn a_pending_address_is_not_allocated_again() {
    let mut index = index(&[storage("")], &[]);
    let flying = index
        .plan(&requester("a"), &[request(&[])], NOW)
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[request(&["192.0.2.2"])]
        )),
        "pool-not-ready"
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[request(&[])])),
        ["192.0.2.3/29"]
    );
    // The ledger rejected the write: another replica was faster.
    let theirs = match &flying.writes[0] {
        Write::Create(allocation) => Allocation {
            holder: requester("x").holder,
            ..allocation.clone()
        },
        other => panic!("{other:?}"),
    };
    index.apply(Stored {
        allocation: theirs,
        version: Version(7),
    });
    index.abort(flying.id);
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("a"),
            &[request(&["192.0.2.2"])]
        )),
        "address-in-use"
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("a"), &[request(&[])])),
        ["192.0.2.4/29"]
    );
}

#[test]
fn stale_events_are_ignored() {
    let mut index = index(&[storage("")], &[]);
    allocate(&mut index, &replica(0, "u-1"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    allocate(&mut index, &replica(0, "u-2"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    index.apply_delete(&Space::default(), address("192.0.2.2"), Version(1));
    assert!(
        index
            .holder_of(&Space::default(), address("192.0.2.2"))
            .is_some()
    );
    index.apply_delete(&Space::default(), address("192.0.2.2"), Version(2));
    assert!(
        index
            .holder_of(&Space::default(), address("192.0.2.2"))
            .is_none()
    );
    assert_eq!(index.usage("storage").unwrap_or_default().free, 5);
}
