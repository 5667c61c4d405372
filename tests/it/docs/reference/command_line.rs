//! docs/reference/command-line.md: the help of every command, as the program prints it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::Failed;

use super::{ROOT, agree, code, sources, table};
use crate::support::TestResult;

const HEAD: &str = "# Command line

The help of every command. This page is made from what `nadmit --help` prints.
";

const CODES: &str = "
## Exit codes
| command | 0 | 1 | 2 |
|---|---|---|---|
| `nadmit check` | nothing is denied; there may be warnings | something is denied, or a manifest cannot be read (`invalid-manifest`, with its place) | the check could not run: a wrong flag, a path that cannot be read, errors in `--config`, a cluster that may not be read |
| `nadmit audit` | nothing is denied; there may be warnings | something is denied | the audit could not run: a wrong flag, a path that cannot be read, a cluster that may not be read |
| `nadmit adopt` | nothing prevents the adoption | something prevents it | the cluster could not be read, or the command line is wrong |
| all others | the command succeeded | it failed; the error is on standard error | the command line is wrong |
";

const VARIABLES: &str = "
## Environment variables
A flag takes precedence over its variable.

";

/// The variables that the program reads without naming them as those of a flag.
const OTHER_VARIABLES: &[(&str, &str, &str)] = &[
    (
        "KUBECONFIG",
        "--kubeconfig",
        "all commands that read a cluster",
    ),
    ("NADMIT_CONFIG", "--config", "nadmit check"),
];

/// The variables that the help does not show.
const HIDDEN: &[&str] = &["NADMIT_TLS_SETTLE"];

fn nadmit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy();
        if key.starts_with("NADMIT_") || key.starts_with("CLICOLOR") {
            command.env_remove(&*key);
        }
    }
    command
        .args(arguments)
        .env("COLUMNS", "100")
        .env("KUBECONFIG", "/no/kubeconfig")
        .stdin(Stdio::null());
    command
}

/// Returns the help of a command, without spaces at the ends of lines.
fn help(command: &[&str]) -> Result<String, Failed> {
    let mut arguments = command.to_vec();
    arguments.push("--help");
    let output = nadmit(&arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || !text.contains("Usage: ") {
        return Err(format!("{command:?} has no help: {text}").into());
    }
    Ok(text.lines().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    }))
}

/// Returns the names of the subcommands that a help lists.
fn subcommands(help: &str) -> Vec<&str> {
    let list = help
        .split_once("\nCommands:\n")
        .map_or("", |(_, list)| list);
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        let is_name = line.starts_with(|c: char| c.is_ascii_lowercase());
        line.split(' ')
            .next()
            .filter(|name| is_name && *name != "help")
    });
    names.collect()
}

/// Collects the commands below one, each with its help, in the order of the help.
fn collect(command: &[&str], found: &mut Vec<(String, String)>) -> Result<(), Failed> {
    let text = help(command)?;
    let name = format!("nadmit {}", command.join(" "));
    found.push((name.trim_end().to_owned(), text.clone()));
    for name in subcommands(&text) {
        collect(&[command, &[name]].concat(), found)?;
    }
    Ok(())
}

/// Returns the variables in a help, each with its flag or argument.
fn variables(help: &str) -> Vec<(&str, &str)> {
    let (mut found, mut flag) = (Vec::new(), "");
    for line in help.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if indent < 8 && text.starts_with(['-', '[', '<']) {
            let mut words = text.split([' ', ',']);
            let long = words.find(|word| word.starts_with("--"));
            flag = long.unwrap_or(text);
        }
        let variable = text
            .split_once("[env: ")
            .and_then(|(_, rest)| rest.split_once('='));
        found.extend(variable.map(|(variable, _)| (variable, flag)));
    }
    found
}

pub(super) fn page() -> Result<String, Failed> {
    let mut commands = Vec::new();
    collect(&[], &mut commands)?;
    let mut all: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (command, help) in &commands {
        for found in variables(help) {
            all.entry(found).or_default().push(command);
        }
    }
    for (variable, flag, command) in OTHER_VARIABLES {
        all.entry((variable, flag)).or_default().push(command);
    }
    let rows = all.into_iter().map(|((variable, flag), commands)| {
        let commands = commands.iter().map(|command| match *command {
            command if command.starts_with("nadmit ") => {
                format!("[`{command}`](#{})", command.replace(' ', "-"))
            }
            others => others.to_owned(),
        });
        let commands: Vec<String> = commands.collect();
        [code(variable), code(flag), commands.join(", ")]
    });
    let variables = table(["variable", "flag", "commands"], rows);
    let mut page = [HEAD, CODES, VARIABLES, &variables].concat();
    for (command, help) in &commands {
        let help = help.trim_end();
        write!(page, "\n## {command}\n```text\n{help}\n```\n")?;
    }
    Ok(page)
}

pub(super) fn exit_codes_are_those_of_the_program() -> TestResult {
    let examples = Path::new(ROOT).join("deploy/examples");
    let networks = examples.join("networks").display().to_string();
    let wrong = examples.join("pods/wrong/unknown-network.yaml");
    let wrong = wrong.display().to_string();
    for (arguments, expected) in [
        (&["check", &networks][..], 0),
        (&["check", &networks, &wrong], 1),
        (&["check", "/no/such/path"], 2),
        (&["check", "--no-such-flag"], 2),
        (&["adopt", "--dry-run"], 2),
        (&["explain", "--no-such-flag"], 2),
        (&["explain", "no-such-rule"], 1),
        (&["explain", "unknown-network"], 0),
    ] {
        let status = nadmit(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.code() != Some(expected) {
            return Err(format!("{arguments:?}: {status}, expected {expected}").into());
        }
    }
    Ok(())
}

pub(super) fn all_variables_are_documented() -> TestResult {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let read = sources::all_literals(&["src", "crates"])?;
    let read = read
        .iter()
        .filter(|literal| literal.starts_with("NADMIT_") && literal.chars().all(is_name))
        .filter(|literal| !HIDDEN.contains(&literal.as_str()));
    let page = page()?;
    let documented = page.lines().filter_map(|line| {
        let cell = line.strip_prefix("| `")?.split_once('`')?.0;
        cell.starts_with("NADMIT_").then(|| cell.to_owned())
    });
    agree(
        &read.cloned().collect(),
        &documented.collect::<BTreeSet<_>>(),
    )
}
