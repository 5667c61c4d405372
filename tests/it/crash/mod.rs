//! A ledger killed at any time has every write that it acknowledged.
//!
//! A child process, this binary itself, writes to a ledger under load and reports its requests and
//! responses; the parent kills it with SIGKILL at a random time, opens the file and checks it. All
//! rounds use the same file. `NADMIT_CRASHES=1000 cargo test --test it crash` runs a thousand
//! rounds instead of a dozen, `NADMIT_CRASH_SEED` picks other times.

mod protocol;
mod verify;
mod writer;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use nadmit::ledger::{EmbeddedLedger, OpenError, Store as _};

pub(crate) use self::writer::run_as_writer;
use self::{
    protocol::{CrashRng, WriterReport},
    verify::KnownRecords,
};
use crate::support::TestResult;

const LEDGER: &str = "allocations.redb";
const VERSION_FILE: &str = "allocations.version";
/// The default number of kills.
const DEFAULT_CRASHES: u64 = 12;
/// The time limit for a child's start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<Trial> {
    tests!["crash"; a_killed_ledger_has_what_it_answered]
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn a_killed_ledger_has_what_it_answered() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut random = CrashRng(number("NADMIT_CRASH_SEED", 1));
    let rounds = number("NADMIT_CRASHES", DEFAULT_CRASHES);
    let (mut known, mut total) = (KnownRecords::default(), verify::RoundStats::default());
    let (mut before, mut last) = (None, 0);
    for round in 1..=rounds {
        let lines = run_and_kill(folder.path(), round, &mut random)?;
        // A ledger older than the version file would be refused here.
        let (records, cursor) = reopened(folder.path())?;
        if let Some(copy) = before.filter(|_| cursor > last) {
            refused(folder.path(), copy).map_err(|wrong| format!("round {round}: {wrong}"))?;
        }
        before = Some(fs::read(folder.path().join(LEDGER))?);
        last = cursor;
        let counts = known
            .verify_round(&lines, &records, cursor)
            .map_err(|wrong| format!("round {round}: {wrong}"))?;
        total.add(&counts);
    }
    println!("{rounds} kills: {total}");
    if total.answered == 0 {
        return Err("nothing was written".into());
    }
    Ok(())
}

/// Runs the writer, kills it, and returns its reports.
fn run_and_kill(
    folder: &Path,
    round: u64,
    random: &mut CrashRng,
) -> Result<Vec<WriterReport>, Failed> {
    let mut child = Command::new(env::current_exe()?)
        .env(writer::FOLDER, folder)
        .env(writer::ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = reports_of(&mut child);
    let mut reports = Vec::new();
    // Most die under load, some while they open, and thereby repair, the file.
    if random.below(4) > 0 {
        match lines.recv_timeout(START_TIMEOUT) {
            Ok(WriterReport::Ready) => {}
            other => return Err(format!("the writer did not begin: {other:?}").into()),
        }
    }
    thread::sleep(Duration::from_micros(random.below(120_000)));
    child.kill()?;
    child.wait()?;
    reports.extend(lines.iter());
    if let Some(wrong) = reports
        .iter()
        .find(|line| matches!(line, WriterReport::Wrong(_)))
    {
        return Err(format!("{wrong:?}").into());
    }
    Ok(reports)
}

/// Returns the reports of a child until it is dead.
fn reports_of(child: &mut Child) -> Receiver<WriterReport> {
    let (sender, receiver) = channel();
    if let Some(out) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // A line cut off by the kill does not count.
                if let Ok(line) = serde_json::from_str(&line) {
                    let _ = sender.send(line);
                }
            }
        });
    }
    receiver
}

/// Checks that the ledger of the previous round is refused with the version file of this round.
fn refused(folder: &Path, copy: Vec<u8>) -> Result<(), String> {
    let elsewhere = tempfile::tempdir().map_err(|error| error.to_string())?;
    let place = |name| elsewhere.path().join(name);
    let placed = fs::write(place(LEDGER), copy)
        .and_then(|()| fs::copy(folder.join(VERSION_FILE), place(VERSION_FILE)));
    placed.map_err(|error| error.to_string())?;
    match EmbeddedLedger::open(elsewhere.path()) {
        Err(OpenError::Older { .. }) => Ok(()),
        other => Err(format!("an older copy was not refused: {other:?}")),
    }
}

type StoredRecords = Vec<nadmit::allocation::Stored>;

fn reopened(folder: &Path) -> Result<(StoredRecords, u64), Failed> {
    let ledger = EmbeddedLedger::open(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (records, cursor) = runtime.block_on(ledger.list())?;
    Ok((records, cursor.version().0))
}
