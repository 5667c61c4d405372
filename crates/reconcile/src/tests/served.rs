//! The release of addresses in Whereabouts's records that nadmit keeps, when their networks are not served any more.

use std::sync::Arc;

use nadmit_allocation::{Allocation, Holder, NetworkRef, Space, Stored, Timestamp, Version};
use nadmit_catalog::{
    Catalog, InlinePools, LiveRead, NamespaceLabels, PoolDerivation, WhereaboutsMode,
};
use nadmit_cni::{Network, Serving};
use nadmit_whereabouts::{
    DesiredUse, FINALIZER, IpPool, MARK, NodeSlicePool, OverlappingReservation, PodInterface,
    PodName, kept_id,
};
use serde_json::{Value, json};

use super::fixture::{holder, pod, pod_ref};
use crate::{RestsOn, ServedPlan, observed_addresses::ObservedAddresses};

const HOME: &str = "kube-system";
/// The version of the record.
const VERSION: Version = Version(7);

/// An IPAM with the address 192.0.2.5.
#[derive(Debug, Clone, Copy)]
struct Ipam {
    keys: &'static str,
    /// The name of the `IPPool` that has the address.
    pool: &'static str,
}

const PLAIN: Ipam = Ipam {
    keys: r#""range": "192.0.2.0/27""#,
    pool: "192.0.2.0-27",
};
/// Without reservations, an address space is named by its ranges.
const ALONE: Ipam = Ipam {
    keys: r#""range": "192.0.2.0/27", "enable_overlapping_ranges": false"#,
    pool: "192.0.2.0-27",
};
const SECOND: Ipam = Ipam {
    keys: r#""ipRanges": [{"range": "198.51.100.0/27"}, {"range": "192.0.2.0/27"}],
        "network_name": "n", "enable_overlapping_ranges": false"#,
    pool: "n-192.0.2.0-27",
};

/// A slice of a node, with its records in an `IPPool` of its own.
const SLICED: Ipam = Ipam {
    keys: r#""range": "192.0.0.0/16", "node_slice_size": "/27""#,
    pool: "node-1-192.0.2.0-27",
};
const SLICED_ALONE: Ipam = Ipam {
    keys: r#""range": "192.0.0.0/16", "node_slice_size": "/27", "network_name": "n",
        "enable_overlapping_ranges": false"#,
    pool: "n-node-1-192.0.2.0-27",
};

impl Ipam {
    fn has_reservations(self) -> bool {
        self.keys == PLAIN.keys || self.keys == SLICED.keys
    }
}

/// Gives the slice with the address to a node.
fn set_slice(catalog: &mut Catalog, node: &str) {
    let object = json!({"status": {"allocations": [
        {"nodeName": node, "sliceRange": "192.0.2.0/27"},
    ]}});
    for name in ["net", "n"] {
        let pool = Arc::new(NodeSlicePool::read(HOME, name, &object));
        catalog.set_node_slice_pool((HOME, name), Some(pool));
    }
}

/// The ways in which a network ceases to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Settings,
    Network,
    Label,
    Deletion,
}

const WAYS: [Leaving; 4] = [
    Leaving::Settings,
    Leaving::Network,
    Leaving::Label,
    Leaving::Deletion,
];

/// A cluster with the network `db/net`, and a record of its address 192.0.2.5 for the pod `db/db-0`.
struct World {
    catalog: Catalog,
    records: Vec<Arc<Stored>>,
    ipam: Ipam,
}

fn derivation(whereabouts: WhereaboutsMode) -> PoolDerivation {
    PoolDerivation {
        inline: InlinePools::Disabled,
        whereabouts,
    }
}

fn labels(injection: bool) -> NamespaceLabels {
    NamespaceLabels {
        injection,
        ..NamespaceLabels::default()
    }
}

fn network(ipam: Ipam, serving: Serving) -> Arc<Network> {
    let config = format!(
        r#"{{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {{"type": "whereabouts", {}}}}}"#,
        ipam.keys
    );
    let mut network = Network::new("db", "net", Some(&config));
    network.serving = serving;
    Arc::new(network)
}

fn db_0() -> PodName {
    PodName {
        namespace: "db".into(),
        name: "db-0".into(),
    }
}

fn entry(id: &str, pod: &str) -> Value {
    let interface = if pod.is_empty() { "" } else { "net1" };
    json!({"id": id, "podref": pod, "ifname": interface})
}

