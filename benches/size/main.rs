//! The cost of nadmit in a large cluster, and what grows with its size.
//!
//! `cargo bench --bench size` runs the API server and etcd that `tests/real/build.sh kubernetes etcd` has
//! built; without them it prints that nothing is measured. There are objects only, no kubelet: nodes,
//! networks, pools, StatefulSets, and pods that are bound and report two networks. All share this machine.
//! It does this at two sizes, one four times the other:
//!
//! 1. Everything is created without nadmit. A first replica then records the addresses that pods report
//!    (adoption).
//! 2. Two replicas start with all records: the time to Ready, and the memory of each.
//! 3. Nothing changes for a minute, then kubelets report their nodes' status as often as they do: requests
//!    and CPU time.
//! 4. Up to 20 StatefulSets replace their pods one after the other, without nadmit's webhooks on networks
//!    without a pool, and with them, turn about.
//! 5. Pods without a StatefulSet are deleted: the time until their addresses are released.
//!
//! `NADMIT_SIZE_PODS` is the number of pods of the larger size (50,000). The numbers of the other objects
//! follow from it: 800 is enough to see that the benchmark works. `NADMIT_SIZE_SECONDS` (60) is the time for
//! which the cost at rest is measured.

#[path = "../../tests/it/api_server/real.rs"]
mod real;

#[path = "../../tests/it/components.rs"]
#[expect(dead_code, reason = "the tests look for more than the bench")]
mod components;

#[path = "../load/cpu.rs"]
mod cpu;
#[path = "../load/load_average.rs"]
#[expect(dead_code, reason = "a run on a busy machine has a table, too")]
mod load_average;

#[path = "../cluster/api.rs"]
mod api;
#[path = "../cluster/record_kinds.rs"]
#[expect(dead_code, reason = "the records have their whole schema here")]
mod record_kinds;
#[path = "../cluster/registration.rs"]
mod registration;
#[path = "../cluster/requests.rs"]
mod requests;
#[path = "../cluster/runner.rs"]
mod runner;
#[path = "../cluster/server.rs"]
#[expect(dead_code, reason = "another bench runs one replica")]
mod server;

mod cluster_size;
mod fill;
mod measure;
mod objects;
mod release;
mod replica;
mod report;
mod rest;
mod restart;
mod storage;

use std::{
    env, num::ParseIntError, process::ExitCode, str::FromStr, thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;

use self::{
    cluster_size::ClusterSize, load_average::LoadAverage, real::RealServer, report::Growth,
};

/// The number of pods of the larger size, unless the environment has another.
const PODS: usize = 50_000;
/// The seconds for which the cost at rest is measured, unless the environment has others.
const SECONDS: u64 = 60;
/// The ratio of the sizes.
const RATIO: usize = 4;
/// The time limit of the whole benchmark.
const TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

fn main() -> ExitCode {
    if !RealServer::is_there() {
        println!("nothing is measured: {}", real::IGNORE_REASON);
        return ExitCode::SUCCESS;
    }
    runner::run(limited())
}

async fn limited() -> anyhow::Result<()> {
    let ended = tokio::time::timeout(TIMEOUT, run()).await;
    ended.context("it takes too long")?
}

async fn run() -> anyhow::Result<()> {
    let pods = number("NADMIT_SIZE_PODS", PODS)?;
    let period = Duration::from_secs(number("NADMIT_SIZE_SECONDS", SECONDS)?);
    println!(
        "{} cores; load average before: {}",
        available_parallelism()?,
        LoadAverage::now()?,
    );
    let size = |pods| ClusterSize { pods };
    let small = measure::measure(size(pods / RATIO), period).await?;
    let large = measure::measure(size(pods), period).await?;
    println!("\n{}", Growth { small, large });
    Ok(())
}

/// Returns a number of the environment.
fn number<T: FromStr<Err = ParseIntError>>(
    variable: &'static str,
    otherwise: T,
) -> anyhow::Result<T> {
    match env::var(variable) {
        Ok(text) => text.parse().context(variable),
        Err(_) => Ok(otherwise),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
