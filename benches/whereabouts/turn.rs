//! One turn: all ways with one number of pods, and the Bindings alone.

use super::{
    bench::{Effort, RoundResult, WhereaboutsBench},
    network::{BenchNetwork, Mode},
    round,
};

/// The number of times that Bindings alone are measured.
const BINDING_RUNS: usize = 3;

/// The results of a turn.
pub(crate) struct TurnResult {
    pub(crate) pods: usize,
    pub(crate) rounds: Vec<RoundResult>,
    pub(crate) bindings: BindingRates,
}

/// Bindings a second, one after the other.
#[derive(Default)]
pub(crate) struct BindingRates {
    pub(crate) without: Vec<f64>,
    pub(crate) with: Vec<f64>,
    /// Requests and CPU time of the last run with nadmit, per pod.
    pub(crate) effort: Option<Effort>,
    /// Records that were left after the deletion of the pods.
    pub(crate) left: usize,
}

impl WhereaboutsBench {
    /// Measures all ways, and releases the addresses.
    pub(crate) async fn turn(&mut self, pods: usize) -> anyhow::Result<TurnResult> {
        let alone = self.network(Mode::Alone).await?;
        eprintln!("{pods} pods, alone");
        let first = self.round(&alone, pods).await?;
        self.start_nadmit().await?;
        let plain = self.network(Mode::Alone).await?;
        let mut bound = Vec::new();
        for _ in 0..BINDING_RUNS {
            bound.push(self.network(Mode::Served).await?);
        }
        let served = self.network(Mode::Served).await?;
        let one_word = self.network(Mode::OneWord).await?;
        for network in bound.iter().chain([&served, &one_word]) {
            self.until_ready(network).await?;
        }
        eprintln!("{pods} pods, only bound");
        let mut bindings = self.bindings(&plain, &bound, pods).await?;
        eprintln!("{pods} pods, served");
        let second = self.round(&served, pods).await?;
        eprintln!("{pods} pods, one word");
        let third = self.round(&one_word, pods).await?;

        eprintln!("{pods} pods, detached and deleted");
        let mut rounds = Vec::new();
        let mut ended = Vec::new();
        for (running, result) in [first, second, third] {
            running.detach(&self.node).await?;
            self.delete_pods(&running.network).await?;
            ended.push(running.network);
            rounds.push(result);
        }
        self.delete_pods(&plain).await?;
        for network in &bound {
            self.delete_pods(network).await?;
        }
        for (network, result) in ended.iter().zip(&mut rounds) {
            result.left = self.left(network).await?;
        }
        for network in &bound {
            bindings.left += self.left(network).await?;
        }
        self.end_nadmit().await?;
        Ok(TurnResult {
            pods,
            rounds,
            bindings,
        })
    }

    /// Measures Bindings alone, without nadmit's webhooks and with them in turns.
    async fn bindings(
        &self,
        plain: &BenchNetwork,
        served: &[BenchNetwork],
        pods: usize,
    ) -> anyhow::Result<BindingRates> {
        let client = &self.api.client;
        let mut rates = BindingRates::default();
        for (run, network) in served.iter().enumerate() {
            let names = (0..pods).map(|number| format!("pod-{run}-{number}"));
            let created = round::create_all(client, plain, names.clone()).await?;
            rates
                .without
                .push(round::bind_all(client, plain, &created).await?);
            let created = round::create_all(client, network, names).await?;
            let before = self.effort().await?;
            rates
                .with
                .push(round::bind_all(client, network, &created).await?);
            rates.effort = Some(self.effort().await?.since(&before, pods));
        }
        Ok(rates)
    }
}
