//! Plans addresses for a pod's attachments, and makes the response that carries them.

use std::{collections::HashMap, sync::Arc};

use crate::{
    annotations::{DesiredAnnotations, OriginalAnnotations},
    context::ReviewContext,
    decision::{Decision, PendingCommit},
    migration_guard::{LaunchAccess, check_access},
    object::ReviewAnnotations,
    response::AdmissionResponse,
    review::AdmissionRequest,
};
use nadmit_allocation::{
    Address, AllocationError, Index, Write,
    index::{Assignment, AttachmentRequest, PlanId, Rejection, Requester},
};
use nadmit_catalog::MigrationRef;
use nadmit_cni::selection::MAX_ANNOTATIONS_BYTES;
use nadmit_rules::{
    Finding, Level, LiveRead, PodSubject,
    allocation::{AllocationSubject, PoolRequest},
    judge::{judge_allocation, judge_corrected_prefixes},
};

/// The maximum number of retained addresses named in a denial.
const MAX_RETAINED_NAMED: usize = 5;

/// A request to allocate addresses for one pod.
pub(crate) struct AllocationRequest<'s, 'a> {
    /// The rules' view of the pod.
    pub(crate) subject: &'s PodSubject<'a>,
    /// The pod's attachments to networks with a pool.
    pub(crate) attachments: &'s [PoolRequest],
    /// The requester.
    pub(crate) requester: Requester,
    /// The migration that the pod claims to be the target of.
    pub(crate) migration: Option<&'s MigrationRef>,
    /// Set if the pod uses an address of its holder already.
    pub(crate) already_admitted: bool,
    /// The annotations from before injection, if the pod was injected.
    pub(crate) original: OriginalAnnotations<'s>,
    /// The holder token to write, if the pod holds by one.
    pub(crate) token: Option<String>,
    /// The annotations of the object under review, which is the pod or its Binding.
    pub(crate) current: &'s ReviewAnnotations<'a>,
}

/// The records of a plan, and the plan's id in the index.
struct PlannedRecords {
    writes: Vec<Write>,
    plan_id: PlanId,
    borrowed: usize,
}

impl AllocationRequest<'_, '_> {
    /// Plans in the index, and responds with the patch or with the reasons for a denial.
    pub(crate) fn decide(
        self,
        request: &AdmissionRequest<'_>,
        context: &ReviewContext<'_>,
    ) -> Decision {
        let requests: Vec<AttachmentRequest> = self
            .attachments
            .iter()
            .map(|one| one.request.clone())
            .collect();
        if !self.already_admitted {
            match check_access(&self.requester, self.migration, &requests, context) {
                LaunchAccess::Granted => {}
                LaunchAccess::NeedsRead(live_reads) => return Decision::VerifyLive(live_reads),
                LaunchAccess::Denied(rejection) => {
                    let rejections = vec![rejection];
                    return reject(request, self.subject, self.attachments, rejections, context);
                }
            }
        }
        let mut index = context.lock_synced();
        if let Some(live_read) = self.unread_holdings(&requests, &index, context) {
            return Decision::VerifyLive(vec![live_read]);
        }
        let holds = |requested: &AttachmentRequest| {
            let held = index.held_by(
                &self.requester.holder,
                &requested.network,
                &requested.interface,
            );
            !held.is_empty()
        };
        let partially_known = requests.iter().any(holds);
        let planned = plan_or_preview(request, &self.requester, &requests, &mut index, context);
        let (assignments, records) = match planned {
            Ok(planned) => planned,
            Err(rejections) => {
                drop(index);
                return reject(request, self.subject, self.attachments, rejections, context);
            }
        };
        if let Some(live_read) =
            self.unread_partial_holdings(partially_known, records.as_ref(), context)
        {
            if let Some(records) = records {
                index.abort(records.plan_id);
            }
            return Decision::VerifyLive(vec![live_read]);
        }
        let mut desired =
            DesiredAnnotations::new(self.subject, self.original, self.attachments, &assignments);
        desired.token = self.token;
        let bytes = desired.bytes_after(self.current);
        if bytes > MAX_ANNOTATIONS_BYTES {
            if let Some(records) = records {
                index.abort(records.plan_id);
            }
            drop(index);
            let rejections = vec![annotations_too_long(bytes)];
            return reject(request, self.subject, self.attachments, rejections, context);
        }
        let max_level = context.max_level(request.namespace());
        let corrected = judge_corrected_prefixes(self.subject, max_level.unwrap_or(Level::Off));
        let response = AdmissionResponse::new(request, corrected)
            .with_patch(desired.to_json_patch(self.current));
        commit_then_respond(records, response, &mut index)
    }

    /// Returns the live read to make before a persistent holder gets something new: another replica
    /// may just have recorded an address for it, which the holder would lose.
    fn unread_holdings(
        &self,
        requests: &[AttachmentRequest],
        index: &Index,
        context: &ReviewContext<'_>,
    ) -> Option<LiveRead> {
        let holder = &self.requester.holder;
        if !holder.is_persistent() {
            return None;
        }
        let mut held = requests
            .iter()
            .flat_map(|requested| index.held_by(holder, &requested.network, &requested.interface));
        let live_read = self.holdings_read(false);
        let known = held.next().is_some() || context.freshness.covers(&live_read);
        (!known).then_some(live_read)
    }

