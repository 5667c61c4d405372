//! Scenarios of a cluster with several replicas of nadmit, each generated from a seed.
//!
//! Everything runs on one thread, in paused time: the replicas as `nadmit serve` runs them, the
//! fake API server, and the actors around them (`user`, `scheduler`, `workloads`, `nodes`). Their
//! actions and the faults (`api_faults`) follow from the seed alone, so a seed replays its scenario
//! line by line.
//!
//! While a scenario runs:
//! - S1: no address is used by two containers, wherever they run, except on nodes that are lost for
//!   longer than the pool waits.
//! - S2: no record changes hands without a compare-and-swap, and no address has two records.
//! - S3: nothing is refused because another replica is ahead.
//!
//! At its end, after some minutes without faults (`invariants`):
//! - L1: every allocation belongs to a pod that is alive, to a workload that retains it, or to a
//!   reservation.
//! - L2: a bound pod carries what it holds, and lacks nothing that could be allocated.
//! - L3: holders that retain addresses from pod to pod still have them.
//! - L4: the index of every replica equals the ledger.
//! - L5: it comes to rest: no action is repeated forever.
//!
//! With `Actors::Machines` there are virtual machines, too: restarted, migrated and deleted, along
//! with pods that pose as their launchers. The same seed generates different scenarios with and
//! without them.
//!
//! `NADMIT_SEED=7 cargo test --test it simulation::one` runs one scenario, with `NADMIT_MACHINES=1`
//! one with machines; CONTRIBUTING.md says more.

mod api_faults;
mod client_link;
mod cluster;
mod disasters;
mod event_log;
mod invariants;
mod kubevirt;
mod machines;
mod nodes;
mod regressions;
mod replicas;
pub(crate) mod rng;
mod scenario;
mod scheduler;
mod user;
mod workloads;

use std::{
    cell::Cell,
    env,
    sync::{Arc, Once},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use tokio::time::sleep;

use self::{
    cluster::SimCluster,
    kubevirt::virt_controller,
    scenario::Actors,
    scheduler::scheduler,
    workloads::{set_controller, sets},
};
use crate::support::TestResult;

/// The number of tests that the seeds are divided among, to run in parallel.
const TEST_COUNT: u64 = 4;
/// The number of seeds in each test.
const SEEDS: u64 = 50;
/// The number of seeds with machines in each test.
const MACHINE_SEEDS: u64 = 20;

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = of_seeds("seeds", Actors::Pods, SEEDS);
    tests.extend(of_seeds("machines", Actors::Machines, MACHINE_SEEDS));
    let found = [
        (Actors::Pods, regressions::SEEDS),
        (Actors::Machines, regressions::MACHINE_SEEDS),
    ];
    for (actors, seeds) in found {
        tests.extend(seeds.iter().map(|(seed, what)| {
            let name = format!("simulation::regressions::seed_{seed}::{what}");
            Trial::test(name, move || run_logged(*seed, actors).map(drop))
        }));
    }
    tests.push(trial!["simulation"; a_seed_gives_the_same_events_twice]);
    if let Some(seed) = number("NADMIT_SEED") {
        tests.push(Trial::test("simulation::one", move || one(seed)));
    }
    if let (Some(first), Some(count)) = (number("NADMIT_FROM"), number("NADMIT_COUNT")) {
        let step = number("NADMIT_STEP").unwrap_or(1);
        tests.push(Trial::test("simulation::many", move || {
            many(first, count, step)
        }));
    }
    tests
}

fn of_seeds(group: &str, actors: Actors, count: u64) -> Vec<Trial> {
    let test = |test: u64| {
        let seeds = test * count..(test + 1) * count;
        let name = format!("simulation::{group}::from_{}", seeds.start);
        Trial::test(name, move || {
            let mut seeds = seeds.into_iter();
            seeds.try_for_each(|seed| run_logged(seed, actors).map(drop))
        })
    };
    (0..TEST_COUNT).map(test).collect()
}

