//! Destination and format of log lines.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Directive that silences kube's client, which logs each failed connection, many per second while the API
/// server is unavailable; the watches log an outage once.
const SILENCED: &str = "kube_client::client::builder=off";

/// Arguments of logging.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Format of log lines on standard error
    #[arg(long, env = "NADMIT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    log_format: LogFormat,
    /// Log filter: a level, or directives such as "info,nadmit::server=debug"
    #[arg(
        long,
        env = "NADMIT_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Pretty,
    /// One JSON object per line
    Json,
}

impl LogArgs {
    /// Format of log lines.
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
            // If standard error was closed, reporting that there would panic.
            .log_internal_errors(false)
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Pretty => logs.with_target(false).init(),
            LogFormat::Json => logs.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
