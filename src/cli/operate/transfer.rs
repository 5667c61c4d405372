//! `nadmit export` and `nadmit import`: all allocations as JSON Lines.

use std::{fs, io::Read as _, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{OperatorCommand, SourceArgs, backend::Backend};
use crate::{cli::output, ledger::OlderLedger};

/// Largest import, in bytes; the server's limit.
const MAX_IMPORT_BYTES: u64 = 1 << 30;

/// Arguments of `nadmit export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit export > allocations.jsonl
  nadmit export --cluster --context old | nadmit import --cluster --context new -
  nadmit import --data-dir elsewhere allocations.jsonl")]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    from: SourceArgs,
}

/// Arguments of `nadmit import`.
#[derive(Debug, Args)]
#[command(after_help = "\
All or nothing: if one address is already allocated, nothing is imported. If there is no server and \
no allocation file, the file is created.

With --cluster, allocations are created one by one. After an error, the created ones stay; import the \
same file again to continue.")]
pub(in crate::cli) struct ImportArgs {
    /// Output of nadmit export, or - for standard input
    file: PathBuf,
    /// Import even if allocations.redb is missing or lacks acknowledged writes
    ///
    /// Use it to restore an export.
    #[arg(long, conflicts_with = "cluster")]
    accept_older_ledger: bool,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for ExportArgs {
    async fn run(self) -> anyhow::Result<()> {
        let backend = Backend::open(&self.from).await?;
        backend.export(std::io::stdout()).await
    }
}

impl OperatorCommand for ImportArgs {
    async fn run(self) -> anyhow::Result<()> {
        let lines = self.lines()?;
        let older = match self.accept_older_ledger {
            true => OlderLedger::Accept,
            false => OlderLedger::Refuse,
        };
        let backend = Backend::open_or_make(&self.from, older).await?;
        let file = self.file.display();
        let count = backend
            .import(lines)
            .await
            .with_context(|| file.to_string())?;
        output::print_line(format_args!("{count} allocations imported from {file}"));
        Ok(())
    }
}

impl ImportArgs {
    fn lines(&self) -> anyhow::Result<Vec<u8>> {
        if self.file.as_os_str() == "-" {
            return read_limited(std::io::stdin().lock()).context("standard input");
        }
        let file = fs::File::open(&self.file).map_err(anyhow::Error::new);
        let lines = file.and_then(read_limited);
        lines.with_context(|| format!("cannot read {}", self.file.display()))
    }
}

/// Reads at most what a server accepts in one request.
fn read_limited(from: impl std::io::Read) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    from.take(MAX_IMPORT_BYTES + 1).read_to_end(&mut lines)?;
    if lines.len() as u64 > MAX_IMPORT_BYTES {
        anyhow::bail!(
            "the input is larger than {} MiB; import it in parts",
            MAX_IMPORT_BYTES >> 20
        );
    }
    Ok(lines)
}
