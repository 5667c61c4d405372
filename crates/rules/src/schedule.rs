//! Cron schedules of five fields: Whereabouts's and nadmit's own.
//!
//! The server and `nadmit check` both parse schedules here, so that they accept the same ones.
//! [`check_robfig`] accepts what robfig/cron, the library of Whereabouts, accepts. [`Schedule`] is
//! stricter: it rejects expressions whose meaning is not obvious. The crate croner computes the times; it
//! reads a dialect that differs from both, so the check of the dialect is nadmit's own.

use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use thiserror::Error;

use nadmit_cni::Span;

/// The remedy for an invalid schedule.
pub(crate) const SCHEDULE_HELP: &str =
    "write minute, hour, day of month, month and day of week, as in \"*/15 * * * *\"";

/// The maximum number of days of each month.
const MAX_DAYS: [u16; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A syntax error in a schedule.
#[derive(Debug, Error)]
#[error("{fault}")]
pub struct ScheduleError {
    /// The invalid part of the text.
    pub span: Span,
    /// The mistake.
    #[source]
    pub fault: ScheduleFault,
}

/// A mistake in a schedule.
#[derive(Debug, Error)]
pub enum ScheduleFault {
    /// The number of fields is not five.
    #[error("the schedule {schedule:?} has {count} fields, not five")]
    FieldCount {
        schedule: String,
        /// The number of its fields.
        count: usize,
    },
    /// An element of a field's list is invalid.
    #[error("{element:?} is not a valid {field}: {fault}")]
    Element {
        element: String,
        /// The name of the field.
        field: &'static str,
        /// The mistake.
        #[source]
        fault: ElementFault,
    },
    /// The crate croner rejects the schedule.
    #[error("the schedule {schedule:?} is not valid: {source}")]
    Rejected {
        schedule: String,
        /// The error of croner.
        source: CronError,
    },
    /// The schedule never fires.
    #[error("the schedule {0:?} never fires: its months do not have that day")]
    NeverFires(String),
}

/// A mistake in an element of a field's list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElementFault {
    /// There is nothing before or after a comma.
    #[error("a comma has no value beside it")]
    Empty,
    /// Neither a number nor a name of the field.
    #[error("{0:?} is not a number")]
    NotANumber(String),
    /// The number lies outside of the field's bounds.
    #[error("{value} is not between {least} and {greatest}")]
    OutOfBounds {
        /// The number.
        value: u32,
        /// The minimum of the field.
        least: u32,
        /// The maximum of the field.
        greatest: u32,
    },
    /// The step is not a positive number.
    #[error("the step {0:?} is not a positive number")]
    Step(String),
    /// A step follows a single value.
    #[error("a step needs a range, such as {from}-{greatest}/{step}")]
    StepWithoutRange {
        /// The value.
        from: u32,
        /// The maximum of the field.
        greatest: u32,
        step: String,
    },
    /// The first value of a range exceeds the last.
    #[error("the range {0} ends before it starts")]
    Backwards(String),
}

impl ScheduleError {
    fn of(piece: &str, text: &str, fault: ScheduleFault) -> Self {
        Self {
            span: Span::of(piece, text).unwrap_or_default(),
            fault,
        }
    }
}

/// The schedule of the reconciler's full resync: five fields, in UTC. It never ceases to fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: Box<str>,
    cron: Cron,
}

impl Schedule {
    /// Parses a schedule. Surrounding white space is ignored.
    ///
    /// # Errors
    /// Returns the first error of an invalid schedule, and an error for a schedule that never fires.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let trimmed = text.trim();
        check_fields(trimmed, text, Dialect::Strict)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let whole = |fault| ScheduleError::of(trimmed, text, fault);
        let cron = parser.parse(trimmed).map_err(|source| {
            let schedule = trimmed.to_owned();
            whole(ScheduleFault::Rejected { schedule, source })
        })?;
        if never_fires(&cron) {
            return Err(whole(ScheduleFault::NeverFires(trimmed.to_owned())));
        }
        Ok(Self {
            text: trimmed.into(),
            cron,
        })
    }

    /// Returns the parsed schedule of the crate croner.
    pub fn cron(&self) -> &Cron {
        &self.cron
    }

    /// Returns the schedule as written, without surrounding white space.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for Schedule {
    /// Returns the schedule of OpenShift's Whereabouts reconciler: daily at 04:30 UTC.
    fn default() -> Self {
        Self::parse(Self::DEFAULT).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

impl Schedule {
    /// The schedule that applies if none is configured.
    pub const DEFAULT: &str = "30 4 * * *";
}

/// Returns true if only the day of month restricts the days, and none of the months has such a day.
fn never_fires(cron: &Cron) -> bool {
    let pattern = &cron.pattern;
    let months = pattern.months.values();
    let longest = months
        .iter()
        .filter_map(|month| MAX_DAYS.get(usize::from(*month).checked_sub(1)?))
        .max();
    let days = pattern.days.values();
    let first = days.iter().min();
    pattern.is_dow_wildcard() && longest.zip(first).is_none_or(|(most, first)| first > most)
}

/// Checks a schedule as robfig/cron does, the library of Whereabouts.
///
/// # Errors
/// Returns the first error.
pub(crate) fn check_robfig(text: &str) -> Result<(), ScheduleError> {
    let mut rest = text.trim();
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    }
    check_fields(rest, text, Dialect::Robfig)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Reads `?` as `*`, `5/15` as `5-59/15`, and `1,,2` as `1,2`.
    Robfig,
    /// Rejects all of these.
    Strict,
}

