//! A cluster as the planner sees it, in a time of its own.

use core::time::Duration;
use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use nadmit_allocation::{
    Address, Allocation, Holder, NetworkRef, ParsedSpec, PodRef, Reservation, Space, Stored,
    Timestamp, Version, Write, reconcile::ActionReason,
};
use nadmit_catalog::{Catalog, NamespaceLabels, Node, Pod};
use nadmit_cni::Network;
use serde_json::{Value, json};

use crate::{
    MonotonicTime, Observation, Plan, Planner,
    cluster_view::{ClusterView, PodVerdict},
    pod_index::PodIndex,
};

/// The wall clock's time at the beginning of a test.
const BEGIN: i64 = 1_000_000;

/// A cluster with a pool, a network of the pool and two nodes, whose ledger a planner keeps.
pub(super) struct Cluster {
    pub(super) catalog: Catalog,
    pub(super) planner: Planner,
    pub(super) records: BTreeMap<Address, Stored>,
    versions: u64,
    elapsed: u64,
}

/// The state of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum NodeIs {
    Ready,
    Silent,
    OutOfService,
    Gone,
}

/// Returns the specification of a pool with these further fields.
pub(super) fn spec(fields: &Value) -> Value {
    let mut spec = json!({
        "ranges": [{"range": "192.0.2.0/24"}], "quarantine": "30s", "lostNodeQuarantine": "10m",
        "namespaceSelector": {},
    });
    for (key, value) in fields.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self::with(&json!({}))
    }

    /// Returns a cluster whose pool has these further fields.
    pub(super) fn with(fields: &Value) -> Self {
        let config = json!({
            "cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true},
            "ipam": {"type": "static"},
        });
        let mut network = Network::new("db", "storage-net", Some(&config.to_string()));
        network.address_pool = Some("storage".into());
        let catalog = Catalog::new(
            [("db".into(), NamespaceLabels::default())],
            [Arc::new(network)],
            [],
        );
        let mut cluster = Self {
            catalog,
            planner: Planner::default(),
            records: BTreeMap::new(),
            versions: 0,
            elapsed: 0,
        };
        cluster.configure(fields, []);
        cluster.catalog.nodes_mut().set_known(true);
        cluster.node("node-1", NodeIs::Ready);
        cluster.node("node-2", NodeIs::Ready);
        let workloads = cluster.catalog.workloads_mut();
        workloads.set_stateful_sets_known(true);
        workloads.set_machines_known(true);
        workloads.set_instances_known(true);
        cluster
    }

    /// Replaces the pool's further fields, and the reservations.
    pub(super) fn configure(
        &mut self,
        fields: &Value,
        reservations: impl IntoIterator<Item = Arc<Reservation>>,
    ) {
        let pool = ParsedSpec::of_pool(&spec(fields)).pool("storage");
        let pool = pool.unwrap_or_else(|e| panic!("{e:?}"));
        self.catalog
            .set_pools([("storage".into(), Ok(Arc::new(pool)))], reservations);
    }

    pub(super) fn node(&mut self, name: &str, state: NodeIs) {
        let node = Node {
            ready: matches!(state, NodeIs::Ready),
            out_of_service: matches!(state, NodeIs::OutOfService),
            since: None,
        };
        let node = (!matches!(state, NodeIs::Gone)).then_some(node);
        self.catalog.nodes_mut().set(name, node);
    }

    pub(super) fn put(&mut self, pod: Pod) {
        self.catalog.put_pod(Arc::new(pod));
    }

    pub(super) fn remove(&mut self, pod: &str) {
        self.catalog.remove_pod("db", pod);
    }

    /// Writes a record.
    pub(super) fn record(&mut self, record: Allocation) {
        self.versions += 1;
        let version = Version(self.versions);
        let stored = Stored {
            allocation: record,
            version,
        };
        self.records.insert(stored.allocation.address, stored);
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(BEGIN).plus(Duration::from_secs(self.elapsed))
    }

    pub(super) fn instant(&self) -> MonotonicTime {
        MonotonicTime::after_origin(Duration::from_secs(self.elapsed))
    }

    /// Returns the plan at this moment.
    pub(super) fn plan(&mut self) -> Plan {
        let (now, instant) = (self.now(), self.instant());
        self.planner.plan(Observation {
            catalog: &Arc::new(self.catalog.clone()),
            records: self.records.values().cloned().map(Arc::new).collect(),
            multus_namespace: "kube-system",
            now,
            instant,
        })
    }

    /// Lets a second pass.
    pub(super) fn elapse(&mut self) {
        self.elapsed += 1;
    }

    /// Returns the state of a record's pod, given what the planner has observed.
    pub(super) fn verdict(&self, record: &Allocation) -> PodVerdict {
        let view = ClusterView {
            catalog: &self.catalog,
            pods: &PodIndex::of(&self.catalog),
            absences: &self.planner.absences,
            multus_namespace: "kube-system",
            now: self.now(),
            instant: self.instant(),
            due: Cell::new(None),
        };
        view.verdict(record)
    }

    /// Plans a second later, and writes the records of the plan.
    pub(super) fn pass(&mut self) -> Plan {
        self.elapse();
        let plan = self.plan();
        for planned in &plan.actions {
            match planned.action.write.clone() {
                Some(Write::Create(record)) => {
                    assert!(!self.records.contains_key(&record.address), "{planned}");
                    self.record(record);
                }
                Some(Write::Update(record, version)) => {
                    let before = &self.records[&record.address];
                    assert_eq!(before.version, version, "{planned}");
                    self.record(record);
                }
                Some(Write::Delete(record, version)) => {
                    let before = self.records.remove(&record.address);
                    let before = before.map(|before| before.version);
                    assert_eq!(before, Some(version), "{planned}");
                }
                None => {}
            }
        }
        plan
    }

    /// Passes once a second for this long.
    pub(super) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.pass();
        }
    }

    /// Returns the reasons of the next pass.
    pub(super) fn reasons(&mut self) -> Vec<ActionReason> {
        let actions = self.pass().actions.into_iter();
        actions.map(|planned| planned.action.reason).collect()
    }

    /// Passes once a second until the record of an address is deleted or returned to its reservation.
    /// Returns the number of passes and the reason; `None` if that does not happen within 20 minutes.
    ///
    /// The plan before must have said that there would be something to do by then.
    pub(super) fn freed(&mut self, address: &str) -> Option<(u64, ActionReason)> {
        let (passes, reason, due) = self.release_of(address)?;
        let now = self.instant();
        let in_time = due.is_some_and(|due| due <= now);
        assert!(in_time, "due at {due:?}, freed at {now:?}");
        Some((passes, reason))
    }

    /// Does as [`Self::freed`], and returns when the plan before was due.
    pub(super) fn release_of(
        &mut self,
        address: &str,
    ) -> Option<(u64, ActionReason, Option<MonotonicTime>)> {
        let address: Address = address.parse().unwrap_or_else(|e| panic!("{e}"));
        let mut due = Some(MonotonicTime::default());
        for passes in 1..=1200 {
            let plan = self.pass();
            let freed = plan.actions.into_iter().find(|planned| {
                let returned = planned.action.reason == ActionReason::ReturnedToReservation;
                match &planned.action.write {
                    Some(Write::Delete(record, _)) => record.address == address,
                    Some(write) => returned && write.allocation().address == address,
                    None => false,
                }
            });
            if let Some(planned) = freed {
                return Some((passes, planned.action.reason, due));
            }
            due = plan.due;
        }
        None
    }

    pub(super) fn held(&self, address: &str) -> Option<&Allocation> {
        let address: Address = address.parse().unwrap_or_else(|e| panic!("{e}"));
        self.records.get(&address).map(|stored| &stored.allocation)
    }

    /// Returns the record of an address of a pod on node-1, made now.
    pub(super) fn allocation(&self, address: &str, pod: &str) -> Allocation {
        Allocation {
            address: address.parse().unwrap_or_else(|e| panic!("{e}")),
            space: Space::default(),
            pool: "storage".into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "storage-net".into(),
            },
            interface: "net1".into(),
            holder: holder(pod),
            pod: Some(pod_ref(pod, Some("node-1"))),
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: self.now(),
        }
    }
}

