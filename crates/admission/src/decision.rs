//! Decisions: a response, or what has to be done before there is one.

use crate::{
    context::Freshness,
    response::{AdmissionResponse, Verdict},
    review::AdmissionRequest,
};
use nadmit_allocation::{Slice, Write, index::PlanId};
use nadmit_catalog::LiveRead;
use nadmit_rules::{Finding, Level};
use nadmit_whereabouts::DesiredEntry;

/// The maximum number of live reads made for the warnings of one review.
const MAX_WARNING_READS: usize = 4;

/// The next step for a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Send this response.
    Respond(AdmissionResponse),
    /// Commit these records first; respond only when they are durable.
    Commit(PendingCommit),
    /// Make these live reads, then decide again with [`Freshness::VerifiedFor`]: a denial rests on
    /// them.
    VerifyLive(Vec<LiveRead>),
    /// Make these live reads if they are quick, then decide again: a warning rests on them. Reads
    /// that failed are passed as `unanswered` in [`Freshness::VerifiedFor`].
    Refresh(Vec<LiveRead>),
    /// Record that this node owns this slice, apply that to the index, and decide again: a pod
    /// needs an address of it.
    ClaimSlice(Slice),
    /// Decide again after a short delay: another request is recording something that this one
    /// needs. If there is no time left, send this response.
    Retry(AdmissionResponse),
}

/// Records to write, and the response to send once they are durable.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCommit {
    /// The writes: all or none of them.
    pub writes: Vec<Write>,
    /// The records of Whereabouts that have to be written after the others.
    pub served: Vec<DesiredEntry>,
    /// The index's id of the plan, which has to be committed or aborted.
    pub plan_id: PlanId,
    /// The number of addresses borrowed from slices of other nodes.
    pub borrowed: usize,
    /// The response to send when the records are durable.
    pub response: AdmissionResponse,
}

impl Decision {
    /// Returns the decision for these findings: a response, or the live reads needed first.
    pub(crate) fn from_findings(
        request: &AdmissionRequest<'_>,
        findings: Vec<Finding>,
        freshness: Freshness<'_>,
    ) -> Self {
        let live_reads = reads_before_denial(&findings, freshness);
        if !live_reads.is_empty() {
            return Self::VerifyLive(live_reads);
        }
        let live_reads = reads_before_warning(&findings, freshness);
        if !live_reads.is_empty() {
            return Self::Refresh(live_reads);
        }
        Self::Respond(AdmissionResponse::new(request, findings))
    }

    /// Returns this decision, unless it allows the request and `next` has one to add. A denied
    /// request must not allocate anything.
    pub(crate) fn unless_denied(self, next: impl FnOnce() -> Option<Self>) -> Self {
        match self {
            Self::Respond(response) if response.verdict() != Verdict::Deny => match next() {
                Some(next) => next.with_earlier_findings(&response),
                None => Self::Respond(response),
            },
            _ => self,
        }
    }

    /// Returns this decision with the findings of an earlier response before its own.
    fn with_earlier_findings(self, earlier: &AdmissionResponse) -> Self {
        match self {
            Self::Respond(response) => Self::Respond(response.with_earlier_findings(earlier)),
            Self::Retry(response) => Self::Retry(response.with_earlier_findings(earlier)),
            Self::Commit(plan) => Self::Commit(PendingCommit {
                response: plan.response.with_earlier_findings(earlier),
                ..plan
            }),
            Self::ClaimSlice(slice) => Self::ClaimSlice(slice),
            Self::VerifyLive(live_reads) => Self::VerifyLive(live_reads),
            Self::Refresh(live_reads) => Self::Refresh(live_reads),
        }
    }
}

/// Returns the live reads that have to be made before these findings may deny.
fn reads_before_denial(findings: &[Finding], freshness: Freshness<'_>) -> Vec<LiveRead> {
    let mut live_reads: Vec<LiveRead> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.level == Level::Deny)
    {
        if let Some(live_read) = &finding.requires_live_read
            && !freshness.covers(live_read)
            && !live_reads.contains(live_read)
        {
            live_reads.push(live_read.clone());
        }
    }
    live_reads
}

/// Returns the live reads worth making before these findings warn: a network or pool that may have
/// been applied just before the object under review. Reads that list a whole kind are not worth it.
fn reads_before_warning(findings: &[Finding], freshness: Freshness<'_>) -> Vec<LiveRead> {
    let mut live_reads: Vec<LiveRead> = Vec::new();
    let most = MAX_WARNING_READS.saturating_sub(freshness.request_count());
    let warnings = findings.iter().filter(|one| one.level == Level::Warn);
    for live_read in warnings.filter_map(|one| one.requires_live_read.as_ref()) {
        let cheap = matches!(live_read, LiveRead::Network { .. } | LiveRead::Pool { .. });
        if live_reads.len() < most
            && cheap
            && !freshness.was_requested(live_read)
            && !live_reads.contains(live_read)
        {
            live_reads.push(live_read.clone());
        }
    }
    live_reads
}
