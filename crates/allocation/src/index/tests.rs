//! Tests of the index: allocation, renewal, rejection and free addresses.

mod next_pod;
#[cfg(feature = "shuttle")]
mod shuttled;
mod slice_records;
mod slice_scenarios;
mod slices;
mod virtual_machines;

use std::sync::Arc;

use super::*;
use crate::{
    AllocationError, PodRef, Pool, Reservation, Stored, Timestamp, Write,
    spec::{PoolSpec, ReservationSpec},
};

pub(super) const NOW: Timestamp = Timestamp(1_000_000);

pub(super) fn pool(name: &str, spec: &str) -> Arc<Pool> {
    let spec: PoolSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(Pool::new(name, &spec).unwrap_or_else(|e| panic!("{e:?}")))
}

fn reservation(name: &str, spec: &str) -> Arc<Reservation> {
    let spec: ReservationSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(Reservation::new("db", name, &spec).unwrap_or_else(|e| panic!("{e:?}")))
}

pub(super) fn index(pools: &[Arc<Pool>], reservations: &[Arc<Reservation>]) -> Index {
    let first = pools[0].name.clone();
    let pool_config = PoolConfig::new(pools.iter().cloned(), reservations.iter().cloned(), |_| {
        Some(first.clone())
    });
    let mut index = Index::default();
    index.sync(&Arc::new(pool_config));
    for pool in pools {
        index.set_ready(&pool.name);
    }
    index
}

pub(super) fn storage(more: &str) -> Arc<Pool> {
    pool(
        "storage",
        &format!(
            r#"{{"ranges":[{{"range":"192.0.2.0/29","gateway":"192.0.2.1"}}],
                "macs":{{"prefix":"02:5e:00"}},"namespaceSelector":{{}}{more}}}"#
        ),
    )
}

pub(super) fn network(name: &str) -> NetworkRef {
    NetworkRef {
        namespace: "db".into(),
        name: name.into(),
    }
}

pub(super) fn requester(name: &str) -> Requester {
    Requester {
        holder: Holder::Pod {
            namespace: "db".into(),
            name: name.into(),
        },
        pod: Some(PodRef {
            name: name.into(),
            uid: None,
            node: None,
        }),
        node: None,
    }
}

fn replica(ordinal: u32, uid: &str) -> Requester {
    Requester {
        holder: Holder::Replica {
            namespace: "db".into(),
            stateful_set: "db".into(),
            ordinal,
        },
        pod: Some(PodRef {
            name: format!("db-{ordinal}").into(),
            uid: Some(uid.into()),
            node: None,
        }),
        node: None,
    }
}

pub(super) fn request(ips: &[&str]) -> AttachmentRequest {
    AttachmentRequest {
        pool: "storage".into(),
        network: network("storage-net"),
        interface: "net1".into(),
        needs_ips: true,
        ips: ips
            .iter()
            .map(|ip| ip.parse().unwrap_or_else(|e| panic!("{ip}: {e}")))
            .collect(),
        mac: MacRequest::Auto,
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// Plans and commits under new versions.
fn allocate(
    index: &mut Index,
    requester: &Requester,
    requests: &[AttachmentRequest],
) -> Result<Vec<Assignment>, AllocationError> {
    let highest = index.recorded().map(|(_, version)| version.0).max();
    let planned = index
        .plan(requester, requests, NOW)
        .map_err(|rejected| rejected[0].error.clone())?;
    let first = highest.unwrap_or_default() + 1;
    let versions: Vec<Version> = (first..).take(planned.writes.len()).map(Version).collect();
    index.commit(planned.id, &versions);
    Ok(planned.assignments)
}

fn ips(assigned: Result<Vec<Assignment>, AllocationError>) -> Vec<String> {
    let assigned = assigned.unwrap_or_else(|e| panic!("{e}"));
    let ips = assigned.iter().flat_map(|one| &one.ips);
    ips.map(|(ip, prefix)| format!("{ip}/{prefix}")).collect()
}

fn code(assigned: Result<Vec<Assignment>, AllocationError>) -> &'static str {
    assigned.err().map_or("given", |error| error.code())
}

fn release(index: &mut Index, text: &str) {
    let (space, version) = index
        .recorded()
        .find(|(a, _)| a.address == address(text))
        .map(|(a, v)| (a.space.clone(), v))
        .unwrap_or_else(|| panic!("{text} is held"));
    index.apply_delete(&space, address(text), version);
}

#[test]
fn the_lowest_free_address_is_allocated_with_its_derived_mac() {
    let mut index = index(&[storage("")], &[]);
    let assigned =
        allocate(&mut index, &requester("a"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(assigned[0].ips[0].0.to_string(), "192.0.2.2");
    assert_eq!(
        assigned[0].mac.map(|mac| mac.to_string()).as_deref(),
        Some("02:5e:00:00:00:02")
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[request(&[])])),
        ["192.0.2.3/29"]
    );
    release(&mut index, "192.0.2.2");
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[request(&[])])),
        ["192.0.2.2/29"]
    );
}

