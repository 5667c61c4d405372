//! The address structure, and the whole index.
//!
//! `cargo bench --bench allocation`. Numbers are allocated (the lowest free one, or a given one
//! anywhere) and released anywhere, alternately, in a /16 that is empty, half full, and full except
//! for a thousandth, and in a /64 with a million in use. Two alternatives are measured in the same
//! run: a naive set of used numbers, searched from the bottom as Whereabouts does, and `rangemap`'s
//! set of free ones. Then the whole index is measured with its records, holders and pools.
//!
//! `NADMIT_ALLOCATION_MILLIS` (600, of each measurement) shortens it.

mod structures;
mod whole;

use std::{
    env,
    time::{Duration, Instant},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::structures::{FreeRanges, NaiveSet, Numbers};
use nadmit::allocation::FreeNumbers;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The maximum time for allocating the lowest number, in nanoseconds.
const AIM_ALLOCATE: f64 = 300.0;
/// The maximum time for releasing a number, in nanoseconds.
const AIM_FREE: f64 = 600.0;
/// The maximum ratio between fill levels.
const AIM_FLAT: f64 = 3.0;

/// The range of numbers, and how many of them are in use.
struct Fill {
    name: &'static str,
    first: u128,
    last: u128,
    live: usize,
    /// The number of lowest numbers that the used ones are chosen from.
    among: usize,
}

const V4: u128 = 10 << 24;
const V6: u128 = 0x2001_0db8 << 96;

const FILLS: [Fill; 4] = [
    fill_of_16("/16,  0 %", 0),
    fill_of_16("/16, 50 %", 32_767),
    fill_of_16("/16, 99.9 %", 65_469),
    Fill {
        name: "/64, a million",
        first: V6 + 1,
        last: V6 + u64::MAX as u128 - 1,
        live: 1_000_000,
        among: 2_000_000,
    },
];

const fn fill_of_16(name: &'static str, live: usize) -> Fill {
    Fill {
        name,
        first: V4 + 1,
        last: V4 + 65_534,
        live,
        among: 65_534,
    }
}

/// Median nanoseconds of one operation.
#[derive(Clone, Copy)]
struct MedianTimes {
    lowest: f64,
    given: f64,
    free: f64,
}

fn main() {
    let millis = env::var("NADMIT_ALLOCATION_MILLIS").ok();
    let millis = millis.and_then(|text| text.parse().ok()).unwrap_or(600);
    let time = Duration::from_millis(millis);
    println!(
        "nanoseconds, medians          take lowest  take given   give back   bytes a live one"
    );
    let ours = table("nadmit's free numbers", time, FreeNumbers::make);
    table("a naive set", time, NaiveSet::make);
    table("rangemap", time, FreeRanges::make);
    let flat = |of: fn(&MedianTimes) -> f64| {
        let of = ours.iter().map(of);
        of.clone().fold(0.0, f64::max) / of.fold(f64::MAX, f64::min)
    };
    let most = |of: fn(&MedianTimes) -> f64| ours.iter().map(of).fold(0.0, f64::max);
    println!("\naims of the structure:");
    for (name, found, aim, unit) in [
        ("take lowest", most(|t| t.lowest), AIM_ALLOCATE, "ns"),
        ("take given", most(|t| t.given), AIM_ALLOCATE, "ns"),
        ("give back", most(|t| t.free), AIM_FREE, "ns"),
        (
            "take lowest, flat within",
            flat(|t| t.lowest),
            AIM_FLAT,
            "times",
        ),
        (
            "take given, flat within",
            flat(|t| t.given),
            AIM_FLAT,
            "times",
        ),
        (
            "give back, flat within",
            flat(|t| t.free),
            AIM_FLAT,
            "times",
        ),
    ] {
        let reached = if found <= aim {
            "reached"
        } else {
            "not reached"
        };
        println!("  {name:26} {aim:4} {unit}: {found:6.1}, {reached}");
    }
    whole::table(time);
}

fn table<N: Numbers>(name: &str, time: Duration, make: fn(u128, u128) -> N) -> Vec<MedianTimes> {
    println!("{name}");
    let measured = FILLS.iter().map(|fill| {
        let mut rng = SplitMix(7);
        let lives = chosen(fill, &mut rng);
        let region = Region::new(ALLOCATOR);
        let mut numbers = make(fill.first, fill.last);
        for number in &lives.0 {
            assert!(numbers.take(*number));
        }
        let change = region.change();
        let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        let times = churn(&mut numbers, lives, &mut rng, time);
        let each = match fill.live {
            0 => String::from("-"),
            live => format!("{:.1}", bytes / live as f64),
        };
        println!(
            "  {:26} {:11.1} {:11.1} {:11.1} {each:>18}",
            fill.name, times.lowest, times.given, times.free
        );
        times
    });
    measured.collect()
}

/// Returns the lowest numbers in random order: those in use, and the others.
fn chosen(fill: &Fill, rng: &mut SplitMix) -> (Vec<u128>, Vec<u128>) {
    let mut all: Vec<u128> = (0..fill.among as u128).map(|n| fill.first + n).collect();
    shuffle(&mut all, rng);
    let free = all.split_off(fill.live);
    (all, free)
}

/// Allocates and releases until the time is over; the number in use stays the same.
fn churn(
    numbers: &mut impl Numbers,
    (mut live, mut free): (Vec<u128>, Vec<u128>),
    rng: &mut SplitMix,
    time: Duration,
) -> MedianTimes {
    let batch = (free.len() / 2).min(500);
    let (mut lowest, mut given, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = Vec::with_capacity(batch);
    let begun = Instant::now();
    while begun.elapsed() < time || lowest.len() < 5 {
        lowest.push(each(batch, || {
            taken.extend((0..batch).filter_map(|_| numbers.allocate_lowest()));
        }));
        for number in taken.drain(..) {
            assert!(numbers.give_back(number));
        }
        let new = drawn(&mut free, batch, rng);
        given.push(each(batch, || {
            for number in &new {
                assert!(numbers.take(*number));
            }
        }));
        live.extend(new);
        let old = drawn(&mut live, batch, rng);
        back.push(each(batch, || {
            for number in &old {
                assert!(numbers.give_back(*number));
            }
        }));
        free.extend(old);
    }
    MedianTimes {
        lowest: median(lowest),
        given: median(given),
        free: median(back),
    }
}

/// Returns nanoseconds per operation of a batch.
fn each(batch: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_nanos() as f64 / batch as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Removes some elements at random positions.
fn drawn<T>(from: &mut Vec<T>, count: usize, rng: &mut SplitMix) -> Vec<T> {
    let take = |_| {
        let at = rng.below(from.len());
        from.swap_remove(at)
    };
    (0..count).map(take).collect()
}

fn shuffle<T>(values: &mut [T], rng: &mut SplitMix) {
    for at in (1..values.len()).rev() {
        values.swap(at, rng.below(at + 1));
    }
}

/// Random numbers from a fixed seed (`SplitMix64`).
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
