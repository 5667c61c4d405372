//! Leader election.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use libtest_mimic::Trial;
use nadmit::controllers::{LeaderElector, LeaseOptions};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::support::{MetricReader, SettableClock, TestResult, holds, paused, same};
use crate::api_server::{ApiServer, FaultAction, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests!["resync"; with paused;
        one_of_two_replicas_leads,
        a_crashed_leader_is_replaced,
        a_leader_that_shuts_down_is_replaced_at_once,
        a_leader_without_an_api_stops_before_another_begins,
        lost_responses_do_not_lose_leadership,
        clocks_may_be_wrong_or_stand_still,
        a_foreign_writer_of_the_lease_takes_nothing,
        all_faults_at_once_never_make_two_leaders,
    ]
}

const TIME_STEP: Duration = Duration::from_millis(50);

/// A replica that takes part in the election.
struct ElectionReplica {
    leads: watch::Receiver<bool>,
    metric: MetricReader,
    stop: CancellationToken,
    task: JoinHandle<()>,
    alive: bool,
}

impl ElectionReplica {
    fn of(server: &ApiServer, name: &str, wall: &SettableClock) -> Self {
        let client = server.named(name).client();
        let options = LeaseOptions::new("nadmit", name);
        let leadership = LeaderElector::new(client, options, wall.clock());
        let stop = CancellationToken::new();
        Self {
            leads: leadership.is_leader(),
            metric: MetricReader::of(|registry| leadership.register(registry)),
            task: tokio::spawn(leadership.run(stop.clone())),
            stop,
            alive: true,
        }
    }

    fn leads(&self) -> bool {
        self.alive && *self.leads.borrow()
    }

    /// Ends without releasing the Lease.
    fn crash(&mut self) {
        self.task.abort();
        self.alive = false;
    }
}

fn pair()
-> Result<(ApiServer, SettableClock, ElectionReplica, ElectionReplica), libtest_mimic::Failed> {
    let server = ApiServer::new();
    server.namespace("nadmit", &[]);
    let wall = SettableClock::at("2026-03-01T12:00:00Z")?;
    let a = ElectionReplica::of(&server, "a", &wall);
    let b = ElectionReplica::of(&server, "b", &wall);
    Ok((server, wall, a, b))
}