    /// Returns the live read to make if some of the holder's records are known. Another replica may
    /// have written several records of which only some are visible here; if this plan would create
    /// a retained record, the holder's records are listed live first.
    fn unread_partial_holdings(
        &self,
        partially_known: bool,
        records: Option<&PlannedRecords>,
        context: &ReviewContext<'_>,
    ) -> Option<LiveRead> {
        let pool_config = context.catalog.pool_config();
        let is_retained = |write: &Write| match write {
            Write::Create(record) => {
                let pool = pool_config.pool(&record.pool);
                let family = record.address.family();
                pool.is_some_and(|pool| pool.retains(&record.holder, family))
            }
            _ => false,
        };
        let live_read = self.holdings_read(true);
        let adds_retained = records.is_some_and(|records| records.writes.iter().any(is_retained));
        (partially_known && adds_retained && !context.freshness.covers(&live_read))
            .then_some(live_read)
    }

    fn holdings_read(&self, partially_known: bool) -> LiveRead {
        LiveRead::Holdings {
            holder: self.requester.holder.clone(),
            partially_known,
        }
    }
}

/// Returns the rejection of annotations that would have this many bytes.
pub(crate) fn annotations_too_long(bytes: usize) -> Rejection {
    Rejection {
        request: 0,
        error: AllocationError::AnnotationsTooLong {
            bytes,
            limit: MAX_ANNOTATIONS_BYTES,
        },
    }
}

/// Plans the assignments and their records; for a dry run, previews them without records.
fn plan_or_preview(
    request: &AdmissionRequest<'_>,
    requester: &Requester,
    requests: &[AttachmentRequest],
    index: &mut Index,
    context: &ReviewContext<'_>,
) -> Result<(Vec<Assignment>, Option<PlannedRecords>), Vec<Rejection>> {
    if request.dry_run == Some(true) {
        let assignments = index.preview(requester, requests, context.now)?;
        return Ok((assignments, None));
    }
    let planned = index.plan(requester, requests, context.now)?;
    let records = PlannedRecords {
        writes: planned.writes,
        plan_id: planned.id,
        borrowed: planned.borrowed,
    };
    Ok((planned.assignments, Some(records)))
}

/// Returns the decision to commit the records and then respond; to respond at once if there are
/// none.
fn commit_then_respond(
    records: Option<PlannedRecords>,
    response: AdmissionResponse,
    index: &mut Index,
) -> Decision {
    match records {
        None => Decision::Respond(response),
        Some(records) if records.writes.is_empty() => {
            index.commit(records.plan_id, &[]);
            Decision::Respond(response)
        }
        Some(records) => Decision::Commit(PendingCommit {
            writes: records.writes,
            plan_id: records.plan_id,
            borrowed: records.borrowed,
            response,
        }),
    }
}

/// Turns rejections into a decision. Those that depend on other objects lead to live reads first.
pub(crate) fn reject(
    request: &AdmissionRequest<'_>,
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Decision {
    if let Some(slice) = rejections.iter().find_map(|one| one.error.required_slice()) {
        return Decision::ClaimSlice(slice.clone());
    }
    let busy = rejections.iter().any(|one| one.error.is_busy());
    let findings = to_findings(
        subject,
        attachments,
        with_retained_addresses(rejections, context),
    );
    if busy {
        return Decision::Retry(AdmissionResponse::new(request, findings));
    }
    Decision::from_findings(request, findings, context.freshness)
}

/// Adds the addresses that workloads retain without a pod to rejections for a namespace's limit.
fn with_retained_addresses(
    mut rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    // Once for each pool, because it scans all records.
    let mut of_pools: HashMap<Arc<str>, Vec<Address>> = HashMap::new();
    for one in &mut rejections {
        if let AllocationError::NamespaceLimit {
            namespace,
            pool,
            retained,
            ..
        } = &mut one.error
        {
            let addresses = of_pools.entry(Arc::clone(pool));
            let addresses =
                addresses.or_insert_with(|| retained_addresses(namespace, pool, context));
            retained.clone_from(addresses);
        }
    }
    rejections
}

/// Returns the lowest addresses of a pool that a namespace's workloads retain without a pod.
fn retained_addresses(
    namespace: &Arc<str>,
    pool: &str,
    context: &ReviewContext<'_>,
) -> Vec<Address> {
    let index = context.allocations.lock();
    let records = index.recorded().map(|(record, _)| record);
    let retained = records.filter(|record| {
        *record.pool == *pool
            && record.holder.namespace() == namespace
            && context.catalog.is_retained(record)
    });
    let mut addresses: Vec<Address> = retained.map(|record| record.address).collect();
    addresses.sort_unstable();
    addresses.truncate(MAX_RETAINED_NAMED);
    addresses
}

/// Returns findings for rejected attachments.
pub(crate) fn to_findings(
    subject: &PodSubject<'_>,
    attachments: &[PoolRequest],
    rejections: Vec<Rejection>,
) -> Vec<Finding> {
    let rejections: Vec<_> = rejections
        .into_iter()
        .filter_map(|one| Some((attachments.get(one.request)?.attachment, one.error)))
        .collect();
    judge_allocation(&AllocationSubject {
        pod: subject,
        errors: &rejections,
    })
}
