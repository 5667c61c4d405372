//! The CPU time of a process.

use std::fs;

use anyhow::Context as _;

/// The kernel's clock ticks per second in `/proc` (`USER_HZ`, fixed on Linux).
pub(crate) const TICKS: f64 = 100.0;

/// Returns the CPU time of a process so far, user and system, in seconds.
pub(crate) fn seconds(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses and may contain anything.
    let fields = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
    };
    let (user, system) = (ticks(11), ticks(12));
    Ok((user.context("utime")? + system.context("stime")?) / TICKS)
}
