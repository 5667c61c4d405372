//! The rules on pods, in a table of their own.
//!
//! Every pod passes here. The registry has far more rules, each with its documentation: a run over all of
//! them reads twenty kilobytes to find out which ones are about pods.

use std::sync::LazyLock;

use super::{
    finding::Report,
    registry::RULES,
    rule::{Check, Rule},
    subject::PodSubject,
};

/// A rule on pods, with what running it needs.
pub(super) struct PodRule {
    /// The index of the rule in [`RULES`], and of its level in a policy.
    pub(super) index: usize,
    pub(super) code: &'static str,
    /// Set if nothing may lower the level.
    pub(super) is_authority: bool,
    /// Set if the rule is on pods with `hostNetwork`, and not set if it is on all others.
    pub(super) on_host_network: bool,
    pub(super) check: fn(&PodSubject<'_>, &mut Report<'_>),
}

impl PodRule {
    /// Returns the rule at this index of [`RULES`], if it is on pods.
    fn of(index: usize, rule: &'static Rule) -> Option<Self> {
        let (on_host_network, check) = match rule.check {
            Check::Pod(check) | Check::NetworkAndPod { pod: check, .. } => (false, check),
            Check::HostNetworkPod(check) => (true, check),
            _ => return None,
        };
        Some(Self {
            index,
            code: rule.code,
            is_authority: rule.levels.is_authority(),
            on_host_network,
            check,
        })
    }
}

/// Returns the rules that apply to this pod, in the order of [`RULES`].
pub(super) fn pod_rules(subject: &PodSubject<'_>) -> impl Iterator<Item = &'static PodRule> {
    static POD_RULES: LazyLock<Vec<PodRule>> = LazyLock::new(|| {
        let rules = RULES.iter().copied().enumerate();
        rules
            .filter_map(|(index, rule)| PodRule::of(index, rule))
            .collect()
    });
    let on_host_network = subject.host_network;
    POD_RULES
        .iter()
        .filter(move |rule| rule.on_host_network == on_host_network)
}
