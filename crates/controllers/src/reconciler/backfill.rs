//! Backfill: injection into bound pods that missed it at binding.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Duration, Instant};

use super::{BackfillError, Inner, ReconcileError, ReconcileReport, ReconcilerState};
use crate::{AnnotationPatch, EventType, ObjectRef};
use nadmit_admission::{Freshness, LateInjection, ReviewContext, inject_late, tag};
use nadmit_allocation::{Holder, Slice};
use nadmit_catalog::{Catalog, LiveRead, LiveReadError, Pod};
use nadmit_cni::{annotations, selection::Annotation};
use nadmit_ledger::{
    CommitLimits, CommitLoopError, CommitOutcome, CommitPlanner, CommitStep, PlannedWrites, claim,
    commit, commit_loop,
};
use nadmit_rules::{Finding, Injection, Policy};

/// The time for which a newly bound pod is left to the webhook.
const BIND_GRACE: Duration = Duration::from_secs(2);
/// The interval after which a pod that lacked nothing, or was injected, is checked again.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The interval after which a rejected pod is checked again; also the maximum retry pause.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The number of pods handled concurrently.
const CONCURRENCY: usize = 16;
/// The maximum number of plans for a pod when other writers are faster.
const MAX_ATTEMPTS: usize = 8;
/// The code of the rule on pools that assign nothing yet. Its findings need no action: injection is
/// retried.
const NOT_READY: &str = "pool-not-ready";

/// The candidates for injection, by UID.
pub(super) type BackfillQueue = HashMap<Box<str>, BackfillTimer>;

/// The time of the next check of a pod, and its failed attempts.
#[derive(Clone, Copy)]
pub(super) struct BackfillTimer {
    next_check: Instant,
    attempts: u32,
}

/// The outcome of a check.
enum BackfillOutcome {
    NothingToDo,
    Injected,
    /// It has to be retried, for this reason.
    Retry(BackfillError),
    /// It gets no address, for this reason.
    Rejected(String),
}

/// The planner of the injection into one pod.
struct BackfillPlanner<'i> {
    inner: &'i Inner,
    pod: Arc<Pod>,
    policy: Arc<Policy>,
    /// Set once the objects that the injection depends on were read live.
    is_verified: bool,
}

