//! Planning for a pod's attachments, and the answer that carries what they are given.

use super::{Kept, Wanted, patch, refuse, size};
use crate::{
    admission::{
        answer::Answer,
        context::ReviewContext,
        decide::{Decision, Plan, loudest},
        launcher::{Standing, standing},
        object::Annotations,
        review::Request,
    },
    allocation::{
        AllocationError, Index, Write,
        index::{Assignment, AttachmentRequest, PlanId, Rejection, Requester},
    },
    catalog::TargetOf,
    network::selection::MAX_ANNOTATIONS_BYTES,
    rules::{Level, Lookup, PodSubject, allocation::PoolAttachment, judge::judge_corrected},
};

/// A pod whose addresses are put in.
pub(in crate::admission) struct Filling<'s, 'a> {
    /// The pod, as rules look at it.
    pub(in crate::admission) subject: &'s PodSubject<'a>,
    /// Its attachments to networks of pools.
    pub(in crate::admission) attachments: &'s [PoolAttachment],
    /// For whom.
    pub(in crate::admission) asker: Requester,
    /// The migration as whose target the pod says that it was made.
    pub(in crate::admission) target_of: Option<&'s TargetOf>,
    /// Whether it has something of its holder's already.
    pub(in crate::admission) let_in: bool,
    /// What it was asked for before anything was put in, if something was.
    pub(in crate::admission) kept: Kept<'s>,
    /// The token to write, if it holds by one.
    pub(in crate::admission) token: Option<String>,
    /// The annotations of the object under review, which is the pod or its Binding.
    pub(in crate::admission) written: &'s Annotations<'a>,
}

/// The records of a plan, and by what the index knows it.
struct Records {
    writes: Vec<Write>,
    ticket: PlanId,
    borrowed: usize,
}

impl Filling<'_, '_> {
    /// Plans in the index, and answers with the patch; says why where nothing is given.
    pub(in crate::admission) fn decide(
        self,
        request: &Request<'_>,
        context: &ReviewContext<'_>,
    ) -> Decision {
        let asks: Vec<AttachmentRequest> =
            self.attachments.iter().map(|one| one.ask.clone()).collect();
        if !self.let_in {
            match standing(&self.asker, self.target_of, &asks, context) {
                Standing::May => {}
                Standing::LookUp(lookups) => return Decision::Confirm(lookups),
                Standing::Refused(refused) => {
                    let refused = vec![refused];
                    return refuse(request, self.subject, self.attachments, refused, context);
                }
            }
        }
        let mut index = context.allocations.lock();
        index.sync(context.catalog.pool_config());
        if let Some(lookup) = self.unknown_holdings(&asks, &index, context) {
            return Decision::Confirm(vec![lookup]);
        }
        let holds = |ask: &AttachmentRequest| {
            let held = index.held_by(&self.asker.holder, &ask.network, &ask.interface);
            !held.is_empty()
        };
        let in_part = asks.iter().any(holds);
        let planned = planned(request, &self.asker, &asks, &mut index, context);
        let (given, records) = match planned {
            Ok(planned) => planned,
            Err(refused) => {
                drop(index);
                return refuse(request, self.subject, self.attachments, refused, context);
            }
        };
        if let Some(lookup) = self.unknown_part(in_part, records.as_ref(), context) {
            if let Some(records) = records {
                index.abort(records.ticket);
            }
            return Decision::Confirm(vec![lookup]);
        }
        let mut wanted = Wanted::new(self.subject, self.kept, self.attachments, &given);
        wanted.token = self.token;
        let bytes = size(self.written, &wanted);
        if bytes > MAX_ANNOTATIONS_BYTES {
            if let Some(records) = records {
                index.abort(records.ticket);
            }
            drop(index);
            let refused = vec![too_long(bytes)];
            return refuse(request, self.subject, self.attachments, refused, context);
        }
        let loudest = loudest(request, context.catalog, context.policy);
        let corrected = judge_corrected(self.subject, loudest.unwrap_or(Level::Off));
        let answer = Answer::new(request, corrected).with_patch(patch(self.written, &wanted));
        once_recorded(records, answer, &mut index)
    }

    /// What to look up before a holder that lasts is given something new: it may have an address
    /// that another replica of nadmit has recorded a moment ago, and would lose it.
    fn unknown_holdings(
        &self,
        asks: &[AttachmentRequest],
        index: &Index,
        context: &ReviewContext<'_>,
    ) -> Option<Lookup> {
        let holder = &self.asker.holder;
        if !holder.is_persistent() {
            return None;
        }
        let mut held = asks
            .iter()
            .flat_map(|ask| index.held_by(holder, &ask.network, &ask.interface));
        let lookup = self.holdings(false);
        let known = held.next().is_some() || context.freshness.covers(&lookup);
        (!known).then_some(lookup)
    }

    /// The same where something of it is known: of several records that the other replica has written,
    /// some may have been heard of, and what is kept for the holder be among the rest.
    fn unknown_part(
        &self,
        in_part: bool,
        records: Option<&Records>,
        context: &ReviewContext<'_>,
    ) -> Option<Lookup> {
        let layout = context.catalog.pool_config();
        let is_kept = |write: &Write| match write {
            Write::Create(record) => {
                let pool = layout.pool(&record.pool);
                let family = record.address.family();
                pool.is_some_and(|pool| pool.keeps(&record.holder, family))
            }
            _ => false,
        };
        let lookup = self.holdings(true);
        let gives = records.is_some_and(|records| records.writes.iter().any(is_kept));
        (in_part && gives && !context.freshness.covers(&lookup)).then_some(lookup)
    }

    fn holdings(&self, in_part: bool) -> Lookup {
        Lookup::Holdings {
            holder: self.asker.holder.clone(),
            in_part,
        }
    }
}

/// Returns the refusal of annotations that would have so many bytes.
pub(in crate::admission) fn too_long(bytes: usize) -> Rejection {
    Rejection {
        request: 0,
        refusal: AllocationError::AnnotationsTooLong {
            bytes,
            most: MAX_ANNOTATIONS_BYTES,
        },
    }
}

/// What the attachments are given, with the records that make it so; without those in a dry run.
fn planned(
    request: &Request<'_>,
    asker: &Requester,
    asks: &[AttachmentRequest],
    index: &mut Index,
    context: &ReviewContext<'_>,
) -> Result<(Vec<Assignment>, Option<Records>), Vec<Rejection>> {
    if request.dry_run == Some(true) {
        let given = index.preview(asker, asks, context.now)?;
        return Ok((given, None));
    }
    let planned = index.plan(asker, asks, context.now)?;
    let records = Records {
        writes: planned.writes,
        ticket: planned.ticket,
        borrowed: planned.borrowed,
    };
    Ok((planned.given, Some(records)))
}

/// The answer, after the records are written; at once if there are none.
fn once_recorded(records: Option<Records>, answer: Answer, index: &mut Index) -> Decision {
    match records {
        None => Decision::Answer(answer),
        Some(records) if records.writes.is_empty() => {
            index.commit(records.ticket, &[]);
            Decision::Answer(answer)
        }
        Some(records) => Decision::Plan(Plan {
            writes: records.writes,
            ticket: records.ticket,
            borrowed: records.borrowed,
            answer,
        }),
    }
}
