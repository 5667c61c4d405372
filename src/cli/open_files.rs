//! The limit of open files: raised to the hard limit, as Go programs do; connections keep below it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Number of files reserved for everything other than webhook connections: the ledger, watches, files, and
/// connections of operators.
const OTHER_FILES: u64 = 256;

/// Raises the soft limit to the hard limit, and returns how many connections, at most `wanted`, fit below
/// it.
pub(super) fn raise_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If raising is refused, the old limit applies.
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    let fitting = connections_within(wanted, limit.current);
    if fitting < wanted {
        warn!(
            limit = limit.current,
            connections = fitting,
            wanted,
            "the limit of open files is too low for all connections; raise it (ulimit -n)"
        );
    }
    fitting
}

/// Returns how many connections fit below a limit; all of them without a limit.
fn connections_within(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let fitting = limit.saturating_sub(OTHER_FILES).max(limit / 4).max(1);
    wanted.min(usize::try_from(fitting).unwrap_or(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        for (limit, fitting) in [
            (None, 1024),
            (Some(1 << 20), 1024),
            (Some(1280), 1024),
            (Some(1024), 768),
            (Some(256), 64),
            (Some(0), 1),
        ] {
            assert_eq!(connections_within(1024, limit), fitting, "{limit:?}");
        }
    }
}
