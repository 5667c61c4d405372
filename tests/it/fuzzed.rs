//! Short fuzzing: inputs of the stored corpus are mutated randomly. Each run tries other inputs; a
//! failure is printed with the seed that reproduces it (`NADMIT_FUZZ_SEED`). `NADMIT_FUZZ_SECONDS`
//! makes it longer; CONTRIBUTING.md describes fuzzing with coverage.

use std::{
    env, fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libtest_mimic::{Failed, Trial};

use crate::support::TestResult;
use crate::{simulation::rng::Rng, targets, wire};

/// The default running time of each target, in seconds.
const DEFAULT_SECONDS: u64 = 5;
/// The maximum size of an input: that of an annotation.
const MAX_LEN: usize = 256 * 1024;
/// The time limit for one input on a busy machine.
const MAX_DURATION: Duration = Duration::from_secs(5);
/// The maximum number of mutations of one input.
const MAX_MUTATIONS: usize = 6;

/// Tokens of the grammars: mutating these reaches further than mutating bytes.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e400",
    "99999999999999999999",
    "ips",
    "IPS",
    "mac",
    "interface",
    "default-route",
    "cni-args",
    "namespace",
    "name",
    "@",
    "/",
    "::ffff:192.0.2.1",
    "192.0.2.1/33",
    "fe80::1%eth0",
    "ff:ff:ff:ff:ff:ff",
    "\u{202e}",
    "\u{0}",
    "\r\n",
    "ipam",
    "type",
    "plugins",
    "range",
    "exclude",
    "0.0.0.0/0",
    "::/0",
    "-",
    "request",
    "object",
    "oldObject",
    "metadata",
    "annotations",
    "UPDATE",
    "DELETE",
    "pooled",
    "pool-net",
    "free-net",
    "\"ip\u{17f}\":[null]",
    "\"MAC\":\"02:5e:00:00:00:02\"",
    "192.0.2.2/29",
    "2001:db8::2/125",
    "args",
    "cni",
    "// ",
    "/*",
];

type FuzzTarget = fn(&[u8]);

pub(crate) fn tests() -> Vec<Trial> {
    let targets = [
        ("annotation", targets::annotation as FuzzTarget),
        ("rules", targets::rules),
        ("nad_config", targets::nad_config),
        ("review", targets::review),
        ("cni_args", targets::cni_args),
        ("wire", wire::any_annotation),
    ];
    let tests = targets
        .map(|(name, target)| Trial::test(format!("fuzzed::{name}"), move || fuzz(name, target)));
    tests.into()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn corpus(name: &str) -> Result<Vec<Vec<u8>>, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::path);
    let texts = files.iter().map(|file| fs::read(file.path()));
    Ok(texts.collect::<Result<_, _>>()?)
}

fn fuzz(name: &str, target: FuzzTarget) -> TestResult {
    let corpus = corpus(name)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let fixed_seed = number("NADMIT_FUZZ_SEED");
    let first = fixed_seed.unwrap_or(u64::try_from(now.as_micros())?);
    let seconds = Duration::from_secs(number("NADMIT_FUZZ_SECONDS").unwrap_or(DEFAULT_SECONDS));
    let start = Instant::now();
    let mut seed = first;
    while start.elapsed() < seconds && (fixed_seed.is_none() || seed == first) {
        let input = changed(&corpus, &Rng::of(seed));
        let begun = Instant::now();
        if catch_unwind(|| target(&input)).is_err() {
            return Err(first_violation(name, seed, &input, "it panics"));
        }
        if begun.elapsed() > MAX_DURATION {
            return Err(first_violation(name, seed, &input, "it takes too long"));
        }
        seed += 1;
    }
    match seed > first {
        true => Ok(()),
        false => Err("nothing was tried".into()),
    }
}

fn first_violation(name: &str, seed: u64, input: &[u8], what: &str) -> Failed {
    format!(
        "{what}; again: NADMIT_FUZZ_SEED={seed} cargo test --test it fuzzed::{name}\n{}",
        String::from_utf8_lossy(&input[..input.len().min(4096)])
    )
    .into()
}

/// Returns a mutated input of the corpus.
fn changed(corpus: &[Vec<u8>], rng: &Rng) -> Vec<u8> {
    let any = |rng: &Rng| corpus[rng.index(corpus.len())].clone();
    let mut input = any(rng);
    for _ in 0..=rng.index(MAX_MUTATIONS) {
        let at = rng.index(input.len() + 1);
        let end = at + rng.index(input.len() - at + 1);
        match rng.index(7) {
            0 if at < input.len() => input[at] ^= 1 << rng.index(8),
            1 => drop(input.drain(at..end)),
            2 => input.truncate(at),
            3 => drop(input.splice(at..at, TOKENS[rng.index(TOKENS.len())].bytes())),
            4 => {
                let piece = input[at..end].to_vec();
                let piece = piece.repeat(1 + rng.index(20));
                drop(input.splice(at..at, piece));
            }
            5 => {
                let other = any(rng);
                let from = rng.index(other.len() + 1);
                drop(input.splice(at..end, other[from..].iter().copied()));
            }
            _ => drop(input.splice(at..end, TOKENS[rng.index(TOKENS.len())].bytes())),
        }
        input.truncate(MAX_LEN);
    }
    input
}
