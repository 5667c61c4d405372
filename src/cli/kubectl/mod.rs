//! `kubectl nadmit`: the commands on a cluster, with the flags of kubectl.
//!
//! kubectl runs the program `kubectl-nadmit` in the PATH, which is this binary under another name. The
//! commands are those of `nadmit` with `--cluster`. A command that shows objects of namespaces shows those
//! of the context's namespace, unless `-n` or `-A` says otherwise.

mod completion;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{Arg, Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::{
    audit::{self, AuditArgs},
    check::{self, CheckArgs},
    explain::{self, ExplainArgs},
    finish,
    kube_args::{self, KubeArgs},
    operate::{self, AllocationsArgs, DescribeArgs, PoolsArgs, WhoisArgs},
    print_error,
};

/// The program that kubectl runs.
const PLUGIN: &str = "kubectl-nadmit";
/// The program that kubectl runs to complete the plugin's arguments (kubectl 1.26 and newer).
const COMPLETER: &str = "kubectl_complete-nadmit";
/// The command as users type it.
const TYPED: &str = "kubectl nadmit";
/// Options that `kubectl nadmit` sets by itself.
const HIDDEN: [&str; 3] = ["cluster", "data_dir", "manifests"];

/// Arguments of the plugin.
#[derive(Debug, Parser)]
#[command(
    name = PLUGIN,
    bin_name = TYPED,
    version,
    about = "Show address pools and addresses of a cluster, and check its networks",
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct PluginCli {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Show the usage of the address pools; with --map, draw the addresses of one
    Pools(PoolsArgs),
    /// List allocations: addresses and their holders
    Allocations(InNamespace<AllocationsArgs>),
    /// Show who holds an IP or MAC address
    Whois(WhoisArgs),
    /// Show the addresses of a pod: requested, allocated, reported
    Describe(DescribeArgs),
    /// Compare records of addresses with the interfaces of pods: duplicates, leaks, drift
    Audit(InNamespace<AuditArgs>),
    /// Check the objects of the cluster, or manifests against it
    Check(InNamespace<CheckArgs>),
    /// Explain a rule by its code, or list all rules
    Explain(ExplainArgs),
}

/// Arguments of a command that may be limited to a namespace.
#[derive(Debug, Args)]
struct InNamespace<T: Args + Namespaced> {
    #[command(flatten)]
    command: T,
    /// Show all namespaces, not only that of the context
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// A command that may be limited to a namespace.
pub(super) trait Namespaced {
    /// Returns the namespace; `None` if the command cannot have one with its other arguments.
    fn namespace(&mut self) -> Option<&mut Option<String>>;
    /// Returns the kubeconfig, whose context has a namespace.
    fn kube(&self) -> &KubeArgs;
}

impl<T: Args + Namespaced> InNamespace<T> {
    /// Returns the command, limited to the namespace of the context unless another one is given.
    fn in_namespace(self) -> anyhow::Result<T> {
        let mut command = self.command;
        let is_missing = command.namespace().is_some_and(|given| given.is_none());
        if is_missing && !self.all_namespaces {
            let namespace = command.kube().default_namespace();
            let namespace = kube_args::runtime()?.block_on(namespace)?;
            if let Some(given) = command.namespace() {
                *given = Some(namespace);
            }
        }
        Ok(command)
    }
}

/// A name under which kubectl runs this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PluginProgram {
    /// Runs a command.
    Plugin,
    /// Completes the arguments of a command.
    Completer,
}

impl PluginProgram {
    /// Returns the program by the name under which it was started.
    pub(super) fn of(program: &Path) -> Option<Self> {
        match program.file_stem()?.to_str()? {
            PLUGIN => Some(Self::Plugin),
            COMPLETER => Some(Self::Completer),
            _ => None,
        }
    }

