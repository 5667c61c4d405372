//! The parts of a rule.

use similar::TextDiff;

use super::{
    allocation::AllocationSubject,
    binding::BindingSubject,
    finding::Report,
    level::Levels,
    network_subject::NetworkSubject,
    network_use::NetworkUseSubject,
    operator::{ConfigMapSubject, OperatorSubject},
    pool::{PoolChangeSubject, PoolSubject},
    reservation::ReservationSubject,
    subject::{PodSubject, UpdateSubject},
    workload::{MetadataSubject, TemplateSubject},
};

/// A rule: its code, levels, documentation and check.
#[derive(Debug)]
pub struct Rule {
    /// The stable code that identifies the rule in configuration, output and documentation.
    pub code: &'static str,
    /// The level in each profile.
    pub levels: Levels,
    /// One line that names the problem.
    pub summary: &'static str,
    /// The explanation, part by part.
    pub docs: RuleDocs,
    /// Manifests for which the rule reports a finding.
    pub wrong: Example,
    /// The corrected manifests, for which no rule reports a finding.
    pub right: Example,
    /// The function that checks, and the kind of its subject.
    pub check: Check,
}

/// The explanation of a rule, in plain text.
#[derive(Debug, Clone, Copy)]
pub struct RuleDocs {
    /// The condition that the rule reports, its exceptions, and the cases of a lower level.
    pub checks: &'static str,
    /// The consequence if nothing reports it.
    pub consequence: &'static str,
    /// The change that removes the finding.
    pub fix: &'static str,
    /// The specification, document or plugin file behind the rule, and the versions that were run.
    pub source: &'static str,
}

/// An example as YAML documents.
///
/// For rules on pods: networks and one pod, or the pod before and after an update. For rules on networks:
/// other networks, and last the one to check (before and after, if it changes); for networks in use, the
/// pods are those that exist. Pools and reservations exist from the beginning; for rules on these, the
/// last one is checked.
#[derive(Debug, Clone, Copy)]
pub struct Example(pub &'static [&'static str]);

impl Example {
    /// Returns the documents as one YAML file.
    pub fn yaml(self) -> String {
        self.0.join("---\n")
    }

    /// Returns the change from this example to another one: each line with `+`, `-` or a space before
    /// it.
    pub fn diff(self, right: Self) -> String {
        let (before, after) = (self.yaml(), right.yaml());
        let diff = TextDiff::from_lines(&before, &after);
        let lines = diff.iter_all_changes().map(|change| {
            let sign = change.tag();
            format!("{sign}{}", change.value())
        });
        lines.collect()
    }
}

/// The check of a rule, by the kind of its subject.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The annotations of a pod, at creation and when they change.
    Pod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// The annotations of a pod with `hostNetwork`, to which no other rule on pods applies.
    HostNetworkPod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// A network, at creation and when its configuration changes.
    Network(fn(&NetworkSubject<'_>, &mut Report<'_>)),
    /// The pod template of a workload, in addition to the rules on pods.
    Template(fn(&TemplateSubject<'_>, &mut Report<'_>)),
    /// The annotations of a workload's own metadata.
    Workload(fn(&MetadataSubject<'_>, &mut Report<'_>)),
    /// The deletion of a network, and the pods that use it.
    NetworkDelete(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// The change of a network, and the pods that use it.
    NetworkUpdate(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// The additional networks of OpenShift's Cluster Network Operator.
    Operator(fn(&OperatorSubject<'_>, &mut Report<'_>)),
    ConfigMap(fn(&ConfigMapSubject<'_>, &mut Report<'_>)),
    /// The errors of allocating for a pod's attachments. The first argument is the rule's code.
    Allocation(fn(&str, &AllocationSubject<'_, '_>, &mut Report<'_>)),
    /// A network, and the pods that name it.
    NetworkAndPod {
        /// Checks the network, at creation and when it changes.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// Checks the annotations of a pod.
        pod: fn(&PodSubject<'_>, &mut Report<'_>),
    },
    /// A network and an address pool, each at creation and when it changes.
    NetworkAndPool {
        /// Checks the network.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// Checks the pool.
        pool: fn(&PoolSubject<'_>, &mut Report<'_>),
    },
    /// An address pool, at creation and when it changes.
    Pool(fn(&PoolSubject<'_>, &mut Report<'_>)),
    /// The change or deletion of an address pool, and the addresses held from it.
    PoolChange(fn(&PoolChangeSubject<'_>, &mut Report<'_>)),
    /// A reservation, at creation and when it changes.
    Reservation(fn(&ReservationSubject<'_>, &mut Report<'_>)),
    /// A Binding, whose annotations the API server merges into the pod.
    Binding(fn(&BindingSubject<'_>, &mut Report<'_>)),
    /// The change of a pod's annotations by an update.
    Update(fn(&UpdateSubject<'_>, &mut Report<'_>)),
}
