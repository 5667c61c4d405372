//! One loop for everything that commits plans: verify, claim, commit, back off, plan again.
//!
//! | step of the plan | then |
//! |---|---|
//! | done | the loop ends |
//! | verify | live reads are made, and the plan is made again |
//! | claim | a node's slice is recorded, and the plan is made again |
//! | commit | the loop ends if the records are durable; after a conflict it backs off and plans again |
//! | busy | after a delay the plan is made again; without a delay or time the loop ends |

use std::future::Future;

use thiserror::Error;
use tokio::time::{Duration, Instant, sleep};

use super::{CommitError, CommitOutcome};
use nadmit_allocation::{Slice, Write, index::PlanId};
use nadmit_whereabouts::DesiredEntry;

/// The next step of a plan.
#[derive(Debug)]
pub enum CommitStep<T, R> {
    /// Nothing is to be recorded: this is the result.
    Done(T),
    /// These live reads have to be made first.
    Verify(R),
    /// This slice has to be recorded for its node first.
    Claim(Slice),
    /// These records have to be durable first.
    Commit {
        writes: PlannedWrites,
        /// The result once the records are durable.
        result: T,
    },
    /// Another request is recording something that the plan needs. If there is no time left, this is the
    /// result.
    Busy(T),
}

/// The writes of a plan.
#[derive(Debug)]
pub struct PlannedWrites {
    /// The records: all or none of them.
    pub records: Vec<Write>,
    /// The records of Whereabouts that follow them.
    pub served: Vec<DesiredEntry>,
    /// The index's id of the plan.
    pub plan_id: PlanId,
}

/// A planner whose plans [`commit_loop`] commits.
pub trait CommitPlanner: Send {
    /// The result of the loop.
    type Output: Send;
    /// The live reads that a plan may need.
    type Reads: Send;
    /// The reason why live reads failed.
    type ReadError: Send;
    /// The reason why a slice was not recorded.
    type ClaimError: Send;

    /// Plans with what is known now.
    fn plan(&mut self) -> CommitStep<Self::Output, Self::Reads>;

    /// Makes live reads.
    fn verify(
        &mut self,
        reads: Self::Reads,
    ) -> impl Future<Output = Result<(), Self::ReadError>> + Send;

    /// Records a slice, or reads its owner.
    fn claim(&mut self, slice: Slice) -> impl Future<Output = Result<(), Self::ClaimError>> + Send;

    /// Commits the writes of a plan.
    fn commit(&mut self, writes: PlannedWrites) -> impl Future<Output = CommitOutcome> + Send;

    /// Returns an unpredictable number, for the delay after a conflict.
    fn random(&mut self) -> u128 {
        0
    }
}

/// The limits of a [`commit_loop`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitLimits {
    /// The end of the time for further attempts.
    pub deadline: Option<Instant>,
    /// The maximum number of plans.
    pub max_plans: Option<usize>,
    /// The delay before a busy plan is made again; `None` ends the loop.
    pub busy_delay: Option<Duration>,
    /// The maximum delay after a conflict.
    pub max_back_off: Duration,
}

