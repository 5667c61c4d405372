//! The Binding of a pod at one replica, as `nadmit-ledger` commits it: the record, then the entry, then the
//! reservation, then the API server's answer.

use core::time::Duration;

use nadmit_allocation::{Allocation, Write, index::PlanId};
use nadmit_whereabouts::{DesiredEntry, DesiredUse, PodName};

use super::{
    api_server::{ApiServer, HOME},
    replica::Replica,
    served_write::{ServedTask, Written},
};

/// The number of plans of one Binding.
const MAX_PLANS: u32 = 4;

/// The review of a Binding.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) pod: String,
    pub(super) uid: String,
    plans: u32,
    next: BindingStep,
}

#[derive(Debug)]
enum BindingStep {
    Plan,
    WriteRecords {
        writes: Vec<Write>,
        plan: PlanId,
        entries: Vec<DesiredEntry>,
    },
    WriteEntries {
        created: Vec<Allocation>,
        tasks: Vec<ServedTask>,
    },
    Forget(Vec<Allocation>),
    Bind,
}

/// The end of a Binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The pod is bound with its addresses.
    Well,
    /// The Binding is refused; the scheduler comes again.
    Refused,
}

impl Binding {
    pub(super) fn new(pod: &str, uid: &str) -> Self {
        Self {
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            plans: 0,
            next: BindingStep::Plan,
        }
    }

    /// Makes the next request.
    pub(super) fn step(
        &mut self,
        replica: &mut Replica,
        api: &mut ApiServer,
        now: Duration,
    ) -> Option<Bound> {
        match std::mem::replace(&mut self.next, BindingStep::Plan) {
            BindingStep::Plan => return self.plan(replica, api, now),
            BindingStep::WriteRecords {
                writes,
                plan,
                entries,
            } => {
                // A pod on one range has one record, so that the batch is one write.
                assert!(writes.len() < 2, "{writes:?}");
                let versions: Result<Vec<_>, ()> = writes
                    .iter()
                    .map(|write| api_write(replica, write, api))
                    .collect();
                let Ok(versions) = versions else {
                    replica.index.abort(plan);
                    return None;
                };
                replica.index.commit(plan, &versions);
                let created = writes.into_iter().filter_map(|write| match write {
                    Write::Create(record) => Some(record),
                    _ => None,
                });
                let tasks = entries
                    .into_iter()
                    .map(|entry| ServedTask::new(entry, Vec::new()));
                self.next = BindingStep::WriteEntries {
                    created: created.collect(),
                    tasks: tasks.collect(),
                };
            }
            BindingStep::WriteEntries { created, mut tasks } => {
                let Some(task) = tasks.last_mut() else {
                    self.next = BindingStep::Bind;
                    return None;
                };
                match task.step(api) {
                    None => {}
                    Some(Written::Done) => drop(tasks.pop()),
                    Some(Written::GivenUp) => return Some(Bound::Refused),
                    Some(Written::Taken(taken)) => {
                        replica.learn(&taken);
                        self.next = BindingStep::Forget(created);
                        return None;
                    }
                }
                self.next = BindingStep::WriteEntries { created, tasks };
            }
            BindingStep::Forget(mut created) => {
                let record = created.pop()?;
                let version = replica.index.version_of(&record.space, record.address);
                if let Some(version) = version {
                    let _ = replica.write(&Write::Delete(record, version), api);
                }
                self.next = BindingStep::Forget(created);
            }
            BindingStep::Bind => {
                let pod = api.pod_of(&self.pod, &self.uid);
                let pod = pod.filter(|pod| !pod.terminating && pod.node.is_none());
                let Some(pod) = pod else {
                    return Some(Bound::Refused);
                };
                pod.node = Some("node-1");
                return Some(Bound::Well);
            }
        }
        None
    }

    fn plan(&mut self, replica: &mut Replica, api: &ApiServer, now: Duration) -> Option<Bound> {
        self.plans += 1;
        let pod = api.pods.get(&self.pod).filter(|pod| pod.uid == self.uid);
        let pod = pod.filter(|pod| !pod.terminating && !pod.ended && pod.node.is_none());
        let Some(pod) = pod.filter(|_| self.plans <= MAX_PLANS) else {
            return Some(Bound::Refused);
        };
        let Some(plan) = replica.plan(&self.pod, pod, api, now) else {
            return Some(Bound::Refused);
        };
        let name = PodName::parse(&self.pod)?;
        let network = replica.catalog.network(&name.namespace, pod.network)?;
        let network = (&**network).into();
        let ips = plan.assignments.iter().flat_map(|one| &one.ips);
        let entries = ips.filter_map(|(ip, _)| {
            let at = replica.catalog.served_address(&network, *ip, HOME)?;
            let desired = DesiredUse::Binding {
                pod: name.clone(),
                interface: "net1".into(),
            };
            Some(DesiredEntry { at, desired })
        });
        self.next = BindingStep::WriteRecords {
            entries: entries.collect(),
            writes: plan.writes,
            plan: plan.id,
        };
        None
    }
}

/// Makes a write of a plan; the plan's own commit applies it to the index.
fn api_write(
    replica: &mut Replica,
    write: &Write,
    api: &mut ApiServer,
) -> Result<nadmit_allocation::Version, ()> {
    match api.write(write) {
        Ok(version) => Ok(version),
        Err(Some(current)) => {
            replica.index.apply_response(*current);
            Err(())
        }
        Err(None) => {
            if let Write::Update(record, version) = write {
                replica
                    .index
                    .apply_delete(&record.space, record.address, *version);
            }
            Err(())
        }
    }
}