impl World {
    fn new(ipam: Ipam) -> Self {
        let namespaces = [("db".into(), labels(true))];
        let catalog = Catalog::new(namespaces, [network(ipam, Serving::Default)], []);
        let mut catalog = catalog.deriving_pools(derivation(WhereaboutsMode::Serve));
        catalog.set_pools([], []);
        set_slice(&mut catalog, "node-1");
        catalog.set_ip_pools_known(true);
        catalog.set_overlapping_reservations_known(true);
        let name = catalog.network("db", "net").and_then(|one| one.pool());
        let name = name.unwrap_or_default().to_owned();
        let space = catalog.pool(&name).valid().map(|pool| pool.space.clone());
        let address: std::net::IpAddr = [192, 0, 2, 5].into();
        let allocation = Allocation {
            address: address.into(),
            space: space.unwrap_or_else(|| Space::new("no pool")),
            pool: (*name).into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "net".into(),
            },
            interface: "net1".into(),
            holder: holder("db-0"),
            pod: Some(pod_ref("db-0", Some("node-1"))),
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: Timestamp(0),
        };
        let version = VERSION;
        Self {
            catalog,
            records: vec![Arc::new(Stored {
                allocation,
                version,
            })],
            ipam,
        }
    }

    /// Sets the entry of the address, for the record if it has the mark, with a reservation that nadmit keeps
    /// if the network has reservations.
    fn with_entry(mut self, entry: &Value) -> Self {
        let mut entry = entry.clone();
        if let Some(container) = entry["id"].as_str().and_then(|id| id.strip_prefix(MARK)) {
            let space = self.records[0].allocation.space.network_name();
            entry["id"] = kept_id(container, space).into();
        }
        let name = self.ipam.pool;
        let object = json!({
            "metadata": {"resourceVersion": "1"},
            "spec": {"range": "192.0.2.0/27", "allocations": {"5": entry}},
        });
        let pool = IpPool::read(HOME, name, &object);
        let pool = pool.unwrap_or_else(|e| panic!("{e}")).0;
        self.catalog.set_ip_pool((HOME, name), Some(Arc::new(pool)));
        if self.ipam.has_reservations() {
            let object = json!({
                "metadata": {"resourceVersion": "1", "finalizers": [FINALIZER]},
                "spec": {"podref": entry["podref"], "ifname": entry["ifname"]},
            });
            let read = OverlappingReservation::read(HOME, "192.0.2.5", &object);
            let reservation = read.unwrap_or_else(|e| panic!("{e}"));
            self.catalog
                .set_overlapping_reservation((HOME, "192.0.2.5"), Some(Arc::new(reservation)));
        }
        self
    }

    fn with_pod(mut self, change: impl FnOnce(&mut nadmit_catalog::Pod)) -> Self {
        let mut pod = pod("db-0", Some("node-1"));
        change(&mut pod);
        self.catalog.put_pod(Arc::new(pod));
        self
    }

    fn leave(mut self, how: Leaving) -> Self {
        match how {
            Leaving::Settings => {
                let observe = derivation(WhereaboutsMode::Observe);
                self.catalog.set_pool_derivation(observe);
            }
            Leaving::Network => {
                self.catalog.put_network(network(self.ipam, Serving::Off));
            }
            Leaving::Label => {
                let all = nadmit_catalog::all_labels("db", []);
                self.catalog.put_namespace("db", labels(false), all);
            }
            Leaving::Deletion => {
                self.catalog.remove_network("db", "net");
            }
        }
        self.catalog.set_pools([], []);
        self
    }

    fn plan(&self) -> ServedPlan {
        ServedPlan::of(&self.catalog, &self.records, &[HOME])
    }

    /// Returns whom the address is left to by the only write, which rests on the record.
    fn left_to(&self) -> Option<PodInterface> {
        let plan = self.plan();
        assert_eq!((plan.writes.len(), plan.forget.len()), (1, 0), "{plan:?}");
        let write = &plan.writes[0];
        let record = RestsOn {
            record: self.records[0].allocation.record_name(),
            version: Some(VERSION),
        };
        assert!(write.rests_on.contains(&record), "{write:?}");
        let has_reservation = write.entry.at.reservation.is_some();
        assert_eq!(has_reservation, self.ipam.has_reservations(), "{write:?}");
        match &write.entry.desired {
            DesiredUse::Released { to, .. } => to.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_not_served_any_more_is_left_to_its_pod() {
    let of_pod = || {
        Some(PodInterface {
            pod: db_0(),
            interface: "net1".into(),
        })
    };
    for ipam in [PLAIN, ALONE, SECOND, SLICED, SLICED_ALONE] {
        for how in WAYS {
            let world = |entry: &Value| World::new(ipam).with_entry(entry).leave(how);
            let running = entry("nadmit:c0ffee", "db/db-0");
            let held = entry("nadmit:c0ffee", "");
            let name = format!("{ipam:?} {how:?}");
            assert_eq!(
                world(&running).with_pod(|_| ()).left_to(),
                of_pod(),
                "{name}"
            );
            let ending = world(&held).with_pod(|pod| pod.terminating = true);
            assert_eq!(ending.left_to(), of_pod(), "{name}");
            let next = world(&held).with_pod(|pod| pod.uid = Some("u-next".into()));
            assert_eq!(next.left_to(), None, "{name}");
            assert_eq!(world(&held).left_to(), None, "{name}");
            assert_eq!(world(&running).left_to(), None, "{name}");
        }
    }
}

#[test]
fn records_are_forgotten_when_the_plugin_has_the_address() {
    for ipam in [ALONE, SECOND, SLICED_ALONE] {
        for how in WAYS {
            let left = entry("c0ffee", "db/db-0");
            let world = World::new(ipam).with_entry(&left).with_pod(|_| ());
            let plan = world.leave(how).plan();
            assert_eq!((plan.writes.len(), plan.forget.len()), (0, 1), "{plan:?}");
        }
    }
    let plan = World::new(PLAIN).leave(Leaving::Settings).plan();
    assert_eq!((plan.writes.len(), plan.forget.len()), (0, 1), "{plan:?}");
}

#[test]
fn an_entry_without_a_record_rests_on_its_absence() {
    for ipam in [PLAIN, ALONE, SECOND, SLICED, SLICED_ALONE] {
        let marked = entry("nadmit:c0ffee", "db/db-0");
        let mut world = World::new(ipam).with_entry(&marked).with_pod(|_| ());
        let own = world.records.remove(0).allocation.record_name();
        let plan = world.plan();
        let absent = RestsOn {
            record: own,
            version: None,
        };
        assert_eq!(plan.writes[0].rests_on, [absent], "{ipam:?}");
    }
}

#[test]
fn a_pod_that_the_catalog_lacks_is_read_before_its_entry_is_held() {
    let marked = entry("nadmit:c0ffee", "db/db-0");
    let read = LiveRead::pod("db", "db-0");
    let world = || World::new(PLAIN).with_entry(&marked);
    let reads = |world: &World| world.plan().reads().into_iter().collect::<Vec<_>>();
    assert_eq!(reads(&world()), std::slice::from_ref(&read));
    // The catalog may have the holder's last pod.
    let other = world().with_pod(|pod| pod.uid = Some("u-before".into()));
    assert_eq!(reads(&other), std::slice::from_ref(&read));
    let deleted = world().with_pod(|pod| pod.terminating = true);
    assert_eq!((reads(&deleted), deleted.plan().writes.len()), (vec![], 1));
    // So is the pod of an entry that is released.
    assert_eq!(
        reads(&world().leave(Leaving::Settings)),
        std::slice::from_ref(&read)
    );
    let mut plan = world().plan();
    assert_eq!(
        (plan.retain_read(|one| *one == read), plan.writes.len()),
        (0, 1)
    );
    assert_eq!((plan.retain_read(|_| false), plan.writes.len()), (1, 0));
}

#[test]
fn a_served_address_is_not_released() {
    for ipam in [PLAIN, ALONE, SECOND, SLICED, SLICED_ALONE] {
        let marked = entry("nadmit:c0ffee", "db/db-0");
        let world = World::new(ipam).with_entry(&marked).with_pod(|_| ());
        assert_eq!(world.plan(), ServedPlan::default(), "{ipam:?}");
    }
}

#[test]
fn an_address_of_a_slice_stays_while_its_node_has_none() {
    for ipam in [SLICED, SLICED_ALONE] {
        let marked = entry("nadmit:c0ffee", "db/db-0");
        let mut world = World::new(ipam).with_entry(&marked).with_pod(|_| ());
        set_slice(&mut world.catalog, "");
        assert_eq!(world.plan(), ServedPlan::default(), "{ipam:?}");
        // A pod that is gone has a hold as its entry.
        let mut world = World::new(ipam).with_entry(&marked);
        set_slice(&mut world.catalog, "");
        let plan = world.plan();
        assert_eq!(plan.writes.len(), 1, "{plan:?}");
        let write = &plan.writes[0].entry;
        let pool = write.at.pool.as_ref().map(|pool| &*pool.name);
        assert_eq!(pool, Some(ipam.pool));
        assert!(matches!(write.desired, DesiredUse::Held { .. }), "{plan:?}");
        // Without a record the entry is removed from there.
        world.records.clear();
        let plan = world.plan();
        assert_eq!(plan.writes.len(), 1, "{plan:?}");
        let write = &plan.writes[0].entry;
        let pool = write.at.pool.as_ref().map(|pool| &*pool.name);
        assert_eq!(pool, Some(ipam.pool));
        assert_eq!(write.at.reservation.is_some(), ipam.has_reservations());
        assert!(matches!(
            write.desired,
            DesiredUse::Released { to: None, .. }
        ));
    }
}

/// The other node's plugin looks in its own pool, and where there are reservations also for these.
#[test]
fn a_slice_that_another_node_has_takes_its_entries_along() {
    for ipam in [SLICED, SLICED_ALONE] {
        let marked = entry("nadmit:c0ffee", "db/db-0");
        let mut world = World::new(ipam).with_entry(&marked).with_pod(|_| ());
        set_slice(&mut world.catalog, "node-2");
        let plan = world.plan();
        let writes = plan.writes.iter().map(|one| {
            let pool = one.entry.at.pool.as_ref();
            let name = pool.map_or("", |pool| &*pool.name);
            (name.contains("node-2"), one.entry.desired.is_left_to_pod())
        });
        let mut writes: Vec<(bool, bool)> = writes.collect();
        writes.sort_unstable();
        assert_eq!(writes, [(false, true), (true, false)], "{plan:?}");
    }
}

#[test]
fn a_changed_range_leaves_nothing_in_the_pool_of_the_old_one() {
    let marked = entry("nadmit:c0ffee", "db/db-0");
    let mut world = World::new(PLAIN).with_entry(&marked).with_pod(|_| ());
    world.ipam.keys = r#""range": "192.0.2.0/26""#;
    let wider = network(world.ipam, Serving::Default);
    world.catalog.put_network(wider);
    world.catalog.set_pools([], []);
    let plan = world.plan();
    let mut pools: Vec<(&str, bool)> = plan
        .writes
        .iter()
        .map(|one| {
            let pool = one.entry.at.pool.as_ref();
            let is_left = one.entry.desired.is_left_to_pod();
            (pool.map_or("", |pool| &*pool.name), is_left)
        })
        .collect();
    pools.sort_unstable();
    assert_eq!(pools, [("192.0.2.0-26", false), ("192.0.2.0-27", true)]);
    assert!(plan.writes.iter().all(|one| {
        let is_left = one.entry.desired.is_left_to_pod();
        one.entry.at.reservation.is_some() != is_left
    }));
}

#[test]
fn addresses_that_pods_report_count_as_the_label_says() {
    let reported = json!([{"name": "db/net", "interface": "net1", "ips": ["192.0.2.5"]}]);
    let world = World::new(PLAIN).with_pod(|pod| {
        pod.networks = Some("net".into());
        pod.network_status = Some(reported.to_string().into());
    });
    let mut observed = ObservedAddresses::default();
    let mut count = |catalog: &Catalog| {
        observed.update(&Arc::new(catalog.clone()), HOME);
        observed.in_use().count()
    };
    assert_eq!(count(&world.catalog), 1);
    let world = world.leave(Leaving::Label);
    assert_eq!(count(&world.catalog), 0);
}

/// Returns the world with a second network on the same range, which has an address space of its own.
fn with_other_space(mut world: World) -> World {
    let mut other = Arc::unwrap_or_clone(network(ALONE, Serving::Default));
    other.name = "other".into();
    world.catalog.put_network(Arc::new(other));
    world.catalog.set_pools([], []);
    world
}

#[test]
fn networks_that_share_an_ip_pool_do_not_give_the_same_address() {
    for kept in [
        entry("nadmit:c0ffee", "db/db-0"),
        entry("nadmit:c0ffee", ""),
    ] {
        let world = World::new(PLAIN).with_entry(&kept).with_pod(|_| ());
        assert_eq!(world.catalog.foreign_uses(Vec::new), []);
        // Only to the space that has no record of it.
        let uses = with_other_space(world).catalog.foreign_uses(Vec::new);
        let spaces: Vec<&str> = uses.iter().map(|one| one.space.network_name()).collect();
        assert_eq!(spaces, ["192.0.2.0-27"], "{kept}");
    }
    // Also while its entry is missing: it is not written yet, or others removed it.
    let world = with_other_space(World::new(PLAIN).with_entry(&entry("nadmit:", "")));
    let mut catalog = world.catalog;
    let empty = json!({"spec": {"range": "192.0.2.0/27", "allocations": {}}});
    let empty = IpPool::read(HOME, PLAIN.pool, &empty);
    let empty = empty.unwrap_or_else(|e| panic!("{e}")).0;
    catalog.set_ip_pool((HOME, PLAIN.pool), Some(Arc::new(empty)));
    let uses = catalog.foreign_uses(|| world.records);
    let spaces: Vec<&str> = uses.iter().map(|one| one.space.network_name()).collect();
    assert_eq!(spaces, ["192.0.2.0-27"]);
    let given = entry("c0ffee", "db/db-0");
    let world = with_other_space(World::new(PLAIN).with_entry(&given));
    let uses = world.catalog.foreign_uses(Vec::new);
    let mut spaces: Vec<&str> = uses.iter().map(|one| one.space.network_name()).collect();
    spaces.dedup();
    assert_eq!(spaces, ["", "192.0.2.0-27"]);
}

/// The record of `db/db-0` and one of another space, for the same address: a Binding that did not finish
/// left it behind.
#[test]
fn an_entry_that_is_kept_for_another_space_is_not_replaced() {
    let of_other = |interface: &str, entry: Value| {
        let mut world = with_other_space(World::new(PLAIN).with_entry(&entry));
        let mut allocation = world.records[0].allocation.clone();
        allocation.space = Space::new("192.0.2.0-27");
        allocation.pool = world
            .catalog
            .network("db", "other")
            .and_then(|network| network.pool())
            .unwrap_or_default()
            .into();
        allocation.network.name = "other".into();
        allocation.interface = interface.into();
        allocation.holder = holder("db-1");
        allocation.pod = Some(pod_ref("db-1", None));
        world.records.push(Arc::new(Stored {
            allocation,
            version: VERSION,
        }));
        world.catalog.put_pod(Arc::new(pod("db-1", None)));
        world
    };
    let running = entry("nadmit:c0ffee", "db/db-0");
    let plan = of_other("net1", running.clone()).with_pod(|_| ()).plan();
    assert_eq!(plan.writes, [], "{plan:?}");
    let forgotten: Vec<&Holder> = plan
        .forget
        .iter()
        .map(|one| &one.allocation.holder)
        .collect();
    assert_eq!(forgotten, [&holder("db-1")]);
    let spaces: Vec<Option<&str>> = plan
        .taken
        .iter()
        .map(|taken| taken.space.as_deref())
        .collect();
    assert_eq!(spaces, [Some("")]);
    // A hold is that of its own record.
    let mut world = of_other("net1", entry("nadmit:c0ffee", ""));
    let plan = world.plan();
    assert_eq!((plan.writes.len(), plan.forget.len()), (0, 1), "{plan:?}");
    // Without that record it is released, and only then taken.
    world.records.remove(0);
    let plan = world.plan();
    let released: Vec<(&str, bool)> = plan
        .writes
        .iter()
        .map(|one| {
            let is_release = matches!(one.entry.desired, DesiredUse::Released { .. });
            (&*one.entry.at.space, is_release)
        })
        .collect();
    assert_eq!(released, [("", true)]);
}

/// A network with an inline pool, whose range a network of Whereabouts in another namespace may have, too.
struct Copies {
    world: World,
}

impl Copies {
    fn new(keys: &str) -> Self {
        let config = format!(
            r#"{{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {{"type": "static", {keys}}}}}"#
        );
        let network = Arc::new(Network::new("db", "net", Some(&config)));
        let others = ["web", HOME].map(|name| (name.into(), labels(false)));
        let namespaces = [("db".into(), labels(true))].into_iter().chain(others);
        let derivation = PoolDerivation {
            inline: InlinePools::Enabled,
            whereabouts: WhereaboutsMode::Serve,
        };
        let catalog = Catalog::new(namespaces, [network], []);
        let mut catalog = catalog.deriving_pools(derivation);
        let mut world = World::new(PLAIN);
        catalog.set_pools([], []);
        catalog.set_ip_pools_known(true);
        catalog.set_overlapping_reservations_known(true);
        let network = catalog.network("db", "net");
        let pool = network.and_then(|one| one.pool()).unwrap_or_default();
        assert!(pool.starts_with("inline/"), "{pool}");
        let space = catalog.pool(pool).valid().map(|pool| pool.space.clone());
        let mut allocation = world.records[0].allocation.clone();
        allocation.pool = pool.into();
        allocation.space = space.unwrap_or_else(|| Space::new("no pool"));
        let version = VERSION;
        world.records = vec![Arc::new(Stored {
            allocation,
            version,
        })];
        world.catalog = catalog;
        Self { world }
    }

    fn with_copy(mut self, keys: &str) -> Self {
        let config = format!(r#"{{"type": "macvlan", "ipam": {{"type": "whereabouts", {keys}}}}}"#);
        let copy = Network::new("web", "net", Some(&config));
        self.world.catalog.put_network(Arc::new(copy));
        self.world.catalog.set_pools([], []);
        self
    }

    fn with_pod(mut self) -> Self {
        self.world = self.world.with_pod(|pod| {
            pod.network_status = Some(STATUS.into());
        });
        self
    }

    fn with_entry(mut self) -> Self {
        self.world = self.world.with_entry(&entry("nadmit:", "db/db-0"));
        self
    }
}

const RANGE: &str = r#""range": "192.0.2.0/27""#;
const STATUS: &str = r#"[{"name":"db/net","interface":"net1","ips":["192.0.2.5"]}]"#;

#[test]
fn an_inline_pool_keeps_the_plugin_from_the_addresses_of_a_shared_range() {
    let common = r#""range": "192.0.2.0/27", "network_name": "common""#;
    let alone = r#""range": "192.0.2.0/27", "enable_overlapping_ranges": false"#;
    let wider = r#""range": "192.0.2.0/24""#;
    let beside = r#""range": "192.0.2.0/27", "range_start": "192.0.2.9""#;
    let pool = "192.0.2.0-27";
    let reserved = |pool: &'static str, name: &'static str| Some((pool, Some(name)));
    let cases = [
        (RANGE, RANGE, reserved(pool, "192.0.2.5")),
        (RANGE, wider, reserved(pool, "192.0.2.5")),
        (
            common,
            common,
            reserved("common-192.0.2.0-27", "common-192.0.2.5"),
        ),
        (alone, alone, Some((pool, None))),
        // Another address space, and other addresses.
        (RANGE, common, None),
        (RANGE, alone, None),
        (RANGE, beside, None),
    ];
    for (own, copy, expected) in cases {
        let copies = Copies::new(own).with_copy(copy).with_pod();
        let plan = copies.world.plan();
        assert_eq!(plan.forget, [], "{own} {copy}");
        let found: Vec<_> = plan.writes.iter().map(|write| &write.entry).collect();
        let places = found.iter().map(|entry| {
            let is_bound = matches!(entry.desired, DesiredUse::Bound { .. });
            assert!(is_bound, "{own} {copy}");
            let pool = entry.at.pool.as_ref().map(|pool| &*pool.name);
            (pool.unwrap_or_default(), entry.at.reservation.as_deref())
        });
        let places: Vec<_> = places.collect();
        assert_eq!(places, Vec::from_iter(expected), "{own} {copy}");
    }
    let alone = Copies::new(RANGE).with_pod();
    assert_eq!(alone.world.plan(), ServedPlan::default());
}

#[test]
fn the_entries_of_an_inline_pool_go_with_the_last_network_of_whereabouts() {
    let migrated = Copies::new(RANGE).with_pod().with_entry();
    assert_eq!(migrated.world.left_to(), None);
    // So does a reservation whose entry is gone.
    let mut without_entry = migrated;
    let pool = (HOME, PLAIN.pool);
    without_entry.world.catalog.set_ip_pool(pool, None);
    assert_eq!(without_entry.world.left_to(), None);

    // The pod keeps the address from the plugin, if nadmit only observes from now on.
    let mut observed = Copies::new(RANGE).with_copy(RANGE).with_pod().with_entry();
    let observe = PoolDerivation {
        inline: InlinePools::Enabled,
        whereabouts: WhereaboutsMode::Observe,
    };
    observed.world.catalog.set_pool_derivation(observe);
    observed.world.catalog.set_pools([], []);
    let left_to = observed.world.left_to().map(|one| one.pod);
    assert_eq!(left_to, Some(db_0()));
}
