//! Rendering shared by the commands: counts, ages, runs of addresses.

use crate::{
    allocation::{Address, Timestamp},
    api,
    cli::output::{DIM, GREEN, RED, YELLOW},
    inspect::RangeRow,
};

/// Renders a count, abbreviated if it is large.
pub(super) fn count(number: u128) -> String {
    api::abbreviated(number)
}

/// Renders a count with its noun: `1 address`, `2 addresses`.
pub(super) fn of(number: u128, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", count(number))
}

/// Renders a run without repeating the common prefix: `192.0.2.1-9`.
pub(super) fn span(first: Address, last: Address) -> String {
    if first == last {
        return first.to_string();
    }
    let (from, to) = (first.to_string(), last.to_string());
    let split = |text: &str| text.rfind(['.', ':']).map_or(0, |at| at + 1);
    let (a, b) = (split(&from), split(&to));
    if from[..a] == to[..b] {
        format!("{from}-{}", &to[b..])
    } else {
        format!("{from}-{to}")
    }
}

/// Renders the time since a moment.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Renders a time in RFC 3339.
pub(super) fn moment(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.0).map_or_else(|_| time.0.to_string(), |at| at.to_string())
}

/// Renders the usage of a range: a bar and a percentage.
pub(super) fn fill(width: usize, range: &RangeRow) -> String {
    let (used, reserved) = (u128::from(range.used), u128::from(range.reserved));
    let percent = percent(range.capacity, used + reserved);
    let bar = bar(width, range.capacity, used, reserved);
    format!("{bar} {percent:>3} %")
}

/// Renders a bar of this width: used, reserved, free. Non-empty parts are always visible, and only a full
/// range looks full.
fn bar(width: usize, capacity: u128, used: u128, reserved: u128) -> String {
    let cells = |part: u128| {
        let exact = part as f64 / capacity.max(1) as f64 * width as f64;
        (exact.round() as usize).max(usize::from(part > 0))
    };
    let some_free = used + reserved < capacity;
    let most = width - usize::from(some_free);
    let reserved_cells = cells(reserved).min(most);
    let used_cells = cells(used).min(most - reserved_cells.min(most));
    let color = match percent(capacity, used + reserved) {
        90.. => RED,
        70.. => YELLOW,
        _ => GREEN,
    };
    let free = width - used_cells - reserved_cells;
    format!(
        "{color}{}{color:#}{}{DIM}{}{DIM:#}",
        "█".repeat(used_cells),
        "▒".repeat(reserved_cells),
        "·".repeat(free)
    )
}

/// Returns the percentage, rounded down.
pub(super) fn percent(whole: u128, part: u128) -> u32 {
    let percent = part as f64 / whole.max(1) as f64 * 100.0;
    percent.floor().min(100.0) as u32
}

/// Joins as many texts as fit into a width, and appends the number of the others.
pub(super) fn some_of(texts: &[String], width: usize) -> String {
    let mut line = texts.first().cloned().unwrap_or_default();
    for (at, text) in texts.iter().enumerate().skip(1) {
        let left = texts.len() - at;
        let more = format!(" and {left} more");
        // The last text needs no space for "more".
        let tail = if left == 1 { 0 } else { more.len() };
        if line.len() + 2 + text.len() + tail > width {
            return line + &more;
        }
        line = format!("{line}, {text}");
    }
    line
}

/// Shortens a text to this many characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        assert_eq!(count(254), "254");
        assert_eq!(count((1 << 64) - 2), "~2^64");
        assert_eq!(count(u128::MAX), "~2^128");
        assert_eq!(of(1, "address", "addresses"), "1 address");
    }

    #[test]
    fn a_span_says_once_what_both_ends_begin_with() {
        let span = |a: &str, b: &str| super::span(a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(span("192.0.2.1", "192.0.2.9"), "192.0.2.1-9");
        assert_eq!(span("192.0.2.1", "192.0.3.9"), "192.0.2.1-192.0.3.9");
        assert_eq!(span("2001:db8::1", "2001:db8::ff"), "2001:db8::1-ff");
        assert_eq!(span("192.0.2.1", "192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_bar_shows_small_parts_and_never_hides_free_addresses() {
        let bar = |capacity, used, reserved| {
            let bar = super::bar(10, capacity, used, reserved);
            anstream::adapter::strip_str(&bar).to_string()
        };
        assert_eq!(bar(100, 0, 0), "··········");
        assert_eq!(bar(100, 1, 1), "█▒········");
        assert_eq!(bar(100, 99, 0), "█████████·");
        assert_eq!(bar(100, 100, 0), "██████████");
        assert_eq!(bar(1 << 64, 1 << 62, 0), "███·······");
        assert_eq!(bar(0, 0, 0), "··········");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let texts = ["192.0.2.1", "192.0.2.3", "192.0.2.5", "192.0.2.7"].map(str::to_owned);
        let all = "192.0.2.1, 192.0.2.3, 192.0.2.5, 192.0.2.7";
        assert_eq!(some_of(&texts, 80), all);
        assert_eq!(some_of(&texts, 35), "192.0.2.1, 192.0.2.3 and 2 more");
        assert_eq!(some_of(&texts, 5), "192.0.2.1 and 3 more");
        assert_eq!(some_of(&[], 5), "");
    }

    #[test]
    fn an_age_is_one_number() {
        let age = |seconds| super::age(Timestamp(0), Timestamp(seconds));
        assert_eq!(
            [age(5), age(300), age(86_400), age(864_000)],
            ["5s", "5m", "24h", "10d"]
        );
    }
}
