//! `nadmit pools`: how full they are; with `--map`, one of them as a picture.

use std::{io::IsTerminal as _, time::Duration};

use clap::Args;

use super::{
    From, Operate, Output,
    backend::Backend,
    map,
    show::{self, Align, DIM},
};
use crate::{cli::out, operate::PoolRow};

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_secs(2);
/// The characters of a bar.
const BAR: usize = 20;
/// Clears a terminal and goes to its beginning.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Which pools, and how to show them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nadmit pools
  nadmit pools --watch
  nadmit pools storage --map")]
pub(in crate::cli) struct PoolsArgs {
    /// This pool alone
    #[arg(value_name = "POOL")]
    name: Option<String>,
    /// Show who holds what, and the runs of free addresses
    #[arg(long, requires = "name")]
    map: bool,
    /// Look again every two seconds
    #[arg(long, short)]
    watch: bool,
    /// The form of the answer
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    from: From,
}

impl Operate for PoolsArgs {
    async fn run(self) -> anyhow::Result<()> {
        loop {
            // Asked anew each time: the server may come and go, and its file is not kept from it.
            let page = self.page().await?;
            if self.watch && std::io::stdout().is_terminal() {
                out::text(CLEAR);
            }
            out::text(page);
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

impl PoolsArgs {
    async fn page(&self) -> anyhow::Result<String> {
        let backend = Backend::open(&self.from).await?;
        let Some(name) = &self.name else {
            let rows = backend.pools().await?;
            return self.shown(&rows, || table(&rows));
        };
        let found = backend.map(name).await?;
        if self.map {
            self.shown(&found, || map::drawn(&found))
        } else {
            let rows = [found.pool];
            self.shown(&rows, || table(&rows))
        }
    }

    fn shown<T: serde::Serialize + ?Sized>(
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
        ("CAPACITY", Align::Right),
        ("USED", Align::Right),
        ("FREE", Align::Right),
        ("RESERVED", Align::Right),
        ("", Align::Left),
    ];
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    let mut page = show::table(&head, &lines);
    for row in rows {
        if let Some(note) = &row.note {
            page += &format!("{DIM}{}: {note}{DIM:#}\n", row.name);
        }
    }
    page
}

fn line(row: &PoolRow) -> Vec<String> {
    let known = |number: Option<u128>| number.map_or_else(|| "?".to_owned(), show::count);
    let (used, reserved) = (u128::from(row.used), u128::from(row.reserved));
    let bar = row.capacity.map(|capacity| {
        let percent = show::percent(capacity, used + reserved);
        let bar = show::bar(BAR, capacity, used, reserved);
        format!("{bar} {percent:>3} %")
    });
    vec![
        row.name.clone(),
        known(row.capacity),
        row.used.to_string(),
        known(row.free),
        row.reserved.to_string(),
        bar.unwrap_or_default(),
    ]
}
