//! Runs the rules of the registry on one subject. The server and `nadmit check` both judge objects only
//! here.

use std::{collections::HashMap, sync::Arc};

use nadmit_catalog::{Catalog, Mode};
use nadmit_cni::operator::AdditionalNetwork;

use super::{
    allocation::{AllocationSubject, PREFIX},
    binding::BindingSubject,
    finding::{Finding, Report},
    level::Level,
    network_subject::{ConfigOrigin, NetworkSubject, RawNetwork},
    network_use::NetworkUseSubject,
    operator::{ConfigMapSubject, OperatorSubject},
    pod_rules::pod_rules,
    policy::Policy,
    pool::{PoolChangeSubject, PoolSubject},
    reservation::ReservationSubject,
    rule::{Check, Rule},
    subject::{PodSubject, UpdateSubject},
    workload::{MetadataSubject, TemplateSubject, VirtualMachineSubject},
};

/// The number of findings after which the remaining additional networks are not checked.
const MAX_OPERATOR_FINDINGS: usize = 100;

/// Returns the maximum level of findings on objects of `namespace`; `None` if its rules are off.
pub fn max_level(namespace: &str, catalog: &Catalog, policy: &Policy) -> Option<Level> {
    if policy.excludes(namespace) {
        return None;
    }
    let labelled = catalog.namespace(namespace).and_then(|n| n.labels.mode);
    match labelled.unwrap_or(policy.mode) {
        Mode::Off => None,
        Mode::Warn => Some(Level::Warn),
        Mode::Deny => Some(Level::Deny),
    }
}

/// Runs the rules on pods. Findings have at most the level `max_level`, except those of authority rules,
/// which always deny; with [`Level::Off`] only authority rules are run.
pub fn judge_pod(subject: &PodSubject<'_>, max_level: Level) -> Vec<Finding> {
    let mut report = Report::new(subject.policy, max_level);
    for rule in pod_rules(subject) {
        if report.is_complete() {
            break;
        }
        let level = subject.policy.levels[rule.index];
        if rule.is_authority {
            report.begin_authority(rule.code);
        } else if report.is_off() || level == Level::Off {
            continue;
        } else {
            report.begin(rule.code, level);
        }
        (rule.check)(subject, &mut report);
    }
    report.into_findings()
}