/// Returns the actors that the environment selects.
fn actors() -> Actors {
    match env::var_os("NADMIT_MACHINES") {
        Some(_) => Actors::Machines,
        None => Actors::Pods,
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Runs `count` scenarios, `step` seeds apart, and names the first that fails.
fn many(first: u64, count: u64, step: u64) -> TestResult {
    let step = usize::try_from(step)?;
    for seed in (first..first + count).step_by(step) {
        run_logged(seed, actors())?;
    }
    Ok(())
}

/// Runs one scenario and prints its log.
fn one(seed: u64) -> TestResult {
    let outcome = run(seed, actors())?;
    println!("{}", outcome.lines.join("\n"));
    outcome.verdict.map_or(Ok(()), |what| Err(what.into()))
}

/// Runs a scenario; the error has the last lines of its log.
fn run_logged(seed: u64, actors: Actors) -> Result<RunOutcome, Failed> {
    let outcome = run(seed, actors)?;
    let with = match actors {
        Actors::Pods => "",
        Actors::Machines => "NADMIT_MACHINES=1 ",
    };
    match &outcome.verdict {
        None => Ok(outcome),
        Some(what) => Err(format!(
            "seed {seed}: {what}\ntell it again: {with}NADMIT_SEED={seed} cargo test --test it simulation::one"
        )
        .into()),
    }
}

fn a_seed_gives_the_same_events_twice() -> TestResult {
    let seeds = number("NADMIT_SEED").map_or(1000..1006, |seed| seed..seed + 1);
    for seed in seeds {
        let actors = if seed % 2 == 0 {
            Actors::Pods
        } else {
            Actors::Machines
        };
        let [first, second] = [run(seed, actors)?.lines, run(seed, actors)?.lines];
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        let differs = differs
            .or_else(|| (first.len() != second.len()).then_some(first.len().min(second.len())));
        if let Some(at) = differs {
            let around = |lines: &[String]| {
                let lines = lines.iter().take(at + 1).skip(at.saturating_sub(12));
                lines.cloned().collect::<Vec<_>>().join("\n")
            };
            let [first, second] = [around(&first), around(&second)];
            return Err(format!("seed {seed}, line {at}:\n{first}\n\n{second}").into());
        }
    }
    Ok(())
}

/// The outcome of a scenario.
struct RunOutcome {
    lines: Vec<String>,
    verdict: Option<String>,
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Installs a hook that notes panics by thread, because a task that panics ends silently.
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            before(info);
        }));
    });
    PANICKED.set(false);
}

fn run(seed: u64, actors: Actors) -> Result<RunOutcome, Failed> {
    notice_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let mut outcome = runtime.block_on(run_scenario(seed, actors));
    drop(runtime);
    if PANICKED.get() {
        outcome
            .verdict
            .get_or_insert_with(|| "a task panicked".to_owned());
    }
    Ok(outcome)
}

async fn run_scenario(seed: u64, actors: Actors) -> RunOutcome {
    let cluster = SimCluster::new(seed, actors);
    tokio::select! {
        biased;
        () = cluster.log.overflow() => {}
        () = run_steps(&cluster) => {}
    }
    cluster.server.close();
    RunOutcome {
        lines: cluster.log.lines(),
        verdict: cluster.log.verdict(),
    }
}

async fn run_steps(cluster: &Arc<SimCluster>) {
    let rng = cluster.rng.fork();
    cluster.start_nodes();
    cluster.start_replicas();
    sleep(Duration::from_secs(2)).await;
    for set in sets(&rng) {
        cluster.server.put(set);
    }
    cluster.inject_faults();
    tokio::spawn(scheduler(cluster.clone(), rng.fork()));
    tokio::spawn(set_controller(cluster.clone(), rng.fork()));
    let machines = cluster.scenario.actors == Actors::Machines;
    if machines {
        cluster.make_machines(&rng);
        tokio::spawn(virt_controller(cluster.clone(), rng.fork()));
    }
    for _ in 0..cluster.scenario.steps {
        sleep(rng.millis(20, 6_000)).await;
        cluster.step(&rng).await;
        if machines {
            cluster.machine_step(&rng);
        }
        cluster.check_objects();
        if cluster.log.verdict().is_some() {
            break;
        }
    }
    if cluster.log.verdict().is_none() {
        cluster.check_invariants().await;
    }
}
