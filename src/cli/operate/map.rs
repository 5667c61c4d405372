//! `nadmit pools NAME --map`: draws a pool.
//!
//! A small range is drawn as a grid with a character for each address, and a legend. A larger one is a grid
//! of blocks, shaded by usage, and the list of its runs. For the largest only the list is printed.

use super::{
    blocks::render_blocks,
    picture::{FREE, Groups, KEPT, MapGroup, follows, owner},
    rows::{CELLS_PER_ROW, GridSize, label_width, line, ruler},
    show,
};
use crate::{
    allocation::Address,
    cli::output::{BOLD, DIM, YELLOW},
    inspect::{AddressRun, AddressState, PoolMap, PoolRow, RangeMap, RangeRow},
};

/// Largest range with a cell for each address.
const MAX_GRID_ADDRESSES: u128 = 1024;
/// Largest range that is drawn as blocks.
const MAX_BLOCK_ADDRESSES: u128 = 1 << 20;
/// Largest number of lines of a legend or list.
const MAX_LINES: usize = 40;
/// Width of the bar, in characters.
const BAR_WIDTH: usize = 40;
/// Largest width of a name in a legend.
const MAX_LABEL_WIDTH: usize = 36;
/// Smallest width of a name in a list.
const MIN_LABEL_WIDTH: usize = 20;
/// Width of the output.
const PAGE_WIDTH: usize = 80;

/// Draws a pool.
pub(super) fn render(map: &PoolMap) -> String {
    let mut page = head(&map.pool);
    for range in &map.ranges {
        page += &format!("\n{BOLD}{}{BOLD:#}", range.range);
        let known = map.pool.ranges.iter().find(|row| row.range == range.range);
        page += &known.map(fill).unwrap_or_default();
        page.push('\n');
        page += &match (size(range), map.pool.capacity) {
            (1..=MAX_GRID_ADDRESSES, Some(_)) => grid(range, &map.pool.name),
            (size @ 1..=MAX_BLOCK_ADDRESSES, Some(_)) => {
                render_blocks(range, size) + "\n" + &list(range, &map.pool.name)
            }
            _ => list(range, &map.pool.name),
        };
    }
    page
}

fn head(pool: &PoolRow) -> String {
    let mut page = format!("pool {BOLD}{}{BOLD:#}", pool.name);
    if !pool.network_name.is_empty() {
        page += &format!(" {DIM}in address space {:?}{DIM:#}", pool.network_name);
    }
    page.push('\n');
    if let Some(note) = &pool.note {
        page += &format!("{YELLOW}{note}{YELLOW:#}\n");
    }
    page
}

/// Describes the usage of a range.
fn fill(range: &RangeRow) -> String {
    let capacity = show::of(range.capacity, "address", "addresses");
    let (used, reserved) = (range.used, range.reserved);
    let free = show::count(range.free);
    let bar = show::fill(BAR_WIDTH, range);
    format!("  {used} of {capacity} used, {reserved} reserved, {free} free\n{bar}\n")
}

fn size(range: &RangeMap) -> u128 {
    let (first, last) = (range.runs.first(), range.runs.last());
    first.zip(last).map_or(0, |(first, last)| {
        let length = last.last.number().saturating_sub(first.first.number());
        length.saturating_add(1)
    })
}

/// Draws a character for each address.
fn grid(range: &RangeMap, pool: &str) -> String {
    let groups = Groups::of(&range.runs);
    let mut cells: Vec<(Address, &MapGroup)> = Vec::new();
    for (run, at) in range.runs.iter().zip(&groups.of_run) {
        let family = run.first.family();
        let numbers = run.first.number()..=run.last.number();
        cells.extend(numbers.map(|number| (family.address(number), &groups.all[*at])));
    }
    let width = label_width(
        cells
            .chunks(CELLS_PER_ROW)
            .filter_map(|row| row.first())
            .map(|c| c.0),
    );
    let size = GridSize {
        label_width: width,
        cells: cells.len(),
    };
    let mut page = ruler(width, cells.len());
    for row in cells.chunks(CELLS_PER_ROW) {
        let Some((first, _)) = row.first() else {
            continue;
        };
        let signs = row.iter().map(|(_, group)| (group.sign, group.style));
        let free = row.iter().filter(|(_, group)| group.sign == FREE).count();
        let note = match free {
            0 => String::new(),
            free => format!("{free:>2} free"),
        };
        page += &line(&first.to_string(), size, signs, &note);
    }
    page + "\n" + &legend(&groups, pool)
}

