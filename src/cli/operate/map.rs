//! `nadmit pools NAME --map`: a pool as a picture.
//!
//! A small range is a grid with a sign for each address, and a legend. A larger one is a grid of
//! blocks, shaded by how much of each is taken, and the list of its runs; of one that is too large
//! for that, the list alone.

use super::{
    picture::{FREE, Group, Groups, NEVER, follows, owner},
    show::{self, BOLD, DIM, GREEN, RED, YELLOW},
};
use crate::{
    allocation::Address,
    operate::{PoolMap, PoolRow, RangeMap, Run, What},
};

/// The cells of a row, and how many stand together.
const ROW: usize = 32;
const TOGETHER: usize = 8;
/// The most addresses that have a cell each.
const SINGLE: u128 = 1024;
/// The most cells of blocks, and the most addresses that blocks are made of.
const BLOCKS: u128 = 256;
const BLOCKED: u128 = 1 << 20;
/// The most lines of a legend or a list.
const LINES: usize = 40;
/// The characters of the bar.
const BAR: usize = 40;
/// The longest name in a legend.
const LABEL: usize = 40;

/// The picture.
pub(super) fn drawn(map: &PoolMap) -> String {
    let mut page = head(&map.pool);
    for range in &map.ranges {
        page += &format!("\n{BOLD}{}{BOLD:#}\n", range.range);
        let size = size(range);
        let known = map.pool.capacity.is_some();
        page += &match size {
            1..=SINGLE if known => grid(range, &map.pool.name),
            1..=BLOCKED if known => blocks(range, size) + "\n" + &list(range, &map.pool.name),
            _ => list(range, &map.pool.name),
        };
    }
    page
}

fn head(pool: &PoolRow) -> String {
    let (used, reserved) = (u128::from(pool.used), u128::from(pool.reserved));
    let mut page = format!("{BOLD}{}{BOLD:#}  ", pool.name);
    if !pool.network_name.is_empty() {
        page += &format!("{DIM}address space {:?}{DIM:#}  ", pool.network_name);
    }
    if let (Some(capacity), Some(free)) = (pool.capacity, pool.free) {
        page += &format!(
            "{} of {} used, {} reserved, {} free\n{} {} %\n",
            pool.used,
            show::of(capacity, "address", "addresses"),
            pool.reserved,
            show::count(free),
            show::bar(BAR, capacity, used, reserved),
            show::percent(capacity, used + reserved),
        );
    } else {
        page += &format!("{} used, {} reserved\n", pool.used, pool.reserved);
    }
    if let Some(note) = &pool.note {
        page += &format!("{YELLOW}{note}{YELLOW:#}\n");
    }
    page
}

fn size(range: &RangeMap) -> u128 {
    let (first, last) = (range.runs.first(), range.runs.last());
    first.zip(last).map_or(0, |(first, last)| {
        let length = last.last.number().saturating_sub(first.first.number());
        length.saturating_add(1)
    })
}

/// A sign for each address.
fn grid(range: &RangeMap, pool: &str) -> String {
    let groups = Groups::of(&range.runs);
    let mut cells: Vec<(Address, &Group)> = Vec::new();
    for (run, at) in range.runs.iter().zip(&groups.of_run) {
        let family = run.first.family();
        let numbers = run.first.number()..=run.last.number();
        cells.extend(numbers.map(|number| (family.address(number), &groups.all[*at])));
    }
    let width = label_width(cells.chunks(ROW).filter_map(|row| row.first()).map(|c| c.0));
    let mut page = ruler(width, cells.len());
    for row in cells.chunks(ROW) {
        let Some((first, _)) = row.first() else {
            continue;
        };
        let signs = row.iter().map(|(_, group)| (group.sign, group.style));
        let free = row.iter().filter(|(_, group)| group.sign == FREE).count();
        let told = match free {
            0 => String::new(),
            free => format!("{free:>2} free"),
        };
        page += &line(&first.to_string(), width, signs, &told);
    }
    page + "\n" + &legend(&groups, pool)
}

/// What each sign means, and where it stands.
fn legend(groups: &Groups, pool: &str) -> String {
    let all = groups.legend();
    let counts = all.iter().map(|group| show::count(group.count).len());
    let digits = counts.max().unwrap_or_default();
    let labels = all.iter().map(|group| group.label.chars().count());
    let width = labels.max().unwrap_or_default().min(LABEL);
    let mut page = String::new();
    for group in all.iter().take(LINES) {
        let Group { sign, style, .. } = group;
        let spans: Vec<String> = group
            .spans
            .iter()
            .take(2)
            .map(|s| show::span(s.0, s.1))
            .collect();
        let more = match group.spans.len().saturating_sub(2) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        page += &format!(
            "  {style}{sign}{style:#}  {:>digits$}  {:<width$}  {DIM}{}{more}{DIM:#}\n",
            show::count(group.count),
            show::shortened(&group.label, LABEL),
            spans.join(", "),
        );
    }
    page + &rest(
        all.len(),
        &format!("nadmit allocations --pool {pool} lists all"),
    )
}

