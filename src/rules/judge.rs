//! Running the registry on one subject: the one way in which anything is judged, by the server and
//! offline alike.

use std::{collections::HashMap, sync::Arc};

use crate::{
    catalog::{Catalog, Mode},
    network::operator::AdditionalNetwork,
};

use super::{
    allocation::{AllocationSubject, PREFIX},
    binding::BindingSubject,
    finding::{Finding, Report},
    level::Level,
    network_subject::{ConfigOrigin, NetworkSubject, RawNetwork},
    network_use::NetworkUseSubject,
    operator::{ConfigMapSubject, OperatorSubject},
    policy::Policy,
    pool::{PoolChangeSubject, PoolSubject},
    registry::{Check, Rule},
    reservation::ReservationSubject,
    subject::{PodSubject, UpdateSubject},
    workload::{VirtualMachineSubject, MetadataSubject, TemplateSubject},
};

/// With so many findings the additional networks behind are not looked at any more.
const MAX_OPERATOR_FINDINGS: usize = 100;

/// How loudly rules may speak of what lives in `namespace`; `None` where they are silent.
pub fn max_level(namespace: &str, catalog: &Catalog, policy: &Policy) -> Option<Level> {
    if policy.excluded_namespaces.contains(namespace) {
        return None;
    }
    let labelled = catalog.namespace(namespace).and_then(|n| n.labels.mode);
    match labelled.unwrap_or(policy.mode) {
        Mode::Off => None,
        Mode::Warn => Some(Level::Warn),
        Mode::Deny => Some(Level::Deny),
    }
}

/// What the rules on pods say of a pod, none louder than `max_level`, but for the rules on authority:
/// they deny whatever the namespace says, and with [`Level::Off`] they alone speak.
pub fn judge_pod(subject: &PodSubject<'_>, max_level: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, max_level);
    for (rule, level) in subject.policy.active_rules() {
        let Some(check) = pod_check(rule, subject) else {
            continue;
        };
        if rule.levels.is_authority() {
            report.begin_authority(rule);
        } else if report.is_off() {
            continue;
        } else {
            report.begin(rule, level);
        }
        check(subject, &mut report);
    }
    report.into_findings()
}

