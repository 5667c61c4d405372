//! Deterministic exponential backoff.

use std::time::Duration;

/// The pauses between failed attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates a backoff from `first` to `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// Returns the next pause. `requested` is the pause the server requested.
    pub(super) fn next(&mut self, requested: Option<Duration>) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.max(requested.unwrap_or_default()).min(self.longest)
    }

    /// Resets the next pause to the first.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_and_reset() {
        let seconds = Duration::from_secs;
        let mut pause = Backoff::new(seconds(1), seconds(5));
        let pauses = [None, None, Some(seconds(60)), None].map(|requested| pause.next(requested));
        assert_eq!(pauses, [1, 2, 5, 5].map(seconds));
        pause.reset();
        assert_eq!(pause.next(Some(seconds(2))), seconds(2));
    }
}
