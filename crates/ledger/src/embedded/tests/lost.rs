//! Detection of lost acknowledged writes, and crashes that lose nothing.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{
    super::{file::FILE_NAME, version_file},
    support::*,
};
use crate::{EmbeddedLedger, LedgerOrigin, OlderLedger, OpenError, Store as _, WriteError};

/// Size of the header page, which every commit writes; redb keeps two copies of the header.
const PAGE: usize = 4096;

fn ledger_file(folder: &TempDir) -> PathBuf {
    folder.path().join(FILE_NAME)
}

fn version_file(folder: &TempDir) -> PathBuf {
    folder.path().join(version_file::FILE_NAME)
}

fn open_error(folder: &TempDir) -> OpenError {
    EmbeddedLedger::open(folder.path()).expect_err("it was opened")
}

fn opened(folder: &TempDir, older: OlderLedger) -> EmbeddedLedger {
    EmbeddedLedger::open_with(folder.path(), older).unwrap_or_else(|error| panic!("{error}"))
}

/// Files as a crash leaves them: the ledger file and the version file before and after the newest commit.
struct CrashFiles {
    before: Vec<u8>,
    after: Vec<u8>,
    version_before: Vec<u8>,
    version_after: Vec<u8>,
}

async fn crash_files() -> CrashFiles {
    let folder = folder();
    let ledger = open(&folder);
    for last in 0..60 {
        ledger.write(vec![create(last, "a")]).await.unwrap();
    }
    let ledger_now = || fs::read(ledger_file(&folder)).unwrap();
    let version_now = || fs::read(version_file(&folder)).unwrap();
    let (before, version_before) = (ledger_now(), version_now());
    ledger.write(vec![create(60, "newest")]).await.unwrap();
    CrashFiles {
        before,
        after: ledger_now(),
        version_before,
        version_after: version_now(),
    }
}

