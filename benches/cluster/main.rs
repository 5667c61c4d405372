//! Pods that are created and bound a second at a real API server, without nadmit and with it.
//!
//! `cargo bench --bench cluster` needs `KUBEBUILDER_ASSETS`: a folder with `kube-apiserver` and `etcd`, as
//! envtest lays them out; without it nothing is measured, and that is said. Server, etcd, nadmit and the
//! client share this machine. Turn about, the same number of pods of a pool's network is created and
//! bound, once with nadmit's webhooks registered and once without. What decides is the ratio of the rates.
//!
//! `NADMIT_CLUSTER_PODS` and `NADMIT_CLUSTER_PAIRS` shorten it.

#[path = "../../tests/it/api_server/real.rs"]
mod real;

mod objects;
mod requests;
mod server;
mod turn;

use std::{env, process::ExitCode};

use self::{objects::Objects, real::RealServer, requests::Requests, server::Nadmit};

/// Pods that are on their way at once, as from a busy scheduler and its controllers.
const AT_ONCE: usize = 16;
/// What Whereabouts allocated a minute when it was measured on a machine like these, by its own
/// benchmark with one range and a real API server.
const WHEREABOUTS_A_MINUTE: f64 = 199.0;

fn main() -> ExitCode {
    if !RealServer::is_there() {
        println!(
            "nothing is measured: KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd"
        );
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
    let told = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
    let cluster = RealServer::start().await.map_err(told)?;
    let client = kube::Client::try_from(cluster.config().map_err(told)?)?;
    let version = client.apiserver_version().await?.git_version;
    let objects = Objects::new(client);
    objects.prepare().await?;
    let nadmit = Nadmit::start(&cluster.kubeconfig()?)?;
    objects.until_ready().await?;
    println!("kube-apiserver {version}; {pods} pods a turn, {AT_ONCE} at once\n");
    println!("        pods/s\npair   without   with  ratio");
    let mut pairs_of_rates = Vec::new();
    let mut asked = [None, None];
    for pair in 0..pairs {
        let mut rates = [0.0; 2];
        for with in [pair % 2 == 1, pair % 2 == 0] {
            objects.register(with.then_some(&nadmit)).await?;
            let before = Requests::read(&objects.client).await?;
            rates[usize::from(with)] = turn::run(&objects, pods, AT_ONCE, with).await?;
            let after = Requests::read(&objects.client).await?;
            asked[usize::from(with)] = Some(after.since(&before, pods));
        }
        let [without, with] = rates;
        println!(
            "{pair:>4} {without:>9.0} {with:>6.0} {:>6.2}",
            with / without
        );
        pairs_of_rates.push(rates);
    }
    let [without, with] =
        asked.map(|asked| asked.map_or_else(String::new, |asked| asked.to_string()));
    println!("\nrequests a pod in the last turns\nwithout: {without}\nwith:    {with}");
    let median = |value: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = pairs_of_rates.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let allocations = median(&|rates| rates[1]);
    println!(
        "\nmedian ratio {:.2}; {allocations:.0} allocations/s, {:.0} times the {WHEREABOUTS_A_MINUTE} a minute of Whereabouts",
        median(&|rates| rates[1] / rates[0]),
        allocations * 60.0 / WHEREABOUTS_A_MINUTE,
    );
    Ok(())
}
