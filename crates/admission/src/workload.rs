//! Reviews of workloads and of KubeVirt's virtual machines: findings on their templates are
//! warnings.
//!
//! The review keeps a template as JSON text; only reviews of workloads parse it.

use nadmit_catalog::Catalog;
use nadmit_cni::annotations;
use nadmit_rules::{
    Finding, Level, PodSubject, Policy,
    judge::{judge_metadata, judge_template, judge_virtual_machine},
    new_findings::subtract_baseline,
    workload::{
        MetadataSubject, NetworksLocation, Scale, TemplateSubject, VirtualMachineSubject,
        WorkloadKind,
    },
};

use super::{
    object::{RawJson, ReviewAnnotations, ReviewObject, ReviewSpec},
    review::AdmissionRequest,
};

/// KubeVirt's API group.
const KUBEVIRT_GROUP: &str = "kubevirt.io";
/// The plural name of KubeVirt's virtual machines.
const MACHINES: &str = "virtualmachines";

/// A kind of object with a pod template or networks.
#[derive(Clone, Copy)]
pub(super) enum Template {
    /// A Kubernetes workload.
    Workload(&'static WorkloadKind),
    /// A `VirtualMachine`.
    Machine,
}

impl Template {
    /// Returns the template for this API group and plural name.
    pub(super) fn of(group: &str, resource: &str) -> Option<Self> {
        if (group, resource) == (KUBEVIRT_GROUP, MACHINES) {
            return Some(Self::Machine);
        }
        WorkloadKind::of_resource(group, resource).map(Self::Workload)
    }

    /// Returns the findings on the new object; for an update only the new ones.
    pub(super) fn findings(
        self,
        request: &AdmissionRequest<'_>,
        after: &ReviewObject<'_>,
        max_level: Level,
        catalog: &Catalog,
        policy: &Policy,
    ) -> Vec<Finding> {
        let findings = |object: &ReviewObject<'_>| match self {
            Self::Workload(kind) => workload(kind, request, object, max_level, catalog, policy),
            Self::Machine => machine(request, object, max_level, catalog, policy),
        };
        let own = keys(&after.metadata.annotations);
        match &request.old_object {
            None => findings(after),
            // Most updates of a workload change only its metadata.
            Some(before)
                if before.spec == after.spec && keys(&before.metadata.annotations) == own =>
            {
                Vec::new()
            }
            Some(before) => subtract_baseline(findings(after), &findings(before)),
        }
    }
}

fn namespace<'r>(request: &'r AdmissionRequest<'_>) -> &'r str {
    request.namespace.as_deref().unwrap_or_default()
}

fn workload(
    kind: &'static WorkloadKind,
    request: &AdmissionRequest<'_>,
    object: &ReviewObject<'_>,
    max_level: Level,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let mut metadata = MetadataSubject {
        kind: kind.kind,
        location: NetworksLocation::Template(kind.template),
        keys: keys(&object.metadata.annotations),
        in_template: Vec::new(),
        policy,
    };
    // A CronJob's pod template is in its job template.
    let job: Option<ReviewObject<'_>> = object.spec.job_template.and_then(RawJson::read);
    let holder = match kind.kind {
        "CronJob" => job.as_ref().map(|job| &job.spec),
        _ => Some(&object.spec),
    };
    let Some(holder) = holder else {
        return judge_metadata(&metadata, max_level);
    };
    let Some(template) = holder.template.and_then(RawJson::read::<ReviewObject<'_>>) else {
        return judge_metadata(&metadata, max_level);
    };
    let annotations = &template.metadata.annotations;
    metadata.in_template = keys(annotations);
    let mut pod = PodSubject::new(
        namespace(request),
        template.spec.host_network,
        annotations.networks.as_deref(),
        annotations.default_network.as_deref(),
        policy,
        catalog,
    );
    pod.unread = annotations.near_misses.iter().map(|key| &**key).collect();
    let strategy = object.spec.strategy.and_then(RawJson::kind);
    let concurrency = object.spec.concurrency.and_then(RawJson::read::<String>);
    let subject = TemplateSubject {
        pod,
        kind,
        scale: scale(&object.spec, holder, &strategy, &concurrency),
    };
    let mut findings = judge_template(&subject, max_level);
    findings.extend(judge_metadata(&metadata, max_level));
    findings
}

/// Returns the keys of annotations that belong on pods.
fn keys<'o>(annotations: &'o ReviewAnnotations<'_>) -> Vec<&'o str> {
    let requesting = [
        (annotations::NETWORKS, &annotations.networks),
        (annotations::DEFAULT_NETWORK, &annotations.default_network),
    ];
    let requesting = requesting.into_iter().filter(|(_, text)| text.is_some());
    let near_misses = annotations.near_misses.iter().map(|key| &**key);
    requesting.map(|(key, _)| key).chain(near_misses).collect()
}

fn scale<'s>(
    spec: &ReviewSpec<'_>,
    holder: &ReviewSpec<'_>,
    strategy: &'s Option<String>,
    concurrency: &'s Option<String>,
) -> Scale<'s> {
    Scale {
        replicas: spec.replicas.and_then(RawJson::read),
        parallelism: holder.parallelism.and_then(RawJson::read),
        completions: holder.completions.and_then(RawJson::read),
        strategy: strategy.as_deref(),
        concurrency: concurrency.as_deref(),
    }
}

fn machine(
    request: &AdmissionRequest<'_>,
    object: &ReviewObject<'_>,
    max_level: Level,
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let template: Option<ReviewObject<'_>> = object.spec.template.and_then(RawJson::read);
    let networks = template.and_then(|template| template.spec.networks);
    let names = networks.map(RawJson::multus_names).unwrap_or_default();
    let subject = VirtualMachineSubject {
        namespace: namespace(request),
        networks: names
            .iter()
            .map(|(index, name)| (*index, &**name))
            .collect(),
        policy,
        catalog,
    };
    let mut findings = judge_virtual_machine(&subject, max_level);
    let metadata = MetadataSubject {
        kind: "VirtualMachine",
        location: NetworksLocation::VirtualMachine,
        keys: keys(&object.metadata.annotations),
        in_template: Vec::new(),
        policy,
    };
    findings.extend(judge_metadata(&metadata, max_level));
    findings
}
