//! A ledger that was lost, and one that cannot be written: the server's messages, and that no
//! address is allocated twice.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};

use super::server::{WorkFolder, has_curl};
use crate::support::TestResult;

/// The time limit until the server notices a repair or a failure.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn tests() -> Vec<Trial> {
    let tests = tests!["operate::recovery";
        an_older_copy_of_the_ledger_is_refused,
        an_export_is_restored,
        an_empty_directory_adopts_first,
        a_deleted_directory_acknowledges_no_writes,
        release_0_1_0_is_accepted_once,
    ];
    let tests = tests
        .into_iter()
        .map(|test| test.with_ignored_flag(!has_curl()));
    let may_mount = has_curl() && TmpfsMount::is_allowed();
    let full = trial!["operate::recovery"; a_full_disk_is_reported];
    let full = full.with_ignored_flag(!may_mount);
    tests.chain([full]).collect()
}

fn contains(text: &str, part: &str) -> TestResult {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("{part:?} is not in {text}").into()),
    }
}

/// Returns a folder with a ledger of one replica and the pod, and a copy of its file from before
/// the replica.
fn with_a_copy() -> Result<(WorkFolder, PathBuf), Failed> {
    let place = WorkFolder::new()?;
    place.serve()?.stop()?;
    let copy = place.path("copy.redb");
    fs::copy(place.path("data/allocations.redb"), &copy)?;
    let server = place.serve()?;
    contains(&server.create_replica(0)?, "\"allowed\":true")?;
    server.stop()?;
    Ok((place, copy))
}

fn an_older_copy_of_the_ledger_is_refused() -> TestResult {
    let (place, copy) = with_a_copy()?;
    fs::copy(&copy, place.path("data/allocations.redb"))?;
    let serve = ["serve", "--manifests", "manifests"];
    let shown = place.refused(&serve)?;
    contains(&shown, "older than what was acknowledged")?;
    contains(&shown, "--accept-older-ledger")?;
    // It can be read, with a warning, and nothing is written.
    let printed = place.output(&["allocations"])?;
    contains(&printed, "older than what was acknowledged")?;
    contains(&printed, "192.0.2.210")?;
    let shown = place.refused(&["release", "192.0.2.210", "--yes", "--force"])?;
    contains(&shown, "older than what was acknowledged")?;
    place.refused(&serve)?;

    // The pods' addresses are adopted before anything is allocated, including those missing from
    // the copy.
    let pod = fs::read_to_string(place.path("manifests/world.yaml"))?;
    let (_, pod) = pod.rsplit_once("---\n").ok_or("no pod")?;
    let pod = pod
        .replace("name: web", "name: late")
        .replace("192.0.2.210", "192.0.2.197")
        .replace("2001:db8::10", "2001:db8::1")
        .replace("02:5e:00:00:00:12", "02:5e:00:00:00:05");
    fs::write(place.path("manifests/late.yaml"), pod)?;
    let server = place.serve_with(&["--accept-older-ledger"])?;
    let answer = server.create_replica(1)?;
    contains(&answer, "\"allowed\":true")?;
    server.stop()?;
    let rows = place.run(&["allocations"])?;
    let late = rows.lines().find(|row| row.contains("192.0.2.197 "));
    contains(late.unwrap_or(&rows), "late")?;
    place.serve()?.stop()
}

fn an_export_is_restored() -> TestResult {
    let (place, _) = with_a_copy()?;
    fs::write(place.path("export.jsonl"), place.run(&["export"])?)?;
    fs::remove_file(place.path("data/allocations.redb"))?;
    for command in [
        &["serve", "--manifests", "manifests"][..],
        &["import", "export.jsonl"],
        &["allocations"],
    ] {
        let shown = place.refused(command)?;
        contains(&shown, "missing, though its version")?;
        contains(&shown, "--accept-older-ledger")?;
    }
    place.run(&["import", "--accept-older-ledger", "export.jsonl"])?;
    place.serve()?.stop()?;
    contains(&place.run(&["allocations"])?, "db/db")
}