/// Lets time pass until `until` holds, and returns how long that took. Fails if there are two
/// leaders at a time.
async fn pass(
    replicas: &[&ElectionReplica],
    longest: Duration,
    until: impl Fn() -> bool,
) -> Result<Duration, libtest_mimic::Failed> {
    let start = Instant::now();
    loop {
        let leaders = replicas.iter().filter(|replica| replica.leads()).count();
        holds(leaders <= 1, ("two lead", start.elapsed()))?;
        if until() || start.elapsed() >= longest {
            return Ok(start.elapsed());
        }
        sleep(TIME_STEP).await;
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn one_of_two_replicas_leads() -> TestResult {
    let (server, _, a, b) = pair()?;
    let took = pass(&[&a, &b], seconds(60), || a.leads() || b.leads()).await?;
    holds(took < seconds(1), took)?;
    same((a.leads(), b.leads()), (true, false))?;
    pass(&[&a, &b], seconds(600), || !a.leads()).await?;
    same((a.leads(), b.leads()), (true, false))?;
    let metrics = (a.metric.value("leader")?, b.metric.value("leader")?);
    same(metrics, (1, 0))?;
    let lease = server.stored("leases.coordination.k8s.io", "nadmit", "nadmit");
    let spec = lease.ok_or("no lease")?["spec"].clone();
    same(&spec["holderIdentity"], &json!("a"))?;
    same(&spec["leaseTransitions"], &json!(1))?;
    same(&spec["leaseDurationSeconds"], &json!(15))
}

async fn a_crashed_leader_is_replaced() -> TestResult {
    let (_, _, mut a, b) = pair()?;
    pass(&[&a, &b], seconds(30), || false).await?;
    a.crash();
    let took = pass(&[&a, &b], seconds(60), || b.leads()).await?;
    holds(took >= seconds(10) && took <= seconds(18), took)
}

async fn a_leader_that_shuts_down_is_replaced_at_once() -> TestResult {
    let (_, _, a, b) = pair()?;
    pass(&[&a, &b], seconds(30), || false).await?;
    a.stop.cancel();
    let took = pass(&[&a, &b], seconds(60), || b.leads()).await?;
    holds(took <= seconds(3), took)?;
    holds(a.task.is_finished(), "it has not ended")
}

async fn a_leader_without_an_api_stops_before_another_begins() -> TestResult {
    for failure in [
        InjectedFailure::Connection,
        InjectedFailure::Silence,
        InjectedFailure::Internal,
    ] {
        let (server, _, a, b) = pair()?;
        pass(&[&a, &b], seconds(31), || false).await?;
        server.fault(FaultRule::of("*", "leases", failure.clone().into()).for_client("a"));
        let stopped = pass(&[&a, &b], seconds(60), || !a.leads()).await?;
        holds(
            stopped >= seconds(7) && stopped <= seconds(11),
            (stopped, failure),
        )?;
        pass(&[&a, &b], seconds(60), || b.leads()).await?;
        same(b.leads(), true)?;
        // It is a follower like any other once it reaches the server again.
        server.heal();
        pass(&[&a, &b], seconds(60), || false).await?;
        same((a.leads(), b.leads()), (false, true))?;
    }
    // Without an API server there is no leader, and afterwards there is one.
    let (server, _, a, b) = pair()?;
    pass(&[&a, &b], seconds(31), || false).await?;
    server.fault(FaultRule::of("*", "*", InjectedFailure::Unavailable.into()));
    pass(&[&a, &b], seconds(60), || false).await?;
    same((a.leads(), b.leads()), (false, false))?;
    server.heal();
    pass(&[&a, &b], seconds(60), || a.leads() || b.leads()).await?;
    same(a.leads() || b.leads(), true)
}

async fn lost_responses_do_not_lose_leadership() -> TestResult {
    let (server, _, a, b) = pair()?;
    pass(&[&a, &b], seconds(10), || false).await?;
    for _ in 0..20 {
        let lost = FaultAction::lost(InjectedFailure::Timeout);
        server.fault(
            FaultRule::of("update", "leases", lost)
                .for_client("a")
                .times(1),
        );
        pass(&[&a, &b], seconds(7), || !a.leads()).await?;
        same((a.leads(), b.leads()), (true, false))?;
    }
    Ok(())
}

async fn clocks_may_be_wrong_or_stand_still() -> TestResult {
    let server = ApiServer::new();
    server.namespace("nadmit", &[]);
    // One clock that is stopped, and one that is a day ahead.
    let still = SettableClock::at("2026-03-01T12:00:00Z")?;
    let frozen = still.now();
    let options = LeaseOptions::new("nadmit", "a");
    let clock = nadmit::clock::Clock::new(move || frozen);
    let leadership = LeaderElector::new(server.named("a").client(), options, clock);
    let (leads, metric) = (
        leadership.is_leader(),
        MetricReader::of(|registry| leadership.register(registry)),
    );
    let stop = CancellationToken::new();
    let task = tokio::spawn(leadership.run(stop.clone()));
    let alive = true;
    let a = ElectionReplica {
        leads,
        metric,
        stop,
        task,
        alive,
    };
    sleep(TIME_STEP).await;
    let b = ElectionReplica::of(&server, "b", &still.ahead(86_400));
    pass(&[&a, &b], seconds(120), || !a.leads()).await?;
    same((a.leads(), b.leads()), (true, false))
}

async fn a_foreign_writer_of_the_lease_takes_nothing() -> TestResult {
    let (server, _, a, b) = pair()?;
    let leases: Api<Lease> = Api::namespaced(server.named("c").client(), "nadmit");
    for count in 0..40 {
        pass(&[&a, &b], Duration::from_millis(1_300), || false).await?;
        let patch = json!({"metadata": {"annotations": {"count": count.to_string()}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        leases.patch("nadmit", &params, &patch).await?;
        same((a.leads(), b.leads()), (true, false))?;
    }
    let lease = leases.get("nadmit").await?;
    let annotations = lease.metadata.annotations.unwrap_or_default();
    same(annotations.get("count").map(String::as_str), Some("39"))
}

/// Replicas start, crash and shut down, and the server fails in every way.
async fn all_faults_at_once_never_make_two_leaders() -> TestResult {
    for seed in 0..6_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (server, wall, a, b) = pair()?;
        let mut replicas = [a, b];
        for round in 0..30 {
            server.heal();
            let client = ["a", "b"][usize::try_from(draw(2))?];
            let action: FaultAction = match draw(7) {
                0 => InjectedFailure::Connection.into(),
                1 => InjectedFailure::Silence.into(),
                2 => InjectedFailure::Internal.into(),
                3 => FaultAction::lost(InjectedFailure::Timeout),
                4 => {
                    FaultAction::later(Duration::from_millis(draw(8_000)), InjectedFailure::Timeout)
                }
                5 => FaultAction::slow(Duration::from_millis(draw(4_000)), Duration::ZERO),
                _ => FaultAction::slow(Duration::ZERO, Duration::from_millis(draw(4_000))),
            };
            server.fault(FaultRule::of("*", "leases", action).for_client(client));
            if draw(5) == 0 {
                let at = usize::try_from(draw(2))?;
                if draw(2) == 0 {
                    replicas[at].crash();
                } else {
                    replicas[at].stop.cancel();
                    pass(&replicas.iter().collect::<Vec<_>>(), seconds(4), || false).await?;
                }
                let name = format!("{}{round}", ["a", "b"][at]);
                replicas[at] = ElectionReplica::of(&server, &name, &wall);
            }
            let longest = Duration::from_millis(1_000 + draw(30_000));
            pass(&replicas.iter().collect::<Vec<_>>(), longest, || false).await?;
        }
        server.heal();
        let all: Vec<&ElectionReplica> = replicas.iter().collect();
        pass(&all, seconds(40), || false).await?;
        same(all.iter().filter(|one| one.leads()).count(), 1)?;
    }
    Ok(())
}
