//! Draws a range that is too large for one character per address: blocks, shaded by usage.

use super::{
    picture::{FREE, NEVER},
    rows::{CELLS_PER_ROW, GridSize, label_width, line},
    show,
};
use crate::{
    allocation::Address,
    cli::output::{DIM, GREEN, RED, YELLOW},
    inspect::{AddressRun, AddressState, RangeMap},
};

/// Largest number of blocks.
const MAX_BLOCKS: u128 = 256;

/// Draws the usage of each block of addresses.
pub(super) fn render_blocks(range: &RangeMap, size: u128) -> String {
    let block = (size / MAX_BLOCKS).max(1);
    let Some(first) = range.runs.first().map(|run| run.first) else {
        return String::new();
    };
    let base = first.number();
    let count = usize::try_from(size.div_ceil(block)).unwrap_or_default();
    let mut tallies = vec![BlockUsage::default(); count];
    for run in &range.runs {
        add_run(run, base, block, &mut tallies);
    }
    let family = first.family();
    let addresses = (0..count)
        .step_by(CELLS_PER_ROW)
        .map(|at| family.address(base + at as u128 * block));
    let addresses: Vec<Address> = addresses.collect();
    let size = GridSize {
        label_width: label_width(addresses.iter().copied()),
        cells: count,
    };
    let mut page = format!(
        "{DIM}cell = {block} addresses{DIM:#}  {FREE} free  {GREEN}░{GREEN:#} to 1/3  \
         {YELLOW}▒{YELLOW:#} to 2/3  {YELLOW}▓{YELLOW:#} more  {RED}█{RED:#} all  \
         {DIM}{NEVER} excluded{DIM:#}\n"
    );
    for (row, address) in tallies.chunks(CELLS_PER_ROW).zip(&addresses) {
        let taken: u128 = row.iter().map(|tally| tally.taken).sum();
        let given: u128 = row.iter().map(|tally| tally.taken + tally.free).sum();
        let note = format!("{:>3} %", show::percent(given, taken));
        page += &line(
            &address.to_string(),
            size,
            row.iter().map(BlockUsage::sign),
            &note,
        );
    }
    page
}

/// Usage of a block.
#[derive(Debug, Clone, Copy, Default)]
struct BlockUsage {
    taken: u128,
    free: u128,
}

impl BlockUsage {
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

/// Adds a run to the blocks that it overlaps.
fn add_run(run: &AddressRun, base: u128, block: u128, tallies: &mut [BlockUsage]) {
    let (from, to) = (run.first.number() - base, run.last.number() - base);
    for at in from / block..=to / block {
        let Some(tally) = usize::try_from(at).ok().and_then(|at| tallies.get_mut(at)) else {
            return;
        };
        let inside = to.min(at * block + block - 1) - from.max(at * block) + 1;
        match run.state {
            AddressState::Free => tally.free += inside,
            AddressState::Never(_) => {}
            AddressState::Reserved(_)
            | AddressState::Held { .. }
            | AddressState::Recorded { .. } => tally.taken += inside,
        }
    }
}
