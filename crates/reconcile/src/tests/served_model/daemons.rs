//! Models of Whereabouts's reconciler (`pkg/reconciler`) and of its control loop (`pkg/controlloop`) of
//! v0.9.2: each step is one request.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

use nadmit_whereabouts::{IpPool, PodName, PoolEntry, ip_pool_name};
use serde_json::json;

use super::{
    api_server::{ApiServer, Kind, PodObject},
    plugin::{Del, PluginNetwork},
};

/// A run of the reconciler.
#[derive(Debug, Default)]
pub(super) struct WhereaboutsRun {
    pools: Vec<IpPool>,
    pods: BTreeMap<String, PodObject>,
    orphans: Vec<(IpPool, Vec<PoolEntry>)>,
    reservations: Vec<String>,
    next: RunStep,
    /// The pods whose entries it removed.
    pub(super) removed: Vec<PodName>,
}

#[derive(Debug, Default, Clone, Copy)]
enum RunStep {
    #[default]
    ListPools,
    ListPods,
    ListReservations,
    WritePools,
    DeleteReservations,
}

/// The control loop's work for a deleted pod.
#[derive(Debug)]
pub(super) struct ControlLoop {
    network: Rc<PluginNetwork>,
    pod: String,
    entries: Option<Vec<PoolEntry>>,
    del: Option<Del>,
    pub(super) removed: Vec<PodName>,
}

impl WhereaboutsRun {
    /// Makes the next request. Returns true at the end.
    pub(super) fn step(&mut self, api: &mut ApiServer) -> bool {
        match self.next {
            RunStep::ListPools => {
                self.pools = api.pools.keys().filter_map(|name| api.pool(name)).collect();
                self.next = RunStep::ListPods;
                false
            }
            RunStep::ListPods => {
                let entries = self.pools.iter().flat_map(|pool| &pool.entries);
                let named: BTreeSet<String> = entries.map(PoolEntry::pod_ref).collect();
                let pods = api.pods.iter().filter(|(name, _)| named.contains(*name));
                self.pods = pods
                    .map(|(name, pod)| (name.clone(), pod.clone()))
                    .collect();
                for pool in std::mem::take(&mut self.pools) {
                    let orphans = pool.entries.iter().filter(|entry| {
                        let pod = entry.pod_ref();
                        !pod.is_empty() && !self.is_on_pod(api, &pod, Some(entry.address))
                    });
                    let orphans: Vec<PoolEntry> = orphans.cloned().collect();
                    if !orphans.is_empty() {
                        self.orphans.push((pool, orphans));
                    }
                }
                self.next = RunStep::ListReservations;
                false
            }
            RunStep::ListReservations => {
                let all: Vec<&String> = api.reservations.keys().collect();
                let orphans = all.into_iter().filter(|name| {
                    let pod = api.reservation(name).and_then(|found| found.pod);
                    let pod = pod.map(|pod| pod.to_string()).unwrap_or_default();
                    let address = name.rsplit('-').next().and_then(|text| text.parse().ok());
                    !self.is_on_pod(api, &pod, address) && !is_used(api, &pod, address)
                });
                self.reservations = orphans.cloned().collect();
                self.next = RunStep::WritePools;
                false
            }
            RunStep::WritePools => {
                let Some((pool, orphans)) = self.orphans.pop() else {
                    self.next = RunStep::DeleteReservations;
                    return false;
                };
                let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion",
                    "value": pool.version})];
                patch.extend(orphans.iter().map(|entry| {
                    json!({"op": "remove", "path": format!("/spec/allocations/{}", entry.key)})
                }));
                let written = api.patch(Kind::IpPool, &pool.name, &patch.into());
                if written.is_ok() {
                    self.removed
                        .extend(orphans.into_iter().filter_map(|entry| entry.pod));
                }
                // A pool that was written meanwhile ends the run.
                written.is_err()
            }
            RunStep::DeleteReservations => {
                if let Some(name) = self.reservations.pop() {
                    let _ = api.delete(Kind::Reservation, &name, None);
                }
                self.reservations.is_empty()
            }
        }
    }

    /// Returns true if a pod that exists reports the address; a Pending pod is read again.
    fn is_on_pod(&self, api: &ApiServer, pod: &str, address: Option<IpAddr>) -> bool {
        let Some(listed) = self.pods.get(pod) else {
            return false;
        };
        let reports = |pod: &PodObject| address.is_some() && pod.reported == address;
        reports(listed) || (listed.reported.is_none() && api.pods.get(pod).is_some_and(reports))
    }
}

/// Returns true if a pod uses its reservation. The reconciler itself deletes such reservations, too: those
/// of named networks, and those of pods whose entries are newer than its list of pools. Two plugins on
/// overlapping ranges then give one address twice, and so does nadmit with an old view.
fn is_used(api: &ApiServer, pod: &str, address: Option<IpAddr>) -> bool {
    let found = api.pods.get(pod);
    found.is_some_and(|found| found.reported == address)
}

impl ControlLoop {
    /// Begins the work for a pod that had this network.
    pub(super) fn new(network: &Rc<PluginNetwork>, pod: &str) -> Self {
        Self {
            network: Rc::clone(network),
            pod: pod.to_owned(),
            entries: None,
            del: None,
            removed: Vec::new(),
        }
    }

    /// Makes the next request. Returns true at the end.
    pub(super) fn step(&mut self, api: &mut ApiServer) -> bool {
        if let Some(del) = &mut self.del {
            if del.step(api) {
                self.removed.append(&mut del.removed);
                self.del = None;
            }
            return false;
        }
        let Some(entries) = &mut self.entries else {
            let ranges = self.network.ranges.iter();
            let names =
                ranges.map(|range| ip_pool_name(self.network.network_name, None, range.subnet));
            let pools = names.filter_map(|name| api.pool(&name));
            let entries = pools.flat_map(|pool| pool.entries);
            self.entries = Some(
                entries
                    .filter(|entry| entry.pod_ref() == self.pod)
                    .collect(),
            );
            return false;
        };
        let Some(entry) = entries.pop() else {
            return true;
        };
        let lives = api.pods.get(&self.pod).is_some_and(|pod| !pod.terminating);
        if !lives {
            self.del = Some(Del::new(
                &self.network,
                &entry.interface,
                &entry.container_id,
            ));
        }
        false
    }
}