/// What the rules on pools say of a pool.
pub fn judge_pool(subject: &PoolSubject<'_>, policy: &Policy) -> Vec<Finding> {
    let mut report = Report::new(policy, Level::Deny);
    for (rule, level) in policy.active_rules() {
        if let Check::Pool(check) | Check::NetworkAndPool { pool: check, .. } = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules say of a pool that changes or goes while something of it is held.
pub fn judge_pool_change(subject: &PoolChangeSubject<'_>, policy: &Policy) -> Vec<Finding> {
    let mut report = Report::new(policy, Level::Deny);
    for (rule, level) in policy.active_rules() {
        if let Check::PoolChange(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on reservations say of one, none louder than `max_level`, but for the rules on authority.
pub fn judge_reservation(
    subject: &ReservationSubject<'_>,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    let mut report = Report::new(policy, max_level);
    for (rule, level) in policy.active_rules() {
        let Check::Reservation(check) = rule.check else {
            continue;
        };
        if rule.levels.is_authority() {
            report.begin_authority(rule);
        } else if report.is_off() {
            continue;
        } else {
            report.begin(rule, level);
        }
        check(subject, &mut report);
    }
    report.into_findings()
}

/// What the rules say of what pools refused to a pod. No setting makes it less.
pub fn judge_allocation(subject: &AllocationSubject<'_, '_>) -> Vec<Finding> {
    let mut report = Report::new(subject.pod.policy, Level::Deny);
    for (rule, level) in subject.pod.policy.active_rules() {
        if let Check::Allocation(check) = rule.check {
            report.begin(rule, level);
            check(rule.code, subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on networks say of a network's configuration.
pub fn judge_network(subject: &NetworkSubject<'_>, max_level: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, max_level);
    for (rule, level) in subject.policy.active_rules() {
        if let Check::Network(check)
        | Check::NetworkAndPod { network: check, .. }
        | Check::NetworkAndPool { network: check, .. } = rule.check
        {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules say of a network that pods use, when it is deleted or, with an `after`, changed.
pub fn judge_network_use(
    subject: &NetworkUseSubject<'_>,
    deleted: bool,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    let mut report = Report::new(policy, max_level);
    for (rule, level) in policy.active_rules() {
        let check = match rule.check {
            Check::NetworkDelete(check) if deleted => check,
            Check::NetworkUpdate(check) if !deleted => check,
            _ => continue,
        };
        report.begin(rule, level);
        check(subject, &mut report);
    }
    report.into_findings()
}

/// What the rules say of the additional networks of OpenShift's operator: of the list, and of each
/// network that will be made of it.
pub fn judge_operator(
    entries: &[AdditionalNetwork],
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let siblings = entries.iter().filter_map(AdditionalNetwork::network);
    let siblings = Catalog::new([], siblings.map(Arc::new), []);
    let mut report = Report::new(policy, Level::Deny);
    for (rule, level) in policy.active_rules() {
        if let Check::Operator(check) = rule.check {
            report.begin(rule, level);
            check(&OperatorSubject { entries }, &mut report);
        }
    }
    let mut found = report.into_findings();
    for entry in entries {
        let max_level = max_level(&entry.namespace, catalog, policy);
        let (Some(max_level), Some(config)) = (max_level, entry.config.as_deref()) else {
            continue;
        };
        if found.len() >= MAX_OPERATOR_FINDINGS {
            break;
        }
        let field = entry.field(entry.source);
        let written = RawNetwork {
            namespace: &entry.namespace,
            name: &entry.name,
            origin: if entry.rendered {
                ConfigOrigin::Rendered(&field)
            } else {
                ConfigOrigin::Text(&field)
            },
            config: Some(config),
            siblings: Some(&siblings),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(written, policy, catalog);
        found.extend(judge_network(&subject, max_level));
    }
    found
}

/// What the rules on networks in use say of the additional networks that an update takes out of the
/// operator's list, or changes: the operator deletes and changes what it made of them.
pub fn judge_additional_use(
    before: &[AdditionalNetwork],
    after: &[AdditionalNetwork],
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let named = |e: &&AdditionalNetwork| !e.name.is_empty();
    let after: HashMap<_, _> = after
        .iter()
        .map(|entry| ((&entry.namespace, &entry.name), entry))
        .collect();
    let mut found = Vec::new();
    for entry in before.iter().filter(named) {
        let known = catalog.namespace(&entry.namespace);
        let terminating = known.is_some_and(|namespace| namespace.labels.terminating);
        let (false, Some(max_level)) = (terminating, max_level(&entry.namespace, catalog, policy))
        else {
            continue;
        };
        if found.len() >= MAX_OPERATOR_FINDINGS {
            break;
        }
        let now = after.get(&(&entry.namespace, &entry.name));
        let subject = NetworkUseSubject {
            namespace: &entry.namespace,
            name: &entry.name,
            field: now.map_or_else(
                || "spec.additionalNetworks".to_owned(),
                |now| now.field(now.source),
            ),
            before: entry.config.as_deref(),
            after: now.and_then(|now| now.config.as_deref()),
            users: catalog.users(&entry.namespace, &entry.name, &policy.multus_namespace),
        };
        found.extend(judge_network_use(&subject, now.is_none(), policy, max_level));
    }
    found
}

/// What the rules on `ConfigMaps` say of one.
pub fn judge_config_map(
    subject: &ConfigMapSubject<'_>,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    let mut report = Report::new(policy, max_level);
    for (rule, level) in policy.active_rules() {
        if let Check::ConfigMap(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on Bindings say of one.
pub fn judge_binding(subject: &BindingSubject<'_>) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, Level::Deny);
    for (rule, level) in subject.policy.active_rules() {
        if let Check::Binding(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules on updates say of what an update makes of a pod.
pub fn judge_update(subject: &UpdateSubject<'_>, max_level: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, max_level);
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
pub fn judge_template(subject: &TemplateSubject<'_>, max_level: Level) -> Vec<Finding> {
    let policy = subject.pod.policy;
    let max_level = max_level.min(policy.workload_level);
    let is_plain = subject.pod.requests.is_empty() && subject.pod.unread.is_empty();
    if max_level == Level::Off || is_plain {
        return Vec::new();
    }
    let mut report = Report::new(policy, max_level);
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

/// What the rules say of the annotations of a workload itself.
pub fn judge_metadata(subject: &MetadataSubject<'_>, max_level: Level) -> Vec<Finding> {
    let max_level = max_level.min(subject.policy.workload_level);
    if max_level == Level::Off || subject.keys.is_empty() {
        return Vec::new();
    }
    let mut report = Report::new(subject.policy, max_level);
    for (rule, level) in subject.policy.active_rules() {
        if let Check::Workload(check) = rule.check {
            report.begin(rule, level);
            check(subject, &mut report);
        }
    }
    report.into_findings()
}

/// What the rules say of the networks of KubeVirt's machine.
pub fn judge_virtual_machine(subject: &VirtualMachineSubject<'_>, max_level: Level) -> Vec<Finding> {
    match max_level.min(subject.policy.workload_level) {
        Level::Off => Vec::new(),
        max_level => subject.judge(max_level),
    }
}

/// Returns what is warned of where addresses are put in: prefix lengths that are corrected.
pub fn judge_corrected_prefixes(subject: &PodSubject<'_>, max_level: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, max_level.min(Level::Warn));
    run_pod_rules_of(subject, &mut report, |code| code == PREFIX.code);
    let mut findings = report.into_findings();
    findings.retain(|finding| finding.level > Level::Off);
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
        if let Some(check) = pod_check(rule, subject) {
            report.begin(rule, level);
            check(subject, report);
        }
    }
}

/// What the rule looks at in this pod, if it is a rule on such pods.
fn pod_check(
    rule: &Rule,
    subject: &PodSubject<'_>,
) -> Option<fn(&PodSubject<'_>, &mut Report<'_>)> {
    match rule.check {
        Check::Pod(check) | Check::NetworkAndPod { pod: check, .. } if !subject.host_network => {
            Some(check)
        }
        Check::HostNetworkPod(check) if subject.host_network => Some(check),
        _ => None,
    }
}
