//! The planner of one review: decides, makes the live reads that the decision needs, and commits.

use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::{
    allocations::ClaimError,
    log,
    reject::{Reject, RejectReason},
    state::SharedState,
};
use nadmit_admission::{
    AdmissionRequest, AdmissionResponse, Decision, Freshness, ReviewContext, Webhook,
};
use nadmit_allocation::Slice;
use nadmit_catalog::{LiveRead, LiveReadError};
use nadmit_host::clock::Clock;
use nadmit_ledger::{CommitOutcome, CommitPlanner, CommitStep, PlannedWrites, ReadError};

/// Type of [`nadmit_admission::decide`]; tests substitute other functions.
pub(super) type DecideFn =
    for<'r, 'a, 's, 'k> fn(Webhook, &'r AdmissionRequest<'a>, &'s ReviewContext<'k>) -> Decision;

/// Maximum number of live reads of one review; annotations that name more would only cost time.
const MAX_LIVE_READS: usize = 256;
/// Timeout of a live read on which only a warning depends.
const WARNING_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The planner of one review.
pub(super) struct ReviewPlanner<'r, 'a> {
    state: &'r SharedState,
    decide: DecideFn,
    clock: &'r Clock,
    webhook: Webhook,
    request: &'r AdmissionRequest<'a>,
    deadline: Instant,
    random: u128,
    verified: Vec<LiveRead>,
    /// The live reads for warnings that failed.
    unanswered: Vec<LiveRead>,
    /// The time of the last decision.
    decided: Instant,
    /// The addresses that the last plan borrows from slices of other nodes.
    borrowed: usize,
}

/// The live reads that a decision needs.
pub(super) enum ReviewReads {
    /// A denial rests on them.
    Required(Vec<LiveRead>),
    /// Only a warning rests on them.
    Optional(Vec<LiveRead>),
}

/// The reason why the live reads of a review failed.
#[derive(Debug, Error)]
pub(super) enum LiveReadProblem {
    /// The origin of the catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] LiveReadError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// The review's deadline passed.
    #[error("no answer in time")]
    TimedOut,
    /// The review needs more than [`MAX_LIVE_READS`].
    #[error("the review needs too many live lookups")]
    TooMany,
}

impl<'r, 'a> ReviewPlanner<'r, 'a> {
    pub(super) fn new(
        state: &'r SharedState,
        decide: DecideFn,
        clock: &'r Clock,
        webhook: Webhook,
        request: &'r AdmissionRequest<'a>,
        deadline: Instant,
    ) -> Self {
        // Only pods whose name is not generated yet are identified by a random token.
        let unnamed = request.name.as_deref().is_none_or(str::is_empty);
        let random = if unnamed && webhook == Webhook::Mutate {
            state.allocations.random()
        } else {
            0
        };
        Self {
            state,
            decide,
            clock,
            webhook,
            request,
            deadline,
            random,
            verified: Vec::new(),
            unanswered: Vec::new(),
            decided: Instant::now(),
            borrowed: 0,
        }
    }

    /// Decides with the currently published catalog and policy.
    fn decide(&self) -> Result<Decision, Reject> {
        let freshness = match (&*self.verified, &*self.unanswered) {
            ([], []) => Freshness::Cached,
            (verified, unanswered) => Freshness::VerifiedFor {
                verified,
                unanswered,
            },
        };
        let catalog = self.state.catalog.load();
        let catalog = catalog.as_ref().ok_or_else(not_loaded)?;
        let policy = self.state.policy.load();
        let context = ReviewContext {
            catalog,
            policy: &policy,
            allocations: &self.state.allocations.index,
            freshness,
            now: self.clock.seconds(),
            random: self.random,
        };
        Ok((self.decide)(self.webhook, self.request, &context))
    }

    fn count(&self, outcome: &CommitOutcome, elapsed: Duration) {
        match outcome {
            CommitOutcome::Committed => {
                self.state.metrics.allocated(elapsed);
                self.state.metrics.borrowed(self.borrowed);
            }
            CommitOutcome::Conflict => self.state.metrics.commit_conflict(),
            CommitOutcome::Failed(_) => {}
        }
    }