pub(super) fn holder(pod: &str) -> Holder {
    Holder::Pod {
        namespace: "db".into(),
        name: pod.into(),
    }
}

pub(super) fn replica(ordinal: u32) -> Holder {
    Holder::Replica {
        namespace: "db".into(),
        stateful_set: "web".into(),
        ordinal,
    }
}

pub(super) fn machine() -> Holder {
    Holder::VirtualMachine {
        namespace: "db".into(),
        name: "vm".into(),
    }
}

pub(super) fn token() -> Holder {
    Holder::Unnamed {
        namespace: "db".into(),
        generate_name: "web-".into(),
        token: "t-1".into(),
    }
}

/// Returns the reference to a pod whose UID follows from its name.
pub(super) fn pod_ref(name: &str, node: Option<&str>) -> PodRef {
    PodRef {
        name: name.into(),
        uid: Some(format!("u-{name}").into()),
        node: node.map(Into::into),
    }
}

/// Returns a pod without networks; its UID follows from its name.
pub(super) fn pod(name: &str, node: Option<&str>) -> Pod {
    Pod {
        uid: Some(format!("u-{name}").into()),
        node: node.map(Into::into),
        ..Pod::new("db", name)
    }
}

/// Returns the pod with a request of an address on `storage-net`.
pub(super) fn asking(pod: Pod, address: &str) -> Pod {
    let networks = json!([{"name": "storage-net", "ips": [format!("{address}/24")]}]);
    Pod {
        networks: Some(networks.to_string().into()),
        ..pod
    }
}

/// Returns the pod with a network-status that shows an address on `net1`.
pub(super) fn reporting(pod: Pod, address: &str) -> Pod {
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": [address]}]);
    Pod {
        network_status: Some(status.to_string().into()),
        ..pod
    }
}

/// Returns a bound pod that has an address.
pub(super) fn running(name: &str, address: &str, node: &str) -> Pod {
    reporting(asking(pod(name, Some(node)), address), address)
}

pub(super) fn reservation(address: &str) -> Arc<Reservation> {
    let spec = json!({"network": "storage-net", "holder": {"pod": "a"}, "ips": [address]});
    let spec = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{e}"));
    let reservation = Reservation::new("db", "r", &spec);
    Arc::new(reservation.unwrap_or_else(|e| panic!("{e:?}")))
}
