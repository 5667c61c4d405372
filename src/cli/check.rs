//! `nadmit check`: manifests judged without a server.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};

use crate::{
    check::{self, Format, Options, Outcome},
    config::Config,
    rules::{Policy, Profile},
};

/// Where the settings are, if no flag says it; the server's own variable.
const CONFIG_VARIABLE: &str = "NADMIT_CONFIG";

/// How it ended, for who reads the exit code.
const DENIED: u8 = 1;
const COULD_NOT_RUN: u8 = 2;
/// After how many milliseconds a terminal is told how far it is.
const PATIENCE: u128 = 1_000;

/// What to check, and how to say it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 when nothing is denied (warnings are no denials), 1 when something is, or when a \
manifest cannot be read as one, 2 when the check could not run: a wrong flag, a path that cannot \
be read, mistakes in --config.

Examples:
  nadmit check deploy/
  kustomize build overlays/prod | nadmit check -
  helm template my-chart | nadmit check --format github -")]
pub(super) struct CheckArgs {
    /// Files, folders (every *.yaml, *.yml and *.json below), or - for standard input
    ///
    /// All of them are one world: the NetworkAttachmentDefinitions, AddressPools, AddressReservations
    /// and Namespaces in them are those that pods, templates of workloads and KubeVirt's
    /// VirtualMachines, and they themselves, are checked against. Other kinds are passed over.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to say what is found
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name))
            .try_map(|name| name.parse::<Format>())
    )]
    format: Format,
    /// The settings (nadmit.yaml) of the server, so that the check says what it would; without it those
    /// of the environment variable NADMIT_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The levels to start from, instead of --config
    #[arg(
        long,
        value_name = "PROFILE",
        conflicts_with = "config",
        value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name))
            .try_map(|name| name.parse::<Profile>().map_err(|()| "no such profile"))
    )]
    profile: Option<Profile>,
    /// Deny networks that are not among what is read, even where no network of their namespace is
    ///
    /// Without it, a network that is unknown in a namespace of which no NetworkAttachmentDefinition
    /// was read at all is only warned of: its manifests are likely somewhere else. Where one was
    /// read, all are taken to be there, and an unknown one is denied as on the server. The same holds of
    /// address pools where no AddressPool was read, or not the Namespace that its selector is about.
    #[arg(long)]
    strict_networks: bool,
}

/// Checks, prints, and says by the exit code how it was.
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    match checked(args) {
        Ok(outcome) => {
            let told = args.format.tell(&outcome);
            // Nobody may be listening any more.
            let _ = match args.format {
                Format::Human => anstream::stdout().write_all(told.as_bytes()),
                _ => std::io::stdout().write_all(told.as_bytes()),
            };
            ExitCode::from(if outcome.is_denied() { DENIED } else { 0 })
        }
        Err(error) => {
            super::print_error(&error);
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

fn checked(args: &CheckArgs) -> anyhow::Result<Outcome> {
    // Who names a profile means it, whatever the environment says.
    let surrounding = || match args.profile {
        None => std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty()),
        Some(_) => None,
    };
    let config = args
        .config
        .clone()
        .or_else(|| surrounding().map(PathBuf::from));
    let policy = policy(config.as_deref(), args.profile)?;
    let mut progress = Progress::new();
    let files = check::gather(&args.paths, |done, count| progress.tell(done, count));
    progress.end();
    let options = Options {
        strict_networks: args.strict_networks,
    };
    Ok(check::run(files?, &policy, options))
}

fn policy(config: Option<&Path>, profile: Option<Profile>) -> anyhow::Result<Policy> {
    let Some(path) = config else {
        return Ok(Policy::of(profile.unwrap_or_default()));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--config {name}: cannot be read"))?;
    let config = Config::parse(&text, &name)
        .map_err(|errors| anyhow::anyhow!("--config {name} has mistakes:\n{errors}"))?;
    Ok(config.policy)
}

/// A line on a terminal that says how far it is, when it takes long.
struct Progress {
    begun: Instant,
    terminal: bool,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    fn tell(&mut self, done: usize, count: usize) {
        if self.terminal && self.begun.elapsed().as_millis() > PATIENCE {
            self.shown = true;
            let _ = write!(std::io::stderr(), "\rreading file {done} of {count}\x1b[K");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
