//! The API server's timeout for a review: the `?timeout=` parameter of its request.

use std::time::Duration;

use super::reject::{Reject, RejectReason};

/// Default webhook timeout of the API server.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum timeout of a webhook configuration.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the timeout that a query specifies.
///
/// # Errors
/// Rejects a timeout that is not a valid duration.
pub(super) fn from_query(query: Option<&str>) -> Result<Duration, Reject> {
    let mut parameters = query.unwrap_or_default().split('&');
    let Some(text) = parameters.find_map(|parameter| parameter.strip_prefix("timeout=")) else {
        return Ok(DEFAULT_TIMEOUT);
    };
    match parse(text) {
        // Go treats zero as no timeout.
        Some(Duration::ZERO) => Ok(DEFAULT_TIMEOUT),
        Some(duration) => Ok(duration.min(MAX_TIMEOUT)),
        None => Err(Reject::new(
            RejectReason::Timeout,
            format!("timeout={text:?} is not a valid duration; write 10s, 1m30s or 500ms"),
        )),
    }
}

/// Parses a duration as Go prints it: `10s`, `1m30s`, `9.98s`, `500ms`.
fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, tail) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, tail) = split_while(tail, |c| c.is_ascii_alphabetic());
        seconds += number.parse::<f64>().ok()? * seconds_of(unit)?;
        rest = tail;
    }
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (!text.is_empty()).then_some(duration)
}

fn split_while(text: &str, accept: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !accept(c)).unwrap_or(text.len()))
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        let cases = [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("9.5s", 9_500),
            ("1h0m0.25s", 3_600_250),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_durations() {
        for text in [
            "", "10", "s", "-1s", "1 s", "1e3s", "1..2s", "10x", "ten", "1s2", "%", "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let absurd = format!("{}h", "9".repeat(400));
        assert_eq!(parse(&absurd), None);
    }

    #[test]
    fn the_time_is_ten_seconds_unless_given_and_thirty_at_most() {
        let of = |query| from_query(query).map(|time| time.as_secs()).map_err(|_| ());
        assert_eq!(of(None), Ok(10));
        assert_eq!(of(Some("")), Ok(10));
        assert_eq!(of(Some("a=b&timeout=5s")), Ok(5));
        assert_eq!(of(Some("timeout=0s")), Ok(10));
        assert_eq!(of(Some("timeout=1h")), Ok(30));
        assert_eq!(of(Some("timeout=soon")), Err(()));
    }
}
