//! Warnings about what only operators can fix: addresses with several users, and pods that have
//! something else than is recorded for them.

use std::collections::BTreeSet;

use super::{
    Inner, ReconcilerState,
    compare::Comparison,
    observed_addresses::{ObservedAddresses, ReportedInterface},
    report::ReconcileReport,
};
use crate::{EventType, ObjectRef};
use nadmit_allocation::{
    Address, Allocation,
    reconcile::{ActionReason, InUse},
};
use nadmit_cni::mac::Mac;

/// A pod and the warning about it.
pub(super) type PodWarning = (ObjectRef, String);

impl Inner {
    /// Emits the warnings that are new since the last pass; forgets those that no longer apply.
    pub(super) fn emit_warnings(
        &self,
        state: &mut ReconcilerState,
        comparison: &Comparison,
        report: &mut ReconcileReport,
    ) {
        let duplicates = duplicates(comparison, &state.addresses);
        report.duplicates = comparison.duplicates();
        self.emit_new(&mut state.duplicates, duplicates, "DuplicateAddress");
        let drifted = drifted(comparison, &state.addresses);
        report.drifted = drifted.len();
        self.metrics.set_drifted(drifted.len());
        self.emit_new(&mut state.drifted, drifted, "AddressDrift");
    }

    fn emit_new(
        &self,
        emitted: &mut BTreeSet<PodWarning>,
        now: BTreeSet<PodWarning>,
        reason: &'static str,
    ) {
        for (about, message) in now.difference(emitted) {
            tracing::warn!(
                namespace = about.namespace,
                pod = about.name,
                reason,
                "{message}"
            );
            self.metrics.add(match reason {
                "AddressDrift" => "drift",
                _ => "duplicate",
            });
            let (about, message) = (about.clone(), message.clone());
            self.events.emit(about, EventType::Warning, reason, message);
        }
        *emitted = now;
    }
}

impl Comparison {
    /// Returns the number of addresses with several users.
    pub(super) fn duplicates(&self) -> usize {
        let all = self.actions.iter();
        all.filter(|action| matches!(action.reason, ActionReason::Duplicate { .. }))
            .count()
    }
}

/// Returns a warning for each pod that shares an address.
fn duplicates(comparison: &Comparison, addresses: &ObservedAddresses) -> BTreeSet<PodWarning> {
    let mut notes = BTreeSet::new();
    for action in &comparison.actions {
        let ActionReason::Duplicate { address, users } = &action.reason else {
            continue;
        };
        let mut words: Vec<String> = users.iter().map(ToString::to_string).collect();
        words.sort_unstable();
        let message = format!(
            "{address} is used by {}; change the addresses of all but one of them",
            words.join(" and by ")
        );
        let used = addresses.in_use().filter(|one| one.address == *address);
        for one in used.filter(|one| users.contains(&one.holder)) {
            notes.extend(object(one).map(|about| (about, message.clone())));
        }
    }
    notes
}

fn object(one: &InUse) -> Option<ObjectRef> {
    let pod = one.pod.as_ref()?;
    let namespace = one.holder.namespace();
    Some(ObjectRef::pod(namespace, &pod.name, pod.uid.as_deref()))
}

/// Returns a warning for each bound pod whose network-status shows, on a pool's network, other
/// addresses than are recorded. Recorded addresses that the pod does not use are ignored: they are
/// about to be released.
fn drifted(comparison: &Comparison, addresses: &ObservedAddresses) -> BTreeSet<PodWarning> {
    let mismatches: Vec<_> = addresses.mismatches().collect();
    let addresses = mismatches.iter().flat_map(|(_, used, _)| used);
    let addresses: BTreeSet<Address> = addresses.map(|one| one.address).collect();
    let records = comparison.records.iter().map(|one| &one.allocation);
    let records: Vec<&Allocation> = records
        .filter(|record| addresses.contains(&record.address))
        .collect();
    let mut notes = BTreeSet::new();
    for (pod, used, has) in mismatches {
        let of_pod = |record: &&&Allocation| {
            let on_it = record.network == has.network && *record.interface == *has.interface;
            on_it && record.holder == pod.holder
        };
        let is_used = |record: &&&Allocation| used.iter().any(|one| one.address == record.address);
        let records = records.iter().filter(of_pod).filter(is_used);
        let records: Vec<&Allocation> = records.copied().collect();
        // Addresses that are being recorded or adopted are complete in a later pass.
        let is_recorded = |one: &&InUse| records.iter().any(|record| record.address == one.address);
        if !used.iter().all(is_recorded) {
            continue;
        }
        if let Some(words) = ExpectedAddresses::of(&records).differs(has) {
            let about = ObjectRef::pod(&pod.namespace, &pod.name, pod.uid.as_deref());
            let message = format!(
                "interface {} of network {}/{} has {words}; the plugin does not give what it is \
                 asked for, or the annotation was changed past nadmit",
                has.interface, has.network.namespace, has.network.name
            );
            notes.insert((about, message));
        }
    }
    notes
}

/// The recorded addresses of an interface.
#[derive(Default)]
struct ExpectedAddresses {
    ips: BTreeSet<Address>,
    mac: Option<Mac>,
}

impl ExpectedAddresses {
    fn of(records: &[&Allocation]) -> Self {
        let mut expected = Self::default();
        for record in records {
            match record.address {
                Address::Ip(_) => {
                    expected.ips.insert(record.address);
                    expected.mac = expected.mac.or(record.mac);
                }
                Address::Mac(mac) => expected.mac = Some(mac),
            }
        }
        expected
    }

    fn differs(&self, reported: &ReportedInterface) -> Option<String> {
        let list = |ips: &BTreeSet<Address>| match ips.is_empty() {
            true => "no address".to_owned(),
            false => {
                let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
                ips.join(", ")
            }
        };
        if self.ips != reported.ips {
            let (has, expected) = (list(&reported.ips), list(&self.ips));
            return Some(format!("{has}, and {expected} is recorded for it"));
        }
        let (has, expected) = (reported.mac?, self.mac?);
        (has != expected).then(|| format!("MAC {has}, and {expected} is recorded for it"))
    }
}
