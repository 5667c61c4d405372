//! `leaked-allocation` and `drift`: nadmit's own allocations, compared with their pods.
//!
//! nadmit releases and warns by itself; what is found here is left over. Addresses that a workload, a
//! virtual machine or a reservation keeps are never reported as leaked.

use core::time::Duration;

use nadmit_allocation::Allocation;

use crate::{
    AllocationRecord, AuditCode, AuditFinding, HasObject as _, ObjectRef, PodName, PodRecord,
    PodState, RecordKind, fix, view::View,
};

/// The age of a record from which it may be reported if the quarantines of its pool are not known.
const DEFAULT_QUARANTINE: Duration = Duration::from_secs(600);

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for one in &view.snapshot.allocations {
        let Some(pod) = pod_of(&one.allocation) else {
            continue;
        };
        match view.pod(&pod) {
            PodState::Unknown => {}
            PodState::Absent => findings.extend(leaked(view, one, &pod, "does not exist")),
            PodState::Ended(_) => findings.extend(leaked(view, one, &pod, "has ended")),
            PodState::Live(record) => findings.extend(drift(view, one, record)),
        }
    }
}

/// Returns the pod of an allocation.
fn pod_of(allocation: &Allocation) -> Option<PodName> {
    Some(PodName {
        namespace: (&**allocation.holder.namespace()).into(),
        name: (&*allocation.pod.as_ref()?.name).into(),
    })
}

fn object(one: &AllocationRecord) -> ObjectRef {
    ObjectRef::new(RecordKind::Allocation, "", &one.name)
}

fn value(allocation: &Allocation) -> String {
    let (address, holder) = (allocation.address, &allocation.holder);
    format!("{address} of pool {} is held by {holder}", allocation.pool)
}

fn leaked(
    view: &View<'_>,
    one: &AllocationRecord,
    pod: &PodName,
    state: &str,
) -> Option<AuditFinding> {
    let allocation = &one.allocation;
    let pools = view
        .snapshot
        .address_pools
        .iter()
        .map(|record| &record.pool);
    // The pool of a network has its settings from an AddressPool that names the network.
    let pools = pools.filter(|pool| {
        pool.name == allocation.pool || pool.configures.contains(&allocation.network)
    });
    let kept = pools.map(|pool| pool.quarantine.max(pool.lost_node_quarantine));
    let kept = kept.max().unwrap_or(DEFAULT_QUARANTINE);
    let is_young = view.snapshot.now.since(allocation.since) < kept;
    if allocation.holder.is_persistent() || allocation.reservation.is_some() || is_young {
        return None;
    }
    let address = allocation.address;
    let message = format!("{address} is held by pod {pod}, which {state}");
    let command = fix::release(address, &allocation.pool);
    Some(
        AuditFinding::new(AuditCode::LeakedAllocation, message)
            .with(object(one), value(allocation))
            .with(pod.object(), state)
            .command(command)
            .help("nadmit releases it after the quarantine of its pool; check nadmit status if it stays"),
    )
}

/// Returns the finding about a live pod that has other addresses of the network than is recorded.
fn drift(view: &View<'_>, one: &AllocationRecord, pod: &PodRecord) -> Option<AuditFinding> {
    let allocation = &one.allocation;
    let address = allocation.address.ip()?;
    let recorded = allocation.pod.as_ref().and_then(|pod| pod.uid.as_deref());
    let is_other = recorded.is_some_and(|uid| pod.uid.as_deref() != Some(uid));
    if is_other || pod.terminating || pod.whole_status(view.snapshot.now).is_none() {
        return None;
    }
    let network = (&*allocation.network.namespace, &*allocation.network.name);
    let of_pod = view.attachments_of(&pod.name).filter(|attachment| {
        (&*attachment.network.namespace, &*attachment.network.name) == network
            && (allocation.interface.is_empty() || attachment.interface() == &*allocation.interface)
    });
    let interfaces: Vec<_> = of_pod.collect();
    let mut addresses = interfaces.iter().flat_map(|one| &one.status.ips);
    let first = addresses.clone().next()?;
    if addresses.any(|carried| *carried == address) {
        return None;
    }
    let message = format!(
        "{address} is recorded for pod {}, whose interface has {first} instead",
        pod.name
    );
    let mut finding =
        AuditFinding::new(AuditCode::Drift, message).with(object(one), value(allocation));
    for interface in interfaces {
        finding = finding.with(pod.object(), interface.in_words());
    }
    Some(finding.command(fix::restart(pod)))
}