fn an_empty_directory_adopts_first() -> TestResult {
    let (place, _) = with_a_copy()?;
    fs::remove_dir_all(place.path("data"))?;
    // The replica's pod is among the manifests, with its allocated addresses.
    let fixture = fs::read_to_string(place.path("manifests/world.yaml"))?;
    let (_, pod) = fixture.rsplit_once("---\n").ok_or("no pod")?;
    let pod = pod
        .replace("name: web", "name: db-0")
        .replace("192.0.2.210", "192.0.2.197")
        .replace("2001:db8::10", "2001:db8::1")
        .replace("02:5e:00:00:00:12", "02:5e:00:00:00:05");
    fs::write(place.path("manifests/db-0.yaml"), pod)?;
    let server = place.serve()?;
    let answer = server.create_replica(1)?;
    contains(&answer, "\"allowed\":true")?;
    server.stop()?;
    let rows = place.run(&["allocations"])?;
    let first = rows.lines().find(|row| row.contains("192.0.2.197 "));
    contains(first.unwrap_or(&rows), "db-0")
}

fn a_deleted_directory_acknowledges_no_writes() -> TestResult {
    let place = WorkFolder::new()?;
    let server = place.serve()?;
    contains(&server.create_replica(0)?, "\"allowed\":true")?;
    contains(&server.ready()?, "ok")?;
    let aside = place.path("aside");
    fs::rename(place.path("data"), &aside)?;
    let answer = server.create_replica(1)?;
    contains(&answer, "could not be recorded")?;
    server.ready_soon("deleted while nadmit has it open")?;
    // Another ledger in its place is not used either.
    fs::create_dir_all(place.path("data"))?;
    fs::copy(
        aside.join("allocations.redb"),
        place.path("data/allocations.redb"),
    )?;
    contains(&server.create_replica(1)?, "could not be recorded")?;
    server.ready_soon("replaced while nadmit has the former file open")?;
    fs::remove_dir_all(place.path("data"))?;
    fs::rename(&aside, place.path("data"))?;
    server.ready_soon("ok")?;
    contains(&server.create_replica(1)?, "\"allowed\":true")?;
    server.stop()
}

fn release_0_1_0_is_accepted_once() -> TestResult {
    let place = WorkFolder::new()?;
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1.0/allocations.redb");
    fs::create_dir(place.path("data"))?;
    fs::copy(&fixture, place.path("data/allocations.redb"))?;
    place.serve()?.stop()?;
    let server = place.serve()?;
    contains(&server.create_replica(0)?, "\"allowed\":true")?;
    server.stop()?;
    fs::copy(&fixture, place.path("data/allocations.redb"))?;
    let shown = place.refused(&["serve", "--manifests", "manifests"])?;
    contains(&shown, "older than what was acknowledged")
}

fn a_full_disk_is_reported() -> TestResult {
    let place = WorkFolder::new()?;
    fs::create_dir(place.path("data"))?;
    let mount = TmpfsMount::of_memory(&place.path("data")).ok_or("it was not mounted")?;
    let server = place.serve()?;
    contains(&server.create_replica(0)?, "\"allowed\":true")?;
    let filler = place.path("data/filler");
    // Fails once the disk is full.
    let _ = fs::write(&filler, vec![1; 64 << 20]);
    server.ready_soon("No space left on device")?;
    // Small writes may still fit into the file; the first that does not is not acknowledged.
    let mut given = 0;
    for ordinal in 1..40 {
        given += u32::from(server.create_replica(ordinal)?.contains("\"allowed\":true"));
    }
    fs::remove_file(&filler)?;
    server.ready_soon("ok")?;
    contains(&server.create_replica(0)?, "\"allowed\":true")?;
    server.kill()?;
    let rows = place.run(&["allocations"])?;
    let held = rows.lines().filter(|row| row.contains("192.0.2.")).count();
    if held < given as usize + 1 {
        return Err(format!("{given} were given, but there are\n{rows}").into());
    }
    drop(mount);
    Ok(())
}

/// A small in-memory disk, which is unmounted after the test.
struct TmpfsMount(PathBuf);

impl TmpfsMount {
    /// Returns true if this process may mount file systems.
    fn is_allowed() -> bool {
        let Ok(folder) = tempfile::tempdir() else {
            return false;
        };
        Self::of_memory(folder.path()).is_some()
    }

    /// Mounts it at a path, if permitted.
    fn of_memory(path: &Path) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"]);
        let status = command.arg(path).output().ok()?.status;
        status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for TmpfsMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

impl super::server::RunningServer<'_> {
    /// Waits until `/readyz` contains this.
    fn ready_soon(&self, part: &str) -> TestResult {
        let begun = Instant::now();
        loop {
            let shown = self.ready()?;
            if shown.contains(part) {
                return Ok(());
            }
            if begun.elapsed() > NOTICE_TIMEOUT {
                return Err(format!("/readyz does not say {part:?}, but {shown:?}").into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}
