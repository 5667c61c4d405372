//! The report: a line per pair, and medians.

use std::fmt;

use super::wrk::LoadResult;

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

/// Returns the medians over all pairs, and the memory at the end.
pub(crate) fn summary(pairs: &[LoadPair], nadmit_mib: f64, baseline_mib: f64) -> String {
    let median_of = |value: &dyn Fn(&LoadPair) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    format!(
        "median CPU a request: {:.1} µs, the baseline's {:.1} µs; median ratio {:.2}\n\
         median requests/s:    {:.0}, the baseline's {:.0}\n\
         resident memory:      {nadmit_mib:.0} MiB, the baseline's {baseline_mib:.0} MiB",
        median_of(&|pair| pair.nadmit.cpu),
        median_of(&|pair| pair.baseline.cpu),
        median_of(&LoadPair::ratio),
        median_of(&|pair| pair.nadmit.rate),
        median_of(&|pair| pair.baseline.rate),
    )
}