/// Runs the rules on address pools.
pub fn judge_pool(subject: &PoolSubject<'_>, policy: &Policy) -> Vec<Finding> {
    run(policy, Level::Deny, |rule, report| {
        if let Check::Pool(check) | Check::NetworkAndPool { pool: check, .. } = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on the change or deletion of an address pool with held addresses.
pub fn judge_pool_change(subject: &PoolChangeSubject<'_>, policy: &Policy) -> Vec<Finding> {
    run(policy, Level::Deny, |rule, report| {
        if let Check::PoolChange(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on reservations. Findings have at most the level `max_level`, except those of authority
/// rules, which always deny.
pub fn judge_reservation(
    subject: &ReservationSubject<'_>,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    run_with_authority(policy, max_level, |rule, report| {
        if let Check::Reservation(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on what pools rejected for a pod. No namespace label lowers their level.
pub fn judge_allocation(subject: &AllocationSubject<'_, '_>) -> Vec<Finding> {
    run(subject.pod.policy, Level::Deny, |rule, report| {
        if let Check::Allocation(check) = rule.check {
            check(rule.code, subject, report);
        }
    })
}

/// Runs the rules on a network's configuration.
pub fn judge_network(subject: &NetworkSubject<'_>, max_level: Level) -> Vec<Finding> {
    run(subject.policy, max_level, |rule, report| {
        if let Check::Network(check)
        | Check::NetworkAndPod { network: check, .. }
        | Check::NetworkAndPool { network: check, .. } = rule.check
        {
            check(subject, report);
        }
    })
}

/// Runs the rules on the deletion (`deleted`) or change of a network in use.
pub fn judge_network_use(
    subject: &NetworkUseSubject<'_>,
    deleted: bool,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    run(policy, max_level, |rule, report| match rule.check {
        Check::NetworkDelete(check) if deleted => check(subject, report),
        Check::NetworkUpdate(check) if !deleted => check(subject, report),
        _ => {}
    })
}

/// Runs the rules on the additional networks of OpenShift's Cluster Network Operator: on the list, and on
/// each network that the operator will create from it.
pub fn judge_operator(
    entries: &[AdditionalNetwork],
    catalog: &Catalog,
    policy: &Policy,
) -> Vec<Finding> {
    let siblings = entries.iter().filter_map(AdditionalNetwork::network);
    let siblings = Catalog::new([], siblings.map(Arc::new), []);
    let mut found = run(policy, Level::Deny, |rule, report| {
        if let Check::Operator(check) = rule.check {
            check(&OperatorSubject { entries }, report);
        }
    });
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

/// Runs the rules on networks in use for the additional networks that an update removes from the operator's
/// list or changes, because the operator deletes or changes the networks that it created from them.
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
        found.extend(judge_network_use(
            &subject,
            now.is_none(),
            policy,
            max_level,
        ));
    }
    found
}

/// Runs the rules on `ConfigMaps`.
pub fn judge_config_map(
    subject: &ConfigMapSubject<'_>,
    policy: &Policy,
    max_level: Level,
) -> Vec<Finding> {
    run(policy, max_level, |rule, report| {
        if let Check::ConfigMap(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on Bindings.
pub fn judge_binding(subject: &BindingSubject<'_>) -> Vec<Finding> {
    run(subject.policy, Level::Deny, |rule, report| {
        if let Check::Binding(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on updates of pods.
pub fn judge_update(subject: &UpdateSubject<'_>, max_level: Level) -> Vec<Finding> {
    run(subject.policy, max_level, |rule, report| {
        if let Check::Update(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on pods and on templates for a workload's template. Field paths begin with the path of
/// the template, and levels are capped by [`Policy::workload_level`], too.
pub fn judge_template(subject: &TemplateSubject<'_>, max_level: Level) -> Vec<Finding> {
    let policy = subject.pod.policy;
    let max_level = max_level.min(policy.workload_level);
    let is_plain = subject.pod.requests.is_empty() && subject.pod.unread.is_empty();
    if max_level == Level::Off || is_plain {
        return Vec::new();
    }
    let mut report = Report::new(policy, max_level);
    run_into(&mut report, policy, |rule, report| {
        run_pod_rule(rule, &subject.pod, report);
    });
    run_into(&mut report, policy, |rule, report| {
        if let Check::Template(check) = rule.check
            && !subject.pod.host_network
        {
            check(subject, report);
        }
    });
    let mut findings = report.into_findings();
    for finding in &mut findings {
        finding.field.insert_str(0, subject.kind.template);
    }
    findings
}

/// Runs the rules on the annotations of a workload itself.
pub fn judge_metadata(subject: &MetadataSubject<'_>, max_level: Level) -> Vec<Finding> {
    let max_level = max_level.min(subject.policy.workload_level);
    if max_level == Level::Off || subject.keys.is_empty() {
        return Vec::new();
    }
    run(subject.policy, max_level, |rule, report| {
        if let Check::Workload(check) = rule.check {
            check(subject, report);
        }
    })
}

/// Runs the rules on the networks of a KubeVirt `VirtualMachine`.
pub fn judge_virtual_machine(
    subject: &VirtualMachineSubject<'_>,
    max_level: Level,
) -> Vec<Finding> {
    match max_level.min(subject.policy.workload_level) {
        Level::Off => Vec::new(),
        max_level => subject.judge(max_level),
    }
}

/// Returns the warnings about prefix lengths that injection corrects.
pub fn judge_corrected_prefixes(subject: &PodSubject<'_>, max_level: Level) -> Vec<Finding> {
    let max_level = max_level.min(Level::Warn);
    let mut findings = judge_pod_by(subject, max_level, |code| code == PREFIX.code);
    findings.retain(|finding| finding.level > Level::Off);
    findings
}

/// Runs the rules on pods whose codes `selects` accepts; no authority rule denies more than `max_level`.
pub(super) fn judge_pod_by(
    subject: &PodSubject<'_>,
    max_level: Level,
    selects: fn(&str) -> bool,
) -> Vec<Finding> {
    run(subject.policy, max_level, |rule, report| {
        if selects(rule.code) {
            run_pod_rule(rule, subject, report);
        }
    })
}

/// Calls `check` with each active rule. Findings have at most the level `max_level`.
fn run(
    policy: &Policy,
    max_level: Level,
    check: impl Fn(&'static Rule, &mut Report<'_>),
) -> Vec<Finding> {
    let mut report = Report::new(policy, max_level);
    run_into(&mut report, policy, check);
    report.into_findings()
}

/// Calls `check` with each active rule, which adds its findings to the report.
fn run_into(
    report: &mut Report<'_>,
    policy: &Policy,
    check: impl Fn(&'static Rule, &mut Report<'_>),
) {
    for (rule, level) in policy.active_rules() {
        if report.is_complete() {
            return;
        }
        report.begin(rule.code, level);
        check(rule, report);
    }
}

/// Calls `check` with each active rule. Authority rules deny whatever `max_level` is; with [`Level::Off`]
/// only they are run.
fn run_with_authority(
    policy: &Policy,
    max_level: Level,
    check: impl Fn(&'static Rule, &mut Report<'_>),
) -> Vec<Finding> {
    let mut report = Report::new(policy, max_level);
    for (rule, level) in policy.active_rules() {
        if report.is_complete() {
            break;
        }
        if rule.levels.is_authority() {
            report.begin_authority(rule.code);
        } else if report.is_off() {
            continue;
        } else {
            report.begin(rule.code, level);
        }
        check(rule, &mut report);
    }
    report.into_findings()
}

/// Runs a rule on a pod, if it applies to this pod.
fn run_pod_rule(rule: &Rule, subject: &PodSubject<'_>, report: &mut Report<'_>) {
    match rule.check {
        Check::Pod(check) | Check::NetworkAndPod { pod: check, .. } if !subject.host_network => {
            check(subject, report);
        }
        Check::HostNetworkPod(check) if subject.host_network => check(subject, report),
        _ => {}
    }
}
