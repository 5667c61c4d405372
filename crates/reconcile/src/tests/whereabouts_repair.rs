//! Records that Whereabouts's plugin left behind.

use std::sync::Arc;

use nadmit_allocation::{Allocation, NetworkRef, Space, Stored, Timestamp, Version};
use nadmit_catalog::{Catalog, Node, Pod};
use nadmit_whereabouts::{FINALIZER, IpPool, MARK, OverlappingReservation};
use serde_json::{Value, json};

use super::fixture::{holder, pod};
use crate::{LeakReason, LeakedState, RepairHindrance, RepairPlan};

const HOME: &str = "kube-system";
const POOL: &str = "192.0.2.0-27";
const NAME: &str = "192.0.2.5";
const OWN: &str = r#"[{"name":"db/net","interface":"net1","ips":["192.0.2.5"]}]"#;
const OTHER: &str = r#"[{"name":"db/net","interface":"net1","ips":["192.0.2.9"]}]"#;

/// A cluster with a ready node, whose IPPool may have an entry of 192.0.2.5.
struct World {
    catalog: Catalog,
    records: Vec<Arc<Stored>>,
}

impl World {
    fn new() -> Self {
        let mut catalog = Catalog::new([], [], []);
        catalog.set_ip_pools_known(true);
        catalog.set_overlapping_reservations_known(true);
        let world = Self {
            catalog,
            records: Vec::new(),
        };
        world.with_node("node-1", true).with_entries(&json!({}))
    }

    fn with_node(mut self, name: &str, ready: bool) -> Self {
        let node = Node {
            ready,
            ..Node::default()
        };
        self.catalog.nodes_mut().set_known(true);
        self.catalog.nodes_mut().set(name, Some(node));
        self
    }

    fn with_entries(mut self, entries: &Value) -> Self {
        let object = json!({
            "metadata": {"resourceVersion": "1"},
            "spec": {"range": "192.0.2.0/27", "allocations": entries},
        });
        let pool = IpPool::read(HOME, POOL, &object).unwrap_or_else(|e| panic!("{e}"));
        let pool = Some(Arc::new(pool.0));
        self.catalog.set_ip_pool((HOME, POOL), pool);
        self
    }

    fn with_entry(self, id: &str, pod: &str) -> Self {
        self.with_entries(&json!({"5": {"id": id, "podref": pod, "ifname": "net1"}}))
    }

    fn with_reservation(mut self, metadata: &Value, pod: &str) -> Self {
        let object = json!({"metadata": metadata, "spec": {"podref": pod, "ifname": "net1"}});
        let read = OverlappingReservation::read(HOME, NAME, &object);
        let read = read.unwrap_or_else(|e| panic!("{e}"));
        let id = (HOME, NAME);
        self.catalog
            .set_overlapping_reservation(id, Some(Arc::new(read)));
        self
    }

    fn with_pod(mut self, status: Option<&str>, change: impl FnOnce(&mut Pod)) -> Self {
        let mut pod = pod("db-0", Some("node-1"));
        pod.network_status = status.map(Into::into);
        change(&mut pod);
        self.catalog.put_pod(Arc::new(pod));
        self
    }

    fn with_record(mut self) -> Self {
        let address = std::net::IpAddr::from([192, 0, 2, 5]);
        let allocation = Allocation {
            address: address.into(),
            space: Space::new(""),
            pool: "whereabouts/192.0.2.0-27".into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "net".into(),
            },
            interface: "net1".into(),
            holder: holder("db-0"),
            pod: None,
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: Timestamp(0),
        };
        let version = Version(7);
        self.records.push(Arc::new(Stored {
            allocation,
            version,
        }));
        self
    }

    fn plan(&self) -> RepairPlan {
        RepairPlan::of(&self.catalog, &self.records)
    }

    /// Returns the reason of the only leak, if there is one.
    fn reason(&self) -> Option<LeakReason> {
        let plan = self.plan();
        assert!(plan.leaks.len() <= 1, "{plan:?}");
        plan.leaks.first().map(|leak| leak.reason)
    }
}

