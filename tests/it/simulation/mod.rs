//! Histories of a cluster with several replicas of nadmit, each told by a seed.
//!
//! Everything runs on one thread, in paused time: the replicas as `nadmit serve` runs them, the
//! stand-in for the API server, and the actors around them (`user`, `scheduler`, `workloads`,
//! `nodes`). What they do, and what goes wrong (`weather`), follows from the seed alone, so a seed
//! tells its history again, line by line.
//!
//! While a history runs:
//! - S1: no address is used by two containers, wherever they run, but for nodes that are lost for
//!   longer than the pool waits.
//! - S2: no record changes hands without a compare-and-swap, and no address has two.
//! - S3: nothing is refused for another replica's being ahead.
//!
//! At its end, when everything works again and some minutes have passed (`end`):
//! - L1: every allocation belongs to a pod that lives, a workload that keeps it, or a reservation.
//! - L2: what a bound pod carries is what it holds, and nothing that could be given is missing.
//! - L3: who keeps addresses from pod to pod has kept them.
//! - L4: the index of every replica is as the ledger is.
//! - L5: there is an end: nothing is done over and over again.
//!
//! With `Cast::Machines` virtual machines are in the history, too: restarted, migrated and deleted,
//! beside pods that only pose as theirs. A seed tells another history with them than without.
//!
//! `NADMIT_SEED=7 cargo test --test it simulation::one` tells one history, with `NADMIT_MACHINES=1` one
//! with machines; CONTRIBUTING.md says more.

mod calamity;
pub(crate) mod dice;
mod end;
mod found;
mod log;
mod machines;
mod nodes;
mod plan;
mod replicas;
mod scheduler;
mod user;
mod virt;
mod weather;
mod wire;
mod workloads;
mod world;

use std::{
    cell::Cell,
    env,
    sync::{Arc, Once},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use tokio::time::sleep;

use self::{
    plan::Cast,
    scheduler::scheduler,
    virt::virt_controller,
    workloads::{set_controller, sets},
    world::World,
};

/// How many trials the seeds are divided among, to be run side by side.
const TRIALS: u64 = 4;
/// How many seeds each of them tells.
const SEEDS: u64 = 50;
/// How many of them with machines.
const SEEDS_OF_MACHINES: u64 = 20;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = of_seeds("seeds", Cast::Pods, SEEDS);
    trials.extend(of_seeds("machines", Cast::Machines, SEEDS_OF_MACHINES));
    let found = [
        (Cast::Pods, found::SEEDS),
        (Cast::Machines, found::SEEDS_OF_MACHINES),
    ];
    for (cast, seeds) in found {
        trials.extend(seeds.iter().map(|(seed, what)| {
            let name = format!("simulation::found::seed_{seed}::{what}");
            Trial::test(name, move || told(*seed, cast).map(drop))
        }));
    }
    trials.push(Trial::test(
        "simulation::a_seed_gives_the_same_events_twice",
        twice,
    ));
    if let Some(seed) = number("NADMIT_SEED") {
        trials.push(Trial::test("simulation::one", move || one(seed)));
    }
    if let (Some(first), Some(count)) = (number("NADMIT_FROM"), number("NADMIT_COUNT")) {
        let step = number("NADMIT_STEP").unwrap_or(1);
        trials.push(Trial::test("simulation::many", move || {
            many(first, count, step)
        }));
    }
    trials
}

fn of_seeds(group: &str, cast: Cast, count: u64) -> Vec<Trial> {
    let trial = |trial: u64| {
        let seeds = trial * count..(trial + 1) * count;
        let name = format!("simulation::{group}::from_{}", seeds.start);
        Trial::test(name, move || {
            let mut seeds = seeds.into_iter();
            seeds.try_for_each(|seed| told(seed, cast).map(drop))
        })
    };
    (0..TRIALS).map(trial).collect()
}

/// The cast that the environment asks for.
fn cast() -> Cast {
    match env::var_os("NADMIT_MACHINES") {
        Some(_) => Cast::Machines,
        None => Cast::Pods,
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Tells every so many'th of so many histories, and names the first that breaks.
fn many(first: u64, count: u64, step: u64) -> Result<(), Failed> {
    let step = usize::try_from(step)?;
    for seed in (first..first + count).step_by(step) {
        told(seed, cast())?;
    }
    Ok(())
}

/// Tells one history aloud.
fn one(seed: u64) -> Result<(), Failed> {
    let outcome = run(seed, cast())?;
    println!("{}", outcome.lines.join("\n"));
    outcome.verdict.map_or(Ok(()), |what| Err(what.into()))
}

/// Tells a history; its last lines if something did not hold.
fn told(seed: u64, cast: Cast) -> Result<Outcome, Failed> {
    let outcome = run(seed, cast)?;
    let with = match cast {
        Cast::Pods => "",
        Cast::Machines => "NADMIT_MACHINES=1 ",
    };
    match &outcome.verdict {
        None => Ok(outcome),
        Some(what) => Err(format!(
            "seed {seed}: {what}\ntell it again: {with}NADMIT_SEED={seed} cargo test --test it simulation::one"
        )
        .into()),
    }
}

fn twice() -> Result<(), Failed> {
    let seeds = number("NADMIT_SEED").map_or(1000..1006, |seed| seed..seed + 1);
    for seed in seeds {
        let cast = if seed % 2 == 0 {
            Cast::Pods
        } else {
            Cast::Machines
        };
        let [first, second] = [run(seed, cast)?.lines, run(seed, cast)?.lines];
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

/// What came of a history.
struct Outcome {
    lines: Vec<String>,
    verdict: Option<String>,
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// A task that panics ends silently: so it is noticed by its thread.
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

fn run(seed: u64, cast: Cast) -> Result<Outcome, Failed> {
    notice_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let mut outcome = runtime.block_on(history(seed, cast));
    drop(runtime);
    if PANICKED.get() {
        outcome
            .verdict
            .get_or_insert_with(|| "a task panicked".to_owned());
    }
    Ok(outcome)
}

async fn history(seed: u64, cast: Cast) -> Outcome {
    let world = World::new(seed, cast);
    tokio::select! {
        biased;
        () = world.log.overflow() => {}
        () = tell(&world) => {}
    }
    world.server.close();
    Outcome {
        lines: world.log.lines(),
        verdict: world.log.verdict(),
    }
}

async fn tell(world: &Arc<World>) {
    let dice = world.dice.fork();
    world.start_nodes();
    world.start_replicas();
    sleep(Duration::from_secs(2)).await;
    for set in sets(&dice) {
        world.server.put(set);
    }
    world.blow();
    tokio::spawn(scheduler(world.clone(), dice.fork()));
    tokio::spawn(set_controller(world.clone(), dice.fork()));
    let machines = world.plan.cast == Cast::Machines;
    if machines {
        world.make_machines(&dice);
        tokio::spawn(virt_controller(world.clone(), dice.fork()));
    }
    for _ in 0..world.plan.steps {
        sleep(dice.millis(20, 6_000)).await;
        world.step(&dice).await;
        if machines {
            world.machine_step(&dice);
        }
        world.check_objects();
        if world.log.verdict().is_some() {
            break;
        }
    }
    if world.log.verdict().is_none() {
        world.conclude().await;
    }
}
