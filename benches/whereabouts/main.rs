//! The number of pods a minute that get an address on a network of Whereabouts: by the plugin alone,
//! served by nadmit, and after the one word.
//!
//! `cargo bench --bench whereabouts` runs the API server, etcd, Whereabouts's unmodified plugin and the
//! CNI plugins that `tests/real/build.sh` has built; without them, or without root, it prints that
//! nothing is measured. Everything shares this machine. For each number of pods, in this order:
//!
//! - `alone`: pods on a network of Whereabouts are created and bound, and attached. nadmit does not run.
//! - the Bindings alone of such pods, without nadmit and with it, three times: nadmit's part of an address.
//! - `served`: the same network in a namespace with the label, `whereabouts: serve`.
//! - `one word`: the same network with `static` for `whereabouts`, `inlinePools: enabled`.
//!
//! All pods are created at once, and a pod is attached as soon as it is bound, as Multus does it
//! (`node`): the pod is read, macvlan is run in a network namespace of its own, which calls the IPAM plugin,
//! and network-status is written. The number of plugins that run at the same time is limited, because
//! here the processors of all nodes are those of one machine.
//!
//! Each live pod has to have an address of its own, the one that the records say. Afterwards all pods are
//! detached and deleted, and no entry, reservation or allocation may be left.
//!
//! - `NADMIT_WHEREABOUTS_PODS`: the numbers of pods (`64,320`).
//! - `NADMIT_WHEREABOUTS_TURNS`: how often all of it is measured; the table has the medians.
//! - `NADMIT_WHEREABOUTS_PLUGINS`: the number of plugins at the same time (64).

#[path = "../../tests/it/api_server/real.rs"]
mod real;

#[path = "../../tests/it/components.rs"]
#[expect(dead_code, reason = "the tests look for more than the bench")]
mod components;

#[path = "../load/cpu.rs"]
mod cpu;

#[path = "../cluster/api.rs"]
mod api;
#[path = "../cluster/registration.rs"]
mod registration;
#[path = "../cluster/requests.rs"]
mod requests;
#[path = "../cluster/runner.rs"]
mod runner;
#[path = "../cluster/server.rs"]
#[expect(dead_code, reason = "another bench reads its metrics")]
mod server;

mod bench;
mod cost;
mod links;
mod network;
mod node;
mod programs;
mod records;
mod report;
mod round;
mod turn;

use std::{env, fs, process::ExitCode, thread::available_parallelism, time::Duration};

use anyhow::Context as _;

use self::{bench::WhereaboutsBench, programs::Programs, report::Report};

/// The load average above which other programs disturb the figures.
const MAX_LOAD: f64 = 3.0;

/// The time limit of the whole benchmark.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The numbers that the environment may change.
struct BenchSize {
    pods: Vec<usize>,
    turns: usize,
    plugins: usize,
}

fn main() -> ExitCode {
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(missing) => {
            println!("nothing is measured: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    runner::run(limited(&programs))
}

impl BenchSize {
    fn of_environment() -> anyhow::Result<Self> {
        let text = |variable: &str, otherwise: &str| {
            env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
        };
        let pods = text("NADMIT_WHEREABOUTS_PODS", "64,320");
        let pods = pods.split(',').map(|number| number.trim().parse());
        Ok(Self {
            pods: pods
                .collect::<Result<_, _>>()
                .context("NADMIT_WHEREABOUTS_PODS")?,
            turns: text("NADMIT_WHEREABOUTS_TURNS", "1").parse()?,
            plugins: text("NADMIT_WHEREABOUTS_PLUGINS", "64").parse()?,
        })
    }
}

async fn limited(programs: &Programs) -> anyhow::Result<()> {
    let ended = tokio::time::timeout(TIMEOUT, run(programs)).await;
    ended.context("it takes too long")?
}

async fn run(programs: &Programs) -> anyhow::Result<()> {
    let size = BenchSize::of_environment()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load: f64 = load.split(' ').next().unwrap_or_default().parse()?;
    if load > MAX_LOAD {
        println!("warning: the load average is {load}; other programs disturb these figures\n");
    }
    let mut bench = WhereaboutsBench::start(programs, size.plugins).await?;
    println!(
        "kube-apiserver {}, {} cores, load average {load} before; at most {} plugins at the same time",
        bench.version().await?,
        available_parallelism()?,
        size.plugins,
    );
    let mut report = Report::default();
    for _ in 0..size.turns {
        for pods in &size.pods {
            report.add(bench.turn(*pods).await?);
        }
    }
    println!("\n{report}");
    report.check()
}