#[test]
fn a_record_is_left_behind_if_its_pod_does_not_use_the_address() {
    let with_entry = || World::new().with_entry("c1", "db/db-0");
    let ordinary = json!({"resourceVersion": "3"});
    let with_reservation = || World::new().with_reservation(&ordinary, "db/db-0");
    let none = |_: &mut Pod| {};
    let cases = [
        ("no pod", with_entry(), Some(LeakReason::PodGone)),
        ("reports it", with_entry().with_pod(Some(OWN), none), None),
        (
            "reports another",
            with_entry().with_pod(Some(OTHER), none),
            Some(LeakReason::NotOnPod),
        ),
        (
            "reports nothing yet",
            with_entry().with_pod(None, none),
            None,
        ),
        (
            "is being deleted",
            with_entry().with_pod(Some(OTHER), |pod| pod.terminating = true),
            None,
        ),
        ("a hold", World::new().with_entry("c1", ""), None),
        (
            "kept by nadmit",
            World::new().with_entry(&format!("{MARK}c1"), "db/db-0"),
            None,
        ),
        ("recorded by nadmit", with_entry().with_record(), None),
        (
            "a name that no pod can have",
            World::new().with_entry("c1", "db/a&b=c"),
            None,
        ),
        (
            "a reservation alone",
            with_reservation(),
            Some(LeakReason::PodGone),
        ),
        (
            "a reservation whose pod reports it",
            with_reservation().with_pod(Some(OWN), none),
            None,
        ),
        (
            "a reservation of nadmit",
            World::new().with_reservation(&json!({"finalizers": [FINALIZER]}), "db/db-0"),
            None,
        ),
        (
            "a reservation of an address that nadmit has recorded",
            with_reservation().with_record(),
            None,
        ),
        (
            "a reservation that is being deleted",
            World::new().with_reservation(
                &json!({"finalizers": ["x/y"], "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                "db/db-0",
            ),
            None,
        ),
        (
            "a reservation of a pod that has the entry",
            with_reservation()
                .with_entry("c1", "db/db-0")
                .with_pod(None, none),
            None,
        ),
    ];
    for (name, world, expected) in cases {
        assert_eq!(world.reason(), expected, "{name}");
    }
}

#[test]
fn an_entry_goes_with_its_reservation() {
    let ordinary = json!({"resourceVersion": "3"});
    let world = World::new()
        .with_entry("c1", "db/db-0")
        .with_reservation(&ordinary, "db/db-0");
    let leaks = world.plan().leaks;
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert_eq!(leaks[0].entry.at.reservation.as_deref(), Some(NAME));
    let records: Vec<&str> = leaks[0].rests_on.iter().map(|one| &*one.record).collect();
    let address = std::net::IpAddr::from([192, 0, 2, 5]);
    assert_eq!(records, [Space::new("").record_name(address.into())]);

    // The reservation of another pod is not the entry's.
    let world = World::new()
        .with_entry("c1", "db/db-0")
        .with_reservation(&ordinary, "db/db-1");
    let leaks = world.plan().leaks;
    assert_eq!(leaks.len(), 2, "{leaks:?}");
    assert_eq!(leaks[0].entry.at.reservation, None);
}

#[test]
fn a_record_that_was_adopted_between_two_plans_stays() {
    let first = World::new().with_entry("c1", "db/db-0").plan();
    for (id, pod, is_left) in [
        ("c1", "db/db-0", true),
        ("c2", "db/db-0", false),
        ("c1", "db/db-1", false),
    ] {
        let mut second = World::new().with_entry(id, pod).plan();
        assert_eq!(second.leaks.len(), 1);
        second.retain_seen(&first);
        assert_eq!(second.leaks.len(), usize::from(is_left), "{id} {pod}");
    }
    let of_version = |version: &str| {
        let metadata = json!({"resourceVersion": version});
        World::new().with_reservation(&metadata, "db/db-0").plan()
    };
    let mut second = of_version("4");
    assert!(matches!(
        second.leaks[0].state,
        LeakedState::Reservation { .. }
    ));
    second.retain_seen(&of_version("3"));
    assert!(second.leaks.is_empty());
}

#[test]
fn a_node_that_is_not_ready_hinders_every_removal() {
    let leak = || World::new().with_entry("c1", "db/db-0");
    assert_eq!(leak().plan().hindrance, None);
    let silent = leak().with_node("node-2", false);
    let expected = RepairHindrance::NodeNotReady("node-2".into());
    assert_eq!(silent.plan().hindrance, Some(expected));
    // Nothing is there to be removed.
    let without = World::new().with_node("node-2", false);
    assert_eq!(without.plan(), RepairPlan::default());

    let mut shut_down = silent;
    let node = Node {
        out_of_service: true,
        ..Node::default()
    };
    shut_down.catalog.nodes_mut().set("node-2", Some(node));
    assert_eq!(shut_down.plan().hindrance, None);
    shut_down.catalog.nodes_mut().set_known(false);
    let expected = Some(RepairHindrance::NodesUnknown);
    assert_eq!(shut_down.plan().hindrance, expected);
}

#[test]
fn nothing_is_planned_while_records_are_unknown() {
    let mut world = World::new().with_entry("c1", "db/db-0");
    world.catalog.set_overlapping_reservations_known(false);
    assert_eq!(world.plan(), RepairPlan::default());
}