#[test]
fn a_holder_keeps_its_address() {
    let mut index = index(&[storage("")], &[]);
    let first = ips(allocate(&mut index, &requester("a"), &[request(&[])]));
    let again = index.plan(&requester("a"), &[request(&[])], NOW);
    let again = again.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(again.writes, []);
    index.commit(again.id, &[]);
    assert_eq!(ips(Ok(again.assignments)), first);
    // Another interface gets another address.
    let other = AttachmentRequest {
        interface: "net2".into(),
        ..request(&[])
    };
    assert_ne!(ips(allocate(&mut index, &requester("a"), &[other])), first);
}

#[test]
fn a_requested_address_is_allocated_or_rejected_with_a_reason() {
    let spec = r#","maxPerNamespace":4"#;
    let mut index = index(&[storage(spec)], &[]);
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester("a"),
            &[request(&["192.0.2.5"])]
        )),
        ["192.0.2.5/29"]
    );
    for (ip, expected) in [
        ("192.0.2.5", "address-in-use"),
        ("192.0.2.1", "address-excluded"),
        ("192.0.2.0", "address-excluded"),
        ("192.0.2.7", "address-excluded"),
        ("192.0.2.9", "address-outside-pool"),
        ("2001:db8::1", "address-outside-pool"),
    ] {
        assert_eq!(
            code(allocate(&mut index, &requester("b"), &[request(&[ip])])),
            expected,
            "{ip}"
        );
    }
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("a"),
            &[request(&["192.0.2.6"])]
        )),
        "holds-another-address"
    );
    for name in ["b", "c", "d"] {
        assert_eq!(
            code(allocate(&mut index, &requester(name), &[request(&[])])),
            "given"
        );
    }
    assert_eq!(
        code(allocate(&mut index, &requester("e"), &[request(&[])])),
        "namespace-limit"
    );
}

#[test]
fn exhaustion_reports_counts_and_largest_holders() {
    let mut index = index(&[storage("")], &[]);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(
            code(allocate(&mut index, &requester(name), &[request(&[])])),
            "given"
        );
    }
    let error = allocate(&mut index, &requester("f"), &[request(&[])]).err();
    let message = error.map(|r| r.to_string()).unwrap_or_default();
    assert_eq!(
        message,
        "address pool \"storage\" has no free address of 192.0.2.0/29 left: all 5 are taken (most \
         by namespace db 5)"
    );
    let usage = index.usage("storage").unwrap_or_default();
    assert_eq!((usage.capacity, usage.allocated, usage.free), (5, 5, 0));
}

#[test]
fn several_ranges_allocate_one_address_each_or_none() {
    let dual = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/30"},{"range":"2001:db8::/64"}]}"#,
    );
    let mut index = index(&[dual], &[]);
    assert_eq!(
        ips(allocate(
            &mut index,
            &requester("a"),
            &[request(&["2001:db8::9"])]
        )),
        ["2001:db8::9/64", "192.0.2.1/30"]
    );
    assert_eq!(
        code(allocate(&mut index, &requester("b"), &[request(&[])])),
        "given"
    );
    // Counts two pods, not their four addresses.
    let error = allocate(&mut index, &requester("c"), &[request(&[])]).err();
    assert_eq!(
        error.map(|r| r.to_string()).unwrap_or_default(),
        "address pool \"storage\" has no free address of 192.0.2.0/30 left: all 2 are taken (most by \
         namespace db 2)"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("c"),
            &[request(&["2001:db8::7"])]
        )),
        "pool-exhausted"
    );
    // A rejected request leaves nothing allocated.
    assert!(
        index
            .holder_of(&Space::default(), address("2001:db8::7"))
            .is_none()
    );
}

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

