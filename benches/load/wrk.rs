//! wrk, the load generator: its arguments, and its output.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use super::child::ServerChild;

/// The result of one load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadResult {
    /// The number of requests with a response.
    pub(crate) requests: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency in milliseconds.
    pub(crate) p50: f64,
    /// 99th percentile of latency in milliseconds.
    pub(crate) p99: f64,
    /// CPU time of the server per request, in microseconds.
    pub(crate) cpu: f64,
}

/// Returns true if wrk is installed.
pub(crate) fn is_there() -> bool {
    let mut command = Command::new("wrk");
    command
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Writes the script that posts the file.
pub(crate) fn script(folder: &Path, body: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("post.lua");
    let text = format!(
        "local file = assert(io.open(\"{}\", \"rb\"))\n\
         wrk.method = \"POST\"\nwrk.body = file:read(\"*a\")\n\
         wrk.headers[\"Content-Type\"] = \"application/json\"\n",
        body.display()
    );
    fs::write(&path, text)?;
    Ok(path)
}

/// Loads a webhook of a server for some seconds.
pub(crate) fn load(
    server: &ServerChild,
    webhook: &str,
    script: &Path,
    seconds: u32,
) -> anyhow::Result<LoadResult> {
    let before = server.cpu_seconds()?;
    let output = Command::new("wrk")
        .args([
            "-t",
            "1",
            "-c",
            "64",
            "--latency",
            "-d",
            &format!("{seconds}s"),
            "-s",
        ])
        .arg(script)
        .arg(format!("{}{webhook}?timeout=10s", server.url))
        .output()
        .context("wrk")?;
    let cpu = server.cpu_seconds()? - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(!text.contains("Non-2xx"), "answers other than 200:\n{text}");
    let requests = text
        .lines()
        .find_map(|line| {
            line.trim()
                .split_once(" requests in ")?
                .0
                .parse::<f64>()
                .ok()
        })
        .with_context(|| format!("output of wrk:\n{text}"))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim)
            .with_context(|| format!("no {name} in:\n{text}"))
    };
    Ok(LoadResult {
        requests,
        rate: value("Requests/sec:")?.parse()?,
        p50: milliseconds(value("50%")?)?,
        p99: milliseconds(value("99%")?)?,
        cpu: cpu * 1e6 / requests,
    })
}

/// Parses `910.00us`, `1.20ms` or `1.05s`.
fn milliseconds(text: &str) -> anyhow::Result<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)];
    let found = units.iter().find_map(|(unit, factor)| {
        Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * factor)
    });
    found.with_context(|| format!("{text:?} is no time"))
}
