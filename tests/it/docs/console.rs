//! Screens of documentation pages: commands with the output that they print.
//!
//! In a block of `console` a line that begins with `$ ` is a command, and the lines after it are its
//! output. A line `…` stands for any lines, and `…` in a line for any text. A YAML block after the
//! comment `<!-- file: NAME -->` is a file of that name.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use libtest_mimic::{Failed, Trial};

use super::ROOT;
use crate::support::TestResult;

/// Pages whose commands run without a cluster. `real::pages` runs the other commands.
const PAGES: &[&str] = &[
    "README.md",
    "docs/tutorials/first-check.md",
    "docs/how-to/check-in-ci.md",
];
/// The beginnings of commands that run without a cluster.
const LOCAL: &[&str] = &[
    "nadmit check",
    "nadmit demo",
    "nadmit explain",
    "nadmit --version",
];
/// The sign for text that differs from run to run, or that a page leaves out.
const ELLIPSIS: char = '…';

/// A file that a reader saves, or a command that a reader runs.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    File {
        name: String,
        text: String,
    },
    Command {
        command: String,
        /// The lines of its output, joined.
        expected: String,
    },
}

pub(super) fn tests() -> Vec<Trial> {
    let screens = PAGES.iter().map(|page| {
        Trial::test(format!("docs::console::{page}"), move || {
            shows_what_is_printed(page)
        })
    });
    let pure = tests!["docs::console"; steps_are_read, output_is_compared];
    screens.chain(pure).collect()
}

/// Returns the steps of a page, or of a part of it, in order.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut file) = (Vec::new(), None);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- file: ") {
            file = name.strip_suffix(" -->").map(str::to_owned);
        }
        // A block in an item of a list is indented.
        let indent = line.len() - line.trim_start().len();
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let block = block.map(|line| line.get(indent..).unwrap_or_default());
        match (language, file.take()) {
            ("console", _) => steps.extend(commands(block)),
            (_, Some(name)) => {
                let text = block.flat_map(|line| [line, "\n"]).collect();
                steps.push(Step::File { name, text });
            }
            _ => block.for_each(drop),
        }
    }
    steps
}

fn commands<'t>(block: impl Iterator<Item = &'t str>) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Command {
                command: command.to_owned(),
                expected: String::new(),
            }),
            (None, Some(Step::Command { expected, .. })) => {
                expected.push_str(line);
                expected.push('\n');
            }
            (None, _) => {}
        }
    }
    steps
}

/// Compares what a command printed with what a page shows.
pub(crate) fn agrees(expected: &str, printed: &str) -> bool {
    let [expected, printed] = [expected, printed].map(|text| {
        let lines = text.trim_end().lines();
        lines.map(str::trim_end).collect::<Vec<_>>()
    });
    lines_agree(&expected, &printed)
}

fn lines_agree(expected: &[&str], printed: &[&str]) -> bool {
    let Some((line, expected)) = expected.split_first() else {
        return printed.is_empty();
    };
    if *line == "…" {
        return (0..=printed.len()).any(|from| lines_agree(expected, &printed[from..]));
    }
    let Some((first, printed)) = printed.split_first() else {
        return false;
    };
    let is_equal = match line.split_once(ELLIPSIS) {
        None => line == first,
        Some((start, end)) => {
            let rest = first.strip_prefix(start);
            rest.is_some_and(|rest| rest.ends_with(end))
        }
    };
    is_equal && lines_agree(expected, printed)
}

/// Runs the commands of a page that need no cluster. `NADMIT_UPDATE=1` rewrites their output.
fn shows_what_is_printed(page: &str) -> TestResult {
    let path = Path::new(ROOT).join(page);
    let mut text = fs::read_to_string(&path)?;
    let folder = tempfile::tempdir()?;
    symlink(Path::new(ROOT).join("deploy"), folder.path().join("deploy"))?;
    let mut count = 0;
    for step in steps(&text) {
        match step {
            Step::File { name, text } => fs::write(folder.path().join(name), text)?,
            Step::Command { command, expected } => {
                if !LOCAL.iter().any(|local| command.starts_with(local)) {
                    continue;
                }
                count += 1;
                let printed = run(&command, folder.path())?;
                if agrees(&expected, &printed) {
                    continue;
                }
                if std::env::var_os("NADMIT_UPDATE").is_none() || expected.contains(ELLIPSIS) {
                    return Err(format!(
                        "{page} shows for {command}\n{expected}\nbut it prints\n{printed}"
                    )
                    .into());
                }
                let [old, new] = [&expected, &printed]
                    .map(|lines| format!("$ {command}\n{}\n", lines.trim_end()));
                text = text.replacen(&old, &new, 1);
                fs::write(&path, &text)?;
            }
        }
    }
    match count {
        0 => Err(format!("{page} has no command to run").into()),
        _ => Ok(()),
    }
}

fn run(command: &str, folder: &Path) -> Result<String, Failed> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_nadmit"));
    program
        .args(command.split_whitespace().skip(1))
        .current_dir(folder);
    for variable in ["NADMIT_CONFIG", "CLICOLOR_FORCE"] {
        program.env_remove(variable);
    }
    let output = program.output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8(text)?)
}

fn steps_are_read() -> TestResult {
    let page = "<!-- file: a.yaml -->\n<!-- check: no manifest -->\n```yaml\na: 1\n```\n\n```sh\nls\n```\n\
                ```console\n$ nadmit a\nfirst\n\nlast\n$ nadmit b\n```\n";
    let command = |command: &str, expected: &str| Step::Command {
        command: command.to_owned(),
        expected: expected.to_owned(),
    };
    let expected = vec![
        Step::File {
            name: "a.yaml".to_owned(),
            text: "a: 1\n".to_owned(),
        },
        command("nadmit a", "first\n\nlast\n"),
        command("nadmit b", ""),
    ];
    match steps(page) {
        found if found == expected => Ok(()),
        found => Err(format!("{found:?}").into()),
    }
}

fn output_is_compared() -> TestResult {
    for (expected, printed, is_equal) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\nb\n", "a\n", false),
        ("a\n", "a\nb\n", false),
        ("…\nb\n…\n", "a\nb\nc\nd\n", true),
        ("…\nb\n", "a\nc\n", false),
        ("…\n", "", true),
        (
            "pod \"a\" deleted…\n",
            "pod \"a\" deleted from b namespace\n",
            true,
        ),
        ("a…b…\n", "ab\n", false),
    ] {
        if agrees(expected, printed) != is_equal {
            return Err(format!("{expected:?} and {printed:?}").into());
        }
    }
    Ok(())
}
