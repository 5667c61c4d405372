//! The whole server under load, compared with one that does nothing.
//!
//! `cargo bench --bench load` needs wrk. In alternating pairs it loads, on this machine alone,
//!
//! - `nadmit serve` with 10,000 networks in 500 namespaces, with reviews of a pod of 5 to 6 KB;
//! - a baseline: the same server (TLS, hyper, allocator, limits) with a handler that reads the body
//!   and returns a constant of the same size.
//!
//! The result is the server's CPU time per request, as a ratio within a pair: both measurements of
//! a pair see the same state of the machine. `-- mutate` measures allocation instead (`mutate.rs`).
//! `NADMIT_LOAD_SECONDS` and `NADMIT_LOAD_PAIRS` shorten it.

mod baseline;
mod child;
mod cpu;
mod fixture;
mod mutate;
mod report;
mod wrk;

use std::{env, fs, path::Path, process::ExitCode};

use nadmit::admission::{AdmissionResponse, Review};

use self::{child::ServerChild, fixture::ANNOTATION, report::LoadPair};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let result = match arguments
        .iter()
        .position(|argument| argument == baseline::FLAG)
    {
        Some(at) => baseline::serve(Path::new(arguments.get(at + 1).map_or("", |path| path))),
        None if arguments.iter().any(|word| word == mutate::FLAG) => measure(mutate::run),
        None => measure(run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures for this many seconds, in this many pairs.
fn measure(what: fn(u32, u32) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if !wrk::is_there() {
        println!("wrk is not installed: nothing was measured");
        return Ok(());
    }
    let number = |name, default| {
        env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    what(
        number("NADMIT_LOAD_SECONDS", 10),
        number("NADMIT_LOAD_PAIRS", 7),
    )
}

fn run(seconds: u32, pairs: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (review, size) = prepare(folder.path())?;
    let nadmit = ServerChild::nadmit(folder.path())?;
    let baseline = ServerChild::baseline(folder.path())?;
    println!("a review of {size} bytes, 64 connections, {pairs} pairs of {seconds} s\n");
    println!("{}", report::HEADER);
    let mut measured = Vec::new();
    for index in 0..pairs {
        // Alternately, so that neither always goes first.
        let order = if index % 2 == 0 {
            [&baseline, &nadmit]
        } else {
            [&nadmit, &baseline]
        };
        let first = wrk::load(order[0], "/validate", &review, seconds)?;
        let second = wrk::load(order[1], "/validate", &review, seconds)?;
        let pair = if index % 2 == 0 {
            LoadPair {
                baseline: first,
                nadmit: second,
            }
        } else {
            LoadPair {
                baseline: second,
                nadmit: first,
            }
        };
        println!("{pair}");
        measured.push(pair);
    }
    println!(
        "\n{}",
        report::summary(&measured, nadmit.memory_mib()?, baseline.memory_mib()?)
    );
    Ok(())
}

/// Writes networks, review and the baseline's response; returns wrk's script and the review's size.
fn prepare(folder: &Path) -> anyhow::Result<(std::path::PathBuf, usize)> {
    fixture::write_networks(&folder.join("manifests"))?;
    let body = fixture::review(ANNOTATION)?;
    let parsed = Review::parse(&body)?;
    let answer = AdmissionResponse::allow(&parsed.request).to_json(&parsed.request.uid);
    fs::write(folder.join(baseline::ANSWER), answer)?;
    let body_file = folder.join("review.json");
    fs::write(&body_file, &body)?;
    Ok((wrk::script(folder, &body_file)?, body.len()))
}
