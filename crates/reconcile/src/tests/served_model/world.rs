//! A cluster with two replicas of nadmit, Whereabouts and a kubelet, in which every request is a step.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

use nadmit_allocation::{Holder, Write};

use super::{
    api_server::{ApiServer, PodObject},
    binding::Binding,
    daemons::{ControlLoop, WhereaboutsRun},
    plugin::{Add, Attachment, Del, PluginNetwork},
    replica::{Networks, Replica, Watched},
    served_write::ServedTask,
    steps::{PODS, REPLICAS, Step},
    tasks::{End, Task},
};

/// Returns true if a pod has the name of a replica.
fn is_of(holder: &Holder, pod: &nadmit_whereabouts::PodName) -> bool {
    match holder {
        Holder::Replica {
            stateful_set,
            ordinal,
            ..
        } => *pod.name == *format!("{stateful_set}-{ordinal}"),
        _ => false,
    }
}

/// A sandbox of a pod.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    pub(super) pod: String,
    pub(super) uid: String,
    network: Rc<PluginNetwork>,
    pub(super) state: SandboxState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SandboxState {
    /// Being made or torn down.
    Busy,
    /// Has to be torn down.
    Failed,
    Up(IpAddr),
}

/// The configuration of the two networks. The one of the StatefulSet is wide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) network_name: &'static str,
    /// The wide network has reservations.
    pub(super) wide_overlapping: bool,
    /// The narrow network has reservations.
    pub(super) narrow_overlapping: bool,
    /// The range of the narrow network.
    pub(super) narrow: &'static str,
}

impl Layout {
    /// Two networks with overlapping ranges in one address space.
    pub(super) const OVERLAPPING: Self = Self {
        network_name: "",
        wide_overlapping: true,
        narrow_overlapping: true,
        narrow: "192.0.2.0/28",
    };
    /// The layout [`Self::OVERLAPPING`] with a `network_name`.
    pub(super) const NAMED: Self = Self {
        network_name: "common",
        ..Self::OVERLAPPING
    };
    /// Two networks without reservations. Nothing keeps overlapping ranges apart then.
    pub(super) const ALONE: Self = Self {
        wide_overlapping: false,
        narrow_overlapping: false,
        narrow: "198.51.100.0/28",
        ..Self::OVERLAPPING
    };
    /// Two networks with one `IPPool` and two address spaces: one has reservations, and one has none.
    pub(super) const SHARED: Self = Self {
        narrow_overlapping: false,
        narrow: "192.0.2.0/27",
        ..Self::OVERLAPPING
    };
    /// The layout [`Self::SHARED`], where the network of the StatefulSet has no reservations.
    pub(super) const SHARED_ALONE: Self = Self {
        network_name: "common",
        wide_overlapping: false,
        narrow_overlapping: true,
        ..Self::SHARED
    };
}

/// The world.
pub(super) struct World {
    pub(super) api: ApiServer,
    networks: Networks,
    /// True if the reservations keep addresses from the pods of both networks.
    pub(super) overlapping: bool,
    pub(super) replicas: [Replica; 2],
    pub(super) wanted: u32,
    now: Duration,
    tasks: Vec<Task>,
    pub(super) sandboxes: BTreeMap<String, Sandbox>,
    names: u32,
    /// UIDs of pods whose address the plugin may choose: they were bound without nadmit, or others took
    /// the entry away.
    pub(super) by_plugin: BTreeSet<String>,
    /// The addresses that replicas of the StatefulSet have had on their interfaces.
    pub(super) lasting: BTreeMap<Holder, IpAddr>,
}

