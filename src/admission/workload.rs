//! Workloads and KubeVirt's machines under review: their templates are judged as warnings.
//!
//! The review keeps a template as the JSON that it is; only a review of a workload reads it.

use crate::{
    catalog::Catalog,
    rules::{
        Finding, Level, PodSubject, Policy,
        judge::{judge_machine, judge_template},
        news::only_news,
        workload::{MachineSubject, Scale, TemplateSubject, WorkloadKind},
    },
};

use super::{
    object::{Object, Raw, Spec},
    review::Request,
};

/// KubeVirt's API group.
const KUBEVIRT_GROUP: &str = "kubevirt.io";
/// The plural name of its machines.
const MACHINES: &str = "virtualmachines";

/// What may be under review here.
#[derive(Clone, Copy)]
pub(super) enum Template {
    /// A workload of Kubernetes.
    Workload(&'static WorkloadKind),
    /// A `VirtualMachine`.
    Machine,
}

impl Template {
    /// Of this group and plural name.
    pub(super) fn of(group: &str, resource: &str) -> Option<Self> {
        if (group, resource) == (KUBEVIRT_GROUP, MACHINES) {
            return Some(Self::Machine);
        }
        WorkloadKind::of_resource(group, resource).map(Self::Workload)
    }

    /// The findings on the object as it will be; of an update only those that are new.
    pub(super) fn findings(
        self,
        request: &Request<'_>,
        after: &Object<'_>,
        loudest: Level,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Vec<Finding> {
        let findings = |object: &Object<'_>| match self {
            Self::Workload(kind) => workload(kind, request, object, loudest, catalog, policy),
            Self::Machine => machine(request, object, loudest, catalog, policy),
        };
        match &request.old_object {
            None => findings(after),
            // Most updates of a workload are of its metadata.
            Some(before) if before.spec == after.spec => Vec::new(),
            Some(before) => only_news(findings(after), &findings(before)),
        }
    }
}

fn namespace<'r>(request: &'r Request<'_>) -> &'r str {
    request.namespace.as_deref().unwrap_or_default()
}

fn workload(
    kind: &'static WorkloadKind,
    request: &Request<'_>,
    object: &Object<'_>,
    loudest: Level,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    // A CronJob's template is that of the job which it makes.
    let job: Option<Object<'_>> = object.spec.job_template.and_then(Raw::read);
    let holder = match kind.kind {
        "CronJob" => job.as_ref().map(|job| &job.spec),
        _ => Some(&object.spec),
    };
    let Some(holder) = holder else {
        return Vec::new();
    };
    let Some(template) = holder.template.and_then(Raw::read::<Object<'_>>) else {
        return Vec::new();
    };
    let annotations = &template.metadata.annotations;
    let pod = PodSubject::new(
        namespace(request),
        template.spec.host_network,
        annotations.networks.as_deref(),
        annotations.default_network.as_deref(),
        policy,
        catalog,
    );
    let strategy = object.spec.strategy.and_then(Raw::kind);
    let concurrency = object.spec.concurrency.and_then(Raw::read::<String>);
    let subject = TemplateSubject {
        pod,
        kind,
        scale: scale(&object.spec, holder, &strategy, &concurrency),
    };
    judge_template(&subject, loudest)
}

fn scale<'s>(
    spec: &Spec<'_>,
    holder: &Spec<'_>,
    strategy: &'s Option<String>,
    concurrency: &'s Option<String>,
) -> Scale<'s> {
    Scale {
        replicas: spec.replicas.and_then(Raw::read),
        parallelism: holder.parallelism.and_then(Raw::read),
        completions: holder.completions.and_then(Raw::read),
        strategy: strategy.as_deref(),
        concurrency: concurrency.as_deref(),
    }
}

fn machine(
    request: &Request<'_>,
    object: &Object<'_>,
    loudest: Level,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let template: Option<Object<'_>> = object.spec.template.and_then(Raw::read);
    let networks = template.and_then(|template| template.spec.networks);
    let names = networks.map(Raw::multus_names).unwrap_or_default();
    let subject = MachineSubject {
        namespace: namespace(request),
        networks: names
            .iter()
            .map(|(index, name)| (*index, &**name))
            .collect(),
        policy,
        catalog,
    };
    judge_machine(&subject, loudest)
}
