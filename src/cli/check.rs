//! `nadmit check`: checks manifests and the objects of a cluster without a server.

mod cluster;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _},
};

use super::{kube_args::KubeArgs, kubectl::Namespaced, output::ProgressLine};
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
const EXIT_FAILED: u8 = super::audit::EXIT_FAILED;

/// Arguments of `nadmit check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 if nothing is denied (there may be warnings), 1 if something is denied or a manifest \
is invalid, 2 if the check cannot run: a wrong flag, a path that cannot be read, errors in --config, \
a cluster that does not respond or denies access.

Examples:
  nadmit check deploy/
  kustomize build overlays/prod | nadmit check -
  helm template my-chart | nadmit check --format github -
  nadmit check --cluster deploy/          check files against the cluster
  nadmit check --cluster                  check the objects of the cluster")]
pub(super) struct CheckArgs {
    /// Files, folders (all *.yaml, *.yml and *.json below), or - for standard input
    ///
    /// All inputs form one set. Pods, workload templates and KubeVirt VMs are checked against the
    /// NetworkAttachmentDefinitions, AddressPools, AddressReservations and Namespaces in it, and these
    /// against each other. Other kinds are ignored.
    #[arg(required_unless_present = "cluster", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    cluster: cluster::CheckClusterArgs,
    /// Output format
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        value_parser = PossibleValuesParser::new(formats())
            .try_map(|name| name.parse::<OutputFormat>())
    )]
    format: OutputFormat,
    /// Settings file of the server (nadmit.yaml) [default: $NADMIT_CONFIG]
    ///
    /// With the settings of the server, the check agrees with the server. If no file is named, --cluster
    /// uses the ConfigMap nadmit-config.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Profile of default levels, instead of --config
    #[arg(
        long,
        value_name = "PROFILE",
        conflicts_with = "config",
        value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name))
            .try_map(|name| name.parse::<Profile>().map_err(|()| "no such profile"))
    )]
    profile: Option<Profile>,
    /// Deny an unknown network even if the input has no network of its namespace
    ///
    /// By default, such a network is only a warning, because its manifests are probably elsewhere. If the
    /// input has one NetworkAttachmentDefinition of the namespace, it is expected to have all of them: then
    /// an unknown network is denied, as on the server. The same holds for address pools, if the input has
    /// no AddressPool, or not the Namespace that a selector refers to.
    #[arg(long)]
    strict_networks: bool,
}

/// Returns the values of `--format`.
fn formats() -> Vec<PossibleValue> {
    let values = OutputFormat::ALL.into_iter().map(|format| {
        let value = PossibleValue::new(format.name());
        match format {
            OutputFormat::Human => value.aliases(OutputFormat::FOR_PEOPLE),
            _ => value,
        }
    });
    values.collect()
}

impl Namespaced for CheckArgs {
    fn namespace(&mut self) -> Option<&mut Option<String>> {
        // Files are checked as a whole.
        self.paths.is_empty().then_some(&mut self.cluster.namespace)
    }

    fn kube(&self) -> &KubeArgs {
        &self.cluster.kube
    }
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
        .map_err(|errors| anyhow::anyhow!("--config {name} has errors:\n{errors}"))?;
    Ok(Some(config.policy))
}
