//! Who may have what a virtual machine holds: one launcher pod, and the target of a migration.
//!
//! That a pod belongs to a machine its owner says, which who creates pods may write. So a second
//! launcher needs a proof that such a user cannot give: a migration in progress, which KubeVirt's
//! migration controller names in the target pod when it creates that (annotation
//! `kubevirt.io/migrationJobName`, label `kubevirt.io/migrationJobUID`). The status of the machine's
//! instance is no proof: it names the target only after that is ready.

use super::{context::ReviewContext, object::Object, pod::subject, review::Request};
use crate::{
    allocation::{
        Address, Allocation, AllocationError, Holder, Index, PodRef,
        index::{AttachmentRequest, MacRequest, Rejection, Requester},
    },
    catalog::{Existence, Pod, TargetOf},
    rules::{Injection, Lookup, allocation::asks},
};

/// For how many seconds a request to create a pod may last, after its records are written.
const REQUEST: i64 = 30;

/// Whether a pod may have what its holder has.
pub(super) enum Standing {
    /// Yes.
    May,
    /// That is known after these look-ups.
    LookUp(Vec<Lookup>),
    /// No.
    Refused(Rejection),
}

/// The migration as whose target a pod under review says that it was made.
pub(super) fn target_of(pod: &Object<'_>) -> Option<TargetOf> {
    let metadata = &pod.metadata;
    TargetOf::new(
        metadata.annotations.migration_name.as_deref(),
        metadata.labels.migration_uid.as_deref(),
    )
}

/// Whether this pod may have what its holder has on these interfaces, or is to be given.
pub(super) fn standing(
    asker: &Requester,
    target_of: Option<&TargetOf>,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> Standing {
    let Holder::VirtualMachine { namespace, .. } = &asker.holder else {
        return Standing::May;
    };
    if let Some(unseen) = unseen(asker, asks, context) {
        return unseen;
    }
    let others = others(asker, asks, context);
    let Some(other) = others.first() else {
        return Standing::May;
    };
    // A migration has one target.
    let apart = |target: &&TargetOf| {
        let same = |pod: &&Pod| {
            pod.target_of
                .as_deref()
                .is_some_and(|t| t.uid == target.uid)
        };
        !others.iter().any(same)
    };
    if let Some(target) = target_of.filter(apart) {
        let lookup = Lookup::Migration {
            namespace: (&**namespace).into(),
            name: target.name.clone(),
        };
        if !context.freshness.covers(&lookup) {
            return Standing::LookUp(vec![lookup]);
        }
        if is_migrated(asker, target, context) {
            return Standing::May;
        }
    }
    let lookups = others.iter().map(|pod| Lookup::Pod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
    });
    let lookups = lookups.filter(|lookup| !context.freshness.covers(lookup));
    let lookups: Vec<Lookup> = lookups.collect();
    if !lookups.is_empty() {
        return Standing::LookUp(lookups);
    }
    refused(AllocationError::SecondLauncher {
        machine: Box::new(asker.holder.clone()),
        pod: other.name.clone(),
    })
}

/// Whether attachments carry something that the holder has there: a pod that was let in before stays.
pub(super) fn has_some(asks: &[AttachmentRequest], holder: &Holder, index: &Index) -> bool {
    asks.iter().any(|ask| {
        let held = index.held_by(holder, &ask.network, &ask.interface);
        held.iter().any(|held| match held.address {
            Address::Ip(ip) => ask.ips.contains(&ip),
            Address::Mac(mac) => ask.mac == MacRequest::Exact(mac),
        })
    })
}

/// Whether a pod under review was let in before it was changed.
pub(super) fn was_let_in(
    request: &Request<'_>,
    before: &Object<'_>,
    asker: &Requester,
    context: &ReviewContext<'_>,
) -> bool {
    let subject = subject(request, before, context.policy, context.catalog);
    let asks: Vec<AttachmentRequest> = asks(&subject).into_iter().map(|one| one.ask).collect();
    has_some(&asks, &asker.holder, &context.allocations.lock())
}

