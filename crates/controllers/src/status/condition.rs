//! Conditions in the status of an object.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The maximum number of items that a message names.
const MAX_NAMED: usize = 5;

/// The status, reason and message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConditionState {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl ConditionState {
    pub(super) fn holds(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: true,
            reason,
            message: message.into(),
        }
    }

    pub(super) fn fails(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: false,
            reason,
            message: message.into(),
        }
    }

    /// Returns the condition of this type. `previous` are the object's conditions: the transition time is
    /// kept while the status stays the same.
    pub(super) fn condition(
        self,
        kind: &str,
        generation: Option<i64>,
        previous: &[Condition],
        now: Timestamp,
    ) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let same = |one: &&Condition| one.type_ == kind && one.status == status;
        let since = previous.iter().find(same);
        // Times are written in whole seconds, and compared with what was written.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: since.map_or(Time(now), |one| one.last_transition_time.clone()),
        }
    }
}

/// Joins the first few items, and says how many more there are.
pub(super) fn some_of(all: &[String]) -> String {
    let named = all.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>();
    match all.len().saturating_sub(MAX_NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let first = ConditionState::fails("Invalid", "a").condition("Ready", Some(1), &[], at(10));
        let previous = [first];
        let other = ConditionState::fails("WaitingForAdoption", "b");
        let again = other.condition("Ready", Some(2), &previous, at(20));
        assert_eq!(again.last_transition_time.0, at(10));
        assert_eq!(again.observed_generation, Some(2));
        let turned =
            ConditionState::holds("Ready", "c").condition("Ready", Some(2), &previous, at(20));
        assert_eq!(turned.last_transition_time.0, at(20));
        let apart =
            ConditionState::fails("Conflict", "d").condition("Reserved", None, &previous, at(20));
        assert_eq!(apart.last_transition_time.0, at(20));
    }

    #[test]
    fn messages_are_bounded() {
        let all: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&all), "0; 1; 2; 3; 4; and 2 more");
        assert_eq!(some_of(&all[..2]), "0; 1");
    }
}
