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
            return self.render(&rows, || self.table(&rows));
        };
        let found = backend.map(name).await?;
        if self.map {
            self.render(&found, || map::render(&found))
        } else {
            let rows = [found.pool];
            self.render(&rows, || self.table(&rows))
        }
    }

    fn render<T: serde::Serialize>(
        &self,
        value: &T,
        words: impl FnOnce() -> String,
    ) -> anyhow::Result<String> {
        Ok(self.output.serialized(value)?.unwrap_or_else(words))
    }

    fn table(&self, rows: &[PoolRow]) -> String {
        match self.output {
            Output::Wide => table(&WIDE, rows),
            _ => table(&COLUMNS, rows),
        }
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Pool,
    Kind,
    NetworkName,
    Range,
    Capacity,
    Used,
    Free,
    Reserved,
    Macs,
    Bar,
}

const COLUMNS: [Column; 7] = [
    Column::Pool,
    Column::Range,
    Column::Capacity,
    Column::Used,
    Column::Free,
    Column::Reserved,
    Column::Bar,
];
const WIDE: [Column; 10] = [
    Column::Pool,
    Column::Kind,
    Column::NetworkName,
    Column::Range,
    Column::Capacity,
    Column::Used,
    Column::Free,
    Column::Reserved,
    Column::Macs,
    Column::Bar,
];

impl Column {
    fn title(self) -> (&'static str, Align) {
        match self {
            Self::Pool => ("POOL", Align::Left),
            Self::Kind => ("KIND", Align::Left),
            Self::NetworkName => ("NETWORK NAME", Align::Left),
            Self::Range => ("RANGE", Align::Left),
            Self::Capacity => ("CAPACITY", Align::Right),
            Self::Used => ("USED", Align::Right),
            Self::Free => ("FREE", Align::Right),
            Self::Reserved => ("RESERVED", Align::Right),
            Self::Macs => ("MACS", Align::Left),
            Self::Bar => ("", Align::Left),
        }
    }

    /// Returns the cell of a pool whose ranges are unknown.
    fn without_range(self, row: &PoolRow) -> String {
        match self {
            Self::Pool | Self::Kind | Self::NetworkName | Self::Macs => self.of_pool(row),
            Self::Used => row.used.to_string(),
            Self::Reserved => row.reserved.to_string(),
            Self::Range | Self::Capacity | Self::Free => "?".to_owned(),
            Self::Bar => String::new(),
        }
    }

    /// Returns the cell of a range.
    fn of_range(self, range: &RangeRow) -> String {
        match self {
            Self::Range => range.range.clone(),
            Self::Capacity => show::count(range.capacity),
            Self::Used => range.used.to_string(),
            Self::Free => show::count(range.free),
            Self::Reserved => range.reserved.to_string(),
            Self::Bar => show::fill(BAR_WIDTH, range),
            Self::Pool | Self::Kind | Self::NetworkName | Self::Macs => String::new(),
        }
    }

    /// Returns the cell of a column that is the same for all ranges of a pool.
    fn of_pool(self, row: &PoolRow) -> String {
        let or_dash = |text: &str| match text {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        match self {
            Self::Pool => row.name.clone(),
            Self::Kind => row.kind.name().to_owned(),
            Self::NetworkName => or_dash(&row.network_name),
            Self::Macs => or_dash(row.macs.as_deref().unwrap_or_default()),
            _ => String::new(),
        }
    }

    /// Returns true if the column is the same for all ranges of a pool.
    fn is_of_pool(self) -> bool {
        matches!(
            self,
            Self::Pool | Self::Kind | Self::NetworkName | Self::Macs
        )
    }
}

fn table(columns: &[Column], rows: &[PoolRow]) -> String {
    if rows.is_empty() {
        return "no address pools, and no allocations\n".to_owned();
    }
    let head: Vec<(&str, Align)> = columns.iter().map(|one| one.title()).collect();
    let lines = rows.iter().flat_map(|row| lines(columns, row));
    let lines: Vec<Vec<String>> = lines.collect();
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
fn lines(columns: &[Column], row: &PoolRow) -> Vec<Vec<String>> {
    if row.ranges.is_empty() {
        let cells = columns.iter().map(|column| column.without_range(row));
        return vec![cells.collect()];
    }
    let ranges = row.ranges.iter().enumerate();
    let lines = ranges.map(|(at, range)| {
        let cells = columns.iter().map(|column| match column.is_of_pool() {
            true if at == 0 => column.of_pool(row),
            true => String::new(),
            false => column.of_range(range),
        });
        cells.collect()
    });
    lines.collect()
}
