//! The report: tables in Markdown, the aims, and the checks.

use std::{collections::BTreeSet, fmt};

use anyhow::ensure;

use super::{bench::RoundResult, network::Mode, turn::TurnResult};

/// The results of all turns.
#[derive(Default)]
pub(crate) struct Report(Vec<TurnResult>);

/// A ratio to the plugin alone that is aimed at.
struct Aim {
    name: &'static str,
    least: f64,
    ratio: f64,
}

impl Report {
    /// Adds the result of a turn.
    pub(crate) fn add(&mut self, turn: TurnResult) {
        self.0.push(turn);
    }

    /// Fails if a pod of nadmit's had no address of its own, or something was left of it.
    ///
    /// # Errors
    /// The number of pods and records that should not be.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let rounds = self.0.iter().flat_map(|turn| &turn.rounds);
        for round in rounds.filter(|round| round.mode != Mode::Alone) {
            ensure!(
                round.duplicates + round.unrecorded + round.left == 0,
                "{}: {} duplicates, {} pods without their record, {} records left",
                round.mode.name(),
                round.duplicates,
                round.unrecorded,
                round.left
            );
        }
        let left: usize = self.0.iter().map(|turn| turn.bindings.left).sum();
        ensure!(
            left == 0,
            "{left} records of pods that were only bound are left"
        );
        Ok(())
    }

    fn sizes(&self) -> BTreeSet<usize> {
        self.0.iter().map(|turn| turn.pods).collect()
    }

    fn turns(&self, pods: usize) -> impl Iterator<Item = &TurnResult> {
        self.0.iter().filter(move |turn| turn.pods == pods)
    }

    fn rounds(&self, pods: usize, mode: Mode) -> Vec<&RoundResult> {
        let rounds = self.turns(pods).flat_map(|turn| &turn.rounds);
        rounds.filter(|round| round.mode == mode).collect()
    }

    /// Returns the median rate of a mode, in pods a minute.
    fn rate(&self, pods: usize, mode: Mode) -> f64 {
        let rounds = self.rounds(pods, mode);
        median(rounds.iter().map(|round| round.rate))
    }

    /// Returns the median of the rates relative to the plugin alone in the same turn.
    fn ratio(&self, pods: usize, mode: Mode) -> f64 {
        let (rounds, alone) = (self.rounds(pods, mode), self.rounds(pods, Mode::Alone));
        let pairs = rounds.iter().zip(&alone);
        median(pairs.map(|(round, alone)| round.rate / alone.rate))
    }

    /// Returns the medians of the Bindings a second: without nadmit, and with it.
    fn bindings(&self, pods: usize) -> [f64; 2] {
        let turns = || self.turns(pods).map(|turn| &turn.bindings);
        let without = median(turns().flat_map(|rates| rates.without.iter().copied()));
        let with = median(turns().flat_map(|rates| rates.with.iter().copied()));
        [without, with]
    }

    fn aims(&self, pods: usize) -> [Aim; 3] {
        let [_, with] = self.bindings(pods);
        [
            Aim {
                name: "served",
                least: 0.95,
                ratio: self.ratio(pods, Mode::Served),
            },
            Aim {
                name: "Bindings alone",
                least: 15.0,
                ratio: with * 60.0 / self.rate(pods, Mode::Alone),
            },
            Aim {
                name: "one word",
                least: 10.0,
                ratio: self.ratio(pods, Mode::OneWord),
            },
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| pods | | pods a minute | to alone | requests a pod | failed ADDs | duplicates | without their record | left |"
        )?;
        writeln!(f, "|---:|---|---:|---:|---:|---:|---:|---:|---:|")?;
        for pods in self.sizes() {
            for mode in Mode::ALL {
                let rounds = self.rounds(pods, mode);
                let sum = |count: fn(&RoundResult) -> usize| -> usize {
                    rounds.iter().map(|round| count(round)).sum()
                };
                writeln!(
                    f,
                    "| {pods} | {} | {:.0} | {:.2} | {:.1} | {} | {} | {} | {} |",
                    mode.name(),
                    self.rate(pods, mode),
                    self.ratio(pods, mode),
                    median(rounds.iter().map(|round| round.effort.requests())),
                    sum(|round| round.failed),
                    sum(|round| round.duplicates),
                    sum(|round| round.unrecorded),
                    sum(|round| round.left),
                )?;
            }
        }
        writeln!(
            f,
            "\n| pods | Bindings a second without nadmit | with | with, to pods a second of alone | left |"
        )?;
        writeln!(f, "|---:|---:|---:|---:|---:|")?;
        for pods in self.sizes() {
            let [without, with] = self.bindings(pods);
            let to_alone = with * 60.0 / self.rate(pods, Mode::Alone);
            let left: usize = self.turns(pods).map(|turn| turn.bindings.left).sum();
            writeln!(
                f,
                "| {pods} | {without:.0} | {with:.0} | {to_alone:.1} | {left} |"
            )?;
        }
        writeln!(
            f,
            "\n| pods | aim | at least | measured | |\n|---:|---|---:|---:|---|"
        )?;
        for pods in self.sizes() {
            for Aim { name, least, ratio } in self.aims(pods) {
                let reached = match ratio >= least {
                    true => "reached",
                    false => "not reached",
                };
                writeln!(f, "| {pods} | {name} | {least} | {ratio:.2} | {reached} |")?;
            }
        }
        writeln!(f, "\n```text\nin the last turn, a pod")?;
        for pods in self.sizes() {
            let Some(turn) = self.turns(pods).last() else {
                continue;
            };
            for round in &turn.rounds {
                write!(f, "{pods:>3} {:8}  {}", round.mode.name(), round.effort)?;
            }
            if let Some(effort) = &turn.bindings.effort {
                write!(f, "{pods:>3} Bindings  {effort}")?;
            }
        }
        write!(f, "```")
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
