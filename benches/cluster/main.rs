//! The number of pods per second that are created and bound at a real API server, without nadmit
//! and with it.
//!
//! `cargo bench --bench cluster` runs the API server and etcd that `tests/real/build.sh kubernetes
//! etcd` has built, or those of the folder that `KUBEBUILDER_ASSETS` names; without them it prints
//! that nothing is measured. Server, etcd, nadmit and the client share this machine. In alternating
//! rounds, the same number of pods with a pool's network is created and bound
//!
//! - without nadmit's webhooks, and with them: the result is the ratio of the rates;
//! - without them, but with an allocation object that the client writes itself: the minimum cost of
//!   one object per address;
//! - both ways again, at the default rate limit of kube-scheduler.
//!
//! `NADMIT_CLUSTER_PODS` and `NADMIT_CLUSTER_PAIRS` shorten it.

#[path = "../../tests/it/api_server/real.rs"]
mod real;

#[path = "../../tests/it/components.rs"]
#[expect(dead_code, reason = "the tests look for more than the bench")]
mod components;

#[path = "../load/cpu.rs"]
mod cpu;

mod bench;
mod cost;
mod objects;
mod requests;
mod round;
mod round_kind;
mod server;

use std::{env, process::ExitCode, time::Duration};

use self::{bench::ClusterBench, real::RealServer, round::CONCURRENCY, round_kind::RoundKind};

const ROUND_KINDS: [RoundKind; 3] = [RoundKind::Without, RoundKind::Recorded, RoundKind::With];

/// kube-scheduler's default rate limit, and so the number of pods that it binds per second
/// (KubeSchedulerConfiguration v1, `clientConnection.qps`).
const SCHEDULER_A_SECOND: u32 = 50;

fn main() -> ExitCode {
    if !RealServer::is_there() {
        println!("nothing is measured: {}", real::IGNORE_REASON);
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number(variable: &str, otherwise: usize) -> usize {
    let set = env::var(variable).ok();
    set.and_then(|value| value.parse().ok())
        .unwrap_or(otherwise)
}

async fn run() -> anyhow::Result<()> {
    let pods = number("NADMIT_CLUSTER_PODS", 500);
    let pairs = number("NADMIT_CLUSTER_PAIRS", 5);
    let mut bench = ClusterBench::start(pods).await?;
    println!("{pods} pods per round, {CONCURRENCY} at the same time\n");
    println!("        pods/s                    ratio");
    println!("pair   without  recorded  with    recorded  with");
    let mut ratios = [Vec::new(), Vec::new()];
    let mut allocations = Vec::new();
    for pair in 0..pairs {
        let mut order = ROUND_KINDS;
        order.rotate_left(pair % ROUND_KINDS.len());
        let mut rates = [0.0; ROUND_KINDS.len()];
        for round_kind in order {
            rates[round_kind as usize] = bench.run_round(round_kind, Duration::ZERO).await?.rate;
        }
        let [without, recorded, with] = rates;
        let [third, ratio] = [recorded / without, with / without];
        println!("{pair:>4} {without:>9.0} {recorded:>9.0} {with:>5.0} {third:>11.2} {ratio:>5.2}");
        ratios[0].push(third);
        ratios[1].push(ratio);
        allocations.push(with);
    }
    bench.report();
    let [third, ratio] = ratios.map(median);
    let allocations = median(allocations);
    println!(
        "\nmedian ratio {ratio:.2}, with the record alone {third:.2}; \
         {allocations:.0} allocations/s",
    );
    paced(&mut bench).await
}

/// Measures nadmit's effect at the scheduler's pace.
async fn paced(bench: &mut ClusterBench) -> anyhow::Result<()> {
    let interval = Duration::from_secs(1) / SCHEDULER_A_SECOND;
    let without = bench.run_round(RoundKind::Without, interval).await?;
    let with = bench.run_round(RoundKind::With, interval).await?;
    println!(
        "\nat {SCHEDULER_A_SECOND} pods/s: {:.1} and {:.1}, ratio {:.2}; created and bound in {:.1?} and {:.1?}, medians",
        without.rate,
        with.rate,
        with.rate / without.rate,
        without.latency,
        with.latency,
    );
    bench.report();
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
