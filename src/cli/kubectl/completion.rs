//! Completion of `kubectl nadmit`, as kubectl asks for it: one candidate a line, a tab and its description,
//! at last a colon and a directive of cobra (`ShellCompDirective`).
//!
//! `clap_complete` prints scripts for a program of its own, which kubectl does not read.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::{cli::output, rules::RULES};

/// The shell may complete files.
const DEFAULT: u8 = 0;
/// The shell completes no files.
const NO_FILES: u8 = 4;

/// The candidates for the last word of a command line.
#[derive(Debug, PartialEq, Eq)]
struct Candidates {
    /// Words with their descriptions.
    words: Vec<(String, String)>,
    directive: u8,
}

/// Prints the candidates for the last argument. The first argument is the program.
pub(super) fn print(command: &Command, arguments: &[OsString]) {
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    let found = Candidates::of(command, &words);
    for (word, description) in &found.words {
        output::print_line(format_args!("{word}\t{description}"));
    }
    output::print_line(format_args!(":{}", found.directive));
}

impl Candidates {
    fn of(command: &Command, words: &[&str]) -> Self {
        let Some((last, before)) = words.split_last() else {
            return Self::of(command, &[""]);
        };
        let mut command = command;
        let mut option = None;
        for word in before {
            if let Some(arg) = option.take() {
                // The word is the value of the option before it.
                let _: &Arg = arg;
            } else if word.starts_with('-') {
                option = option_of(command, word).filter(|_| !word.contains('='));
            } else if let Some(found) = command.find_subcommand(word) {
                command = found;
            }
        }
        let mut all = match option {
            Some(arg) => Self::values(arg),
            None if last.starts_with('-') => Self::options(command),
            None if command.has_subcommands() => Self::commands(command),
            None => Self::positional(command),
        };
        all.words.retain(|(word, _)| word.starts_with(last));
        all
    }

    fn commands(command: &Command) -> Self {
        let visible = command.get_subcommands().filter(|one| !one.is_hide_set());
        let words = visible.map(|one| (one.get_name().to_owned(), help(one.get_about())));
        Self {
            words: words.collect(),
            directive: NO_FILES,
        }
    }

    fn options(command: &Command) -> Self {
        let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let words = visible
            .filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help()))));
        Self {
            words: words.collect(),
            directive: NO_FILES,
        }
    }

    fn values(arg: &Arg) -> Self {
        let values = arg.get_possible_values();
        let words = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| (value.get_name().to_owned(), help(value.get_help())));
        let is_path = matches!(arg.get_id().as_str(), "kubeconfig" | "config" | "paths");
        Self {
            words: words.collect(),
            directive: if is_path { DEFAULT } else { NO_FILES },
        }
    }

    fn positional(command: &Command) -> Self {
        match command.get_positionals().next() {
            Some(arg) if arg.get_id() == "code" => Self {
                words: RULES
                    .iter()
                    .map(|rule| (rule.code.to_owned(), rule.summary.to_owned()))
                    .collect(),
                directive: NO_FILES,
            },
            Some(arg) => Self::values(arg),
            None => Self {
                words: Vec::new(),
                directive: NO_FILES,
            },
        }
    }
}

/// Returns the option of a word, if it takes a value.
fn option_of<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let mut all = command.get_arguments();
    all.find(|arg| {
        let long = word.strip_prefix("--");
        let is_long = long.is_some() && (arg.get_long() == long || has_alias(arg, long));
        let is_short = arg
            .get_short()
            .is_some_and(|short| *word == format!("-{short}"));
        arg.get_action().takes_values() && (is_long || is_short)
    })
}

fn has_alias(arg: &Arg, long: Option<&str>) -> bool {
    arg.get_all_aliases()
        .is_some_and(|all| all.into_iter().any(|alias| Some(alias) == long))
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> (Vec<String>, u8) {
        let mut command = super::super::command();
        command.build();
        let found = Candidates::of(&command, line);
        let words = found.words.into_iter().map(|(word, _)| word);
        (words.collect(), found.directive)
    }

    #[test]
    fn the_last_word_is_completed() {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(words(&["a"]), (texts(&["allocations", "audit"]), NO_FILES));
        assert_eq!(words(&["pools", "--m"]), (texts(&["--map"]), NO_FILES));
        assert_eq!(
            words(&["pools", "-o", ""]),
            (texts(&["table", "wide", "json", "yaml"]), NO_FILES)
        );
        assert_eq!(words(&["describe", ""]), (texts(&["pod"]), NO_FILES));
        assert_eq!(
            words(&["explain", "unknown-net"]),
            (texts(&["unknown-network"]), NO_FILES)
        );
        // Values of other options are not commands.
        assert_eq!(
            words(&["pools", "--context", "x", "--m"]).0,
            texts(&["--map"])
        );
        assert_eq!(words(&["check", ""]), (Vec::new(), DEFAULT));
        assert_eq!(words(&["audit", "--kubeconfig", ""]).1, DEFAULT);
        assert!(words(&[""]).0.contains(&"pools".to_owned()));
        // What the plugin sets by itself is not offered.
        assert!(!words(&["pools", "--"]).0.contains(&"--cluster".to_owned()));
    }
}