/// The step after the commit loop of an injection.
enum BackfillStep {
    /// There is nothing left to do.
    End(BackfillOutcome),
    /// These annotations are written to the pod.
    Annotate(Arc<Pod>, Vec<(&'static str, String)>),
}

impl Inner {
    /// Injects addresses into pods that lack them, if this replica leads. Every replica tracks the
    /// candidates, so that a new leader knows how long they have been waiting.
    pub(super) async fn backfill(
        &self,
        state: &mut ReconcilerState,
        catalog: &Arc<Catalog>,
        report: &mut ReconcileReport,
    ) {
        let policy = self.policy.load_full();
        let now = Instant::now();
        let pods: Vec<Arc<Pod>> = catalog
            .pods()
            .filter(|pod| is_candidate(pod, catalog, &policy))
            .cloned()
            .collect();
        let before = std::mem::take(&mut state.backfills);
        let uid = |pod: &Pod| pod.uid.clone().unwrap_or_default();
        let first = BackfillTimer {
            next_check: now + BIND_GRACE,
            attempts: 0,
        };
        let timer = |pod: &Arc<Pod>| before.get(&uid(pod)).copied().unwrap_or(first);
        state.backfills = pods.iter().map(|pod| (uid(pod), timer(pod))).collect();
        if report.is_leader {
            let ready = pods
                .iter()
                .filter(|pod| timer(pod).next_check <= now)
                .cloned();
            let mut ready: Vec<Arc<Pod>> = ready.collect();
            ready.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
            let outcomes: Vec<(Arc<Pod>, BackfillOutcome)> = stream::iter(ready)
                .map(|pod| async move {
                    let outcome = self.backfill_pod(&pod).await;
                    (pod, outcome)
                })
                .buffered(CONCURRENCY)
                .collect()
                .await;
            for (pod, outcome) in outcomes {
                let attempts = timer(&pod).attempts;
                let retry = matches!(outcome, BackfillOutcome::Retry(_));
                let pause = self.record_outcome(state, &pod, outcome, attempts, report);
                let timer = BackfillTimer {
                    next_check: Instant::now() + pause,
                    attempts: if retry { attempts.saturating_add(1) } else { 0 },
                };
                state.backfills.insert(uid(&pod), timer);
            }
        }
        let rejected = &mut state.rejected;
        let backfills = &state.backfills;
        rejected.retain(|uid, _| backfills.contains_key(uid));
        let next = backfills.values().map(|timer| timer.next_check).min();
        state.due = state
            .due
            .into_iter()
            .chain(next.filter(|_| report.is_leader))
            .min();
    }

    /// Counts and reports an outcome. Returns the time until the next check.
    fn record_outcome(
        &self,
        state: &mut ReconcilerState,
        pod: &Pod,
        outcome: BackfillOutcome,
        attempts: u32,
        report: &mut ReconcileReport,
    ) -> Duration {
        match outcome {
            BackfillOutcome::NothingToDo => RECHECK_INTERVAL,
            BackfillOutcome::Injected => {
                report.count("injected-late", true);
                self.metrics.add("injected-late");
                RECHECK_INTERVAL
            }
            BackfillOutcome::Retry(source) => {
                report.count("injected-late", false);
                report.error(ReconcileError::Backfill {
                    namespace: pod.namespace.clone(),
                    name: pod.name.clone(),
                    source,
                });
                MAX_RECHECK_INTERVAL.min(BIND_GRACE * 2_u32.saturating_pow(attempts))
            }
            BackfillOutcome::Rejected(message) => {
                report.count("late-refused", true);
                let uid = pod.uid.clone().unwrap_or_default();
                let before = state.rejected.insert(uid, message.clone());
                if before.as_ref() != Some(&message) {
                    self.metrics.add("late-refused");
                    let about = ObjectRef::pod(&pod.namespace, &pod.name, pod.uid.as_deref());
                    self.events
                        .emit(about, EventType::Warning, "NoAddresses", message);
                }
                MAX_RECHECK_INTERVAL
            }
        }
    }

    async fn backfill_pod(&self, pod: &Arc<Pod>) -> BackfillOutcome {
        let mut planner = BackfillPlanner {
            inner: self,
            pod: Arc::clone(pod),
            policy: self.policy.load_full(),
            is_verified: false,
        };
        let limits = CommitLimits {
            // One more plan shows that live reads are worthwhile.
            max_plans: Some(MAX_ATTEMPTS + 1),
            ..CommitLimits::default()
        };
        match commit_loop(&mut planner, &limits).await {
            Ok(BackfillStep::End(outcome)) => outcome,
            Ok(BackfillStep::Annotate(pod, annotations)) => self.annotate(&pod, &annotations).await,
            Err(CommitLoopError::Outpaced) => BackfillOutcome::Retry(BackfillError::Outpaced),
            Err(CommitLoopError::Verify(error)) => {
                BackfillOutcome::Retry(BackfillError::LiveRead(error))
            }
            Err(CommitLoopError::Claim(error)) => BackfillOutcome::Retry(error),
            Err(CommitLoopError::Commit(error)) => {
                BackfillOutcome::Retry(BackfillError::Commit(error))
            }
        }
    }

    fn plan_injection(&self, pod: &Pod, catalog: &Catalog, policy: &Policy) -> LateInjection {
        let context = ReviewContext {
            catalog,
            policy,
            allocations: &self.index,
            freshness: Freshness::Authoritative,
            now: self.clock.seconds(),
            random: 0,
        };
        inject_late(pod, &context)
    }

    async fn annotate(&self, pod: &Pod, annotations: &[(&'static str, String)]) -> BackfillOutcome {
        if annotations.is_empty() {
            return BackfillOutcome::Injected;
        }
        let Some(patch) = AnnotationPatch::for_pod(pod, annotations) else {
            return BackfillOutcome::NothingToDo;
        };
        match self.pod_writer.annotate(patch).await {
            Ok(()) => BackfillOutcome::Injected,
            Err(error) => BackfillOutcome::Retry(BackfillError::Patch(error)),
        }
    }
}

impl BackfillPlanner<'_> {
    /// Plans with the catalog as it is: live reads are worthwhile only if the pod lacks something.
    fn plan_unverified(&self) -> CommitStep<BackfillStep, ()> {
        let Some(catalog) = self.inner.catalog.load_full() else {
            return CommitStep::Verify(());
        };
        match self.inner.plan_injection(&self.pod, &catalog, &self.policy) {
            LateInjection::NotNeeded => {
                CommitStep::Done(BackfillStep::End(BackfillOutcome::NothingToDo))
            }
            LateInjection::Commit { plan_id, .. } => {
                self.inner.index.lock().abort(plan_id);
                CommitStep::Verify(())
            }
            LateInjection::Rejected(_) | LateInjection::ClaimSlice(_) | LateInjection::Busy => {
                CommitStep::Verify(())
            }
        }
    }

    /// Plans with the pod as it was read live.
    fn plan_verified(&self) -> CommitStep<BackfillStep, ()> {
        let end = |outcome| CommitStep::Done(BackfillStep::End(outcome));
        let Some(catalog) = self.inner.catalog.load_full() else {
            return end(BackfillOutcome::NothingToDo);
        };
        let fresh = catalog.pod(&self.pod.namespace, &self.pod.name);
        let fresh = fresh.filter(|fresh| fresh.uid == self.pod.uid);
        let Some(fresh) = fresh.filter(|fresh| is_candidate(fresh, &catalog, &self.policy)) else {
            return end(BackfillOutcome::NothingToDo);
        };
        match self.inner.plan_injection(fresh, &catalog, &self.policy) {
            LateInjection::NotNeeded => end(BackfillOutcome::NothingToDo),
            LateInjection::Busy => CommitStep::Busy(BackfillStep::End(BackfillOutcome::Retry(
                BackfillError::Busy,
            ))),
            LateInjection::Rejected(findings) => {
                let message = rejection_message(fresh, &self.policy, &findings);
                end(BackfillOutcome::Rejected(message))
            }
            LateInjection::ClaimSlice(slice) => CommitStep::Claim(slice),
            LateInjection::Commit {
                writes,
                plan_id,
                annotations,
            } => CommitStep::Commit {
                writes: PlannedWrites {
                    records: writes,
                    // Late injection leaves the networks of Whereabouts to its plugin.
                    served: Vec::new(),
                    plan_id,
                },
                result: BackfillStep::Annotate(Arc::clone(fresh), annotations),
            },
        }
    }
}

impl CommitPlanner for BackfillPlanner<'_> {
    type Output = BackfillStep;
    type Reads = ();
    type ReadError = LiveReadError;
    type ClaimError = BackfillError;

    fn plan(&mut self) -> CommitStep<BackfillStep, ()> {
        match self.is_verified {
            true => self.plan_verified(),
            false => self.plan_unverified(),
        }
    }

    async fn verify(&mut self, (): ()) -> Result<(), LiveReadError> {
        self.inner.live.refresh(&dependencies(&self.pod)).await?;
        self.is_verified = true;
        Ok(())
    }

    async fn claim(&mut self, slice: Slice) -> Result<(), BackfillError> {
        let Some(slices) = &self.inner.slices else {
            self.inner.index.lock().drop_claim(&slice);
            return Err(BackfillError::NoSlices);
        };
        Ok(claim(slices, &self.inner.index, &slice).await?)
    }

    async fn commit(&mut self, writes: PlannedWrites) -> CommitOutcome {
        let ledger = Arc::clone(&self.inner.ledger);
        let index = Arc::clone(&self.inner.index);
        // In a task of its own, the write completes even if this future is dropped.
        let outcome = tokio::spawn(commit(ledger, index, writes.records, writes.plan_id)).await;
        outcome.unwrap_or_else(|error| CommitOutcome::Failed(error.into()))
    }
}

/// Returns the live reads that an injection requires: the pod; for a virtual machine all pods of the
/// namespace, to see whether it is the only one, and its migration.
fn dependencies(pod: &Pod) -> Vec<LiveRead> {
    let home = || pod.namespace.clone();
    if !matches!(pod.holder, Holder::VirtualMachine { .. }) {
        return vec![LiveRead::pod(home(), pod.name.clone())];
    }
    let migration = pod.migration.as_ref();
    let migration = migration.map(|target| LiveRead::Migration {
        namespace: home(),
        name: target.name.clone(),
    });
    std::iter::once(LiveRead::pods_of(home()))
        .chain(migration)
        .collect()
}

/// Returns the message of the event about a pod that gets no addresses. It has no numbers that change
/// while the problem stays, because a changed message is another event.
fn rejection_message(pod: &Pod, policy: &Policy, findings: &[Finding]) -> String {
    let reasons: Vec<String> = findings
        .iter()
        .map(|finding| {
            let start = tag(finding.code);
            let network = network_of(pod, policy, &finding.field);
            let network = network.map_or(String::new(), |network| format!(" on {network}"));
            let (message, help) = (&finding.message, &finding.help);
            format!("{start} pod has no address{network}: {message}; {help}")
        })
        .collect();
    let is_retried = findings.iter().all(|finding| finding.code == NOT_READY);
    let action = match is_retried {
        true => "",
        false => "; delete the pod after you fix it",
    };
    format!("{}{action}", reasons.join(" | "))
}

/// Returns the network (`namespace/name`) of the network entry that the field of a finding is in.
fn network_of(pod: &Pod, policy: &Policy, field: &str) -> Option<String> {
    let (key, path) = field
        .strip_prefix("metadata.annotations[")?
        .split_once("][")?;
    let (index, _) = path.split_once(']')?;
    let index: usize = index.parse().ok()?;
    let (text, namespace) = match key {
        annotations::NETWORKS => (&pod.networks, &pod.namespace),
        annotations::DEFAULT_NETWORK => (&pod.default_network, &policy.multus_namespace),
        _ => return None,
    };
    let annotation = Annotation::parse(text.as_deref()?);
    let selection = annotation
        .selections
        .iter()
        .find(|one| one.index == index)?;
    let name = selection.network_name()?;
    Some(format!("{}/{name}", selection.namespace_or(namespace)))
}

/// Returns true if a pod is bound, has no networks yet, and is subject to injection.
fn is_candidate(pod: &Pod, catalog: &Catalog, policy: &Policy) -> bool {
    let bound = pod.node.is_some() && !pod.terminating && !pod.mirror && !pod.host_network;
    let requests = pod.networks.is_some() || pod.default_network.is_some();
    let attached = pod
        .network_status
        .as_deref()
        .is_some_and(|status| !status.is_empty());
    if !bound || !requests || attached || pod.uid.is_none() {
        return false;
    }
    match policy.injection() {
        Injection::Off => false,
        Injection::Create => true,
        Injection::Bind => catalog.has_injection_label(&pod.namespace),
    }
}
