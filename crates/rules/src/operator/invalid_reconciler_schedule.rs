//! `invalid-reconciler-schedule`: a schedule on which a reconciler stops, or keeps its previous schedule.

use super::ConfigMapSubject;
use crate::{
    Check, Example, FieldRef, Levels, Report, Rule, RuleDocs,
    schedule::{SCHEDULE_HELP, Schedule, check_robfig},
};
use nadmit_cni::{Span, json::JsonNode};

/// The `ConfigMap` of Whereabouts's reconciler.
const WHEREABOUTS: &str = "whereabouts-config";
/// The `ConfigMap` of nadmit, which has the first of [`KEYS`].
const NADMIT: &str = "nadmit-config";
/// The keys of a schedule: that of OpenShift and nadmit, and that of upstream Whereabouts.
const KEYS: [&str; 2] = ["reconciler_cron_expression", "cron-expression"];

pub(crate) const RULE: Rule = Rule {
    code: "invalid-reconciler-schedule",
    levels: Levels::FAILS,
    summary: "The schedule of a reconciler is not valid",
    docs: RuleDocs {
        checks: "The schedule of Whereabouts's reconciler, which releases stranded addresses, in \
            the ConfigMap whereabouts-config. The key is reconciler_cron_expression on \
            OpenShift, and cron-expression elsewhere. A schedule has five fields, and none for \
            seconds. Descriptors such as @daily are only a warning, because only five fields are \
            documented. The rule also checks the schedule of nadmit's own full comparison: \
            nadmit-config, key reconciler_cron_expression, in UTC.",
        consequence: "Whereabouts's reconciler applies a change at once, and stops on an invalid \
            schedule: it releases no addresses any more. nadmit ignores an invalid schedule of \
            its own, and keeps the previous one.",
        fix: "Write minute, hour, day of month, month and day of week, as in \"*/15 * * * *\".",
        source: "Whereabouts v0.9.4; OpenShift's documentation of the reconciler.",
    },
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
    let (keys, own) = match subject.name {
        WHEREABOUTS => (&KEYS[..], false),
        NADMIT => (&KEYS[..1], true),
        _ => return,
    };
    let members = JsonNode::document(subject.data)
        .ok()
        .and_then(JsonNode::members);
    for member in members.unwrap_or_default() {
        let Some(key) = keys.iter().find(|key| **key == member.name.value) else {
            continue;
        };
        let Some(text) = member.value.string() else {
            continue;
        };
        let field_ref = |span| FieldRef {
            field: format!("data[{key}]"),
            source: Some((span, &*text)),
        };
        let read = if own {
            Schedule::parse(&text).map(drop)
        } else {
            check_robfig(&text)
        };
        if !own && text.trim().starts_with('@') {
            let message = format!(
                "the schedule {:?} does not have the five documented fields",
                text.trim()
            );
            report.add_capped(
                Levels::ADVICE,
                field_ref(Span::default()),
                message,
                SCHEDULE_HELP,
            );
        } else if let Err(error) = read {
            report.add(field_ref(error.span), error.to_string(), SCHEDULE_HELP);
        }
    }
}
