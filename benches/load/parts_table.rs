//! The rounds of a run, and the table of what each part of the work on a review costs.

use std::path::Path;

use super::{
    child::ServerChild,
    part::Part,
    report::LoadPair,
    wrk::{self, LoadResult},
};

/// The servers of a run, each a process of its own.
pub(crate) struct Servers {
    /// `nadmit serve`
    pub(crate) nadmit: ServerChild,
    /// One server a part, in the order of [`Part::ALL`].
    pub(crate) parts: Vec<ServerChild>,
}

/// The results of all servers, one after the other.
pub(crate) struct LoadRound {
    /// The result of nadmit.
    pub(crate) nadmit: LoadResult,
    /// The results of the parts, in the order of [`Part::ALL`].
    pub(crate) parts: Vec<LoadResult>,
}

/// The load of one server.
pub(crate) struct Load<'a> {
    /// wrk's script.
    pub(crate) script: &'a Path,
    /// The duration of the load.
    pub(crate) seconds: u32,
}

impl Servers {
    /// Starts all servers.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let parts = Part::ALL.map(|part| ServerChild::part(folder, part));
        Ok(Self {
            nadmit: ServerChild::nadmit(folder)?,
            parts: parts.into_iter().collect::<anyhow::Result<_>>()?,
        })
    }

    /// Loads each server once. nadmit is next to the bare server; every second round is in the opposite
    /// order, so that no server is always loaded after the same one.
    pub(crate) fn round(&self, index: u32, load: &Load<'_>) -> anyhow::Result<LoadRound> {
        let mut order: Vec<&ServerChild> = vec![&self.nadmit];
        order.extend(&self.parts);
        if index % 2 == 1 {
            order.reverse();
        }
        let results = order
            .into_iter()
            .map(|server| wrk::load(server, "/validate", load.script, load.seconds));
        let mut results = results.collect::<anyhow::Result<Vec<LoadResult>>>()?;
        if index % 2 == 1 {
            results.reverse();
        }
        let nadmit = results.remove(0);
        Ok(LoadRound {
            nadmit,
            parts: results,
        })
    }
}

impl LoadRound {
    /// Returns nadmit and the bare server of this round.
    pub(crate) fn pair(&self) -> LoadPair {
        LoadPair {
            baseline: self.parts[0],
            nadmit: self.nadmit,
        }
    }
}

/// Returns the table of the CPU time a request of each server, and of what it takes more than the one
/// before it: medians of the rounds.
pub(crate) fn table(rounds: &[LoadRound]) -> String {
    let mut lines =
        vec!["CPU a request, µs                     all   more than the line before".to_owned()];
    for (index, part) in Part::ALL.into_iter().enumerate() {
        let before = index.checked_sub(1);
        lines.push(line(
            part.added(),
            median(rounds.iter().map(|round| round.parts[index].cpu)),
            before.map(|before| {
                median(
                    rounds
                        .iter()
                        .map(|r| r.parts[index].cpu - r.parts[before].cpu),
                )
            }),
        ));
    }
    let last = Part::ALL.len() - 1;
    lines.push(line(
        "+ limits of reviews: nadmit serve",
        median(rounds.iter().map(|round| round.nadmit.cpu)),
        Some(median(
            rounds.iter().map(|r| r.nadmit.cpu - r.parts[last].cpu),
        )),
    ));
    lines.join("\n")
}

fn line(name: &str, all: f64, more: Option<f64>) -> String {
    let more = more.map_or(String::new(), |more| format!("{more:8.1}"));
    format!("{name:<35} {all:6.1} {more}").trim_end().to_owned()
}

/// Returns the median; not a number of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
