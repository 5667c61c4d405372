//! The kinds of workload, the paths of their templates, and whether two pods of a template can exist at
//! once.

/// A kind of workload with a pod template.
#[derive(Debug)]
pub struct WorkloadKind {
    /// The `kind` of its objects.
    pub kind: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The plural resource name.
    pub resource: &'static str,
    /// The path of the template, with a trailing dot.
    pub template: &'static str,
    /// Returns the reason why two pods of the template can exist at once; `None` if they cannot.
    pub two_pods_reason: fn(&Scale<'_>) -> Option<&'static str>,
}

/// The fields of a workload that determine its number of pods; `None` for missing fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scale<'a> {
    /// `spec.replicas`
    pub replicas: Option<i64>,
    /// A job's `spec.parallelism`
    pub parallelism: Option<i64>,
    /// A job's `spec.completions`
    pub completions: Option<i64>,
    /// A Deployment's `spec.strategy.type`
    pub strategy: Option<&'a str>,
    /// A `CronJob`'s `spec.concurrencyPolicy`
    pub concurrency: Option<&'a str>,
}

const TEMPLATE: &str = "spec.template.";

/// All kinds of workload whose templates are checked.
pub static KINDS: &[WorkloadKind] = &[
    WorkloadKind {
        kind: "Deployment",
        group: "apps",
        resource: "deployments",
        template: TEMPLATE,
        two_pods_reason: deployment,
    },
    WorkloadKind {
        kind: "ReplicaSet",
        group: "apps",
        resource: "replicasets",
        template: TEMPLATE,
        two_pods_reason: replicas,
    },
    WorkloadKind {
        kind: "StatefulSet",
        group: "apps",
        resource: "statefulsets",
        template: TEMPLATE,
        // With one replica there is never a second pod: the set waits until the old one has ended.
        two_pods_reason: replicas,
    },
    WorkloadKind {
        kind: "DaemonSet",
        group: "apps",
        resource: "daemonsets",
        template: TEMPLATE,
        two_pods_reason: |_| Some("a DaemonSet has a pod on every node"),
    },
    WorkloadKind {
        kind: "Job",
        group: "batch",
        resource: "jobs",
        template: TEMPLATE,
        two_pods_reason: job,
    },
    WorkloadKind {
        kind: "CronJob",
        group: "batch",
        resource: "cronjobs",
        template: "spec.jobTemplate.spec.template.",
        two_pods_reason: cron_job,
    },
    WorkloadKind {
        kind: "ReplicationController",
        group: "",
        resource: "replicationcontrollers",
        template: TEMPLATE,
        two_pods_reason: replicas,
    },
];

impl WorkloadKind {
    /// Returns the reason why several pods of the template run at the same time, perhaps on several
    /// nodes; `None` if there is only one at a time, except during a rolling update.
    pub(crate) fn several_nodes_reason(&self, scale: &Scale<'_>) -> Option<&'static str> {
        let parallel = scale.parallelism.is_some_and(|number| number > 1);
        match self.kind {
            "DaemonSet" => (self.two_pods_reason)(scale),
            "Job" | "CronJob" if parallel && scale.completions != Some(1) => {
                Some("the job runs several pods at once")
            }
            _ => replicas(scale),
        }
    }

    /// Returns the workload with this `kind`.
    pub fn of_kind(kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|known| known.kind == kind)
    }

    /// Returns the workload with this group and plural name.
    pub fn of_resource(group: &str, resource: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|known| known.group == group && known.resource == resource)
    }
}

fn replicas(scale: &Scale<'_>) -> Option<&'static str> {
    (scale.replicas? > 1).then_some("the workload has more than one replica")
}

/// Returns the reason for a Deployment. A rolling update creates the new pod before the old one is
/// deleted, or, without a surge, while it is terminating; only `Recreate` waits until it has ended.
fn deployment(scale: &Scale<'_>) -> Option<&'static str> {
    const ROLLING: &str = "a rolling update creates the new pod before the old one has ended";
    let rolling = || (scale.strategy != Some("Recreate")).then_some(ROLLING);
    replicas(scale).or_else(rolling)
}

fn job(scale: &Scale<'_>) -> Option<&'static str> {
    let more = |number: Option<i64>| number.is_some_and(|number| number > 1);
    if more(scale.parallelism) && scale.completions != Some(1) {
        return Some("the job runs several pods at once");
    }
    more(scale.completions).then_some("the job creates several pods")
}

/// Returns the reason for a `CronJob`. Runs may overlap, or the previous one may be terminating when the
/// next one begins; only `Forbid` prevents this.
fn cron_job(scale: &Scale<'_>) -> Option<&'static str> {
    let overlapping = scale.concurrency != Some("Forbid");
    let runs = overlapping.then_some("a run may start before the last one has ended");
    job(scale).or(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_can_have_two_pods() {
        let two = |kind: &str, scale: Scale<'_>| {
            let found = WorkloadKind::of_kind(kind).map(|kind| (kind.two_pods_reason)(&scale));
            found.unwrap_or_else(|| panic!("{kind}")).is_some()
        };
        let none = Scale::default();
        let of = |replicas| Scale {
            replicas: Some(replicas),
            ..none
        };
        for kind in ["StatefulSet", "ReplicaSet", "ReplicationController"] {
            assert!(!two(kind, none) && !two(kind, of(1)) && !two(kind, of(0)));
            assert!(two(kind, of(2)));
        }
        let recreate = |scale| Scale {
            strategy: Some("Recreate"),
            ..scale
        };
        assert!(two("Deployment", none) && two("Deployment", of(1)));
        assert!(!two("Deployment", recreate(of(1))) && two("Deployment", recreate(of(2))));
        assert!(two("DaemonSet", none));
        let job = |parallelism, completions| Scale {
            parallelism,
            completions,
            ..none
        };
        assert!(!two("Job", none) && !two("Job", job(Some(3), Some(1))));
        assert!(two("Job", job(Some(3), None)) && two("Job", job(None, Some(3))));
        let forbid = |scale| Scale {
            concurrency: Some("Forbid"),
            ..scale
        };
        assert!(two("CronJob", none) && !two("CronJob", forbid(none)));
        assert!(two("CronJob", forbid(job(Some(2), Some(2)))));
    }

    #[test]
    fn kinds_that_run_on_several_nodes() {
        let several = |kind: &str, scale: Scale<'_>| {
            let found = WorkloadKind::of_kind(kind).map(|kind| kind.several_nodes_reason(&scale));
            found.unwrap_or_else(|| panic!("{kind}")).is_some()
        };
        let none = Scale::default();
        let replicas = |replicas| Scale {
            replicas: Some(replicas),
            ..none
        };
        for kind in ["Deployment", "StatefulSet", "ReplicaSet"] {
            assert!(!several(kind, none) && !several(kind, replicas(1)));
            assert!(several(kind, replicas(2)));
        }
        assert!(several("DaemonSet", none));
        let parallel = Scale {
            parallelism: Some(2),
            ..none
        };
        let once = Scale {
            completions: Some(1),
            ..parallel
        };
        for kind in ["Job", "CronJob"] {
            assert!(!several(kind, none) && !several(kind, once) && several(kind, parallel));
        }
    }

    #[test]
    fn a_kind_is_found_by_its_resource() {
        let found = WorkloadKind::of_resource("batch", "cronjobs");
        assert_eq!(found.map(|kind| kind.kind), Some("CronJob"));
        assert!(WorkloadKind::of_resource("apps", "cronjobs").is_none());
    }
}
