//! Running the registry on one subject: the one way in which anything is judged, by the server and
//! offline alike.

use crate::catalog::{Catalog, Mode};

use super::{
    finding::{Finding, Report},
    level::Level,
    network_subject::NetworkSubject,
    policy::Policy,
    registry::Check,
    subject::{PodSubject, UpdateSubject},
    workload::{MachineSubject, TemplateSubject},
};

/// How loudly rules may speak of what lives in `namespace`; `None` where they are silent.
pub fn loudest(namespace: &str, catalog: &Catalog, policy: &Policy) -> Option<Level> {
    if policy.excluded_namespaces.contains(namespace) {
        return None;
    }
    match catalog.namespace(namespace).and_then(|n| n.labels.mode) {
        Some(Mode::Off) => None,
        Some(Mode::Warn) => Some(Level::Warn),
        Some(Mode::Deny) | None => Some(Level::Deny),
    }
}

/// What the rules on pods say of a pod, none louder than `loudest`.
pub fn judge_pod(subject: &PodSubject<'_>, loudest: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, loudest);
    run_pod_rules(subject, &mut report);
    report.into_findings()
}

/// What the rules on networks say of a network's configuration.
pub fn judge_network(subject: &NetworkSubject<'_>, loudest: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, loudest);
    for (rule, level) in subject.policy.active_rules() {
        if let Check::Network(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on updates say of what an update makes of a pod.
pub fn judge_update(subject: &UpdateSubject<'_>, loudest: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, loudest);
    for (rule, level) in subject.policy.active_rules() {
        if let Check::Update(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on pods and on templates say of a workload's template: fields begin with the
/// template's path, and nothing is louder than the settings let it be of workloads.
pub fn judge_template(subject: &TemplateSubject<'_>, loudest: Level) -> Vec<Finding> {
    let policy = subject.pod.policy;
    let loudest = loudest.min(policy.workload_level);
    if loudest == Level::Off || subject.pod.requests.is_empty() {
        return Vec::new();
    }
    let mut report = Report::new(policy, loudest);
    run_pod_rules(&subject.pod, &mut report);
    for (rule, level) in policy.active_rules() {
        if let Check::Template(check) = rule.check
            && !subject.pod.host_network
        {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    let mut findings = report.into_findings();
    for finding in &mut findings {
        finding.field.insert_str(0, subject.kind.template);
    }
    findings
}

/// What the rules say of the networks of KubeVirt's machine.
pub fn judge_machine(subject: &MachineSubject<'_>, loudest: Level) -> Vec<Finding> {
    match loudest.min(subject.policy.workload_level) {
        Level::Off => Vec::new(),
        loudest => subject.judge(loudest),
    }
}

/// The findings that were not there before: what was wrong may stay wrong, and only what an update
/// makes worse counts.
pub fn only_news(mut findings: Vec<Finding>, known: &[Finding]) -> Vec<Finding> {
    findings.retain(|finding| {
        !known
            .iter()
            .any(|k| (k.code, &k.message) == (finding.code, &finding.message))
    });
    findings
}

fn run_pod_rules(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    run_pod_rules_of(subject, report, |_| true);
}

/// Those of the rules on pods that are `wanted`.
pub(super) fn run_pod_rules_of(
    subject: &PodSubject<'_>,
    report: &mut Report<'_>,
    wanted: fn(&str) -> bool,
) {
    for (rule, level) in subject.policy.active_rules() {
        if !wanted(rule.code) {
            continue;
        }
        let check = match rule.check {
            Check::Pod(check) if !subject.host_network => check,
            Check::HostNetworkPod(check) if subject.host_network => check,
            _ => continue,
        };
        report.begin(rule, level);
        check(subject, report);
    }
}
