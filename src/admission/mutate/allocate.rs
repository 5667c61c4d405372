//! Planning for a pod's attachments, and the answer that carries what they are given.

use super::{DesiredAnnotations, OriginalAnnotations, annotation_bytes, patch, reject};
use crate::{
    admission::{
        context::ReviewContext,
        decide::{Decision, PendingCommit, max_level},
        migration_guard::{LaunchAccess, check_access},
        object::ReviewAnnotations,
        response::AdmissionResponse,
        review::AdmissionRequest,
    },
    allocation::{
        AllocationError, Index, Write,
        index::{Assignment, AttachmentRequest, PlanId, Rejection, Requester},
    },
    catalog::MigrationRef,
    network::selection::MAX_ANNOTATIONS_BYTES,
    rules::{
        Level, LiveRead, PodSubject, allocation::PoolRequest, judge::judge_corrected_prefixes,
    },
};

/// A pod whose addresses are put in.
pub(in crate::admission) struct AllocationRequest<'s, 'a> {
    /// The pod, as rules look at it.
    pub(in crate::admission) subject: &'s PodSubject<'a>,
    /// Its attachments to networks of pools.
    pub(in crate::admission) attachments: &'s [PoolRequest],
    /// For whom.
    pub(in crate::admission) requester: Requester,
    /// The migration as whose target the pod says that it was made.
    pub(in crate::admission) migration: Option<&'s MigrationRef>,
    /// Whether it has something of its holder's already.
    pub(in crate::admission) already_admitted: bool,
    /// What it was asked for before anything was put in, if something was.
    pub(in crate::admission) original: OriginalAnnotations<'s>,
    /// The token to write, if it holds by one.
    pub(in crate::admission) token: Option<String>,
    /// The annotations of the object under review, which is the pod or its Binding.
    pub(in crate::admission) current: &'s ReviewAnnotations<'a>,
}

/// The records of a plan, and by what the index knows it.
struct PlannedRecords {
    writes: Vec<Write>,
    plan_id: PlanId,
    borrowed: usize,
}

impl AllocationRequest<'_, '_> {
    /// Plans in the index, and answers with the patch; says why where nothing is given.
    pub(in crate::admission) fn decide(
        self,
        request: &AdmissionRequest<'_>,
        context: &ReviewContext<'_>,
    ) -> Decision {
        let asks: Vec<AttachmentRequest> = self
            .attachments
            .iter()
            .map(|one| one.request.clone())
            .collect();
        if !self.already_admitted {
            match check_access(&self.requester, self.migration, &asks, context) {
                LaunchAccess::Granted => {}
                LaunchAccess::NeedsRead(live_reads) => return Decision::VerifyLive(live_reads),
                LaunchAccess::Denied(refused) => {
                    let refused = vec![refused];
                    return reject(request, self.subject, self.attachments, refused, context);
                }
            }
        }
        let mut index = context.allocations.lock();
        index.sync(context.catalog.pool_config());
        if let Some(live_read) = self.unread_holdings(&asks, &index, context) {
            return Decision::VerifyLive(vec![live_read]);
        }
        let holds = |ask: &AttachmentRequest| {
            let held = index.held_by(&self.requester.holder, &ask.network, &ask.interface);
            !held.is_empty()
        };
        let partially_known = asks.iter().any(holds);
        let planned = plan_or_preview(request, &self.requester, &asks, &mut index, context);
        let (given, records) = match planned {
            Ok(planned) => planned,
            Err(refused) => {
                drop(index);
                return reject(request, self.subject, self.attachments, refused, context);
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
            DesiredAnnotations::new(self.subject, self.original, self.attachments, &given);
        desired.token = self.token;
        let bytes = annotation_bytes(self.current, &desired);
        if bytes > MAX_ANNOTATIONS_BYTES {
            if let Some(records) = records {
                index.abort(records.plan_id);
            }
            drop(index);
            let refused = vec![annotations_too_long(bytes)];
            return reject(request, self.subject, self.attachments, refused, context);
        }
        let max_level = max_level(request, context.catalog, context.policy);
        let corrected = judge_corrected_prefixes(self.subject, max_level.unwrap_or(Level::Off));
        let response =
            AdmissionResponse::new(request, corrected).with_patch(patch(self.current, &desired));
        commit_then_respond(records, response, &mut index)
    }

    /// What to look up before a holder that lasts is given something new: it may have an address
    /// that another replica of nadmit has recorded a moment ago, and would lose it.
    fn unread_holdings(
        &self,
        asks: &[AttachmentRequest],
        index: &Index,
        context: &ReviewContext<'_>,
    ) -> Option<LiveRead> {
        let holder = &self.requester.holder;
        if !holder.is_persistent() {
            return None;
        }
        let mut held = asks
            .iter()
            .flat_map(|ask| index.held_by(holder, &ask.network, &ask.interface));
        let live_read = self.holdings_read(false);
        let known = held.next().is_some() || context.freshness.covers(&live_read);
        (!known).then_some(live_read)
    }

    /// The same where something of it is known: of several records that the other replica has written,
    /// some may have been heard of, and what is kept for the holder be among the rest.
    fn unread_partial_holdings(
        &self,
        partially_known: bool,
        records: Option<&PlannedRecords>,
        context: &ReviewContext<'_>,
    ) -> Option<LiveRead> {
        let layout = context.catalog.pool_config();
        let is_retained = |write: &Write| match write {
            Write::Create(record) => {
                let pool = layout.pool(&record.pool);
                let family = record.address.family();
                pool.is_some_and(|pool| pool.retains(&record.holder, family))
            }
            _ => false,
        };
        let live_read = self.holdings_read(true);
        let gives = records.is_some_and(|records| records.writes.iter().any(is_retained));
        (partially_known && gives && !context.freshness.covers(&live_read)).then_some(live_read)
    }

    fn holdings_read(&self, partially_known: bool) -> LiveRead {
        LiveRead::Holdings {
            holder: self.requester.holder.clone(),
            partially_known,
        }
    }
}

/// Returns the refusal of annotations that would have so many bytes.
pub(in crate::admission) fn annotations_too_long(bytes: usize) -> Rejection {
    Rejection {
        request: 0,
        error: AllocationError::AnnotationsTooLong {
            bytes,
            limit: MAX_ANNOTATIONS_BYTES,
        },
    }
}

/// What the attachments are given, with the records that make it so; without those in a dry run.
fn plan_or_preview(
    request: &AdmissionRequest<'_>,
    requester: &Requester,
    asks: &[AttachmentRequest],
    index: &mut Index,
    context: &ReviewContext<'_>,
) -> Result<(Vec<Assignment>, Option<PlannedRecords>), Vec<Rejection>> {
    if request.dry_run == Some(true) {
        let given = index.preview(requester, asks, context.now)?;
        return Ok((given, None));
    }
    let planned = index.plan(requester, asks, context.now)?;
    let records = PlannedRecords {
        writes: planned.writes,
        plan_id: planned.plan_id,
        borrowed: planned.borrowed,
    };
    Ok((planned.assignments, Some(records)))
}

/// The answer, after the records are written; at once if there are none.
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
