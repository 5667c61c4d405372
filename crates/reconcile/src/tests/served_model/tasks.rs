//! Those that make requests, one a step.

use core::time::Duration;
use std::net::IpAddr;

use nadmit_allocation::Write;
use nadmit_whereabouts::PodName;

use super::{
    api_server::ApiServer,
    binding::{Binding, Bound},
    daemons::{ControlLoop, WhereaboutsRun},
    plugin::{Add, Del},
    replica::Replica,
    served_write::ServedTask,
};

/// Something that makes requests.
#[derive(Debug)]
pub(super) enum Task {
    Binding { replica: usize, binding: Binding },
    Served { replica: usize, task: ServedTask },
    Record { replica: usize, write: Write },
    Add { sandbox: String, add: Add },
    Del { sandbox: String, del: Del },
    Run(WhereaboutsRun),
    ControlLoop(ControlLoop),
}

/// The end of a task.
#[derive(Debug)]
pub(super) enum End {
    Nothing,
    /// nadmit bound the pod of this UID.
    Bound(String),
    Added {
        sandbox: String,
        given: Option<IpAddr>,
    },
    Deleted {
        sandbox: String,
    },
}

impl Task {
    /// Returns true if the plugin's lease lets one such task work at a time.
    pub(super) fn needs_lease(&self) -> bool {
        matches!(
            self,
            Self::Add { .. } | Self::Del { .. } | Self::ControlLoop(_)
        )
    }

    /// Returns the replica that works on it.
    pub(super) fn replica(&self) -> Option<usize> {
        match self {
            Self::Binding { replica, .. }
            | Self::Served { replica, .. }
            | Self::Record { replica, .. } => Some(*replica),
            _ => None,
        }
    }

    /// Returns the sandbox that it makes or tears down.
    pub(super) fn sandbox(&self) -> Option<&str> {
        match self {
            Self::Add { sandbox, .. } | Self::Del { sandbox, .. } => Some(sandbox),
            _ => None,
        }
    }

    /// Makes the next request.
    pub(super) fn step(
        &mut self,
        replicas: &mut [Replica; 2],
        api: &mut ApiServer,
        now: Duration,
    ) -> Option<End> {
        match self {
            Self::Binding { replica, binding } => {
                let bound = binding.step(&mut replicas[*replica], api, now)?;
                Some(match bound {
                    Bound::Well => End::Bound(binding.uid.clone()),
                    Bound::Refused => End::Nothing,
                })
            }
            Self::Served { task, .. } => task.step(api).map(|_| End::Nothing),
            Self::Record { replica, write } => {
                // Another version is judged again.
                let _ = replicas[*replica].write(write, api);
                Some(End::Nothing)
            }
            Self::Add { sandbox, add } => {
                let given = add.step(api, 0)?;
                Some(End::Added {
                    sandbox: sandbox.clone(),
                    given: given.ok().and_then(|given| given.first().copied()),
                })
            }
            Self::Del { sandbox, del } => del.step(api).then(|| End::Deleted {
                sandbox: sandbox.clone(),
            }),
            Self::Run(run) => run.step(api).then_some(End::Nothing),
            Self::ControlLoop(work) => work.step(api).then_some(End::Nothing),
        }
    }

    /// Takes the pods whose entries it removed.
    pub(super) fn take_removed(&mut self) -> Vec<PodName> {
        match self {
            Self::Del { del, .. } => std::mem::take(&mut del.removed),
            Self::Run(run) => std::mem::take(&mut run.removed),
            Self::ControlLoop(work) => std::mem::take(&mut work.removed),
            _ => Vec::new(),
        }
    }
}
