//! The whole server under load, beside one that does nothing.
//!
//! `cargo bench --bench load` needs wrk. In alternating pairs it loads, on this machine alone,
//!
//! - `nadmit serve` with 10,000 networks in 500 namespaces, with reviews of a pod of 5 to 6 KB;
//! - a baseline: the same server (TLS, hyper, allocator, limits) with a handler that reads the body
//!   and answers a constant of the same size.
//!
//! What decides is the server's CPU time a request, as a ratio within a pair: the machine's mood is
//! the same for both. `NADMIT_LOAD_SECONDS` and `NADMIT_LOAD_PAIRS` shorten it.

mod baseline;
mod child;
mod report;
mod wrk;

use std::{env, fmt::Write as _, fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use nadmit::{
    admission::{Answer, Review},
    network::annotations,
};
use serde_json::{Value, json};

use self::{child::Child, report::Pair};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMESPACES: usize = 500;
const NETWORKS: usize = 20;
const CONFIG: &str = r#"{"cniVersion":"0.3.1","plugins":[{"type":"macvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}},{"type":"tuning","capabilities":{"mac":true}}]}"#;
const ANNOTATION: &str = r#"[{"name":"net-3","ips":["192.0.2.205/24"],"mac":"02:5e:00:00:00:01"},{"name":"net-4","ips":["198.51.100.7/24"]}]"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let result = match arguments
        .iter()
        .position(|argument| argument == baseline::FLAG)
    {
        Some(at) => baseline::serve(Path::new(arguments.get(at + 1).map_or("", |path| path))),
        None => run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
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
    let (seconds, pairs) = (
        number("NADMIT_LOAD_SECONDS", 10),
        number("NADMIT_LOAD_PAIRS", 7),
    );
    let folder = tempfile::tempdir()?;
    let (review, size) = prepare(folder.path())?;
    let nadmit = Child::nadmit(folder.path())?;
    let baseline = Child::baseline(folder.path())?;
    println!("a review of {size} bytes, 64 connections, {pairs} pairs of {seconds} s\n");
    println!("{}", report::HEADER);
    let mut measured = Vec::new();
    for index in 0..pairs {
        // Turn about, so that neither always goes first.
        let order = if index % 2 == 0 {
            [&baseline, &nadmit]
        } else {
            [&nadmit, &baseline]
        };
        let first = wrk::load(order[0], &review, seconds)?;
        let second = wrk::load(order[1], &review, seconds)?;
        let pair = if index % 2 == 0 {
            Pair {
                baseline: first,
                nadmit: second,
            }
        } else {
            Pair {
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

/// Writes networks, review and the baseline's answer; returns wrk's script and the review's size.
fn prepare(folder: &Path) -> anyhow::Result<(std::path::PathBuf, usize)> {
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests)?;
    for namespace in 0..NAMESPACES {
        let mut text = String::new();
        for network in 0..NETWORKS {
            write!(
                text,
                "---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                 metadata: {{name: net-{network}, namespace: tenant-{namespace}}}\n\
                 spec:\n  config: '{CONFIG}'\n"
            )?;
        }
        fs::write(manifests.join(format!("tenant-{namespace}.yaml")), text)?;
    }
    let body = review()?;
    let parsed = Review::parse(&body)?;
    let answer = Answer::allow(&parsed.request).to_json(&parsed.request.uid);
    fs::write(folder.join(baseline::ANSWER), answer)?;
    let body_file = folder.join("review.json");
    fs::write(&body_file, &body)?;
    Ok((wrk::script(folder, &body_file)?, body.len()))
}

/// A captured review of a pod as large as real ones, with two networks.
fn review() -> anyhow::Result<Vec<u8>> {
    let captured = include_str!("../../tests/fixtures/reviews/pod-create-name.validate.json");
    let mut review: Value = serde_json::from_str(captured).context("the fixture")?;
    let request = &mut review["request"];
    request["namespace"] = json!("tenant-7");
    let pod = &mut request["object"];
    pod["metadata"]["annotations"][annotations::NETWORKS] = json!(ANNOTATION);
    let variables: Vec<Value> = (0..60)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value number {n}")}))
        .collect();
    pod["spec"]["containers"][0]["env"] = variables.into();
    Ok(review.to_string().into_bytes())
}
