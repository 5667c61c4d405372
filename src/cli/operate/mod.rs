//! The commands of who operates nadmit: see pools and allocations, free, export, import.

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

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::in_cluster::ClusterArgs;
pub(super) use self::{
    allocations::AllocationsArgs,
    describe::DescribeArgs,
    pools::PoolsArgs,
    release::ReleaseArgs,
    transfer::{ExportArgs, ImportArgs},
    whois::WhoisArgs,
};
use super::out;

/// Whom to ask.
#[derive(Debug, Clone, Args)]
struct SourceArgs {
    /// Where allocations are kept: the running server there is asked, else its file is read
    #[arg(
        long,
        env = "NADMIT_DATA_DIR",
        value_name = "DIR",
        default_value = "data"
    )]
    data_dir: PathBuf,
    /// The folder of manifests, for what the file alone does not tell; a running server knows its own
    #[arg(long, env = "NADMIT_MANIFESTS", value_name = "DIR")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// One command of these.
pub(super) trait OperatorCommand {
    /// Carries it out.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    async fn run(self) -> anyhow::Result<()>;
}

/// Carries out a command.
///
/// # Errors
/// The command's.
pub(super) fn run(command: impl OperatorCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command.run())
}

/// Prints an answer for programs.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    out::line(serde_json::to_string_pretty(value)?);
    Ok(())
}
