//! The load average of the machine before a run, and what a run on a busy machine may print.

use std::{env, fmt, fs};

use anyhow::Context as _;

/// The variable that allows a summary of a run on a busy machine.
const ALLOW_BUSY: &str = "NADMIT_LOAD_BUSY";
/// The greatest load average of a machine that counts as quiet.
const MAX_QUIET: f64 = 3.0;

/// The load average of the last minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadAverage(f64);

impl LoadAverage {
    /// Reads the load average from the kernel.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/loadavg")?;
        let first = text.split_whitespace().next().context("/proc/loadavg")?;
        Ok(Self(first.parse()?))
    }

    /// Returns the sentence to print instead of a summary; `None` if the machine was quiet, or if the
    /// environment allows the summary all the same.
    pub(crate) fn refusal(self) -> Option<String> {
        let refused = self.0 > MAX_QUIET && env::var_os(ALLOW_BUSY).is_none();
        refused.then(|| {
            format!(
                "no summary: the load average before the run was {self}, above {MAX_QUIET}; run it on a \
                 quiet machine, or set {ALLOW_BUSY}=1"
            )
        })
    }
}

impl fmt::Display for LoadAverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}
