//! Reviews of workloads and of KubeVirt's virtual machines: findings on their templates are
//! warnings.
//!
//! The review keeps a template as JSON text; only reviews of workloads parse it.

use nadmit_cni::annotations;
use nadmit_rules::{
    Finding, Level, PodSubject,
    judge::{judge_metadata, judge_template, judge_virtual_machine},
    new_findings::subtract_baseline,
    workload::{
        MetadataSubject, NetworksLocation, Scale, TemplateSubject, VirtualMachineSubject,
        WorkloadKind,
    },
};

use crate::{
    context::ReviewContext,
    object::{RawJson, ReviewAnnotations, ReviewObject, ReviewSpec},
    review::AdmissionRequest,
};

/// Returns the findings on a workload's pod template.
pub(crate) fn workload(
    kind: &'static WorkloadKind,
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    new_findings(request, context, |object, max_level| {
        template_findings(kind, request, object, max_level, context)
    })
}

/// Returns the findings on a virtual machine's networks.
pub(crate) fn virtual_machine(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    new_findings(request, context, |object, max_level| {
        machine_findings(request, object, max_level, context)
    })
}

/// Returns the findings on the new object; for an update only the new ones.
fn new_findings(
    request: &AdmissionRequest<'_>,
    context: &ReviewContext<'_>,
    findings: impl Fn(&ReviewObject<'_>, Level) -> Vec<Finding>,
) -> Vec<Finding> {
    let (Some(after), Some(max_level)) = (
        request.reviewable_object(),
        context.max_level(request.namespace()),
    ) else {
        return Vec::new();
    };
    let own = keys(&after.metadata.annotations);
    match request.old_object.as_deref() {
        None => findings(after, max_level),
        // Most updates of a workload change only its metadata.
        Some(before) if before.spec == after.spec && keys(&before.metadata.annotations) == own => {
            Vec::new()
        }
        Some(before) => subtract_baseline(findings(after, max_level), &findings(before, max_level)),
    }
}

fn template_findings(
    kind: &'static WorkloadKind,
    request: &AdmissionRequest<'_>,
    object: &ReviewObject<'_>,
    max_level: Level,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let (catalog, policy) = (context.catalog, context.policy);
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
        request.namespace(),
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

fn machine_findings(
    request: &AdmissionRequest<'_>,
    object: &ReviewObject<'_>,
    max_level: Level,
    context: &ReviewContext<'_>,
) -> Vec<Finding> {
    let (catalog, policy) = (context.catalog, context.policy);
    let template: Option<ReviewObject<'_>> = object.spec.template.and_then(RawJson::read);
    let networks = template.and_then(|template| template.spec.networks);
    let names = networks.map(RawJson::multus_names).unwrap_or_default();
    let subject = VirtualMachineSubject {
        namespace: request.namespace(),
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