#[test]
fn a_reservation_for_any_interface_applies_to_one() {
    // There are more addresses than MACs, so the MACs are not derived.
    let run = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/29"}],"namespaceSelector":{},
            "macs":{"start":"02:5f:00:00:00:00","end":"02:5f:00:00:00:03"}}"#,
    );
    for (pool, reserves) in [
        (&storage(""), r#""ips":["192.0.2.5"]"#),
        (&run, r#""mac":"02:5f:00:00:00:02""#),
    ] {
        let spec = format!(r#"{{"network":"storage-net","holder":{{"pod":"a"}},{reserves}}}"#);
        let mut index = index(&[Arc::clone(pool)], &[reservation("r", &spec)]);
        let second = AttachmentRequest {
            interface: "net2".into(),
            ..request(&[])
        };
        let requests = [request(&[]), second];
        let assigned = allocate(&mut index, &requester("a"), &requests);
        let assigned = assigned.unwrap_or_else(|e| panic!("{spec}: {e}"));
        let taken = index
            .recorded()
            .filter(|(one, _)| one.reservation.is_some());
        assert_eq!(taken.count(), 1, "{spec}");
        let again = allocate(&mut index, &requester("a"), &requests);
        assert_eq!(again.ok(), Some(assigned), "{spec}");
    }
}

#[test]
fn a_reserved_address_is_allocated_only_to_its_holder_and_returns() {
    let reserved = reservation(
        "db-0",
        r#"{"network":"storage-net","holder":{"statefulSet":"db","ordinal":0},"ips":["192.0.2.2"]}"#,
    );
    let mut index = index(&[storage("")], &[Arc::clone(&reserved)]);
    assert_eq!(
        ips(allocate(&mut index, &requester("a"), &[request(&[])])),
        ["192.0.2.3/29"]
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[request(&["192.0.2.2"])]
        )),
        "address-reserved"
    );
    // Recorded for the reservation, then taken by its holder.
    let record = Allocation {
        address: address("192.0.2.2"),
        space: Space::default(),
        pool: "storage".into(),
        network: network("storage-net"),
        interface: "".into(),
        holder: reserved.as_holder(),
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: NOW,
    };
    index.apply(Stored {
        allocation: record.clone(),
        version: Version(3),
    });
    let usage = index.usage("storage").unwrap_or_default();
    assert_eq!((usage.allocated, usage.reserved, usage.free), (1, 1, 3));
    let planned = index.plan(&replica(0, "u-1"), &[request(&[])], NOW);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(
        matches!(&planned.writes[..], [Write::Update(a, Version(3))] if a.reservation.is_some())
    );
    index.commit(planned.id, &[Version(4)]);
    assert_eq!(ips(Ok(planned.assignments)), ["192.0.2.2/29"]);
    // The address stays reserved when its record is deleted.
    release(&mut index, "192.0.2.2");
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[request(&[])])),
        ["192.0.2.4/29"]
    );
}

#[test]
fn pools_of_one_space_share_allocated_addresses() {
    let wide = pool("wide", r#"{"ranges":[{"range":"192.0.2.0/24"}]}"#);
    let apart = pool(
        "apart",
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"networkName":"blue"}"#,
    );
    let mut index = index(&[storage(""), wide, apart], &[]);
    let of = |pool: &str| AttachmentRequest {
        pool: pool.into(),
        mac: MacRequest::None,
        ..request(&[])
    };
    assert_eq!(
        ips(allocate(&mut index, &requester("a"), &[of("wide")])),
        ["192.0.2.1/24"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[of("storage")])),
        ["192.0.2.2/29"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[of("wide")])),
        ["192.0.2.3/24"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("d"), &[of("apart")])),
        ["192.0.2.1/24"]
    );
}

#[test]
fn a_mac_has_one_holder_whether_derived_or_requested() {
    let mut index = index(&[storage("")], &[]);
    let named = |mac: &str| AttachmentRequest {
        mac: match address(mac) {
            Address::Mac(mac) => MacRequest::Exact(mac),
            Address::Ip(_) => panic!("{mac} is a MAC"),
        },
        ..request(&[])
    };
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("a"),
            &[named("ca:fe:c0:ff:ee:00")]
        )),
        "given"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("ca:fe:c0:ff:ee:00")]
        )),
        "mac-in-use"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("02:5e:00:00:00:02")]
        )),
        "mac-in-use"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("02:5e:00:00:00:06")]
        )),
        "mac-in-use"
    );
    assert_eq!(index.usage("storage").unwrap_or_default().free, 4);
}