fn folder_with(ledger: &[u8], version: Option<&[u8]>) -> TempDir {
    let folder = folder();
    fs::write(ledger_file(&folder), ledger).unwrap();
    if let Some(version) = version {
        fs::write(version_file(&folder), version).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_commit_loses_nothing() {
    let crashed = crash_files().await;
    let CrashFiles {
        before,
        after,
        version_before,
        version_after,
    } = &crashed;
    for (ledger, version, expected, moment) in [
        (before, version_before, 60, "before the commit"),
        (after, version_before, 61, "between commit and version"),
        (after, version_after, 61, "after the version"),
    ] {
        let folder = folder_with(ledger, Some(version));
        // Whatever is read counts as acknowledged, so its version is recorded first.
        let opened = open(&folder);
        assert_eq!(recorded_version(&folder), Some(expected), "{moment}");
        assert_eq!(
            names_and_holders(&opened).await.len() as u64,
            expected,
            "{moment}"
        );
        assert!(
            matches!(opened.origin(), LedgerOrigin::Existing),
            "{moment}"
        );
    }
    // A version file that was being created has a temporary name.
    let folder = folder_with(after, None);
    fs::write(folder.path().join(".tmpAbCdEf"), "half").unwrap();
    assert_eq!(names_and_holders(&open(&folder)).await.len(), 61);
    assert_eq!(recorded_version(&folder), Some(61));
}

/// Damages each page of the newest commit: opening never yields a ledger without the newest record.
#[tokio::test]
async fn a_damaged_newest_commit_is_never_reverted_silently() {
    let crashed = crash_files().await;
    let length = crashed.after.len().min(crashed.before.len());
    let changed: Vec<usize> = (0..length)
        .step_by(PAGE)
        .filter(|at| crashed.before[*at..*at + PAGE] != crashed.after[*at..*at + PAGE])
        .collect();
    assert!(changed.len() > 2, "{changed:?}");
    let (mut fell_back, mut refusals) = (0, 0);
    for page in changed {
        for at in [9, 64, 100, 200, 260, 330, 2000, 4000] {
            let mut bytes = crashed.after.clone();
            bytes[page + at] ^= 0x55;
            // Like release 0.1.0, which has no version file.
            let silent = folder_with(&bytes, None);
            if let Ok(ledger) = EmbeddedLedger::open(silent.path())
                && let Ok((records, _)) = ledger.list().await
            {
                fell_back += usize::from(records.len() < 61);
            }
            let folder = folder_with(&bytes, Some(&crashed.version_after));
            match EmbeddedLedger::open(folder.path()) {
                Ok(ledger) => assert_eq!(
                    names_and_holders(&ledger).await.len(),
                    61,
                    "byte {at} of {page}"
                ),
                Err(error) => {
                    refusals += 1;
                    assert!(
                        matches!(error, OpenError::Older { .. } | OpenError::Damaged { .. }),
                        "{error}"
                    );
                    assert!(
                        error.to_string().contains("left as it is")
                            || error.to_string().contains("left as it was"),
                        "{error}"
                    );
                    let left = fs::read(ledger_file(&folder)).unwrap();
                    assert!(left == bytes, "it was changed: byte {at} of {page}");
                }
            }
        }
    }
    assert!(fell_back > 0, "without a version file commits are reverted");
    assert!(refusals >= fell_back);
}

/// Returns a ledger at version 5, and a copy of its file at version 3.
async fn with_an_older_copy() -> (TempDir, Vec<u8>) {
    let folder = folder();
    let ledger = open(&folder);
    for last in 1..=3 {
        ledger.write(vec![create(last, "a")]).await.unwrap();
    }
    ledger.close().await;
    let copy = fs::read(ledger_file(&folder)).unwrap();
    let ledger = open(&folder);
    for last in 4..=5 {
        ledger.write(vec![create(last, "b")]).await.unwrap();
    }
    ledger.close().await;
    (folder, copy)
}

#[tokio::test]
async fn an_older_copy_is_refused_until_it_is_accepted() {
    let (folder, copy) = with_an_older_copy().await;
    fs::write(ledger_file(&folder), &copy).unwrap();
    for _ in 0..2 {
        let error = open_error(&folder);
        assert!(
            matches!(
                error,
                OpenError::Older {
                    found: 3,
                    known: 5,
                    ..
                }
            ),
            "{error}"
        );
        let message = error.to_string();
        for part in ["version 3", "version 5", "--accept-older-ledger"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(fs::read(ledger_file(&folder)).unwrap(), copy);
    }

    let viewed = opened(&folder, OlderLedger::ReadOnly);
    assert_eq!(names_and_holders(&viewed).await.len(), 3);
    let error = viewed.write(vec![create(9, "z")]).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("version 5"), "{error}");
    assert!(viewed.writable().await.is_err());
    viewed.close().await;
    assert_eq!(fs::read(ledger_file(&folder)).unwrap(), copy);
    assert_eq!(recorded_version(&folder), Some(5));

    let accepted = opened(&folder, OlderLedger::Accept);
    let origin = accepted.origin().to_string();
    assert!(
        origin.contains("version 3") && origin.contains("version 5"),
        "{origin}"
    );
    let written = accepted.write(vec![create(4, "c")]).await.unwrap();
    assert_eq!(written, versions(&[6]), "versions grow");
    accepted.close().await;
    assert_eq!(names_and_holders(&open(&folder)).await.len(), 4);
    // If nothing is lost, the flag has no effect.
    let again = opened(&folder, OlderLedger::Accept);
    assert!(matches!(again.origin(), LedgerOrigin::Existing));
}

#[tokio::test]
async fn a_deleted_ledger_is_reported_as_missing() {
    let (folder, _) = with_an_older_copy().await;
    fs::remove_file(ledger_file(&folder)).unwrap();
    for older in [OlderLedger::Refuse, OlderLedger::ReadOnly] {
        let error = EmbeddedLedger::open_with(folder.path(), older).unwrap_err();
        assert!(
            matches!(error, OpenError::Missing { known: 5, .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("--accept-older-ledger"),
            "{error}"
        );
        assert!(!ledger_file(&folder).exists());
    }
    let accepted = opened(&folder, OlderLedger::Accept);
    assert_eq!(names_and_holders(&accepted).await, []);
    let written = accepted.write(vec![create(1, "c")]).await.unwrap();
    assert_eq!(written, versions(&[6]));
}

#[tokio::test]
async fn a_damaged_version_file_is_refused_until_it_is_accepted() {
    for content in ["", "anything", &"\0".repeat(2 * PAGE)] {
        let (folder, _) = with_an_older_copy().await;
        fs::write(version_file(&folder), content).unwrap();
        let error = open_error(&folder);
        assert!(matches!(error, OpenError::VersionFile { .. }), "{error}");
        assert!(
            error.to_string().contains("--accept-older-ledger"),
            "{error}"
        );
        let accepted = opened(&folder, OlderLedger::Accept);
        assert_eq!(names_and_holders(&accepted).await.len(), 5);
        drop(accepted);
        assert_eq!(recorded_version(&folder), Some(5));
        open(&folder);
    }
}

/// After a directory or file was deleted or replaced, nothing is acknowledged until the original is back.
#[tokio::test]
async fn a_file_that_was_moved_away_is_not_written_to() {
    let folder = folder();
    let data = folder.path().join("data");
    let ledger = open_at(&data);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    assert!(ledger.writable().await.is_ok());
    let aside = folder.path().join("aside");
    let (file, moved) = (data.join(FILE_NAME), data.join("moved"));

    for (from, to) in [(&data, &aside), (&file, &moved)] {
        fs::rename(from, to).unwrap();
        let error = ledger.write(vec![create(2, "b")]).await.unwrap_err();
        assert!(matches!(error, WriteError::Unavailable { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("deleted while nadmit has it open"),
            "{error}"
        );
        if from == &data {
            fs::create_dir(&data).unwrap();
            open_at(&data).close().await;
        } else {
            fs::copy(&moved, &file).unwrap();
        }
        let error = ledger.write(vec![create(2, "b")]).await.unwrap_err();
        assert!(error.to_string().contains("replaced"), "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let error = ledger.writable().await.unwrap_err();
        assert!(error.to_string().contains("replaced"), "{error}");
        // Reads still work, for an export.
        assert_eq!(names_and_holders(&ledger).await.len(), 1);
        if from == &data {
            fs::remove_dir_all(&data).unwrap();
        }
        fs::rename(to, from).unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert!(ledger.writable().await.is_ok());
    ledger.write(vec![create(2, "b")]).await.unwrap();
    ledger.close().await;
    assert_eq!(names_and_holders(&open_at(&data)).await.len(), 2);
}