/// Explains each character and lists its addresses.
fn legend(groups: &Groups, pool: &str) -> String {
    let all = groups.legend();
    let counts = all.iter().map(|group| show::count(group.count).len());
    let digits = counts.max().unwrap_or_default();
    let labels = all.iter().map(|group| group.label.chars().count());
    let width = labels.max().unwrap_or_default().min(MAX_LABEL_WIDTH);
    let mut page = String::new();
    for group in all.iter().take(MAX_LINES) {
        let MapGroup { sign, style, .. } = group;
        let spans: Vec<String> = group.spans.iter().map(|s| show::span(s.0, s.1)).collect();
        let width_left = PAGE_WIDTH.saturating_sub(digits + width + 9);
        page += &format!(
            "  {style}{sign}{style:#}  {:>digits$}  {:<width$}  {DIM}{}{DIM:#}\n",
            show::count(group.count),
            show::shortened(&group.label, MAX_LABEL_WIDTH),
            show::some_of(&spans, width_left),
        );
    }
    page + &more_line(
        all.len(),
        &format!("to list all: nadmit allocations --pool {pool}"),
    )
}

/// Lists the runs; adjacent runs of one owner are joined.
fn list(range: &RangeMap, pool: &str) -> String {
    let runs = join_runs(&range.runs);
    let spans: Vec<String> = runs
        .iter()
        .map(|run| show::span(run.first, run.last))
        .collect();
    let shown = spans
        .iter()
        .take(MAX_LINES)
        .map(|span| span.chars().count());
    let width = shown.max().unwrap_or_default();
    let counts: Vec<String> = runs.iter().map(|run| show::count(run.count())).collect();
    let digits = counts.iter().take(MAX_LINES).map(String::len).max();
    let digits = digits.unwrap_or_default();
    let width_left = PAGE_WIDTH
        .saturating_sub(width + digits + 6)
        .max(MIN_LABEL_WIDTH);
    let mut page = String::new();
    for ((run, span), count) in runs.iter().zip(&spans).zip(&counts).take(MAX_LINES) {
        let style = match run.common {
            true => DIM,
            false => anstyle::Style::new(),
        };
        page += &format!(
            "{style}  {span:<width$}  {count:>digits$}  {}{style:#}\n",
            show::shortened(&run.label, width_left)
        );
    }
    let all = format!("for all: nadmit pools {pool} --map -o json");
    page + &more_line(runs.len(), &all)
}

/// A line of the list.
struct ListedRun {
    first: Address,
    last: Address,
    owner: String,
    label: String,
    common: bool,
}

impl ListedRun {
    fn count(&self) -> u128 {
        let length = self.last.number().saturating_sub(self.first.number());
        length.saturating_add(1)
    }
}

fn join_runs(runs: &[AddressRun]) -> Vec<ListedRun> {
    let mut all: Vec<ListedRun> = Vec::new();
    for run in runs {
        let (owner, label) = match &run.state {
            AddressState::Free => ("free".to_owned(), "free".to_owned()),
            AddressState::Never(why) => (why.clone(), format!("never: {why}")),
            AddressState::Reserved(by) => {
                let label = format!("reservation {}/{}", by.namespace, by.name);
                (label.clone(), label)
            }
            AddressState::Held { holder, .. }
            | AddressState::Recorded {
                holder: Some(holder),
                ..
            } => (owner(holder), owner(holder)),
            AddressState::Recorded { holder: None, .. } => (KEPT.to_owned(), KEPT.to_owned()),
        };
        match all.last_mut() {
            Some(last) if last.owner == owner && follows(last.last, run.first) => {
                last.last = run.last;
            }
            _ => all.push(ListedRun {
                first: run.first,
                last: run.last,
                owner,
                label,
                common: matches!(run.state, AddressState::Free | AddressState::Never(_)),
            }),
        }
    }
    all
}

fn more_line(lines: usize, advice: &str) -> String {
    match lines.saturating_sub(MAX_LINES) {
        0 => String::new(),
        more => format!("{DIM}  … and {more} more; {advice}{DIM:#}\n"),
    }
}
