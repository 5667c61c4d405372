//! The limit of open files: raised as far as the process may, as Go's programs do; connections keep below it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What is open beside the webhooks' connections: the ledger, watches, files, and the connections of operators.
const OTHER_FILES: u64 = 256;

/// Raises the soft limit, and returns how many connections of at most `wanted` there is room for.
pub(super) fn raise_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that is refused the old limit holds.
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    let room = connections_within(wanted, limit.current);
    if room < wanted {
        warn!(
            limit = limit.current,
            "the limit of open files leaves room for {room} connections of {wanted}; raise it (ulimit -n)"
        );
    }
    room
}

/// Returns how many connections fit below a limit; without one all.
fn connections_within(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = limit.saturating_sub(OTHER_FILES).max(limit / 4).max(1);
    wanted.min(usize::try_from(room).unwrap_or(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        for (limit, room) in [
            (None, 1024),
            (Some(1 << 20), 1024),
            (Some(1280), 1024),
            (Some(1024), 768),
            (Some(256), 64),
            (Some(0), 1),
        ] {
            assert_eq!(connections_within(1024, limit), room, "{limit:?}");
        }
    }
}
