//! The pauses between two patches of one `IPPool`.
//!
//! All plugins and all replicas of nadmit patch a pool under its version, so of two at once one fails. The
//! replicas together leave the plugins the same time, however many there are. Without jitter, replicas whose
//! patches met once would meet again.

use std::{fmt, sync::Arc, time::Duration};

/// The part of each live replica in the least pause of one.
const SHARE: Duration = Duration::from_millis(20);
/// The number of replicas while it is not known.
const UNKNOWN_REPLICAS: usize = 3;

/// The number and the chance on which the pauses of a replica depend.
#[derive(Clone)]
pub struct Pacing {
    replicas: Arc<dyn Fn() -> Option<usize> + Send + Sync>,
    random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl Pacing {
    /// Creates the pacing of one of several replicas. `replicas` returns the number of those that live, this
    /// one included, or `None` if it is not known; `random` returns unpredictable numbers.
    pub fn new(
        replicas: impl Fn() -> Option<usize> + Send + Sync + 'static,
        random: impl Fn() -> u128 + Send + Sync + 'static,
    ) -> Self {
        Self {
            replicas: Arc::new(replicas),
            random: Arc::new(random),
        }
    }

    /// Returns the next pause.
    pub(super) fn pause(&self) -> Duration {
        let replicas = (self.replicas)().filter(|count| *count > 0);
        pause(replicas.unwrap_or(UNKNOWN_REPLICAS), (self.random)())
    }
}

impl Default for Pacing {
    /// The pacing of a process that does not know the replicas, without jitter.
    fn default() -> Self {
        Self::new(|| None, || 0)
    }
}

impl fmt::Debug for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pacing")
    }
}

/// Returns the pause of one of several live replicas: at least 20 ms for each, and at random up to half as much
/// again.
fn pause(replicas: usize, random: u128) -> Duration {
    let least = SHARE.saturating_mul(u32::try_from(replicas).unwrap_or(u32::MAX));
    let most = (least / 2).as_micros().max(1);
    let jitter = u64::try_from(random % most).unwrap_or_default();
    least.saturating_add(Duration::from_micros(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_share_for_each_replica_and_at_most_half_as_much_again() {
        // Replicas, a random number, and the pause in microseconds.
        let table: &[(usize, u128, u64)] = &[
            (1, 0, 20_000),
            (1, 9_999, 29_999),
            (1, 10_000, 20_000),
            (2, 0, 40_000),
            (2, 19_999, 59_999),
            (3, 0, 60_000),
            (3, 12_345, 72_345),
            (5, 0, 100_000),
        ];
        for (replicas, random, expected) in table {
            let found = pause(*replicas, *random);
            assert_eq!(
                found,
                Duration::from_micros(*expected),
                "{replicas} {random}"
            );
        }
        for replicas in [0, 1, 2, 3, 10, usize::MAX] {
            for random in [0, 1, 999_999_999, u128::MAX] {
                let least = pause(replicas, 0);
                let found = pause(replicas, random);
                assert!(least <= found && found <= least.saturating_mul(2));
            }
        }
    }

    #[test]
    fn unknown_replicas_count_as_three() {
        for replicas in [None, Some(0)] {
            let pacing = Pacing::new(move || replicas, || 0);
            assert_eq!(pacing.pause(), Duration::from_millis(60));
        }
        let pacing = Pacing::new(|| Some(2), || 7);
        assert_eq!(pacing.pause(), Duration::from_micros(40_007));
    }
}
