//! Access to a virtual machine's addresses: for one launcher pod, and for the target of a
//! migration.
//!
//! A pod's owner reference names its machine, but anyone who may create pods may write one. So a
//! second launcher needs a proof that such a user cannot give: a migration in progress that
//! KubeVirt's migration controller names in the target pod when it creates it (annotation
//! `kubevirt.io/migrationJobName`, label `kubevirt.io/migrationJobUID`). The status of the
//! VirtualMachineInstance is no such proof: it names the target only after that pod is ready.

use core::time::Duration;

use crate::{
    context::ReviewContext, object::ReviewObject, pod::requests_under_review,
    review::AdmissionRequest,
};
use nadmit_allocation::{
    Address, Allocation, AllocationError, Holder, Index, PodRef,
    index::{AttachmentRequest, MacRequest, Rejection, Requester},
};
use nadmit_catalog::{Existence, LiveRead, MigrationRef, Pod};
use nadmit_rules::Injection;

/// The time that a request to create a pod may last after its records are written.
const CREATE_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A pod's access to the addresses of its holder.
pub(crate) enum LaunchAccess {
    /// Access is granted.
    Granted,
    /// These live reads have to be made first.
    NeedsRead(Vec<LiveRead>),
    /// Access is denied.
    Denied(Rejection),
}

/// Returns the migration that a pod under review claims to be the target of.
pub(crate) fn migration_of(pod: &ReviewObject<'_>) -> Option<MigrationRef> {
    let metadata = &pod.metadata;
    MigrationRef::new(
        metadata.annotations.migration_name.as_deref(),
        metadata.labels.migration_uid.as_deref(),
    )
}

/// Returns whether this pod may use, or be allocated, its holder's addresses on these interfaces.
pub(crate) fn check_access(
    requester: &Requester,
    migration: Option<&MigrationRef>,
    requests: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> LaunchAccess {
    let Holder::VirtualMachine { namespace, .. } = &requester.holder else {
        return LaunchAccess::Granted;
    };
    if let Some(unseen) = unseen_pods(requester, requests, context) {
        return unseen;
    }
    let siblings = sibling_pods(requester, requests, context);
    let Some(other) = siblings.first() else {
        return LaunchAccess::Granted;
    };
    // A migration has one target.
    let apart = |target: &&MigrationRef| {
        let same = |pod: &&Pod| {
            pod.migration
                .as_deref()
                .is_some_and(|t| t.uid == target.uid)
        };
        !siblings.iter().any(same)
    };
    if let Some(target) = migration.filter(apart) {
        let live_read = LiveRead::Migration {
            namespace: (&**namespace).into(),
            name: target.name.clone(),
        };
        if !context.freshness.covers(&live_read) {
            return LaunchAccess::NeedsRead(vec![live_read]);
        }
        if is_migrating(requester, target, context) {
            return LaunchAccess::Granted;
        }
    }
    let live_reads = siblings.iter().map(|pod| LiveRead::Pod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
    });
    let live_reads = live_reads.filter(|live_read| !context.freshness.covers(live_read));
    let live_reads: Vec<LiveRead> = live_reads.collect();
    if !live_reads.is_empty() {
        return LaunchAccess::NeedsRead(live_reads);
    }
    denied(AllocationError::SecondLauncher {
        machine: Box::new(requester.holder.clone()),
        pod: other.name.clone(),
    })
}

/// Returns true if any attachment names an address that the holder has there: a pod that was
/// admitted before stays admitted.
pub(crate) fn holds_any(requests: &[AttachmentRequest], holder: &Holder, index: &Index) -> bool {
    requests.iter().any(|requested| {
        let held = index.held_by(holder, &requested.network, &requested.interface);
        held.iter().any(|held| match held.address {
            Address::Ip(ip) => requested.ips.contains(&ip),
            Address::Mac(mac) => requested.mac == MacRequest::Exact(mac),
        })
    })
}

