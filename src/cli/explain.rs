//! `nadmit explain`: explains a rule from the registry.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::Args;

use super::output::{self, BOLD, DIM};
use crate::check::{self, DUPLICATE_OBJECT, INVALID_MANIFEST};
use crate::rules::{
    Level, Profile, RULE_GROUPS, RULES, Rule, RuleDocs, RuleGroup, registry,
    rule_levels::similar_code,
};

/// Arguments of `nadmit explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The rule's code, such as unknown-network; `nadmit check` and warnings show it in brackets
    #[arg(required_unless_present = "list")]
    code: Option<String>,
    /// List all rules
    #[arg(long, conflicts_with = "code")]
    list: bool,
}

/// Prints the explanation or the list.
///
/// # Errors
/// When the rule does not exist; the error suggests a similar one.
pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let Some(code) = &args.code else {
        output::print(list());
        return Ok(());
    };
    match registry::find(code) {
        Some(rule) => output::print(explanation(rule)),
        None if [INVALID_MANIFEST, DUPLICATE_OBJECT].contains(&&**code) => output::print(format!(
            "{BOLD}{code}{BOLD:#}: {}\n\n`nadmit check` reports it for manifests. It is not a rule: no \
             setting changes its level.\n",
            check::summary(code)
        )),
        None => bail!(
            "there is no rule \"{code}\"; {}`nadmit explain --list` shows all",
            similar_code(code).map_or(String::new(), |s| format!("did you mean \"{s}\"? ")),
        ),
    }
    Ok(())
}

/// Returns the colour of a level.
pub(super) fn style(level: Level) -> Style {
    let color = match level {
        Level::Deny => AnsiColor::Red,
        Level::Warn => AnsiColor::Yellow,
        Level::Off => AnsiColor::BrightBlack,
    };
    color.on_default()
}

fn list() -> String {
    let width = RULES
        .iter()
        .map(|rule| rule.code.len())
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for RuleGroup { title, rules } in RULE_GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{BOLD}{title}{BOLD:#}");
        list_group(rules, width, &mut out);
        out.push('\n');
    }
    out += "always: denied whatever the profile, the settings and the mode; the other levels are those of \
            the profile default\n";
    out
}

/// Appends a line for each rule.
fn list_group(rules: &[&Rule], width: usize, out: &mut String) {
    for rule in rules {
        let level = rule.levels.of(Profile::Default);
        let name = match rule.levels.is_authority() {
            true => "always".to_owned(),
            false => level.to_string(),
        };
        let (color, code) = (style(level), rule.code);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{code:<width$}  {color}{name:<6}{color:#}  {}",
            rule.summary
        );
    }
}

fn explanation(rule: &Rule) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}: {}", rule.code, rule.summary);
    let _ = writeln!(out, "Level: {}", levels(rule));
    let RuleDocs {
        checks,
        consequence,
        fix,
        source,
    } = rule.docs;
    for (title, text) in [
        ("What it checks", checks),
        ("Why it matters", consequence),
        ("How to fix", fix),
    ] {
        section(&mut out, title, text);
    }
    let _ = writeln!(out, "\n{BOLD}From wrong to right{BOLD:#}");
    for line in rule.wrong.diff(rule.right).lines() {
        let color = match line.get(..1) {
            Some("-") => AnsiColor::Red.on_default(),
            Some("+") => AnsiColor::Green.on_default(),
            _ => Style::new(),
        };
        let _ = writeln!(out, "    {color}{line}{color:#}");
    }
    section(&mut out, "When to lower it", rule.levels.when_to_lower());
    if !rule.levels.is_authority() {
        let code = rule.code;
        let _ = writeln!(out, "{DIM}In nadmit.yaml:  rules: {{{code}: warn}}{DIM:#}");
    }
    section(&mut out, "Source", source);
    out
}

/// Returns the levels of a rule in one line.
fn levels(rule: &Rule) -> String {
    let shown = |level: Level, name: &str| {
        let color = style(level);
        format!("{color}{name}{color:#}")
    };
    if rule.levels.is_authority() {
        return shown(Level::Deny, "always denied (address-pool rule)");
    }
    let same = rule.levels.of(Profile::Default);
    if Profile::ALL
        .iter()
        .all(|profile| rule.levels.of(*profile) == same)
    {
        return shown(same, &format!("{same} in every profile"));
    }
    let each = Profile::ALL.map(|profile| {
        let level = rule.levels.of(profile);
        let level = shown(level, &level.to_string());
        format!("{level} in profile {}", profile.name())
    });
    each.join(", ")
}

/// Appends a paragraph with a title.
fn section(out: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n{BOLD}{title}{BOLD:#}");
    for line in wrapped(text, 80) {
        let _ = writeln!(out, "{line}");
    }
}

/// Breaks `text` at spaces into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.len() - 1;
        let free = lines[line].is_empty() || lines[line].len() + 1 + word.len() <= width;
        match (free, lines[line].is_empty()) {
            (true, true) => lines[line].push_str(word),
            (true, false) => {
                lines[line].push(' ');
                lines[line].push_str(word);
            }
            (false, _) => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrapped("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn every_rule_is_listed_and_explained() {
        let list = list();
        for rule in RULES {
            assert!(list.contains(rule.code));
            assert!(explanation(rule).contains(rule.summary));
        }
    }
}
