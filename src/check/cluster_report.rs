//! The output for people on a cluster: a table of denials and warnings by namespace and rule, then
//! each finding with its object and field.
//!
//! The table is padded by hand: `comfy-table` draws borders and styles only cells that it formats itself.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::rules::Level;

use super::{
    CheckOutcome, ClusterScope, Diagnostic,
    terminal::sanitize_line as printable,
    text::{BOLD, FRAME, level_counts, plural, style, write_headline, write_help},
};

/// The table's name for cluster-scoped objects.
const NOWHERE: &str = "(cluster)";

/// The numbers of a namespace's findings of one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub denied: usize,
    pub warned: usize,
}

/// Counts findings by namespace and code.
pub(super) fn counts(outcome: &CheckOutcome) -> BTreeMap<(&str, &str), Count> {
    let mut counts: BTreeMap<(&str, &str), Count> = BTreeMap::new();
    for diagnostic in &outcome.diagnostics {
        let count = counts
            .entry((&diagnostic.namespace, diagnostic.code))
            .or_default();
        match diagnostic.level {
            Level::Deny => count.denied += 1,
            _ => count.warned += 1,
        }
    }
    counts
}

/// Renders the table, every finding, and the totals at the end, where people look first.
pub(super) fn render(outcome: &CheckOutcome, scope: &ClusterScope) -> String {
    let mut out = String::new();
    if !outcome.diagnostics.is_empty() {
        write_table(outcome, &mut out);
        for diagnostic in &outcome.diagnostics {
            write_diagnostic(outcome, diagnostic, &mut out);
        }
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} ({} {})",
        level_counts(outcome),
        plural(outcome.objects, "object"),
        describe_scope(scope)
    );
    out
}

/// Describes the cluster and namespace that were checked.
fn describe_scope(scope: &ClusterScope) -> String {
    let mut text = match &scope.namespace {
        Some(namespace) => format!("in namespace {namespace} of {}", scope.server),
        None => format!("in {}", scope.server),
    };
    if let Some(context) = &scope.context {
        // Writing to a String cannot fail.
        let _ = write!(text, ", context {}", printable(context));
    }
    text
}

fn write_table(outcome: &CheckOutcome, out: &mut String) {
    let counts = counts(outcome);
    let shown = |namespace: &str| match namespace {
        "" => NOWHERE.to_owned(),
        other => printable(other),
    };
    let width = |lengths: &mut dyn Iterator<Item = usize>, least: usize| {
        lengths.max().unwrap_or_default().max(least)
    };
    let namespaces = width(
        &mut counts.keys().map(|(namespace, _)| shown(namespace).len()),
        "NAMESPACE".len(),
    );
    let codes = width(&mut counts.keys().map(|(_, code)| code.len()), "RULE".len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{BOLD}{:namespaces$}  {:codes$}  DENIED  WARNED{BOLD:#}",
        "NAMESPACE", "RULE"
    );
    let mut before = None;
    for ((namespace, code), count) in counts {
        let first = before.replace(namespace) != Some(namespace);
        let name = if first {
            shown(namespace)
        } else {
            String::new()
        };
        let denied = cell(count.denied, Level::Deny);
        let warned = cell(count.warned, Level::Warn);
        let _ = writeln!(out, "{name:namespaces$}  {code:codes$}  {denied}  {warned}");
    }
    out.push('\n');
}

/// Returns a number as wide as its heading.
fn cell(count: usize, level: Level) -> String {
    let color = style(level);
    match count {
        0 => format!("{:>6}", "-"),
        _ => format!("{color}{count:>6}{color:#}"),
    }
}

fn write_diagnostic(outcome: &CheckOutcome, diagnostic: &Diagnostic, out: &mut String) {
    write_headline(diagnostic, out);
    let stop = if diagnostic.field.is_empty() {
        ""
    } else {
        ": "
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        " {FRAME}-->{FRAME:#} {}{stop}{}",
        printable(outcome.object(diagnostic)),
        printable(&diagnostic.field)
    );
    write_help(diagnostic, 1, out);
    out.push('\n');
}
