//! The whole server under load, compared with one that does nothing.
//!
//! `cargo bench --bench load` needs wrk. In each round it loads, on this machine alone,
//!
//! - `nadmit serve` with 10,000 networks in 500 namespaces, with reviews of a pod of 5 to 6 KB;
//! - a baseline: the same server (TLS, hyper, allocator, limits) with a handler that reads the body
//!   and returns a constant of the same size;
//! - the same with handlers that do a part of nadmit's work (`part.rs`).
//!
//! The result is the server's CPU time per request: as a ratio to the baseline of the same round, which
//! sees the same state of the machine, and as a table of what each part costs. `-- mutate` measures
//! allocation instead (`mutate.rs`). `NADMIT_LOAD_SECONDS` and `NADMIT_LOAD_PAIRS` shorten it.
//!
//! There is no summary if the load average of the last minute was above 3 before the run, unless
//! `NADMIT_LOAD_BUSY` is set.

mod bare_server;
mod child;
mod cpu;
mod fixture;
mod load_average;
mod mutate;
mod part;
mod parts_table;
mod report;
mod wrk;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use nadmit::admission::{AdmissionResponse, Review};

use self::{
    fixture::ANNOTATION,
    load_average::LoadAverage,
    parts_table::{Load, LoadRound, Servers},
    report::{LoadPair, Memory},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let result = match arguments.iter().position(|argument| argument == part::FLAG) {
        Some(at) => part::serve(&arguments[at + 1..]),
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
        number("NADMIT_LOAD_SECONDS", 6),
        number("NADMIT_LOAD_PAIRS", 7),
    )
}

fn run(seconds: u32, pairs: u32) -> anyhow::Result<()> {
    let load_average = LoadAverage::now()?;
    let folder = tempfile::tempdir()?;
    let (review, size) = prepare(folder.path())?;
    let servers = Servers::start(folder.path())?;
    println!(
        "a review of {size} bytes, 64 connections, {pairs} rounds of {} loads of {seconds} s; load \
         average before: {load_average}\n",
        servers.parts.len() + 1
    );
    println!("{}", report::HEADER);
    let load = Load {
        script: &review,
        seconds,
    };
    let mut rounds = Vec::new();
    for index in 0..pairs {
        let round = servers.round(index, &load)?;
        println!("{}", round.pair());
        rounds.push(round);
    }
    if let Some(refusal) = load_average.refusal() {
        println!("\n{refusal}");
        return Ok(());
    }
    let pairs: Vec<LoadPair> = rounds.iter().map(LoadRound::pair).collect();
    let memory = Memory {
        nadmit: servers.nadmit.memory_mib()?,
        baseline: servers.parts[0].memory_mib()?,
    };
    println!("\n{}", report::summary(&pairs, &memory));
    println!("\n{}", parts_table::table(&rounds));
    Ok(())
}

/// Writes networks, review and the baseline's response; returns wrk's script and the review's size.
fn prepare(folder: &Path) -> anyhow::Result<(PathBuf, usize)> {
    fixture::write_networks(&folder.join("manifests"))?;
    let body = fixture::review(ANNOTATION)?;
    let parsed = Review::parse(&body)?;
    let answer = AdmissionResponse::allow(&parsed.request).to_json(&parsed.request.uid);
    fs::write(folder.join(part::ANSWER), answer)?;
    let body_file = folder.join("review.json");
    fs::write(&body_file, &body)?;
    Ok((wrk::script(folder, &body_file)?, body.len()))
}