/// Returns true if the pod under review was admitted before it was changed.
pub(crate) fn was_admitted(
    request: &AdmissionRequest<'_>,
    before: &ReviewObject<'_>,
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> bool {
    let requests = requests_under_review(request, before, context);
    holds_any(&requests, &requester.holder, &context.allocations.lock())
}

/// Returns the machine's other pods that use, or may use, its addresses: they are bound to a node,
/// were injected, or are named in a record. Pods that are being deleted count, because they keep
/// running.
fn sibling_pods<'s>(
    requester: &Requester,
    requests: &[AttachmentRequest],
    context: &ReviewContext<'s>,
) -> Vec<&'s Pod> {
    let index = context.allocations.lock();
    let held = requests.iter().flat_map(|requested| {
        index.held_by(&requester.holder, &requested.network, &requested.interface)
    });
    let named: Vec<&PodRef> = held.filter_map(|record| record.pod.as_ref()).collect();
    let recorded = |pod: &Pod| {
        let mut named = named.iter();
        named.any(|one| one.uid.is_some() && one.uid.as_deref() == pod.uid.as_deref())
    };
    let namespace = context.catalog.namespace(requester.holder.namespace());
    let pods = namespace.into_iter().flat_map(|namespace| namespace.pods());
    let pods = pods.filter(|pod| {
        let put_in = pod.requested.networks.is_some() || pod.requested.default_network.is_some();
        let has = pod.node.is_some() || put_in || recorded(pod);
        has && pod.holder == requester.holder
            && !is_requester(requester, &pod.name, pod.uid.as_deref())
    });
    let mut pods: Vec<&Pod> = pods.map(|pod| &**pod).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn is_requester(requester: &Requester, name: &str, uid: Option<&str>) -> bool {
    requester.pod.as_ref().is_some_and(|own| {
        let same_uid = own.uid.as_deref().zip(uid).map(|(own, uid)| own == uid);
        same_uid.unwrap_or(*own.name == *name)
    })
}

/// Checks records of the machine that name a pod missing from the catalog. Such a pod may be
/// deleted, not yet observed, or still being created.
fn unseen_pods(
    requester: &Requester,
    requests: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> Option<LaunchAccess> {
    let home = &**requester.holder.namespace();
    let index = context.allocations.lock();
    let held = requests.iter().flat_map(|requested| {
        index.held_by(&requester.holder, &requested.network, &requested.interface)
    });
    let mut live_reads: Vec<LiveRead> = Vec::new();
    let mut coming = None;
    for record in held {
        let Some(pod) = &record.pod else { continue };
        let own = is_requester(requester, &pod.name, pod.uid.as_deref());
        if own || context.catalog.pod(home, &pod.name).is_some() {
            continue;
        }
        if may_be_created(record, context) {
            coming = Some(record.address);
        }
        let live_read = LiveRead::Pod {
            namespace: home.into(),
            name: (&*pod.name).into(),
        };
        if !context.freshness.covers(&live_read) && !live_reads.contains(&live_read) {
            live_reads.push(live_read);
        }
    }
    if !live_reads.is_empty() {
        return Some(LaunchAccess::NeedsRead(live_reads));
    }
    coming.map(|address| denied(AllocationError::Busy(address)))
}

/// Returns true if the pod that a record names may still be on its way into the API server: with
/// injection at creation, records are written before the pod. Without a cluster there is no view of
/// pods to come.
fn may_be_created(record: &Allocation, context: &ReviewContext<'_>) -> bool {
    let young = context.now < record.since.plus(CREATE_REQUEST_TIMEOUT);
    let cluster = context.catalog.workloads().knows_machines();
    cluster && context.policy.injection() == Injection::Create && young
}

fn denied(error: AllocationError) -> LaunchAccess {
    LaunchAccess::Denied(Rejection { request: 0, error })
}

/// Returns true if the migration that a pod names is in progress and of its machine.
fn is_migrating(requester: &Requester, target: &MigrationRef, context: &ReviewContext<'_>) -> bool {
    let Holder::VirtualMachine { namespace, name } = &requester.holder else {
        return false;
    };
    let known = context.catalog.workloads();
    let Existence::Present(migration) = known.migration(namespace, &target.name) else {
        return false;
    };
    migration.uid == target.uid && *migration.machine == **name && !migration.ended
}
