//! A replica of nadmit: its view of the cluster, which may be stale, and the writes that it makes, one
//! request a step, as the writer of `nadmit-ledger` makes them.

use std::sync::Arc;

use core::time::Duration;
use nadmit_allocation::{
    ForeignPod, Index, NetworkRef, PodRef, Stored, Timestamp, Version, Write,
    index::{AllocationPlan, AttachmentRequest, MacRequest, Requester},
};
use nadmit_catalog::{
    Catalog, InlinePools, LiveRead, NamespaceLabels, Node, Ordinals, PoolDerivation,
    WhereaboutsMode,
};
use nadmit_cni::Network;
use nadmit_whereabouts::Taken;
use serde_json::json;

use super::{
    api_server::{ApiServer, HOME, PodObject},
    plugin::PluginNetwork,
};
use crate::{Effect, MonotonicTime, Observation, Planner, RequiredReads, ServedPlan};

/// The wall clock's time at the beginning.
const BEGIN: i64 = 1_000_000;

/// The kinds that a replica watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    Pods,
    IpPools,
    Reservations,
    Records,
    StatefulSets,
}

/// The networks that a cluster has from the beginning.
#[derive(Debug)]
pub(super) struct Networks {
    /// The networks of each namespace, by name.
    pub(super) all: Vec<(&'static str, std::rc::Rc<PluginNetwork>)>,
}

/// A replica.
pub(super) struct Replica {
    pub(super) catalog: Catalog,
    pub(super) index: Index,
    planner: Planner,
}

impl Networks {
    fn network(&self, namespace: &str, name: &'static str) -> Network {
        let found = self.all.iter().find(|(known, _)| *known == name);
        let Some((_, plugin)) = found else {
            panic!("{name}")
        };
        let ranges = plugin.ranges.iter();
        let ranges: Vec<_> = ranges
            .map(|one| json!({"range": one.subnet.to_string()}))
            .collect();
        let config = json!({"cniVersion": "0.3.1", "type": "macvlan", "ipam": {
            "type": "whereabouts", "ipRanges": ranges, "network_name": plugin.network_name,
            "enable_overlapping_ranges": plugin.overlapping,
        }});
        Network::new(namespace, name, Some(&config.to_string()))
    }

    /// Returns a catalog in which the namespace `db` is labelled for injection and `web` is not.
    fn catalog(&self) -> Catalog {
        let labels = |injection| NamespaceLabels {
            injection,
            ..NamespaceLabels::default()
        };
        let namespaces = [
            ("db".into(), labels(true)),
            ("web".into(), labels(false)),
            (HOME.into(), labels(false)),
        ];
        let mut catalog = Catalog::new(namespaces, [], []).deriving_pools(PoolDerivation {
            inline: InlinePools::Disabled,
            whereabouts: WhereaboutsMode::Serve,
        });
        for namespace in ["db", "web"] {
            for (name, _) in &self.all {
                catalog.put_network(Arc::new(self.network(namespace, name)));
            }
        }
        catalog.set_pools([], []);
        catalog.set_ip_pools_known(true);
        catalog.set_overlapping_reservations_known(true);
        catalog.nodes_mut().set_known(true);
        let node = Node {
            ready: true,
            out_of_service: false,
            since: None,
        };
        catalog.nodes_mut().set("node-1", Some(node));
        catalog.workloads_mut().set_stateful_sets_known(true);
        catalog
    }
}

impl Replica {
    /// Starts a replica.
    pub(super) fn start(networks: &Networks, api: &ApiServer, replicas: u32) -> Self {
        let mut replica = Self {
            catalog: networks.catalog(),
            index: Index::default(),
            planner: Planner::default(),
        };
        replica.index.synced(replica.catalog.pool_config());
        let pools: Vec<_> = replica
            .catalog
            .pool_config()
            .pools
            .keys()
            .cloned()
            .collect();
        for pool in pools {
            replica.index.set_ready(&pool);
        }
        replica.refresh_all(api, replicas);
        replica
    }

    pub(super) fn refresh_all(&mut self, api: &ApiServer, replicas: u32) {
        use Watched::{IpPools, Pods, Records, Reservations, StatefulSets};
        for kind in [StatefulSets, Pods, IpPools, Reservations, Records] {
            self.refresh(kind, api, replicas);
        }
    }

    /// Brings one kind up to date.
    pub(super) fn refresh(&mut self, kind: Watched, api: &ApiServer, replicas: u32) {
        match kind {
            Watched::Pods => {
                let known: Vec<_> = self.catalog.pods().cloned().collect();
                for pod in known {
                    self.catalog.remove_pod(&pod.namespace, &pod.name);
                }
                for (key, pod) in &api.pods {
                    if let Some(pod) = pod.observed(key) {
                        self.catalog.put_pod(pod);
                    }
                }
            }
            Watched::IpPools => {
                for name in api.pools.keys() {
                    self.catalog
                        .set_ip_pool((HOME, name), api.pool(name).map(Arc::new));
                }
                self.set_foreign();
            }
            Watched::Reservations => {
                let known = self.catalog.whereabouts().reservations();
                let known: Vec<String> = known.map(|one| one.name.to_string()).collect();
                for name in known.iter().chain(api.reservations.keys()) {
                    let found = api.reservation(name).map(Arc::new);
                    self.catalog
                        .set_overlapping_reservation((HOME, name), found);
                }
                self.set_foreign();
            }
            Watched::Records => {
                let all: Vec<Stored> = api.records.values().cloned().collect();
                self.index.replace(all, api.version());
            }
            Watched::StatefulSets => {
                let ordinals = Ordinals { start: 0, replicas };
                let workloads = self.catalog.workloads_mut();
                workloads.set_stateful_set(("db", "db"), Some(ordinals));
            }
        }
    }

