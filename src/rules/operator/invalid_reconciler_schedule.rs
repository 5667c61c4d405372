//! `invalid-reconciler-schedule`: a schedule on which Whereabouts's reconciler stops.

use super::ConfigMapSubject;
use crate::{
    network::{Span, json::Node},
    rules::{Check, Example, Levels, Place, Report, Rule},
};

/// The `ConfigMap` that the reconciler reads.
const NAME: &str = "whereabouts-config";
/// The keys of its schedule: OpenShift's and upstream's.
const KEYS: [&str; 2] = ["reconciler_cron_expression", "cron-expression"];

const HELP: &str =
    "write minute, hour, day of month, month and day of week, as in \"*/15 * * * *\"";

/// The rule.
pub const RULE: Rule = Rule {
    code: "invalid-reconciler-schedule",
    levels: Levels::FAILS,
    summary: "Whereabouts's reconciler is given a schedule that it cannot read",
    explanation: "The reconciler, which frees stranded addresses, takes its schedule from the \
        ConfigMap whereabouts-config, key reconciler_cron_expression on OpenShift and \
        cron-expression elsewhere: five fields, no seconds. It takes up a change at once, and an \
        invalid one ends it: no address is freed any more. Descriptors such as @daily are only \
        warned of, for only five fields are documented. Source: Whereabouts v0.9.4; OpenShift's \
        documentation of the reconciler.",
    wrong: Example(&[r#"apiVersion: v1
kind: ConfigMap
metadata: {name: whereabouts-config, namespace: openshift-multus}
data:
  reconciler_cron_expression: "0 */15 * * * *"
"#]),
    right: Example(&[r#"apiVersion: v1
kind: ConfigMap
metadata: {name: whereabouts-config, namespace: openshift-multus}
data:
  reconciler_cron_expression: "*/15 * * * *"
"#]),
    check: Check::ConfigMap(check),
};

fn check(subject: &ConfigMapSubject<'_>, report: &mut Report<'_>) {
    if subject.name != NAME {
        return;
    }
    let members = Node::document(subject.data).ok().and_then(Node::members);
    for member in members.unwrap_or_default() {
        let Some(key) = KEYS.into_iter().find(|key| *key == member.name.value) else {
            continue;
        };
        let Some(text) = member.value.string() else {
            continue;
        };
        let place = |span| Place {
            field: format!("data[{key}]"),
            at: Some((span, &*text)),
        };
        if text.trim().starts_with('@') {
            let message = format!("the schedule {:?} is not of the five fields", text.trim());
            report.add_lesser(Levels::ADVICE, place(Span::default()), message, HELP);
        } else if let Err((span, message)) = schedule(&text) {
            report.add(place(span), message, HELP);
        }
    }
}

/// A field: what it is, its least and greatest number, and words for numbers from the least on.
type Field = (&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [Field; 5] = [
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

/// Reads a schedule as robfig/cron does, which Whereabouts uses.
fn schedule(text: &str) -> Result<(), (Span, String)> {
    let mut rest = text.trim();
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let message = format!(
            "the schedule {:?} has {} fields, but has to have five",
            text.trim(),
            fields.len()
        );
        return Err((Span::of(rest, text).unwrap_or_default(), message));
    }
    for (written, field) in fields.into_iter().zip(FIELDS) {
        for part in written.split(',').filter(|part| !part.is_empty()) {
            if let Err(reason) = part_of(part, field) {
                let span = Span::of(part, text).unwrap_or_default();
                return Err((span, format!("{part:?} is no {}: {reason}", field.0)));
            }
        }
    }
    Ok(())
}

/// `*`, `5`, `mon-fri`, each with or without `/2`.
fn part_of(part: &str, (_, least, greatest, words): Field) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let number = |text: &str| -> Result<u32, String> {
        let word = words
            .iter()
            .position(|word| text.eq_ignore_ascii_case(word));
        let word = word.and_then(|index| u32::try_from(index).ok());
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match word {
            Some(index) => Some(least + index),
            None => digits.then(|| text.parse().ok()).flatten(),
        };
        let value = value.ok_or_else(|| format!("{text:?} is no number"))?;
        if (least..=greatest).contains(&value) {
            Ok(value)
        } else {
            Err(format!("{value} is not from {least} to {greatest}"))
        }
    };
    if let Some(step) = step {
        let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || step.parse::<u32>().map_or(true, |step| step == 0) {
            return Err(format!("the step {step:?} is no number above 0"));
        }
    }
    match range.split_once('-') {
        _ if range == "*" || range == "?" => Ok(()),
        None => number(range).map(|_| ()),
        Some((from, to)) if number(from)? > number(to)? => Err(format!("{range} runs backwards")),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_as_cron_has_them() {
        for good in [
            "30 4 * * *",
            " */15  * * * * ",
            "0,30 0-6/2 1 JAN-mar mon,FRI",
            "? ? ? ? ?",
            "CRON_TZ=UTC 0 0 * * *",
        ] {
            assert_eq!(schedule(good), Ok(()), "{good}");
        }
        for (bad, says) in [
            ("", "has 0 fields"),
            ("0 */15 * * * *", "has 6 fields"),
            ("60 * * * *", "60 is not from 0 to 59"),
            ("* * 0 * *", "0 is not from 1 to 31"),
            ("* * * * 7", "7 is not from 0 to 6"),
            ("*/0 * * * *", "the step \"0\""),
            ("*/ * * * *", "the step \"\""),
            ("9-3 * * * *", "runs backwards"),
            ("x * * * *", "\"x\" is no number"),
            ("- * * * *", "\"\" is no number"),
            ("99999999999 * * * *", "no number"),
        ] {
            let message = schedule(bad).map_or_else(|(_, message)| message, |()| String::new());
            assert!(message.contains(says), "{bad}: {message}");
        }
        let place = schedule("* 25 * * *").map_err(|(span, _)| span);
        assert_eq!(place, Err(Span::new(2, 4)));
    }
}