/// A field: its name, its minimum and maximum, and the names of its values, beginning with the minimum.
type ScheduleField = (&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [ScheduleField; 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of month", 1, 31, &[]),
    (
        "month",
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (
        "day of week",
        0,
        6,
        &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ),
];

/// Checks the five fields of `rest`, which is a part of `text`.
fn check_fields(rest: &str, text: &str, dialect: Dialect) -> Result<(), ScheduleError> {
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let fault = ScheduleFault::FieldCount {
            schedule: text.trim().to_owned(),
            count: fields.len(),
        };
        return Err(ScheduleError::of(rest, text, fault));
    }
    for (written, field) in fields.into_iter().zip(FIELDS) {
        for part in written.split(',') {
            let checked = match (part, dialect) {
                ("", Dialect::Robfig) => Ok(()),
                ("", Dialect::Strict) => Err(ElementFault::Empty),
                _ => check_part(part, field, dialect),
            };
            if let Err(fault) = checked {
                let fault = ScheduleFault::Element {
                    element: part.to_owned(),
                    field: field.0,
                    fault,
                };
                return Err(ScheduleError::of(part, text, fault));
            }
        }
    }
    Ok(())
}

/// Checks one element of a field's list: `*`, `5` or `mon-fri`, each optionally with a step such as `/2`.
fn check_part(
    part: &str,
    (_, least, greatest, names): ScheduleField,
    dialect: Dialect,
) -> Result<(), ElementFault> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let number = |text: &str| -> Result<u32, ElementFault> {
        let name = names
            .iter()
            .position(|name| text.eq_ignore_ascii_case(name));
        let name = name.and_then(|index| u32::try_from(index).ok());
        let value = match name {
            Some(index) => Some(least + index),
            None => digits(text),
        };
        let value = value.ok_or_else(|| ElementFault::NotANumber(text.to_owned()))?;
        if (least..=greatest).contains(&value) {
            Ok(value)
        } else {
            Err(ElementFault::OutOfBounds {
                value,
                least,
                greatest,
            })
        }
    };
    if let Some(step) = step
        && digits(step).is_none_or(|step| step == 0)
    {
        return Err(ElementFault::Step(step.to_owned()));
    }
    match range.split_once('-') {
        _ if range == "*" => Ok(()),
        _ if range == "?" && dialect == Dialect::Robfig => Ok(()),
        None => {
            let from = number(range)?;
            match step {
                Some(step) if dialect == Dialect::Strict => Err(ElementFault::StepWithoutRange {
                    from,
                    greatest,
                    step: step.to_owned(),
                }),
                _ => Ok(()),
            }
        }
        Some((from, to)) if number(from)? > number(to)? => {
            Err(ElementFault::Backwards(range.to_owned()))
        }
        Some(_) => Ok(()),
    }
}

fn digits(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 4] = [
        "30 4 * * *",
        " */15  * * * * ",
        "0,30 0-6/2 1 JAN-mar mon,FRI",
        "0 0 29 2 *",
    ];
    /// Schedules that only robfig/cron accepts.
    const ROBFIG_ONLY: [&str; 5] = [
        "? ? ? ? ?",
        "5/15 * * * *",
        "1,,2 * * * *",
        "CRON_TZ=UTC 0 0 * * *",
        "0 0 30 feb *",
    ];
    const BAD: [(&str, &str); 14] = [
        ("", "has 0 fields"),
        ("0 */15 * * * *", "has 6 fields"),
        ("@daily", "has 1 fields"),
        ("60 * * * *", "60 is not between 0 and 59"),
        ("* * 0 * *", "0 is not between 1 and 31"),
        ("* * * * 7", "7 is not between 0 and 6"),
        ("*/0 * * * *", "the step \"0\""),
        ("*/ * * * *", "the step \"\""),
        ("9-3 * * * *", "ends before it starts"),
        ("x * * * *", "\"x\" is not a number"),
        ("- * * * *", "\"\" is not a number"),
        ("99999999999 * * * *", "not a number"),
        ("* * L * *", "\"L\" is not a number"),
        ("* * * * +1", "\"+1\" is not a number"),
    ];

    fn strict(text: &str) -> Result<(), ScheduleError> {
        Schedule::parse(text).map(drop)
    }

    #[test]
    fn schedules_have_five_fields() {
        for good in GOOD {
            check_robfig(good).unwrap_or_else(|error| panic!("{good}: {error}"));
            strict(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, says) in BAD {
            for read in [check_robfig, strict] {
                let message = read(bad).err().map(|error| error.to_string());
                let message = message.unwrap_or_default();
                assert!(message.contains(says), "{bad}: {message}");
            }
        }
        let span = check_robfig("* 25 * * *").map_err(|error| error.span);
        assert_eq!(span, Err(Span::new(2, 4)));
    }

    #[test]
    fn ambiguous_schedules_are_rejected() {
        for text in ROBFIG_ONLY {
            check_robfig(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(strict(text).is_err(), "{text}");
        }
        let message = strict("5/15 * * * *").map_err(|error| error.to_string());
        let says = "\"5/15\" is not a valid minute: a step needs a range, such as 5-59/15";
        assert_eq!(message, Err(says.to_owned()));
        // With a day of the week, the schedule fires in any month.
        strict("0 0 30 2 1").unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn surrounding_white_space_is_ignored() {
        let read = Schedule::parse("  0 5 * * 1\n").unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(read.as_str(), "0 5 * * 1");
        assert_eq!(Schedule::default().as_str(), "30 4 * * *");
    }
}
