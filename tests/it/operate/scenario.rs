//! Three replicas get addresses, and operators list, move and release them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use libtest_mimic::Failed;
use serde_json::Value;

use super::{
    server::{WorkFolder, curl},
    snapshot,
};
use crate::support::TestResult;

/// Returns the output without ages, times and versions.
pub(super) fn timeless(printed: &str) -> String {
    let mut page = String::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["since", ..] => page += "  since       WHEN",
            ["record", name, ..] => page += &format!("  record      {name} version N"),
            _ => page += &line.replace(" 1s ", " 0s ").replace(" 2s ", " 0s "),
        }
        page.push('\n');
    }
    page
}

pub(super) fn has(text: &str, expected: &str) -> TestResult {
    if text.contains(expected) {
        return Ok(());
    }
    Err(format!("no {expected:?} in\n{text}").into())
}

pub(super) fn a_running_server_answers() -> TestResult {
    let place = WorkFolder::new()?;
    let serving = place.serve()?;
    for ordinal in 0..3 {
        has(&serving.create_replica(ordinal)?, "\"allowed\":true")?;
    }
    let socket = place.path("data/admin.sock");
    let mode = fs::metadata(&socket)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        return Err(format!("the socket has mode {mode:o}").into());
    }
    snapshot("pools", &place.run(&["pools"])?)?;
    snapshot("map", &place.run(&["pools", "storage", "--map"])?)?;
    let listed = place.run(&["allocations", "-o", "json", "--pod", "db/db-1"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    if listed[0]["address"] != "192.0.2.198" || listed.as_array().map(Vec::len) != Some(2) {
        return Err(format!("db-1 has {listed:#}").into());
    }
    let whois = |address: &str| Ok::<_, Failed>(timeless(&place.run(&["whois", address])?));
    let asked = [
        "192.0.2.197",
        "02:5e:00:00:00:06",
        "192.0.2.205",
        "192.0.2.192",
        "192.0.2.220",
    ];
    let printed: Result<Vec<String>, Failed> = asked.into_iter().map(whois).collect();
    snapshot("whois", &printed?.join("\n"))?;
    snapshot("pod", &place.run(&["describe", "pod", "db/web"])?)?;
    release(&place)?;
    // The socket speaks HTTP to every user with permission to open it.
    let socket = socket.display().to_string();
    let pools = curl(&["--unix-socket", &socket, "http://nadmit/pools"])?;
    has(&pools, "\"name\":\"storage\"")?;
    has(
        &curl(&["--unix-socket", &socket, "http://nadmit/x"])?,
        "GET /pools",
    )?;
    has(&serving.metrics()?, "nadmit_manual_releases_total 2")?;
    serving.stop()?;
    match place.path("data/admin.sock").exists() {
        true => Err("the socket is left behind".into()),
        false => Ok(()),
    }
}

/// Addresses that may be released, and those that need `--force`.
fn release(place: &WorkFolder) -> TestResult {
    let live = place.refused(&["release", "192.0.2.210", "--yes"])?;
    has(&live, "pod db/web is there")?;
    has(&place.refused(&["release", "192.0.2.197"])?, "--yes")?;
    let released = place.run(&["release", "192.0.2.197", "--yes"])?;
    has(
        &released,
        "192.0.2.197 of replica 0 of StatefulSet db/db is released",
    )?;
    has(&place.run(&["whois", "192.0.2.197"])?, "free")?;
    has(
        &place.refused(&["release", "192.0.2.197", "--yes"])?,
        "has no holder",
    )?;
    place.run(&["release", "192.0.2.210", "--yes", "--force"])?;
    Ok(())
}

pub(super) fn the_file_answers_without_a_server() -> TestResult {
    let place = WorkFolder::new()?;
    let serving = place.serve()?;
    serving.create_replica(0)?;
    // Its socket is left behind, and does not matter.
    serving.kill()?;
    snapshot("pools-of-file", &place.run(&["pools"])?)?;
    let known = ["pools", "--manifests", "manifests"];
    snapshot("pools-of-file-and-manifests", &place.run(&known)?)?;
    has(
        &place.run(&["allocations"])?,
        "replica 0 of StatefulSet db/db",
    )?;
    let unknown = place.refused(&["release", "192.0.2.197", "--yes"])?;
    has(&unknown, "not known without --manifests")?;
    let manifests = ["--manifests", "manifests"];
    let mut reserved = vec!["release", "192.0.2.205", "--yes"];
    reserved.extend(manifests);
    has(&place.refused(&reserved)?, "sets it aside")?;
    let pod = ["describe", "pod", "db/web"];
    has(&place.run(&pod)?, "unknown without --manifests")?;
    let mut release = vec!["release", "192.0.2.197", "--yes"];
    release.extend(manifests);
    has(&place.run(&release)?, "is released")?;
    // A server replaces the socket of a dead one.
    let serving = place.serve()?;
    has(&place.run(&["whois", "192.0.2.197"])?, "free")?;
    serving.stop()
}

pub(super) fn allocations_move() -> TestResult {
    let place = WorkFolder::new()?;
    let serving = place.serve()?;
    serving.create_replica(0)?;
    let lines = place.run(&["export"])?;
    fs::write(place.path("export.jsonl"), &lines)?;
    has(&place.refused(&["import", "export.jsonl"])?, "allocated to")?;
    serving.stop()?;
    let import = ["import", "--data-dir", "elsewhere", "export.jsonl"];
    has(&place.run(&import)?, "5 allocations imported")?;
    let again = place.run(&["export", "--data-dir", "elsewhere"])?;
    match lines == again {
        true => Ok(()),
        false => Err(format!("{lines}\nbecame\n{again}").into()),
    }
}

pub(super) fn errors_have_remedies() -> TestResult {
    let place = WorkFolder::new()?;
    let nothing = place.refused(&["pools", "--data-dir", "nowhere"])?;
    has(
        &nothing,
        "no nadmit server and no allocations in directory \"nowhere\" (--data-dir)",
    )?;
    if place.path("nowhere").exists() {
        return Err("looking made a directory".into());
    }
    has(
        &place.refused(&["whois", "192.0.2"])?,
        "neither an IP address",
    )?;
    has(
        &place.refused(&["describe", "pod", "db-0"])?,
        "NAMESPACE/NAME",
    )?;
    fs::write(place.path("broken.jsonl"), "{}\n")?;
    has(&place.refused(&["import", "broken.jsonl"])?, "line 1")?;
    has(&place.refused(&["import", "absent.jsonl"])?, "absent.jsonl")?;
    has(&place.refused(&["pools", "nope"])?, "no pools exist")
}