/// The reason why a [`commit_loop`] recorded nothing.
#[derive(Debug, Error)]
pub enum CommitLoopError<R, C> {
    /// Live reads failed.
    #[error("live reads failed")]
    Verify(R),
    /// Other writers were faster until the limit.
    #[error("other writers changed the records first, in every attempt")]
    Outpaced,
    /// A slice could not be recorded.
    #[error("{0}")]
    Claim(C),
    /// The records could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

impl CommitLimits {
    fn is_over(&self, time: Instant) -> bool {
        self.deadline.is_some_and(|deadline| time >= deadline)
    }
}

/// Plans and commits until there is a result.
///
/// # Errors
/// [`CommitLoopError`] if a step fails or a limit is reached.
pub async fn commit_loop<P: CommitPlanner>(
    planner: &mut P,
    limits: &CommitLimits,
) -> Result<P::Output, CommitLoopError<P::ReadError, P::ClaimError>> {
    let mut plans = 0;
    let mut conflicts = 0;
    while limits.max_plans.is_none_or(|max| plans < max) {
        plans += 1;
        match planner.plan() {
            CommitStep::Done(result) => return Ok(result),
            CommitStep::Busy(result) => match limits.busy_delay {
                Some(delay) if !limits.is_over(Instant::now() + delay) => sleep(delay).await,
                Some(_) | None => return Ok(result),
            },
            CommitStep::Verify(reads) => {
                let verified = planner.verify(reads).await;
                verified.map_err(CommitLoopError::Verify)?;
            }
            CommitStep::Claim(_) if limits.is_over(Instant::now()) => break,
            CommitStep::Claim(slice) => {
                let claimed = planner.claim(slice).await;
                claimed.map_err(CommitLoopError::Claim)?;
            }
            CommitStep::Commit { writes, result } => match planner.commit(writes).await {
                CommitOutcome::Committed => return Ok(result),
                CommitOutcome::Conflict if limits.is_over(Instant::now()) => break,
                CommitOutcome::Conflict => {
                    conflicts += 1;
                    back_off(planner, conflicts, limits.max_back_off).await;
                }
                CommitOutcome::Failed(error) => return Err(CommitLoopError::Commit(error)),
            },
        }
    }
    Err(CommitLoopError::Outpaced)
}

/// Backs off after a conflict: not after the first, then for a random delay of up to 2^n ms. Otherwise two
/// plans of several records could keep aborting each other.
async fn back_off<P: CommitPlanner>(planner: &mut P, conflicts: u32, max: Duration) {
    let max_millis = max.as_millis().min(1 << conflicts.min(16));
    if conflicts > 1 && max_millis > 0 {
        let millis = planner.random() % max_millis;
        sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use super::*;
    use crate::WriteError;
    use nadmit_allocation::{
        Holder, NetworkRef, Pool, PoolConfig, SharedIndex, Timestamp,
        index::{AttachmentRequest, MacRequest, Requester},
    };

    /// A step by name, and the outcome of its action.
    #[derive(Clone, Copy)]
    enum Scripted {
        Done,
        Busy,
        Verify(Result<(), &'static str>),
        Conflict,
        Committed,
        Failed,
    }

    /// A planner with scripted steps, the last of which repeats; it notes what is called.
    struct ScriptedPlanner {
        steps: Vec<Scripted>,
        at: usize,
        calls: Vec<&'static str>,
        plan_id: PlanId,
    }

    impl ScriptedPlanner {
        fn step(&self) -> Scripted {
            let last = self.steps.len() - 1;
            self.steps[self.at.saturating_sub(1).min(last)]
        }
    }

    impl CommitPlanner for ScriptedPlanner {
        type Output = &'static str;
        type Reads = ();
        type ReadError = &'static str;
        type ClaimError = Infallible;

        fn plan(&mut self) -> CommitStep<&'static str, ()> {
            self.at += 1;
            self.calls.push("plan");
            match self.step() {
                Scripted::Done => CommitStep::Done("done"),
                Scripted::Busy => CommitStep::Busy("busy"),
                Scripted::Verify(_) => CommitStep::Verify(()),
                Scripted::Conflict | Scripted::Committed | Scripted::Failed => CommitStep::Commit {
                    writes: PlannedWrites {
                        records: Vec::new(),
                        served: Vec::new(),
                        plan_id: self.plan_id,
                    },
                    result: "recorded",
                },
            }
        }

        async fn verify(&mut self, (): ()) -> Result<(), &'static str> {
            self.calls.push("verify");
            match self.step() {
                Scripted::Verify(verified) => verified,
                _ => Ok(()),
            }
        }

        async fn claim(&mut self, _: Slice) -> Result<(), Infallible> {
            Ok(())
        }

        async fn commit(&mut self, _: PlannedWrites) -> CommitOutcome {
            self.calls.push("commit");
            match self.step() {
                Scripted::Conflict => CommitOutcome::Conflict,
                Scripted::Failed => CommitOutcome::Failed(full().into()),
                _ => CommitOutcome::Committed,
            }
        }

        fn random(&mut self) -> u128 {
            self.calls.push("random");
            // The longest delay.
            u128::MAX
        }
    }

    /// A [`CommitLoopError`] that can be compared.
    #[derive(Debug, PartialEq)]
    enum Failure {
        Verify(&'static str),
        Outpaced,
        Write(WriteError),
    }

    fn full() -> WriteError {
        let reason = "the disk is full".to_owned();
        WriteError::Unavailable { reason }
    }

    fn failure(error: CommitLoopError<&'static str, Infallible>) -> Failure {
        match error {
            CommitLoopError::Verify(reason) => Failure::Verify(reason),
            CommitLoopError::Outpaced => Failure::Outpaced,
            CommitLoopError::Commit(CommitError::Ledger(error)) => Failure::Write(error),
            CommitLoopError::Claim(_) | CommitLoopError::Commit(_) => panic!("{error}"),
        }
    }

    /// Returns the id of any plan.
    fn plan_id() -> PlanId {
        let spec = serde_json::from_str(r#"{"ranges":[{"range":"192.0.2.0/30"}]}"#);
        let pool = Pool::new("storage", &spec.unwrap_or_else(|e| panic!("{e}")));
        let pool = Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")));
        let index = SharedIndex::default();
        let mut index = index.synced(&Arc::new(PoolConfig::new([pool], [], |_| None)));
        index.set_ready("storage");
        let requester = Requester {
            holder: Holder::Pod {
                namespace: "db".into(),
                name: "a".into(),
            },
            pod: None,
            node: None,
        };
        let request = AttachmentRequest {
            pool: "storage".into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "storage-net".into(),
            },
            interface: "net1".into(),
            needs_ips: true,
            ips: Vec::new(),
            mac: MacRequest::None,
        };
        let planned = index.plan(&requester, &[request], Timestamp(0));
        planned.unwrap_or_else(|e| panic!("{e:?}")).id
    }

    /// Runs the loop. Returns its result, its calls, and the milliseconds it took.
    async fn run(
        steps: &[Scripted],
        limits: CommitLimits,
    ) -> (Result<&'static str, Failure>, String, u128) {
        let mut planner = ScriptedPlanner {
            steps: steps.to_vec(),
            at: 0,
            calls: Vec::new(),
            plan_id: plan_id(),
        };
        let begun = Instant::now();
        let result = commit_loop(&mut planner, &limits).await;
        let millis = begun.elapsed().as_millis();
        (result.map_err(failure), planner.calls.join(" "), millis)
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_leads_to_a_result_or_to_another_plan() {
        use Scripted::{Busy, Committed, Conflict, Done, Failed, Verify};
        let cases: [(&[Scripted], _, &str); 7] = [
            (&[Done], Ok("done"), "plan"),
            (&[Committed], Ok("recorded"), "plan commit"),
            (&[Failed], Err(Failure::Write(full())), "plan commit"),
            (&[Busy, Done], Ok("busy"), "plan"),
            (&[Verify(Ok(())), Done], Ok("done"), "plan verify plan"),
            (
                &[Verify(Err("away")), Done],
                Err(Failure::Verify("away")),
                "plan verify",
            ),
            (
                &[Conflict, Committed],
                Ok("recorded"),
                "plan commit plan commit",
            ),
        ];
        for (steps, expected, calls) in cases {
            let (result, called, millis) = run(steps, CommitLimits::default()).await;
            assert_eq!((result, &*called, millis), (expected, calls, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_plans_is_limited() {
        let limits = CommitLimits {
            max_plans: Some(3),
            ..CommitLimits::default()
        };
        let (result, calls, _) = run(&[Scripted::Conflict], limits).await;
        assert_eq!(result, Err(Failure::Outpaced));
        assert_eq!(calls, "plan commit plan commit plan commit");
    }

    #[tokio::test(start_paused = true)]
    async fn conflicts_back_off_from_the_second_until_the_deadline() {
        let limits = CommitLimits {
            deadline: Some(Instant::now() + Duration::from_millis(10)),
            max_back_off: Duration::from_millis(64),
            ..CommitLimits::default()
        };
        let (result, calls, millis) = run(&[Scripted::Conflict], limits).await;
        assert_eq!(result, Err(Failure::Outpaced));
        // Delays of 3 and 7 ms.
        assert_eq!(millis, 10);
        let expected = "plan commit plan commit random plan commit random plan commit";
        assert_eq!(calls, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_plan_is_made_again_while_there_is_time() {
        let limits = CommitLimits {
            deadline: Some(Instant::now() + Duration::from_millis(5)),
            busy_delay: Some(Duration::from_millis(2)),
            ..CommitLimits::default()
        };
        let (result, calls, millis) = run(&[Scripted::Busy], limits).await;
        assert_eq!((result, &*calls, millis), (Ok("busy"), "plan plan plan", 4));
    }
}