    fn set_foreign(&mut self) {
        let foreign = self.catalog.foreign_uses(|| self.index.snapshot());
        self.index.set_foreign(foreign);
    }

    /// Plans the address of a pod that is being bound, after the live reads of the review.
    pub(super) fn plan(
        &mut self,
        key: &str,
        pod: &PodObject,
        api: &ApiServer,
        now: Duration,
    ) -> Option<AllocationPlan> {
        let observed = pod.observed(key)?;
        self.catalog.put_pod(Arc::clone(&observed));
        let network = self.catalog.network(&observed.namespace, pod.network)?;
        let request = AttachmentRequest {
            pool: network.pool()?.into(),
            network: NetworkRef::from(&**network),
            interface: "net1".into(),
            needs_ips: true,
            ips: Vec::new(),
            mac: MacRequest::None,
        };
        let held = self.index.held_by(&pod.holder, &request.network, "net1");
        if held.is_empty() && pod.holder.is_persistent() {
            let of_holder = api.records.values();
            for stored in of_holder.filter(|one| one.allocation.holder == pod.holder) {
                self.index.apply_response(stored.clone());
            }
        }
        let requester = Requester {
            holder: pod.holder.clone(),
            pod: Some(PodRef {
                name: (&*observed.name).into(),
                uid: Some((*pod.uid).into()),
                node: Some("node-1".into()),
            }),
            node: Some("node-1".into()),
        };
        let config = Arc::clone(self.catalog.pool_config());
        let mut index = self.index.synced(&config);
        index.plan(&requester, &[request], wall(now)).ok()
    }

    /// Makes one write of nadmit's records, and applies the outcome to the index.
    pub(super) fn write(&mut self, write: &Write, api: &mut ApiServer) -> Result<Version, ()> {
        let record = write.allocation();
        match api.write(write) {
            Ok(version) => {
                match write {
                    Write::Create(_) | Write::Update(..) => self.index.apply_response(Stored {
                        allocation: record.clone(),
                        version,
                    }),
                    Write::Delete(..) => {
                        self.index
                            .apply_delete(&record.space, record.address, version);
                    }
                }
                Ok(version)
            }
            Err(Some(current)) => {
                self.index.apply_response(*current);
                Err(())
            }
            Err(None) => {
                if let Write::Update(_, version) | Write::Delete(_, version) = write {
                    self.index
                        .apply_delete(&record.space, record.address, *version);
                }
                Err(())
            }
        }
    }

    /// Notes an address that another pod has.
    pub(super) fn learn(&mut self, taken: &Taken) {
        let pod = taken
            .pod
            .as_ref()
            .map(|pod| ForeignPod::new(&pod.namespace, &pod.name));
        let kept_for = taken.space.as_deref();
        self.index.add_taken(taken.address, pod.as_ref(), kept_for);
    }

    /// Returns the writes of a pass of the reconciler, given what it observes now. Those that revoke an
    /// address are planned again after their live reads.
    pub(super) fn reconcile(
        &mut self,
        api: &ApiServer,
        replicas: u32,
        now: Duration,
    ) -> Vec<Write> {
        let plan = self.observe(now);
        let with = |plan: &crate::Plan, effect| -> Vec<_> {
            let actions = plan.actions.iter().filter(|one| one.effect == effect);
            actions.cloned().collect()
        };
        let mut actions = with(&plan, Effect::Record);
        let revocations = with(&plan, Effect::Revoke);
        if !revocations.is_empty() {
            let required = RequiredReads::of(&revocations, &self.index, &self.catalog);
            let (verified, failed) = required.verify(|_| false);
            assert_eq!(failed.len(), 0);
            self.refresh(Watched::Pods, api, replicas);
            self.refresh(Watched::StatefulSets, api, replicas);
            let again = with(&self.observe(now), Effect::Revoke);
            let permitted = again.into_iter();
            actions
                .extend(permitted.filter(|one| verified.permit(one, &self.index, &self.catalog)));
        }
        actions
            .into_iter()
            .filter_map(|one| one.action.write)
            .collect()
    }

    fn observe(&mut self, now: Duration) -> crate::Plan {
        let mut plan = self.planner.plan(Observation {
            catalog: &Arc::new(self.catalog.clone()),
            records: self.index.snapshot(),
            multus_namespace: HOME,
            now: wall(now),
            instant: MonotonicTime::after_origin(now),
        });
        plan.drop_pending(&self.index);
        plan
    }

    /// Returns what a pass of served networks does, after its live reads.
    pub(super) fn served_plan(&mut self, api: &ApiServer) -> ServedPlan {
        let of =
            |replica: &Self| ServedPlan::of(&replica.catalog, &replica.index.snapshot(), &[HOME]);
        let reads = of(self).reads();
        for read in &reads {
            let LiveRead::Pod { namespace, name } = read else {
                panic!("{read}")
            };
            let key = format!("{namespace}/{name}");
            match api.pods.get(&key).and_then(|pod| pod.observed(&key)) {
                Some(pod) => self.catalog.put_pod(pod),
                None => self.catalog.remove_pod(namespace, name),
            };
        }
        let mut plan = of(self);
        plan.retain_read(|read| reads.contains(read));
        plan
    }
}

fn wall(now: Duration) -> Timestamp {
    Timestamp(BEGIN).plus(now)
}
