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
//! - both ways again, at the default rate limit of kube-scheduler;
//! - with each part of what nadmit adds by itself: the CPU time that it costs the API server.
//!
//! `NADMIT_CLUSTER_PODS`, `NADMIT_CLUSTER_PAIRS` and `NADMIT_CLUSTER_TURNS` (of the parts) shorten it.
//! There is no summary if the load average before was above 3, unless `NADMIT_LOAD_BUSY` is set.

#[path = "../../tests/it/api_server/real.rs"]
mod real;

#[path = "../../tests/it/components.rs"]
#[expect(dead_code, reason = "the tests look for more than the bench")]
mod components;

#[path = "../load/bare_server.rs"]
mod bare_server;
#[path = "../load/cpu.rs"]
mod cpu;
#[path = "../load/load_average.rs"]
mod load_average;

mod allowing_server;
mod api;
mod bench;
mod causes;
mod cost;
mod objects;
mod record_kinds;
mod registration;
mod requests;
mod round;
mod round_kind;
mod runner;
#[expect(dead_code, reason = "another bench reads its metrics")]
mod server;

use std::{env, process::ExitCode, time::Duration};

use self::{
    bench::ClusterBench, load_average::LoadAverage, real::RealServer, round::CONCURRENCY,
    round_kind::RoundKind,
};

/// The kinds whose rates are compared.
const COMPARED: [RoundKind; 3] = [RoundKind::Without, RoundKind::Recorded, RoundKind::With];

/// kube-scheduler's default rate limit, and so the number of pods that it binds per second
/// (KubeSchedulerConfiguration v1, `clientConnection.qps`).
const SCHEDULER_A_SECOND: u32 = 50;

fn main() -> ExitCode {
    if !RealServer::is_there() {
        println!("nothing is measured: {}", real::IGNORE_REASON);
        return ExitCode::SUCCESS;
    }
    runner::run(run())
}

fn number(variable: &str, otherwise: usize) -> usize {
    let set = env::var(variable).ok();
    set.and_then(|value| value.parse().ok())
        .unwrap_or(otherwise)
}

async fn run() -> anyhow::Result<()> {
    let pods = number("NADMIT_CLUSTER_PODS", 500);
    let pairs = number("NADMIT_CLUSTER_PAIRS", 5);
    let load_average = LoadAverage::now()?;
    let mut bench = ClusterBench::start(pods).await?;
    println!(
        "{pods} pods per round, {CONCURRENCY} at the same time; load average before: {load_average}\n"
    );
    println!("        pods/s                    ratio");
    println!("pair   without  recorded  with    recorded  with");
    let mut ratios = [Vec::new(), Vec::new()];
    let mut allocations = Vec::new();
    for pair in 0..pairs {
        let mut order = [0, 1, 2];
        order.rotate_left(pair % COMPARED.len());
        let mut rates = [0.0; COMPARED.len()];
        for index in order {
            rates[index] = bench.run_round(COMPARED[index], Duration::ZERO).await?.rate;
        }
        let [without, recorded, with] = rates;
        let [third, ratio] = [recorded / without, with / without];
        println!("{pair:>4} {without:>9.0} {recorded:>9.0} {with:>5.0} {third:>11.2} {ratio:>5.2}");
        ratios[0].push(third);
        ratios[1].push(ratio);
        allocations.push(with);
    }
    if let Some(refusal) = load_average.refusal() {
        println!("\n{refusal}");
        return Ok(());
    }
    bench.report();
    let [third, ratio] = ratios.map(median);
    let allocations = median(allocations);
    println!(
        "\nmedian ratio {ratio:.2}, with the record alone {third:.2}; \
         {allocations:.0} allocations/s",
    );
    paced(&mut bench).await?;
    let turns = number("NADMIT_CLUSTER_TURNS", 3);
    let causes = causes::measure(&mut bench, turns).await?;
    println!("\nmilliseconds of CPU of kube-apiserver a pod, medians of {turns} turns\n{causes}");
    Ok(())
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