impl World {
    pub(super) fn new(layout: Layout) -> Self {
        let network = |range, overlapping| {
            let mut network = PluginNetwork::new(layout.network_name, &[range]);
            network.overlapping = overlapping;
            Rc::new(network)
        };
        let narrow = network(layout.narrow, layout.narrow_overlapping);
        let networks = Networks {
            all: vec![
                ("wide", network("192.0.2.0/27", layout.wide_overlapping)),
                ("narrow", narrow),
            ],
        };
        let api = ApiServer::default();
        let wanted = REPLICAS as u32;
        Self {
            replicas: [0, 1].map(|_| Replica::start(&networks, &api, wanted)),
            api,
            networks,
            overlapping: layout.wide_overlapping && layout.narrow_overlapping,
            wanted,
            now: Duration::ZERO,
            tasks: Vec::new(),
            sandboxes: BTreeMap::new(),
            names: 0,
            by_plugin: BTreeSet::new(),
            lasting: BTreeMap::new(),
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Makes a step; one that is impossible now does nothing.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Create(pod) => self.create(pod % PODS.len()),
            Step::Delete(pod) => {
                if let Some(found) = self.api.pods.get_mut(PODS[pod % PODS.len()].0) {
                    found.terminating = true;
                }
                self.remove_ended();
            }
            Step::ForceDelete(pod) => self.remove(PODS[pod % PODS.len()].0),
            Step::End(pod) => {
                let found = self.api.pods.get_mut(PODS[pod % PODS.len()].0);
                if let Some(found) = found.filter(|pod| pod.reported.is_some()) {
                    found.ended = true;
                }
            }
            Step::Scale(replicas) => self.wanted = replicas % 3,
            Step::Bind { replica, pod } => self.bind(replica % 2, PODS[pod % PODS.len()].0),
            Step::BindWithout(pod) => {
                let found = self.api.pods.get_mut(PODS[pod % PODS.len()].0);
                if let Some(found) = found.filter(|pod| pod.node.is_none() && !pod.terminating) {
                    found.node = Some("node-1");
                    self.by_plugin.insert(found.uid.clone());
                }
            }
            Step::StartSandbox(pod) => self.start_sandbox(PODS[pod % PODS.len()].0),
            Step::StopSandbox(pod) => self.stop_sandboxes(PODS[pod % PODS.len()].0),
            Step::Advance(task) => {
                if let Some(task) = self.chosen(task) {
                    self.advance(task);
                }
            }
            Step::Finish(task) => {
                if let Some(task) = self.chosen(task) {
                    while !self.advance(task) {}
                }
            }
            Step::Kill(task) => {
                if let Some(task) = self.chosen(task) {
                    let task = self.tasks.remove(task);
                    self.killed(&task);
                }
            }
            Step::Restart(replica) => self.restart(replica % 2),
            Step::Refresh { replica, kind } => {
                let kinds = [
                    Watched::Pods,
                    Watched::IpPools,
                    Watched::Reservations,
                    Watched::Records,
                    Watched::StatefulSets,
                ];
                let kind = kinds[kind % kinds.len()];
                self.replicas[replica % 2].refresh(kind, &self.api, self.wanted);
            }
            Step::RefreshAll(replica) => {
                self.replicas[replica % 2].refresh_all(&self.api, self.wanted);
            }
            Step::ServedPass(replica) => self.served_pass(replica % 2),
            Step::ReconcilePass(replica) => self.reconcile_pass(replica % 2),
            Step::WhereaboutsRun => {
                if !self.tasks.iter().any(|task| matches!(task, Task::Run(_))) {
                    self.tasks.push(Task::Run(WhereaboutsRun::default()));
                }
            }
            Step::Wait => self.now += Duration::from_secs(20),
        }
    }

    fn chosen(&self, task: usize) -> Option<usize> {
        task.checked_rem(self.tasks.len())
    }

    fn create(&mut self, pod: usize) {
        let (key, network) = PODS[pod];
        let is_replica = pod < REPLICAS;
        if self.api.pods.contains_key(key) || (is_replica && pod >= self.wanted as usize) {
            return;
        }
        let Some((namespace, name)) = key.split_once('/') else {
            return;
        };
        let holder = match is_replica {
            true => Holder::Replica {
                namespace: namespace.into(),
                stateful_set: "db".into(),
                ordinal: pod as u32,
            },
            false => Holder::Pod {
                namespace: namespace.into(),
                name: name.into(),
            },
        };
        let object = PodObject {
            uid: self.name("u"),
            holder,
            network,
            node: None,
            terminating: false,
            ended: false,
            reported: None,
        };
        self.api.pods.insert(key.to_owned(), object);
    }

    /// Removes a pod object; the control loop sees what it reported.
    fn remove(&mut self, key: &str) {
        let Some(pod) = self.api.pods.remove(key) else {
            return;
        };
        if pod.reported.is_some() {
            let network = self.network(pod.network);
            self.tasks
                .push(Task::ControlLoop(ControlLoop::new(&network, key)));
        }
    }