    /// Makes the live reads on which a denial rests.
    async fn read_required(&mut self, reads: Vec<LiveRead>) -> Result<(), Reject> {
        if self.verified.len() >= MAX_LIVE_READS {
            return Err(live_read_failed(&LiveReadProblem::TooMany));
        }
        if let Err(problem) = self.read_live(&reads, self.deadline).await {
            log::live_read_failed(self.webhook, self.request, &problem.to_string());
            return Err(live_read_failed(&problem));
        }
        self.verified.extend(reads);
        Ok(())
    }

    /// Makes the live reads on which only a warning rests.
    async fn read_optional(&mut self, reads: Vec<LiveRead>) {
        // A warning may use only part of the time that a denial may need.
        let left = self.deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + WARNING_READ_TIMEOUT.min(left / 2);
        match self.read_live(&reads, until).await {
            Ok(()) => self.verified.extend(reads),
            Err(problem) => {
                tracing::debug!(error = %problem, "live read failed; warning from the cache");
                self.unanswered.extend(reads);
            }
        }
    }

    /// Makes live reads of the catalog and the ledger.
    async fn read_live(
        &self,
        reads: &[LiveRead],
        deadline: Instant,
    ) -> Result<(), LiveReadProblem> {
        let (ledger_reads, catalog_reads): (Vec<LiveRead>, Vec<LiveRead>) =
            reads.iter().cloned().partition(LiveRead::is_of_ledger);
        let all = async {
            if !catalog_reads.is_empty() {
                self.state.live_catalog.refresh(&catalog_reads).await?;
            }
            // The catalog comes first: an address's record depends on its pool.
            Ok(self.state.allocations.refresh(&ledger_reads).await?)
        };
        match timeout_at(deadline, all).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LiveReadProblem::TimedOut),
        }
    }
}

impl CommitPlanner for ReviewPlanner<'_, '_> {
    type Output = Result<AdmissionResponse, Reject>;
    type Reads = ReviewReads;
    type ReadError = Reject;
    type ClaimError = ClaimError;

    fn plan(&mut self) -> CommitStep<Self::Output, ReviewReads> {
        self.decided = Instant::now();
        match self.decide() {
            Err(reject) => CommitStep::Done(Err(reject)),
            Ok(Decision::Respond(response)) => CommitStep::Done(Ok(response)),
            Ok(Decision::Retry(response)) => CommitStep::Busy(Ok(response)),
            Ok(Decision::ClaimSlice(slice)) => CommitStep::Claim(slice),
            Ok(Decision::VerifyLive(reads)) => CommitStep::Verify(ReviewReads::Required(reads)),
            Ok(Decision::Refresh(reads)) => CommitStep::Verify(ReviewReads::Optional(reads)),
            Ok(Decision::Commit(plan)) => {
                self.borrowed = plan.borrowed;
                CommitStep::Commit {
                    writes: PlannedWrites {
                        records: plan.writes,
                        served: plan.served,
                        plan_id: plan.plan_id,
                    },
                    result: Ok(plan.response),
                }
            }
        }
    }

    async fn verify(&mut self, reads: ReviewReads) -> Result<(), Reject> {
        match reads {
            ReviewReads::Required(reads) => self.read_required(reads).await,
            ReviewReads::Optional(reads) => {
                self.read_optional(reads).await;
                Ok(())
            }
        }
    }

    async fn claim(&mut self, slice: Slice) -> Result<(), ClaimError> {
        self.state.allocations.claim(slice, self.deadline).await
    }

    async fn commit(&mut self, writes: PlannedWrites) -> CommitOutcome {
        let allocations = &self.state.allocations;
        let outcome = allocations.commit(writes, self.deadline).await;
        self.count(&outcome, self.decided.elapsed());
        outcome
    }

    fn random(&mut self) -> u128 {
        self.state.allocations.random()
    }
}

pub(super) fn not_loaded() -> Reject {
    let sentence = "the networks are not loaded yet; try again when /readyz returns ok";
    Reject::new(RejectReason::NotLoaded, sentence)
}

fn live_read_failed(problem: &LiveReadProblem) -> Reject {
    let sentence = format!("the live lookup before a denial failed: {problem}; try again");
    Reject::new(RejectReason::LookupFailed, sentence)
}
