//! The fake API server's clock and generated names, which depend only on the preceding requests.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Returns the current time.
pub type NowFn = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Returns tokio's time, which a test can pause, counted from a fixed day.
pub(super) fn of_tokio() -> NowFn {
    let began = Instant::now();
    // 2026-01-01T00:00:00Z
    let day = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
    Arc::new(move || {
        let passed = Instant::now().saturating_duration_since(began);
        after(day, passed)
    })
}

/// Adds a duration to a time.
pub(super) fn after(time: Timestamp, passed: Duration) -> Timestamp {
    let passed = SignedDuration::try_from(passed).unwrap_or_default();
    time.checked_add(passed).unwrap_or(time)
}

/// Formats a time as `metadata.creationTimestamp` does: in whole seconds.
pub(super) fn written(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}

/// Returns the nth UID, in the usual form and unique.
pub(super) fn uid(nth: u64) -> String {
    let mixed = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{nth:012x}",
        mixed >> 32,
        mixed >> 16 & 0xffff,
        mixed >> 4 & 0xfff,
        mixed & 0xf,
    )
}

/// Returns the nth suffix of a generated name, in the API server's alphabet.
pub(super) fn suffix(nth: u64) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    const ALL: u64 = 27_u64.pow(5);
    // A step that is prime to 27 visits every suffix before it repeats one.
    let mut left = nth.wrapping_mul(5_171_371) % ALL;
    let mut text = String::new();
    for _ in 0..5 {
        text.push(char::from(LETTERS[usize::try_from(left % 27).unwrap_or(0)]));
        left /= 27;
    }
    text
}