    /// Removes the pods that are being deleted and have no sandbox.
    pub(super) fn remove_ended(&mut self) {
        let has_sandbox = |uid: &str| self.sandboxes.values().any(|one| one.uid == uid);
        let ended = self
            .api
            .pods
            .iter()
            .filter(|(_, pod)| pod.terminating && !has_sandbox(&pod.uid));
        let ended: Vec<String> = ended.map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.remove(&key);
        }
    }

    fn network(&self, name: &str) -> Rc<PluginNetwork> {
        let mut all = self.networks.all.iter();
        let found = all.find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("{name}"), |(_, network)| Rc::clone(network))
    }

    fn bind(&mut self, replica: usize, key: &str) {
        let Some(pod) = self.api.pods.get_mut(key) else {
            return;
        };
        if pod.node.is_some() || pod.terminating {
            return;
        }
        if key.starts_with("web/") {
            pod.node = Some("node-1");
            return;
        }
        let same = |task: &Task| {
            matches!(task, Task::Binding { replica: at, binding }
            if binding.pod == key && *at == replica)
        };
        if !self.tasks.iter().any(same) {
            let binding = Binding::new(key, &pod.uid);
            self.tasks.push(Task::Binding { replica, binding });
        }
    }

    fn start_sandbox(&mut self, key: &str) {
        let Some(pod) = self.api.pods.get(key) else {
            return;
        };
        let runs = self.sandboxes.values().any(|one| one.uid == pod.uid);
        if runs || pod.node.is_none() || pod.terminating || pod.ended {
            return;
        }
        let (uid, network) = (pod.uid.clone(), self.network(pod.network));
        let container = self.name("c");
        let attachment = Attachment {
            pod: key.to_owned(),
            interface: "net1".to_owned(),
            container: container.clone(),
        };
        let add = Add::new(&network, attachment);
        let sandbox = Sandbox {
            pod: key.to_owned(),
            uid,
            network,
            state: SandboxState::Busy,
        };
        self.sandboxes.insert(container.clone(), sandbox);
        self.tasks.push(Task::Add {
            sandbox: container,
            add,
        });
    }

    /// Tears the sandboxes of all pods of this name down.
    fn stop_sandboxes(&mut self, key: &str) {
        for (container, sandbox) in &mut self.sandboxes {
            if sandbox.pod == key && sandbox.state != SandboxState::Busy {
                sandbox.state = SandboxState::Busy;
                let del = Del::new(&sandbox.network, "net1", container);
                let sandbox = container.clone();
                self.tasks.push(Task::Del { sandbox, del });
            }
        }
    }

    fn served_pass(&mut self, replica: usize) {
        let writes =
            |task: &Task| matches!(task, Task::Served { replica: at, .. } if *at == replica);
        if self.tasks.iter().any(writes) {
            return;
        }
        let plan = self.replicas[replica].served_plan(&self.api);
        for write in plan.writes {
            let task = ServedTask::new(write.entry, write.rests_on);
            self.tasks.push(Task::Served { replica, task });
        }
        for stored in plan.forget {
            let write = Write::Delete(stored.allocation.clone(), stored.version);
            self.tasks.push(Task::Record { replica, write });
        }
    }

    fn reconcile_pass(&mut self, replica: usize) {
        let writes = self.replicas[replica].reconcile(&self.api, self.wanted, self.now);
        let tasks = writes
            .into_iter()
            .map(|write| Task::Record { replica, write });
        self.tasks.extend(tasks);
    }

    /// Ends a replica with all its work, and starts it again.
    fn restart(&mut self, replica: usize) {
        self.tasks.retain(|task| task.replica() != Some(replica));
        self.replicas[replica] = Replica::start(&self.networks, &self.api, self.wanted);
    }

    fn killed(&mut self, task: &Task) {
        // The kubelet tears the sandbox down.
        if let Some(sandbox) = task.sandbox().and_then(|name| self.sandboxes.get_mut(name)) {
            sandbox.state = SandboxState::Failed;
        }
        if let Some(replica) = task.replica() {
            self.restart(replica);
        }
    }

    /// Makes the next request of a task. Returns true if the task has ended. The plugin's processes go one
    /// after the other, as its lease has it.
    fn advance(&mut self, at: usize) -> bool {
        let at = match self.tasks.iter().position(Task::needs_lease) {
            Some(first) if self.tasks[at].needs_lease() => first,
            _ => at,
        };
        let task = &mut self.tasks[at];
        let end = task.step(&mut self.replicas, &mut self.api, self.now);
        let removed = task.take_removed();
        self.lost(&removed);
        let Some(end) = end else { return false };
        self.tasks.remove(at);
        match end {
            End::Nothing => {}
            End::Bound(uid) => drop(self.by_plugin.remove(&uid)),
            End::Added { sandbox, given } => self.added(&sandbox, given),
            End::Deleted { sandbox } => drop(self.sandboxes.remove(&sandbox)),
        }
        self.remove_ended();
        true
    }

    /// Notes that others removed the entries of these pods.
    fn lost(&mut self, pods: &[nadmit_whereabouts::PodName]) {
        for pod in pods {
            if let Some(pod) = self.api.pods.get(&pod.to_string()) {
                self.by_plugin.insert(pod.uid.clone());
            }
            // Nothing else keeps the address there.
            if !self.overlapping {
                self.lasting.retain(|holder, _| !is_of(holder, pod));
            }
        }
    }

    /// Notes the end of an ADD, and checks what it gave.
    fn added(&mut self, container: &str, given: Option<IpAddr>) {
        let Some(sandbox) = self.sandboxes.get_mut(container) else {
            return;
        };
        let Some(address) = given else {
            sandbox.state = SandboxState::Failed;
            return;
        };
        sandbox.state = SandboxState::Up(address);
        let sandbox = sandbox.clone();
        // Multus reports it at once; Whereabouts's reconciler waits for that.
        if let Some(pod) = self.api.pod_of(&sandbox.pod, &sandbox.uid) {
            pod.reported = Some(address);
        }
        self.check_given(&sandbox, address);
    }
}
