//! `nadmit check`: checks manifests and the objects of a cluster without a server.

mod cluster;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};

use super::output::ProgressLine;
use crate::{
    check::{self, CheckOptions, CheckOutcome, ClusterScope, OutputFormat},
    config::Config,
    rules::{Policy, Profile},
    sources,
};

/// Environment variable with the path of the settings; the server uses the same.
const CONFIG_VARIABLE: &str = "NADMIT_CONFIG";

/// Exit code if something is denied.
const EXIT_DENIED: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// Arguments of `nadmit check`.
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
    /// All of them form one set: pods, workload templates and KubeVirt's VirtualMachines are checked
    /// against the NetworkAttachmentDefinitions, AddressPools, AddressReservations and Namespaces in it,
    /// and these against each other. Other kinds are ignored.
    #[arg(required_unless_present = "cluster", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    cluster: cluster::CheckClusterArgs,
    /// Output format
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = PossibleValuesParser::new(OutputFormat::ALL.map(OutputFormat::name))
            .try_map(|name| name.parse::<OutputFormat>())
    )]
    format: OutputFormat,
    /// The settings (nadmit.yaml) of the server, so that the check agrees with it; by default those of the
    /// environment variable NADMIT_CONFIG, else, with --cluster, of the ConfigMap nadmit-config
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The profile of default levels, instead of --config
    #[arg(
        long,
        value_name = "PROFILE",
        conflicts_with = "config",
        value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name))
            .try_map(|name| name.parse::<Profile>().map_err(|()| "no such profile"))
    )]
    profile: Option<Profile>,
    /// Deny unknown networks even in namespaces without any NetworkAttachmentDefinition in the input
    ///
    /// By default an unknown network is only a warning if no NetworkAttachmentDefinition of its namespace
    /// was read, because its manifests are likely elsewhere. If one was read, all are assumed to be in the
    /// input, and an unknown one is denied as on the server. Address pools are treated alike if no
    /// AddressPool was read, or not the Namespace that a selector refers to.
    #[arg(long)]
    strict_networks: bool,
}

/// Checks, prints the result, and returns the exit code.
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    match check(args) {
        Ok(outcome) => {
            let output = args.format.render(&outcome);
            // The reader may have closed the output.
            let _ = match args.format {
                OutputFormat::Human => anstream::stdout().write_all(output.as_bytes()),
                _ => std::io::stdout().write_all(output.as_bytes()),
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
    // A given profile takes precedence over the environment.
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
        isolation.fill_in(&mut policy);
    }
    if let (Some(found), true) = (&found, args.paths.is_empty()) {
        let examined = ClusterScope {
            server: found.server.clone(),
            context: found.context.clone(),
            namespace: args.cluster.namespace.clone(),
            unrelated: found.unrelated,
        };
        return Ok(check::check_cluster(found.files.clone(), examined, &policy));
    }
    let mut progress = ProgressLine::new();
    let files = check::gather(&args.paths, |done, count| {
        progress.show(|| format!("reading file {done} of {count}"));
    });
    progress.clear();
    let options = CheckOptions {
        // A cluster was read completely.
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

/// Returns the settings given by flags, if any.
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
