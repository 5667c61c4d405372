//! Where log lines go, and in which form.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The client reports each connection that fails, many a second while the API server is away; the watches
/// report it once a pass.
const SILENCED: &str = "kube_client::client::builder=off";

/// How to log.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The form of log lines, which go to standard error
    #[arg(long, env = "NADMIT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    log_format: LogFormat,
    /// What to log: a level, or directives such as "info,nadmit::server=debug"
    #[arg(
        long,
        env = "NADMIT_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Pretty,
    /// One JSON object a line
    Json,
}

impl LogArgs {
    /// The form of log lines.
    pub(super) fn format(&self) -> LogFormat {
        self.log_format
    }

    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let directives = format!("{SILENCED},{}", self.log);
        let filter = EnvFilter::builder().parse(directives).with_context(|| {
            format!(
                "--log {:?} is not a valid filter; write a level such as \"info\"",
                self.log
            )
        })?;
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            // Whoever closes standard error early has read enough; reporting that there would panic.
            .log_internal_errors(false)
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Pretty => logs.with_target(false).init(),
            LogFormat::Json => logs.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