    /// Runs the program with its arguments, the name first.
    pub(super) fn run(self, arguments: Vec<OsString>) -> ExitCode {
        match self {
            Self::Completer => {
                completion::print(&command(), &arguments);
                ExitCode::SUCCESS
            }
            Self::Plugin => {
                let matches = command().get_matches_from(on_cluster(arguments));
                match PluginCli::from_arg_matches(&matches) {
                    Ok(cli) => cli.command.run(),
                    Err(error) => error.exit(),
                }
            }
        }
    }
}

impl PluginCommand {
    fn run(self) -> ExitCode {
        match self {
            Self::Pools(args) => finish(operate::run(args)),
            Self::Allocations(args) => finish(args.in_namespace().and_then(operate::run)),
            Self::Whois(args) => finish(operate::run(args)),
            Self::Describe(args) => finish(operate::run(args)),
            Self::Explain(args) => finish(explain::run(&args)),
            Self::Audit(args) => match args.in_namespace() {
                Ok(args) => audit::run(&args),
                Err(error) => failed(&error),
            },
            Self::Check(args) => match args.in_namespace() {
                Ok(args) => check::run(&args),
                Err(error) => failed(&error),
            },
        }
    }
}

/// Returns the exit code of an audit or check that cannot run.
fn failed(error: &anyhow::Error) -> ExitCode {
    print_error(error);
    ExitCode::from(audit::EXIT_FAILED)
}

/// Returns the arguments with `--cluster`, if the command has that option.
fn on_cluster(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let plugin = PluginCli::command();
    let mut words = arguments.iter().enumerate().skip(1);
    let mut command = &plugin;
    let mut place = None;
    for (at, word) in &mut words {
        let Some(found) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            break;
        };
        command = found;
        place = Some(at + 1);
    }
    let has_option = command
        .get_arguments()
        .any(|arg| arg.get_long() == Some("cluster"));
    if let Some(place) = place.filter(|_| has_option) {
        arguments.insert(place, "--cluster".into());
    }
    arguments
}

/// Returns the command line, with help that fits kubectl.
fn command() -> Command {
    adapted(PluginCli::command())
}

fn adapted(command: Command) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    let examples = command.get_after_help().map(|text| {
        text.to_string()
            .replace("nadmit ", &format!("{TYPED} "))
            .replace(" --cluster", "")
    });
    let mut command = command.mut_args(adapted_arg);
    if let Some(examples) = examples {
        command = command.after_help(examples);
    }
    for name in names {
        command = command.mut_subcommand(name, adapted);
    }
    command
}

fn adapted_arg(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        id if HIDDEN.contains(&id) => arg.hide(true),
        "format" => arg.short('o').visible_alias("output"),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn commands_on_a_cluster_need_no_option_for_it() {
        let table = [
            ("kubectl-nadmit pools", "kubectl-nadmit pools --cluster"),
            (
                "kubectl-nadmit pools storage --map",
                "kubectl-nadmit pools --cluster storage --map",
            ),
            (
                "kubectl-nadmit describe pod db-0 -n db",
                "kubectl-nadmit describe pod --cluster db-0 -n db",
            ),
            (
                "kubectl-nadmit explain unknown-network",
                "kubectl-nadmit explain unknown-network",
            ),
            ("kubectl-nadmit --help", "kubectl-nadmit --help"),
            ("kubectl-nadmit", "kubectl-nadmit"),
        ];
        for (given, expected) in table {
            assert_eq!(on_cluster(words(given)), words(expected), "{given}");
        }
    }

    #[test]
    fn the_flags_of_kubectl_are_accepted() {
        for line in [
            "kubectl-nadmit pools -o wide --context lab",
            "kubectl-nadmit allocations -A -o yaml",
            "kubectl-nadmit allocations -n db -l app=db -o json",
            "kubectl-nadmit whois 192.0.2.1 -o json",
            "kubectl-nadmit describe pod db-0 -n db -o yaml",
            "kubectl-nadmit audit -A -o json",
            "kubectl-nadmit audit -o wide --kubeconfig lab.conf",
            "kubectl-nadmit check -n db -o yaml",
            "kubectl-nadmit check pod.yaml",
            "kubectl-nadmit explain --list",
        ] {
            let matches = command().try_get_matches_from(on_cluster(words(line)));
            let parsed = matches.and_then(|found| PluginCli::from_arg_matches(&found));
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
        let both =
            command().try_get_matches_from(on_cluster(words("kubectl-nadmit audit -A -n db")));
        assert!(both.is_err());
    }

    #[test]
    fn examples_and_usage_are_what_users_type() {
        fn check(command: &mut Command) {
            let usage = command.render_usage().to_string();
            let examples = command.get_after_help().map(ToString::to_string);
            let text = usage + &examples.unwrap_or_default();
            assert!(!text.contains("--cluster"), "{text}");
            for line in text.lines().filter(|line| line.contains("nadmit ")) {
                assert!(line.contains(TYPED), "{line}");
            }
            command.get_subcommands_mut().for_each(check);
        }
        let mut plugin = command();
        plugin.build();
        check(&mut plugin);
    }

    #[test]
    fn the_program_is_known_by_its_name() {
        let of = |path: &str| PluginProgram::of(Path::new(path));
        assert_eq!(of("/usr/local/bin/nadmit"), None);
        assert_eq!(of("kubectl-nadmit"), Some(PluginProgram::Plugin));
        assert_eq!(of("/opt/kubectl-nadmit"), Some(PluginProgram::Plugin));
        assert_eq!(
            of("/opt/kubectl_complete-nadmit"),
            Some(PluginProgram::Completer)
        );
    }
}
