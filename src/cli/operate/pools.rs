//! `nadmit pools`: shows how full pools are; with `--map`, draws one of them.

use std::{io::IsTerminal as _, time::Duration};

use clap::Args;

use super::{OperatorCommand, Output, SourceArgs, backend::Backend, map, show};
use crate::{
    cli::output::{self, Align, DIM},
    inspect::{PoolRow, RangeRow, SlicesRow},
};

/// Refresh interval of `--watch`; longer for a cluster, where each refresh lists everything.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const CLUSTER_WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// Width of a bar, in characters.
const BAR_WIDTH: usize = 16;
/// Escape sequence that clears the terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Arguments of `nadmit pools`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit pools
  nadmit pools --watch
  nadmit pools storage --map
  nadmit pools --cluster
  nadmit pools --cluster IPPool/10.0.0.0-24 --map")]
pub(in crate::cli) struct PoolsArgs {
    /// Show only this pool; IPPool/NAME for one of Whereabouts
    #[arg(value_name = "POOL")]
    name: Option<String>,
    /// Draw the addresses of the pool: holders, reserved and free ones
    #[arg(long, requires = "name")]
    map: bool,
    /// Refresh every 2 seconds, with --cluster every 10
    #[arg(long, short)]
    watch: bool,
    /// Output format
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for PoolsArgs {
    async fn run(self) -> anyhow::Result<()> {
        loop {
            // Reopened each time: the server may start or stop, and its file must not stay locked.
            let page = self.page().await?;
            if self.watch && std::io::stdout().is_terminal() {
                output::print(CLEAR);
            }
            output::print(page);
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(self.period()).await;
        }
    }
}

impl PoolsArgs {
    fn period(&self) -> Duration {
        match self.from.cluster.cluster {
            true => CLUSTER_WATCH_INTERVAL,
            false => WATCH_INTERVAL,
        }
    }

    async fn page(&self) -> anyhow::Result<String> {
        let backend = Backend::open(&self.from).await?;
        let Some(name) = &self.name else {
            let rows = backend.pools().await?;
            return self.render(&rows, || table(&rows));
        };
        let found = backend.map(name).await?;
        if self.map {
            self.render(&found, || map::render(&found))
        } else {
            let rows = [found.pool];
            self.render(&rows, || table(&rows))
        }
    }

    fn render<T: serde::Serialize + ?Sized>(
        &self,
        value: &T,
        words: impl FnOnce() -> String,
    ) -> anyhow::Result<String> {
        match self.output {
            Output::Json => Ok(serde_json::to_string_pretty(value)? + "\n"),
            Output::Table => Ok(words()),
        }
    }
}

fn table(rows: &[PoolRow]) -> String {
    if rows.is_empty() {
        return "no address pools, and no allocations\n".to_owned();
    }
    let head = [
        ("POOL", Align::Left),
        ("RANGE", Align::Left),
        ("CAPACITY", Align::Right),
        ("USED", Align::Right),
        ("FREE", Align::Right),
        ("RESERVED", Align::Right),
        ("", Align::Left),
    ];
    let lines: Vec<Vec<String>> = rows.iter().flat_map(lines).collect();
    let mut page = output::table(&head, &lines);
    for row in rows {
        if let Some(slices) = &row.slices {
            page += &format!("{DIM}{}: {}{DIM:#}\n", row.name, in_slices(slices));
        }
        if let Some(note) = &row.note {
            page += &format!("{DIM}{}: {note}{DIM:#}\n", row.name);
        }
    }
    page
}

/// Describes the slices of a pool.
fn in_slices(slices: &SlicesRow) -> String {
    format!(
        "{} of {} claimed by nodes, {} in no slice of a node",
        show::count(slices.claimed),
        show::of(slices.all, "slice", "slices"),
        show::of(slices.free_outside, "free address", "free addresses")
    )
}

/// Returns a line for each range.
fn lines(row: &PoolRow) -> Vec<Vec<String>> {
    if row.ranges.is_empty() {
        let unknown = || "?".to_owned();
        return vec![vec![
            row.name.clone(),
            unknown(),
            unknown(),
            row.used.to_string(),
            unknown(),
            row.reserved.to_string(),
            String::new(),
        ]];
    }
    let ranges = row.ranges.iter().enumerate();
    let lines = ranges.map(|(at, range)| {
        let name = if at == 0 { row.name.as_str() } else { "" };
        line(name, range)
    });
    lines.collect()
}

fn line(name: &str, range: &RangeRow) -> Vec<String> {
    vec![
        name.to_owned(),
        range.range.clone(),
        show::count(range.capacity),
        range.used.to_string(),
        show::count(range.free),
        range.reserved.to_string(),
        show::fill(BAR_WIDTH, range),
    ]
}
