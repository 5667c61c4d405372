//! `nadmit explain`: explains a rule from the registry.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::Args;

use super::output::{self, BOLD, DIM};
use crate::rules::{Level, Profile, RULES, Rule, registry, rule_levels::similar_code};

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
        None => bail!(
            "there is no rule \"{code}\"{}; `nadmit explain --list` shows all",
            similar_code(code).map_or(String::new(), |s| format!("; did you mean \"{s}\"?")),
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
    for rule in RULES {
        let level = rule.levels.of(Profile::Default);
        let (color, code) = (style(level), rule.code);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{code:<width$}  {color}{level}{color:#}  {}",
            rule.summary
        );
    }
    out
}

fn explanation(rule: &Rule) -> String {
    let mut out = String::new();
    let levels = Profile::ALL.map(|profile| {
        let level = rule.levels.of(profile);
        let color = style(level);
        format!("{color}{level}{color:#} in {}", profile.name())
    });
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}: {}", rule.code, rule.summary);
    let _ = writeln!(out, "{}\n", levels.join(", "));
    for line in wrapped(rule.explanation, 80) {
        let _ = writeln!(out, "{line}");
    }
    for (title, example) in [("Wrong", rule.wrong), ("Right", rule.right)] {
        let _ = writeln!(out, "\n{BOLD}{title}{BOLD:#}");
        for line in example.yaml().lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    let _ = if rule.levels.is_authority() {
        writeln!(
            out,
            "\n{DIM}Nothing lowers this level: it guards who may have which address.{DIM:#}"
        )
    } else {
        writeln!(
            out,
            "\n{DIM}To change the level, in nadmit.yaml:  rules: {{{}: warn}}{DIM:#}",
            rule.code
        )
    };
    out
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
