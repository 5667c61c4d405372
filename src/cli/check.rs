//! `nadmit check`: manifests, and what a cluster holds, judged without a server.

mod cluster;
mod progress;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};

use crate::{
    check::{self, CheckOptions, CheckOutcome, ClusterScope, OutputFormat},
    config::Config,
    rules::{Policy, Profile},
    sources,
};

pub(super) use self::progress::ProgressLine;

/// Where the settings are, if no flag says it; the server's own variable.
const CONFIG_VARIABLE: &str = "NADMIT_CONFIG";

/// How it ended, for who reads the exit code.
const EXIT_DENIED: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// What to check, and how to say it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 when nothing is denied (warnings are not denials), 1 when something is, or when a \
manifest cannot be read as one, 2 when the check could not run: a wrong flag, a path that cannot \
be read, mistakes in --config, a cluster that does not answer or may not be read.

Examples:
  nadmit check deploy/
  kustomize build overlays/prod | nadmit check -
  helm template my-chart | nadmit check --format github -
  nadmit check --cluster deploy/          what of these files the cluster would refuse
  nadmit check --cluster                  what nadmit would refuse of what is in the cluster")]
pub(super) struct CheckArgs {
    /// Files, folders (every *.yaml, *.yml and *.json below), or - for standard input
    ///
    /// All of them are one world: the NetworkAttachmentDefinitions, AddressPools, AddressReservations
    /// and Namespaces in them are those that pods, templates of workloads and KubeVirt's
    /// VirtualMachines, and they themselves, are checked against. Other kinds are passed over.
    #[arg(required_unless_present = "cluster", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    cluster: cluster::CheckClusterArgs,
    /// How to say what is found
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = PossibleValuesParser::new(OutputFormat::ALL.map(OutputFormat::name))
            .try_map(|name| name.parse::<OutputFormat>())
    )]
    format: OutputFormat,
    /// The settings (nadmit.yaml) of the server, so that the check says what it would; without it those
    /// of the environment variable NADMIT_CONFIG, else, with --cluster, of the ConfigMap nadmit-config
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
    match check(args) {
        Ok(outcome) => {
            let told = args.format.render(&outcome);
            // Nobody may be listening any more.
            let _ = match args.format {
                OutputFormat::Human => anstream::stdout().write_all(told.as_bytes()),
                _ => std::io::stdout().write_all(told.as_bytes()),
            };
            ExitCode::from(if outcome.is_denied() { EXIT_DENIED } else { 0 })
        }
        Err(error) => {
            super::print_error(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<CheckOutcome> {
    // Who names a profile means it, whatever the environment says.
    let surrounding = || match args.profile {
        None => std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty()),
        Some(_) => None,
    };
    let config = args
        .config
        .clone()
        .or_else(|| surrounding().map(PathBuf::from));
    let written = policy(config.as_deref(), args.profile)?;
    let found = args.cluster.read(args.paths.is_empty(), written.as_ref())?;
    let of_cluster = || found.as_ref().and_then(|found| found.policy.clone());
    let mut policy = written.or_else(of_cluster).unwrap_or_default();
    if let Some(isolation) = found.as_ref().and_then(|found| found.isolation.as_ref()) {
        isolation.suit(&mut policy);
    }
    if let (Some(found), true) = (&found, args.paths.is_empty()) {
        let examined = ClusterScope {
            server: found.server.clone(),
            context: found.context.clone(),
            namespace: args.cluster.namespace.clone(),
            unrelated: found.silent,
        };
        return Ok(check::check_cluster(found.files.clone(), examined, &policy));
    }
    let mut progress = ProgressLine::new();
    let files = check::gather(&args.paths, |done, count| {
        progress.render(|| format!("reading file {done} of {count}"));
    });
    progress.clear();
    let options = CheckOptions {
        // Of a cluster everything was read.
        strict_networks: args.strict_networks || found.is_some(),
    };
    let surroundings = found.map(|found| found.files).unwrap_or_default();
    Ok(check::run_in_cluster(
        files?,
        &surroundings,
        &policy,
        options,
    ))
}

/// The settings that were written for the check, if any were.
fn policy(config: Option<&Path>, profile: Option<Profile>) -> anyhow::Result<Option<Policy>> {
    let Some(path) = config else {
        return Ok(profile.map(Policy::of));
    };
    let name = path.display().to_string();
    let text = sources::read_file(path, &name).context("--config")?;
    let config = Config::parse(&text, &name)
        .map_err(|errors| anyhow::anyhow!("--config {name} has mistakes:\n{errors}"))?;
    Ok(Some(config.policy))
}
