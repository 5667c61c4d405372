//! `nadmit whereabouts`: what nadmit keeps in the records of Whereabouts.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{
    cluster::NadmitNamespaceArgs,
    kube_args::{self, KubeArgs},
    output::{self, GREEN, YELLOW},
};
use crate::{
    catalog::WhereaboutsMode,
    install::{self, KeptAddress, ReleasedAddress},
    sources::Cluster,
};

/// Command that gives everything back, for messages.
pub(super) const RELEASE: &str = "nadmit whereabouts release --all";
/// Exit code if nadmit still keeps something.
const EXIT_LEFT: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// Arguments of `nadmit whereabouts`.
#[derive(Debug, Args)]
pub(super) struct WhereaboutsArgs {
    #[command(subcommand)]
    command: WhereaboutsCommand,
}

#[derive(Debug, Subcommand)]
enum WhereaboutsCommand {
    /// Give the records of Whereabouts back to its plugin, without a server
    Release(ReleaseArgs),
}

/// Arguments of `nadmit whereabouts release`.
#[derive(Debug, Args)]
#[command(mut_arg("nadmit_namespace", |arg| arg.help("Namespace of nadmit, with its ConfigMap nadmit-config")))]
#[command(after_help = "\
Running pods keep their addresses, and their end frees them. Addresses that nadmit holds without a pod become \
free. nadmit's own allocations stay; nadmit deletes them when it runs again in mode observe.

Exit codes: 0 if nothing of Whereabouts names nadmit any more, 1 if something does, or the settings say \
whereabouts: serve and a replica runs, 2 if the cluster cannot be read.")]
struct ReleaseArgs {
    /// Required: release all addresses
    #[arg(long)]
    all: bool,
    /// Release even if the settings say whereabouts: serve and a replica runs
    #[arg(long)]
    force: bool,
    /// Seconds to try
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u16,
    #[command(flatten)]
    kube: KubeArgs,
    #[command(flatten)]
    nadmit: NadmitNamespaceArgs,
}

/// Runs the command, and returns the exit code.
pub(super) fn run(args: &WhereaboutsArgs) -> ExitCode {
    let WhereaboutsCommand::Release(args) = &args.command;
    let outcome = kube_args::runtime().and_then(|runtime| runtime.block_on(args.run()));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Left) => ExitCode::from(EXIT_LEFT),
        Err(error) => {
            super::print_error(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// The outcome of a release.
enum Outcome {
    /// Nothing of Whereabouts names nadmit.
    Done,
    /// Something does, or the release was refused.
    Left,
}

impl ReleaseArgs {
    async fn run(&self) -> anyhow::Result<Outcome> {
        anyhow::ensure!(
            self.all,
            "--all is missing: this command releases all addresses; to release one, run nadmit release ADDRESS"
        );
        let cluster = self.kube.connect().await?;
        if !self.force
            && let Some(refusal) = self.refusal(&cluster).await?
        {
            super::print_error(&anyhow::anyhow!(refusal));
            return Ok(Outcome::Left);
        }
        let timeout = Duration::from_secs(self.timeout.into());
        let left = release(&cluster, timeout).await?;
        if left.is_empty() {
            output::print_line("nothing of Whereabouts names nadmit");
            return Ok(Outcome::Done);
        }
        print_left(&left);
        Ok(Outcome::Left)
    }

    /// Returns the reason why a replica would write again what is released.
    async fn refusal(&self, cluster: &Cluster) -> anyhow::Result<Option<String>> {
        let settings = self.nadmit.settings(cluster).await?;
        let mode = settings.map(|found| found.policy.pool_derivation.whereabouts);
        if mode != Some(WhereaboutsMode::Serve) {
            return Ok(None);
        }
        let replicas = install::count_replicas(&cluster.client(), self.nadmit.name()).await?;
        Ok((replicas > 0).then(|| {
            format!(
                "nothing is released: ConfigMap {}/nadmit-config says whereabouts: serve, and {replicas} \
                 replicas of nadmit would write it again; to cease serving, run nadmit install --whereabouts \
                 observe, which releases everything; to release it anyway, add --force",
                self.nadmit.name()
            )
        }))
    }
}

/// Releases everything, and prints each address. Returns what nadmit still keeps.
///
/// # Errors
/// When the cluster cannot be read.
pub(super) async fn release(
    cluster: &Cluster,
    timeout: Duration,
) -> anyhow::Result<Vec<KeptAddress>> {
    let print = |one: &ReleasedAddress| match one.left_to {
        Some(_) => output::print_line(format_args!("{GREEN}left{GREEN:#}     {one}")),
        None => output::print_line(format_args!("{YELLOW}freed{YELLOW:#}    {one}")),
    };
    let left = install::release_whereabouts(cluster, timeout, print).await;
    left.context("cannot release what nadmit keeps in Whereabouts's records")
}

/// Prints what nadmit still keeps.
pub(super) fn print_left(left: &[KeptAddress]) {
    for one in left {
        super::print_warning(format_args!("nadmit still keeps {one}"));
    }
}
