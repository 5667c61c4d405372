//! Operators' commands: show pools and allocations, release, export, import.

mod allocations;
mod backend;
mod blocks;
mod client;
mod describe;
mod in_cluster;
mod map;
mod picture;
mod pools;
mod release;
mod rows;
mod show;
mod transfer;
mod whois;

use std::path::PathBuf;

use clap::Args;

use self::in_cluster::ClusterArgs;
pub(super) use self::{
    allocations::AllocationsArgs,
    describe::DescribeArgs,
    pools::PoolsArgs,
    release::ReleaseArgs,
    transfer::{ExportArgs, ImportArgs},
    whois::WhoisArgs,
};
use super::output::Output;

/// Arguments that select the server, file or cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source of data")]
struct SourceArgs {
    /// Data directory; asks its running server, else reads its file
    #[arg(
        long,
        env = "NADMIT_DATA_DIR",
        value_name = "DIR",
        default_value = "data"
    )]
    data_dir: PathBuf,
    /// Folder of manifests, to complete the file; a running server has its own
    #[arg(long, env = "NADMIT_MANIFESTS", value_name = "DIR")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// An operator's command.
pub(super) trait OperatorCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// The problem, its place, and the remedy.
    async fn run(self) -> anyhow::Result<()>;
}

/// Runs a command.
///
/// # Errors
/// The error of the command.
pub(super) fn run(command: impl OperatorCommand) -> anyhow::Result<()> {
    super::kube_args::runtime()?.block_on(command.run())
}
