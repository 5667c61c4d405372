//! The output for people: each finding with its evidence and its fix, then notes and totals.

use std::fmt::Write as _;

use nadmit_audit::{AuditFinding, AuditLevel};

use crate::{
    admission::tag,
    check::{
        sanitize_line as printable,
        text::{BOLD, FRAME, level_totals, plural, style},
    },
    rules::Level,
};

use super::AuditOutcome;

/// Renders the findings in the order of their codes, and the totals at the end, where people look
/// first.
pub(super) fn render(outcome: &AuditOutcome) -> String {
    let mut out = String::new();
    for finding in &outcome.findings {
        write_finding(finding, &mut out);
    }
    for note in &outcome.notes {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{FRAME}note{FRAME:#}: {}", printable(note));
    }
    if !outcome.notes.is_empty() {
        out.push('\n');
    }
    let totals = level_totals(
        outcome.count(AuditLevel::Deny),
        outcome.count(AuditLevel::Warn),
    );
    let _ = writeln!(out, "{totals} ({})", records(outcome));
    out
}

fn write_finding(finding: &AuditFinding, out: &mut String) {
    let level = match finding.level {
        AuditLevel::Deny => Level::Deny,
        AuditLevel::Warn => Level::Warn,
    };
    let (color, tag) = (style(level), tag(finding.code.name()));
    let message = printable(&finding.message);
    let _ = writeln!(
        out,
        "{color}{level}{color:#}: {tag} {BOLD}{message}{BOLD:#}"
    );
    for one in &finding.evidence {
        let object = printable(&one.object.to_string());
        let _ = writeln!(
            out,
            "  {FRAME}|{FRAME:#} {object}: {}",
            printable(&one.value)
        );
    }
    for command in &finding.commands {
        let _ = writeln!(
            out,
            "  {FRAME}={FRAME:#} {BOLD}fix{BOLD:#}: {}",
            printable(command)
        );
    }
    if !finding.help.is_empty() {
        let help = printable(&finding.help);
        let _ = writeln!(out, "  {FRAME}={FRAME:#} {BOLD}help{BOLD:#}: {help}");
    }
    out.push('\n');
}

/// Returns what was read, for the line of totals.
fn records(outcome: &AuditOutcome) -> String {
    let counts = outcome.records.iter();
    let counts: Vec<String> = counts
        .map(|(kind, count)| plural(*count, kind.name()))
        .collect();
    let read = match counts.as_slice() {
        [] => "nothing to compare".to_owned(),
        counts => counts.join(", "),
    };
    match &outcome.cluster {
        Some(scope) => format!("{read} of {}", scope.server),
        None => read,
    }
}