/// How much of each block of addresses is taken.
fn blocks(range: &RangeMap, size: u128) -> String {
    let block = (size / BLOCKS).max(1);
    let Some(first) = range.runs.first().map(|run| run.first) else {
        return String::new();
    };
    let base = first.number();
    let count = usize::try_from(size.div_ceil(block)).unwrap_or_default();
    let mut tallies = vec![Tally::default(); count];
    for run in &range.runs {
        spread(run, base, block, &mut tallies);
    }
    let family = first.family();
    let addresses = (0..count)
        .step_by(ROW)
        .map(|at| family.address(base + at as u128 * block));
    let addresses: Vec<Address> = addresses.collect();
    let width = label_width(addresses.iter().copied());
    let mut page = format!(
        "{DIM}a cell is {block} addresses:{DIM:#} {FREE} free {GREEN}░{GREEN:#} to a third \
         {YELLOW}▒{YELLOW:#} to two thirds {YELLOW}▓{YELLOW:#} above {RED}█{RED:#} all taken \
         {DIM}{NEVER} never given{DIM:#}\n"
    );
    for (row, address) in tallies.chunks(ROW).zip(&addresses) {
        let taken: u128 = row.iter().map(|tally| tally.taken).sum();
        let given: u128 = row.iter().map(|tally| tally.taken + tally.free).sum();
        let told = format!("{:>3} %", show::percent(given, taken));
        page += &line(
            &address.to_string(),
            width,
            row.iter().map(Tally::sign),
            &told,
        );
    }
    page
}

/// What is in a block.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    taken: u128,
    free: u128,
}

impl Tally {
    fn sign(&self) -> (char, anstyle::Style) {
        let all = self.taken + self.free;
        match self.taken {
            _ if all == 0 => (NEVER, DIM),
            0 => (FREE, DIM),
            taken if taken == all => ('█', RED),
            taken if taken * 3 <= all => ('░', GREEN),
            taken if taken * 3 <= all * 2 => ('▒', YELLOW),
            _ => ('▓', YELLOW),
        }
    }
}

/// Adds a run to the blocks that it touches.
fn spread(run: &Run, base: u128, block: u128, tallies: &mut [Tally]) {
    let (from, to) = (run.first.number() - base, run.last.number() - base);
    for at in from / block..=to / block {
        let Some(tally) = usize::try_from(at).ok().and_then(|at| tallies.get_mut(at)) else {
            return;
        };
        let inside = to.min(at * block + block - 1) - from.max(at * block) + 1;
        match run.what {
            What::Free => tally.free += inside,
            What::Never(_) => {}
            What::Reserved(_) | What::Held { .. } => tally.taken += inside,
        }
    }
}

/// The runs one by one; those of one owner, one after another, are one.
fn list(range: &RangeMap, pool: &str) -> String {
    let runs = joined(&range.runs);
    let spans: Vec<String> = runs
        .iter()
        .map(|run| show::span(run.first, run.last))
        .collect();
    let shown = spans.iter().take(LINES).map(|span| span.chars().count());
    let width = shown.max().unwrap_or_default();
    let counts: Vec<String> = runs.iter().map(|run| show::count(run.count())).collect();
    let digits = counts.iter().take(LINES).map(String::len).max();
    let digits = digits.unwrap_or_default();
    let mut page = String::new();
    for ((run, span), count) in runs.iter().zip(&spans).zip(&counts).take(LINES) {
        let style = match run.common {
            true => DIM,
            false => anstyle::Style::new(),
        };
        page += &format!(
            "{style}  {span:<width$}  {count:>digits$}  {}{style:#}\n",
            run.label
        );
    }
    let all = format!("nadmit pools {pool} --map -o json has all");
    page + &rest(runs.len(), &all)
}

/// A run of a list.
struct Joined {
    first: Address,
    last: Address,
    owner: String,
    label: String,
    common: bool,
}

impl Joined {
    fn count(&self) -> u128 {
        let length = self.last.number().saturating_sub(self.first.number());
        length.saturating_add(1)
    }
}

fn joined(runs: &[Run]) -> Vec<Joined> {
    let mut all: Vec<Joined> = Vec::new();
    for run in runs {
        let (owner, label) = match &run.what {
            What::Free => ("free".to_owned(), "free".to_owned()),
            What::Never(why) => (why.clone(), format!("never given: {why}")),
            What::Reserved(by) => {
                let label = format!("reservation {}/{}", by.namespace, by.name);
                (label.clone(), label)
            }
            What::Held { holder, .. } => (owner(holder), holder.to_string()),
        };
        match all.last_mut() {
            Some(last) if last.owner == owner && follows(last.last, run.first) => {
                last.last = run.last;
                last.label = owner;
            }
            _ => all.push(Joined {
                first: run.first,
                last: run.last,
                owner,
                label,
                common: matches!(run.what, What::Free | What::Never(_)),
            }),
        }
    }
    all
}

/// One row of cells behind the address of its first.
fn line(
    label: &str,
    width: usize,
    cells: impl Iterator<Item = (char, anstyle::Style)>,
    told: &str,
) -> String {
    let mut row = String::new();
    let mut length = 0;
    for (at, (sign, style)) in cells.enumerate() {
        if at > 0 && at % TOGETHER == 0 {
            row.push(' ');
            length += 1;
        }
        row += &format!("{style}{sign}{style:#}");
        length += 1;
    }
    let pad = " ".repeat((ROW + ROW / TOGETHER - 1_usize).saturating_sub(length));
    let line = format!("  {label:<width$}  {row}{pad}  {DIM}{told}{DIM:#}");
    format!("{}\n", line.trim_end())
}

/// The offsets above a grid.
fn ruler(width: usize, cells: usize) -> String {
    let offsets = (0..ROW.min(cells)).step_by(TOGETHER);
    let marks = offsets.map(|at| format!("{:<9}", format!("+{at}")));
    let marks: String = marks.collect();
    format!("  {:width$}  {DIM}{}{DIM:#}\n", "", marks.trim_end())
}

fn label_width(labels: impl Iterator<Item = Address>) -> usize {
    let lengths = labels.map(|address| address.to_string().len());
    lengths.max().unwrap_or_default()
}

fn rest(lines: usize, advice: &str) -> String {
    match lines.saturating_sub(LINES) {
        0 => String::new(),
        more => format!("{DIM}  … and {more} more; {advice}{DIM:#}\n"),
    }
}
