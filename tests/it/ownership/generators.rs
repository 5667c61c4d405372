//! Narrow pools, so that everything collides with everything.

use std::sync::Arc;

use nadmit::allocation::{
    Allocation, Holder, NetworkRef, PodRef, Pool, PoolConfig, Reservation, Timestamp,
    index::{AttachmentRequest, MacRequest, Requester},
    reconcile::{ClusterObserver, PodState, WorkloadState},
    spec::{PoolSpec, ReservationSpec},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The pools' names; `a` and `b` overlap in one address space, `c` is in another.
pub(super) const POOLS: [&str; 3] = ["a", "b", "c"];

/// One step of a scenario.
#[derive(Debug, Clone)]
pub(super) enum ScenarioStep {
    /// A pod requests attachments, each with a named address or any.
    Plan(u32, Vec<AttachmentSpec>),
    /// A pending plan is written to the ledger.
    Write(usize, CommitResult),
    /// A record is deleted.
    Release(usize),
    /// Another replica records the address with this number for a pod of its own.
    Elsewhere(u8),
    /// The reconciler records reserved addresses.
    Reserve,
    /// Pools and reservations change.
    Sync(usize),
    /// Time passes.
    Wait,
}

/// Pool, interface, and the last number of the requested address.
pub(super) type AttachmentSpec = (usize, u8, Option<u8>);

/// The outcome of writing a plan, for its writer.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommitResult {
    /// The ledger responds.
    Answered,
    /// The ledger's events arrive before its response.
    ToldFirst,
    /// It is written, and the response is lost.
    Lost,
    /// It is not written at all.
    Unavailable,
}

pub(super) fn step() -> impl Strategy<Value = ScenarioStep> {
    let attachment = (0..3usize, 1..3u8, prop::option::weighted(0.4, 0..18u8));
    let ending = prop_oneof![
        4 => Just(CommitResult::Answered),
        1 => Just(CommitResult::ToldFirst),
        1 => Just(CommitResult::Lost),
        1 => Just(CommitResult::Unavailable),
    ];
    prop_oneof![
        6 => (0..6u32, prop::collection::vec(attachment, 1..3)).prop_map(|(p, a)| ScenarioStep::Plan(p, a)),
        6 => (any::<usize>(), ending).prop_map(|(n, e)| ScenarioStep::Write(n, e)),
        3 => any::<usize>().prop_map(ScenarioStep::Release),
        1 => (0..18u8).prop_map(ScenarioStep::Elsewhere),
        1 => Just(ScenarioStep::Reserve),
        1 => (0..layouts().len()).prop_map(ScenarioStep::Sync),
        1 => Just(ScenarioStep::Wait),
    ]
}

/// Returns a requester: pods, and one StatefulSet replica.
pub(super) fn asker(number: u32) -> Requester {
    let name: Arc<str> = format!("p-{number}").into();
    let holder = match number {
        5 => Holder::Replica {
            namespace: "db".into(),
            stateful_set: "db".into(),
            ordinal: 0,
        },
        _ => Holder::Pod {
            namespace: if number < 3 { "db" } else { "web" }.into(),
            name: Arc::clone(&name),
        },
    };
    let pod = Some(PodRef {
        name,
        uid: None,
        node: None,
    });
    Requester {
        holder,
        pod,
        node: None,
    }
}

pub(super) fn ask((pool, interface, named): AttachmentSpec) -> AttachmentRequest {
    // Numbers above fifteen stand for the other family.
    let ip = named.map(|last| match last {
        0..16 => std::net::IpAddr::from([192, 0, 2, last]),
        _ => std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last - 15)).into(),
    });
    AttachmentRequest {
        pool: POOLS[pool].into(),
        network: network(POOLS[pool]),
        interface: format!("net{interface}").into(),
        needs_ips: true,
        ips: ip.into_iter().collect(),
        mac: MacRequest::Auto,
    }
}

/// Returns the network that a pool serves.
pub(super) fn network(pool: &str) -> NetworkRef {
    NetworkRef {
        namespace: "db".into(),
        name: format!("net-{pool}").into(),
    }
}

/// Returns a record that another replica creates.
pub(super) fn elsewhere(last: u8, layout: &PoolConfig, now: Timestamp) -> Option<Allocation> {
    let pool = layout.pool("b")?;
    let address = ask((1, 1, Some(last))).ips[0];
    pool.range_of(address)?;
    Some(Allocation {
        address: address.into(),
        space: pool.space.clone(),
        pool: Arc::clone(&pool.name),
        network: network("b"),
        interface: "net1".into(),
        holder: Holder::Pod {
            namespace: "far".into(),
            name: format!("far-{last}").into(),
        },
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: now,
    })
}

/// Returns the versions of pools and reservations.
pub(super) fn layouts() -> Vec<Arc<PoolConfig>> {
    let a = json!({
        "ranges": [
            {"range": "192.0.2.0/29", "gateway": "192.0.2.1", "exclude": ["192.0.2.6"]},
            {"range": "2001:db8::/126"},
        ],
        "macs": {"prefix": "02:5e:00"},
    });
    let mut moved = a.clone();
    moved["ranges"][0] = json!({"range": "192.0.2.0/29", "exclude": ["192.0.2.2/31"]});
    let b = json!({"ranges": [{"range": "192.0.2.2-192.0.2.9/28"}]});
    let c = json!({
        "ranges": [{"range": "192.0.2.0/29"}], "networkName": "other", "maxPerNamespace": 2,
    });
    let pod = json!({"network": "net-a", "holder": {"pod": "p-1"}, "ips": ["192.0.2.3"]});
    let replica = json!({
        "network": "net-b", "holder": {"statefulSet": "db", "ordinal": 0}, "interface": "net1",
        "ips": ["192.0.2.8", "192.0.2.12"],
    });
    vec![
        layout(&[("a", &a), ("b", &b), ("c", &c)], &[]),
        layout(&[("a", &a), ("b", &b), ("c", &c)], &[&pod, &replica]),
        layout(&[("a", &moved), ("c", &c)], &[&pod]),
        layout(&[("a", &moved), ("b", &b), ("c", &c)], &[&replica]),
    ]
}

fn layout(pools: &[(&str, &Value)], reservations: &[&Value]) -> Arc<PoolConfig> {
    let pools = pools.iter().map(|(name, spec)| {
        let spec: PoolSpec = spec_of(spec);
        Arc::new(Pool::new(name, &spec).unwrap_or_else(|faults| panic!("{faults:?}")))
    });
    let reservations = reservations.iter().enumerate().map(|(index, spec)| {
        let spec: ReservationSpec = spec_of(spec);
        let made = Reservation::new("db", &format!("r-{index}"), &spec);
        Arc::new(made.unwrap_or_else(|faults| panic!("{faults:?}")))
    });
    let served_by = |reservation: &Reservation| {
        let network = &reservation.network.name;
        Some(network.strip_prefix("net-").unwrap_or_default().into())
    };
    Arc::new(PoolConfig::new(pools, reservations, served_by))
}

fn spec_of<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}"))
}

/// A cluster in which every pod exists.
pub(super) struct AllPodsExist;

impl ClusterObserver for AllPodsExist {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Present
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Present
    }
}
