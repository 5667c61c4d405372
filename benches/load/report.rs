//! The report: a line per pair, and medians.

use std::fmt;

use super::{parts_table::median, wrk::LoadResult};

/// The header of the pairs' lines.
pub(crate) const HEADER: &str = "           CPU a request, µs        requests/s          p50, ms          p99, ms\n\
                          pair   baseline nadmit ratio    baseline nadmit   baseline nadmit  baseline nadmit";

/// The results of both servers, one after the other.
pub(crate) struct LoadPair {
    /// The result of the baseline.
    pub(crate) baseline: LoadResult,
    /// The result of nadmit.
    pub(crate) nadmit: LoadResult,
}

impl LoadPair {
    fn ratio(&self) -> f64 {
        self.nadmit.cpu / self.baseline.cpu
    }
}

impl fmt::Display for LoadPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            baseline: b,
            nadmit: n,
        } = self;
        write!(
            f,
            "       {:>8.1} {:>6.1} {:>5.2}    {:>8.0} {:>6.0}   {:>8.2} {:>6.2}  {:>8.2} {:>6.2}",
            b.cpu,
            n.cpu,
            self.ratio(),
            b.rate,
            n.rate,
            b.p50,
            n.p50,
            b.p99,
            n.p99
        )
    }
}

/// The resident memory at the end, in MiB.
pub(crate) struct Memory {
    /// Memory of nadmit.
    pub(crate) nadmit: f64,
    /// Memory of the baseline.
    pub(crate) baseline: f64,
}

/// Returns the medians over all pairs, and the memory at the end.
pub(crate) fn summary(pairs: &[LoadPair], memory: &Memory) -> String {
    let of = |value: fn(&LoadPair) -> f64| median(pairs.iter().map(value));
    format!(
        "median CPU a request: {:.1} µs, the baseline's {:.1} µs; median ratio {:.2}\n\
         median requests/s:    {:.0}, the baseline's {:.0}\n\
         resident memory:      {:.0} MiB, the baseline's {:.0} MiB",
        of(|pair| pair.nadmit.cpu),
        of(|pair| pair.baseline.cpu),
        of(LoadPair::ratio),
        of(|pair| pair.nadmit.rate),
        of(|pair| pair.baseline.rate),
        memory.nadmit,
        memory.baseline,
    )
}
