//! The CPU time that each part of what nadmit adds costs the API server.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Context as _;

use super::{bench::ClusterBench, median, round_kind::RoundKind};

/// The milliseconds of each part, per pod.
pub(crate) struct CausesOfCost {
    parts: Vec<(String, f64)>,
}

/// Measures all kinds of rounds this many times, and returns the differences of the medians.
pub(crate) async fn measure(
    bench: &mut ClusterBench,
    turns: usize,
) -> anyhow::Result<CausesOfCost> {
    let mut milliseconds: BTreeMap<RoundKind, Vec<f64>> = BTreeMap::new();
    let mut calls = 0.0;
    for turn in 0..turns {
        let mut order = RoundKind::ALL;
        order.rotate_left(turn * 3 % RoundKind::ALL.len());
        for round_kind in order {
            bench.run_round(round_kind, Duration::ZERO).await?;
            let round = bench.last(round_kind).context("no round")?;
            let cost = 1000.0 * round.cpu.of_api_server();
            milliseconds.entry(round_kind).or_default().push(cost);
            if round_kind == RoundKind::Calls {
                calls = round.allowed_calls;
            }
        }
    }
    let of = |round_kind| median(milliseconds.get(&round_kind).cloned().unwrap_or_default());
    let added = |to, by| of(by) - of(to);
    use RoundKind::{AnyObject, Calls, Policy, Recorded, Rules, Schema, With, Without};
    let [webhooks, record] = [added(Without, Calls), added(Without, Recorded)];
    let parts = vec![
        ("creating and binding the pod".to_owned(), of(Without)),
        (format!("{calls:.1} calls of webhooks"), webhooks),
        (
            "writing an object of any content".to_owned(),
            added(Without, AnyObject),
        ),
        ("its schema".to_owned(), added(AnyObject, Schema)),
        ("its rules".to_owned(), added(Schema, Rules)),
        (
            "the policy that lets nadmit alone write".to_owned(),
            added(Rules, Policy),
        ),
        ("its watch by nadmit".to_owned(), added(Policy, Recorded)),
        (
            "the rest: patch, annotations, other requests".to_owned(),
            added(Without, With) - webhooks - record,
        ),
        ("the pod with nadmit".to_owned(), of(With)),
    ];
    Ok(CausesOfCost { parts })
}

impl fmt::Display for CausesOfCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (cause, milliseconds) in &self.parts {
            writeln!(f, "{cause:<46} {milliseconds:>6.2}")?;
        }
        Ok(())
    }
}