/// The other pods of the asker's machine that have, or may have, what it holds: they are on a node, or
/// something was put into them, or is recorded for them. One that is being deleted runs on for a while.
fn others<'s>(
    asker: &Requester,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'s>,
) -> Vec<&'s Pod> {
    let index = context.allocations.lock();
    let held = asks
        .iter()
        .flat_map(|ask| index.held_by(&asker.holder, &ask.network, &ask.interface));
    let named: Vec<&PodRef> = held.filter_map(|record| record.pod.as_ref()).collect();
    let recorded = |pod: &Pod| {
        let mut named = named.iter();
        named.any(|one| one.uid.is_some() && one.uid.as_deref() == pod.uid.as_deref())
    };
    let namespace = context.catalog.namespace(asker.holder.namespace());
    let pods = namespace.into_iter().flat_map(|namespace| namespace.pods());
    let pods = pods.filter(|pod| {
        let put_in = pod.requested.networks.is_some() || pod.requested.default_network.is_some();
        let has = pod.node.is_some() || put_in || recorded(pod);
        has && pod.holder == asker.holder && !is_asker(asker, &pod.name, pod.uid.as_deref())
    });
    let mut pods: Vec<&Pod> = pods.map(|pod| &**pod).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn is_asker(asker: &Requester, name: &str, uid: Option<&str>) -> bool {
    asker.pod.as_ref().is_some_and(|own| {
        let same_uid = own.uid.as_deref().zip(uid).map(|(own, uid)| own == uid);
        same_uid.unwrap_or(*own.name == *name)
    })
}

/// What records of the machine name other pods that are not seen: they may have gone, or have come a
/// moment ago, or be about to come.
fn unseen(
    asker: &Requester,
    asks: &[AttachmentRequest],
    context: &ReviewContext<'_>,
) -> Option<Standing> {
    let home = &**asker.holder.namespace();
    let index = context.allocations.lock();
    let held = asks
        .iter()
        .flat_map(|ask| index.held_by(&asker.holder, &ask.network, &ask.interface));
    let mut lookups: Vec<Lookup> = Vec::new();
    let mut coming = None;
    for record in held {
        let Some(pod) = &record.pod else { continue };
        let own = is_asker(asker, &pod.name, pod.uid.as_deref());
        if own || context.catalog.pod(home, &pod.name).is_some() {
            continue;
        }
        if is_coming(record, context) {
            coming = Some(record.address);
        }
        let lookup = Lookup::Pod {
            namespace: home.into(),
            name: (&*pod.name).into(),
        };
        if !context.freshness.covers(&lookup) && !lookups.contains(&lookup) {
            lookups.push(lookup);
        }
    }
    if !lookups.is_empty() {
        return Some(Standing::LookUp(lookups));
    }
    coming.map(|address| refused(AllocationError::Busy(address)))
}

/// Whether the pod that a record names may be on its way into the API server: where records are written
/// when a pod is created, they come before it. Without a cluster nobody knows which pods come.
fn is_coming(record: &Allocation, context: &ReviewContext<'_>) -> bool {
    let age = context.now.0.saturating_sub(record.since.0);
    let cluster = context.catalog.workloads().knows_machines();
    cluster && context.policy.injection() == Injection::Create && age < REQUEST
}

fn refused(refusal: AllocationError) -> Standing {
    Standing::Refused(Rejection {
        request: 0,
        refusal,
    })
}

/// Whether the migration that a pod names is one of its machine, and in progress.
fn is_migrated(asker: &Requester, target: &TargetOf, context: &ReviewContext<'_>) -> bool {
    let Holder::VirtualMachine { namespace, name } = &asker.holder else {
        return false;
    };
    let known = context.catalog.workloads();
    let Existence::Present(migration) = known.migration(namespace, &target.name) else {
        return false;
    };
    migration.uid == target.uid && *migration.machine == **name && !migration.ended
}
