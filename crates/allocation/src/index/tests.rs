//! Tests of the index: allocation, renewal, rejection and free addresses.

mod foreign;
mod next_pod;
mod node_slices;
mod pending;
mod pools;
mod reservations;
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

/// Returns a record of an address on the network `storage-net`, as of now and without a MAC.
pub(super) fn record(ip: &str, holder: Holder) -> Allocation {
    Allocation {
        address: address(ip),
        space: Space::default(),
        pool: "storage".into(),
        network: network("storage-net"),
        interface: "net1".into(),
        holder,
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: NOW,
    }
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
    let error = error.unwrap_or_else(|| panic!("an address was assigned"));
    assert_eq!(
        error.to_string(),
        "pool \"storage\" is full: all 5 addresses of 192.0.2.0/29 are in use"
    );
    assert_eq!(error.detail().as_deref(), Some("most by namespace db: 5"));
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
    let error = error.unwrap_or_else(|| panic!("an address was assigned"));
    assert_eq!(
        error.to_string(),
        "pool \"storage\" is full: all 2 addresses of 192.0.2.0/30 are in use"
    );
    assert_eq!(error.detail().as_deref(), Some("most by namespace db: 2"));
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