#[test]
fn a_network_without_ipam_gets_only_a_mac() {
    let mut index = index(&[storage("")], &[]);
    let mac_only = AttachmentRequest {
        needs_ips: false,
        ..request(&[])
    };
    let assigned =
        allocate(&mut index, &requester("a"), &[mac_only]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(assigned[0].ips, []);
    // The first MAC after the derived ones.
    assert_eq!(
        assigned[0].mac.map(|mac| mac.to_string()).as_deref(),
        Some("02:5e:00:00:00:08")
    );
}

#[test]
fn unready_and_unknown_pools_reject_requests() {
    let pool_config = PoolConfig::new([storage("")], [], |_| None);
    let mut index = Index::default();
    index.sync(&Arc::new(pool_config));
    assert_eq!(
        code(allocate(&mut index, &requester("a"), &[request(&[])])),
        "pool-not-ready"
    );
    let elsewhere = AttachmentRequest {
        pool: "other".into(),
        ..request(&[])
    };
    let error = allocate(&mut index, &requester("a"), &[elsewhere]).err();
    assert_eq!(error, Some(AllocationError::UnknownPool("other".into())));
}

#[test]
fn a_sliced_pool_rejects_requests_without_slice_support() {
    let sliced = pool(
        "storage",
        r#"{"ranges":[{"range":"10.5.0.0/20"}],"nodeSliceSize":"/24"}"#,
    );
    let mut index = index(&[sliced], &[]);
    let error = allocate(&mut index, &requester("a"), &[request(&[])]).err();
    assert_eq!(
        error,
        Some(AllocationError::SlicesUnsupported("storage".into()))
    );
}

#[test]
fn held_addresses_survive_pool_changes() {
    let mut index = index(&[storage("")], &[]);
    allocate(&mut index, &requester("a"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    let wider = pool("storage", r#"{"ranges":[{"range":"192.0.2.0/28"}]}"#);
    index.sync(&Arc::new(PoolConfig::new([wider], [], |_| None)));
    // Addresses in use in the new range are not recorded yet.
    assert_eq!(
        allocate(&mut index, &requester("b"), &[request(&[])]).err(),
        Some(AllocationError::NotReady("storage".into()))
    );
    // Recorded addresses can be read regardless.
    let recalled = index.preview_ignoring_readiness(&requester("a"), &[request(&[])], Timestamp(0));
    let recalled = recalled.unwrap_or_else(|rejected| panic!("{rejected:?}"));
    assert_eq!(recalled[0].ips, [("192.0.2.2".parse().unwrap(), 28)]);
    index.set_ready("storage");
    let usage = index.usage("storage").unwrap_or_default();
    assert_eq!((usage.capacity, usage.allocated, usage.free), (14, 1, 13));
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[request(&[])])),
        ["192.0.2.1/28"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[request(&[])])),
        ["192.0.2.3/28"]
    );
}

#[test]
fn untaken_reservations_count_as_reserved() {
    let aside = r#"{"network":"storage-net","holder":{"pod":"a"},"ips":["192.0.2.5"]}"#;
    let macs = r#"{"network":"storage-net","holder":{"pod":"a"},"mac":"02:5e:00:00:00:07"}"#;
    let ips = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/29"}],"namespaceSelector":{}}"#,
    );
    let l2 = pool("storage", r#"{"macs":{"prefix":"02:5e:00"}}"#);
    for (pool, spec) in [(ips, aside), (l2, macs)] {
        let reservation = reservation("r", spec);
        let address = reservation.reserved_addresses(&pool)[0];
        let mut index = index(&[Arc::clone(&pool)], &[Arc::clone(&reservation)]);
        let counted = |index: &Index| {
            let usage = index.usage("storage").unwrap_or_default();
            (usage.allocated, usage.reserved)
        };
        assert_eq!(counted(&index), (0, 1), "{address}");
        let allocation = Allocation {
            address,
            space: Space::default(),
            pool: "storage".into(),
            network: network("storage-net"),
            interface: "".into(),
            holder: reservation.as_holder(),
            pod: None,
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: NOW,
        };
        index.apply(Stored {
            allocation,
            version: Version(1),
        });
        assert_eq!(counted(&index), (0, 1), "{address}");
        // The reservation is deleted; until the reconciler handles it, no other holder gets the address.
        let alone = PoolConfig::new([Arc::clone(&pool)], [], |_| None);
        index.sync(&Arc::new(alone));
        assert_eq!(counted(&index), (0, 1), "{address}");
    }
}
