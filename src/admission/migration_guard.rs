//! Who may have what a virtual machine holds: one launcher pod, and the target of a migration.
//!
//! That a pod belongs to a machine its owner says, which who creates pods may write. So a second
//! launcher needs a proof that such a user cannot give: a migration in progress, which KubeVirt's
//! migration controller names in the target pod when it creates that (annotation
//! `kubevirt.io/migrationJobName`, label `kubevirt.io/migrationJobUID`). The status of the machine's
//! instance is no proof: it names the target only after that is ready.

use super::{
    context::ReviewContext, object::ReviewObject, pod::subject_under_review,
    review::AdmissionRequest,
};
use crate::{
    allocation::{
        Address, Allocation, AllocationError, Holder, Index, PodRef,
        index::{AttachmentRequest, MacRequest, Rejection, Requester},
    },
    catalog::{Existence, MigrationRef, Pod},
    rules::{Injection, LiveRead, allocation::attachment_requests},
};

/// For how many seconds a request to create a pod may last, after its records are written.
const CREATE_REQUEST_TIMEOUT: i64 = 30;

/// Whether a pod may have what its holder has.
pub(super) enum LaunchAccess {
    /// Yes.
    Granted,
    /// That is known after these look-ups.
    NeedsRead(Vec<LiveRead>),
    /// No.
    Denied(Rejection),
}

/// The migration as whose target a pod under review says that it was made.
pub(super) fn migration_of(pod: &ReviewObject<'_>) -> Option<MigrationRef> {
    let metadata = &pod.metadata;
    MigrationRef::new(
        metadata.annotations.migration_name.as_deref(),
        metadata.labels.migration_uid.as_deref(),
    )
}

/// Whether this pod may have what its holder has on these interfaces, or is to be given.
pub(super) fn check_access(
    requester: &Requester,
    migration: Option<&MigrationRef>,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> LaunchAccess {
    let Holder::VirtualMachine { namespace, .. } = &requester.holder else {
        return LaunchAccess::Granted;
    };
    if let Some(unseen) = unseen_pods(requester, asks, context) {
        return unseen;
    }
    let siblings = sibling_pods(requester, asks, context);
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

/// Whether attachments carry something that the holder has there: a pod that was let in before stays.
pub(super) fn holds_any(asks: &[AttachmentRequest], holder: &Holder, index: &Index) -> bool {
    asks.iter().any(|ask| {
        let held = index.held_by(holder, &ask.network, &ask.interface);
        held.iter().any(|held| match held.address {
            Address::Ip(ip) => ask.ips.contains(&ip),
            Address::Mac(mac) => ask.mac == MacRequest::Exact(mac),
        })
    })
}

/// Whether a pod under review was let in before it was changed.
pub(super) fn was_admitted(
    request: &AdmissionRequest<'_>,
    before: &ReviewObject<'_>,
    requester: &Requester,
    context: &ReviewContext<'_>,
) -> bool {
    let subject = subject_under_review(request, before, context.policy, context.catalog);
    let asks: Vec<AttachmentRequest> = attachment_requests(&subject)
        .into_iter()
        .map(|one| one.request)
        .collect();
    holds_any(&asks, &requester.holder, &context.allocations.lock())
}

/// The other pods of the asker's machine that have, or may have, what it holds: they are on a node, or
/// something was put into them, or is recorded for them. One that is being deleted runs on for a while.
fn sibling_pods<'s>(
    requester: &Requester,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'s>,
) -> Vec<&'s Pod> {
    let index = context.allocations.lock();
    let held = asks
        .iter()
        .flat_map(|ask| index.held_by(&requester.holder, &ask.network, &ask.interface));
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

/// What records of the machine name other pods that are not seen: they may have gone, or have come a
/// moment ago, or be about to come.
fn unseen_pods(
    requester: &Requester,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> Option<LaunchAccess> {
    let home = &**requester.holder.namespace();
    let index = context.allocations.lock();
    let held = asks
        .iter()
        .flat_map(|ask| index.held_by(&requester.holder, &ask.network, &ask.interface));
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

/// Whether the pod that a record names may be on its way into the API server: where records are written
/// when a pod is created, they come before it. Without a cluster nobody knows which pods come.
fn may_be_created(record: &Allocation, context: &ReviewContext<'_>) -> bool {
    let age = context.now.0.saturating_sub(record.since.0);
    let cluster = context.catalog.workloads().knows_machines();
    cluster && context.policy.injection() == Injection::Create && age < CREATE_REQUEST_TIMEOUT
}

fn denied(refusal: AllocationError) -> LaunchAccess {
    LaunchAccess::Denied(Rejection {
        request: 0,
        error: refusal,
    })
}

/// Whether the migration that a pod names is one of its machine, and in progress.
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
