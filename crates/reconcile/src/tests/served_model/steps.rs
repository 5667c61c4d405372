//! The pods of the world, and what can happen in it.

/// The pods of the world, each with its network: two replicas of the StatefulSet `db`, single pods, and
/// pods of a namespace without the label.
pub(super) const PODS: [(&str, &str); 6] = [
    ("db/db-0", "wide"),
    ("db/db-1", "wide"),
    ("db/x-0", "wide"),
    ("db/x-1", "narrow"),
    ("web/w-0", "wide"),
    ("web/w-1", "narrow"),
];
/// The number of the pods that belong to the StatefulSet.
pub(super) const REPLICAS: usize = 2;

/// A step. Numbers choose by their remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create(usize),
    Delete(usize),
    /// The pod object goes at once; its sandbox lingers.
    ForceDelete(usize),
    End(usize),
    /// Changes the number of replicas of the StatefulSet.
    Scale(u32),
    /// A Binding begins at a replica.
    Bind {
        replica: usize,
        pod: usize,
    },
    /// The webhook does not answer, and the pod is bound.
    BindWithout(usize),
    StartSandbox(usize),
    StopSandbox(usize),
    /// The next request of a task.
    Advance(usize),
    /// All requests of a task.
    Finish(usize),
    /// A task is killed between two requests.
    Kill(usize),
    Restart(usize),
    Refresh {
        replica: usize,
        kind: usize,
    },
    RefreshAll(usize),
    ServedPass(usize),
    ReconcilePass(usize),
    WhereaboutsRun,
    Wait,
}
