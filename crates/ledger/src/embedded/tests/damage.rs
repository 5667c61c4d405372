//! Files that are corrupt, belong to another program, or have another schema.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use redb::{Database, ReadableTable as _};
use tempfile::TempDir;

use super::{
    super::{
        file::FILE_NAME,
        table::{ALLOCATIONS, META, SCHEMA_KEY},
        version_file,
    },
    support::*,
};
use crate::{EmbeddedLedger, OpenError, ReadError, Store as _};

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join(FILE_NAME)
}

fn open_error(folder: &TempDir) -> String {
    match EmbeddedLedger::open(folder.path()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

/// Returns a folder with a closed ledger of some records.
async fn filled() -> TempDir {
    let folder = folder();
    let ledger = open(&folder);
    for last in 0..100 {
        ledger.write(vec![create(last, "a")]).await.unwrap();
    }
    ledger.close().await;
    folder
}

#[test]
fn the_file_and_its_directory_are_for_their_owner_alone() {
    let folder = folder();
    let directory = folder.path().join("var/data");
    let _ledger = open_at(&directory);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.clone()), 0o700);
    assert_eq!(mode(directory.join(FILE_NAME)), 0o600);
    let version_path = directory.join(version_file::FILE_NAME);
    assert_eq!(mode(version_path), 0o600);
    assert_eq!(
        fs::read_dir(directory).unwrap().count(),
        2,
        "nothing else stays"
    );
}

#[test]
fn a_second_process_is_refused() {
    let folder = folder();
    let _first = open(&folder);
    let message = open_error(&folder);
    assert!(
        message.contains("another process uses it; stop that one"),
        "{message}"
    );
    assert!(
        message.contains(FILE_NAME) && message.contains("--data-dir"),
        "{message}"
    );
}

#[test]
fn an_unusable_directory_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = EmbeddedLedger::open(&file).unwrap_err();
    assert!(matches!(
        error,
        OpenError::File { .. } | OpenError::Directory { .. }
    ));
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = filled().await;
    let database = Database::open(path(&folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert(SCHEMA_KEY, 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let message = open_error(&folder);
    assert!(
        message.contains("its schema is 2, this nadmit reads 1"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_a_ledger_is_refused_and_left_unchanged() {
    for content in ["", "hello", &"x".repeat(100_000)] {
        let folder = folder();
        fs::write(path(&folder), content).unwrap();
        let message = open_error(&folder);
        assert!(
            message.contains("damaged") && message.contains("import the last export"),
            "{message}"
        );
        assert_eq!(fs::read_to_string(path(&folder)).unwrap(), content);
    }
    let folder = folder();
    fs::create_dir(path(&folder)).unwrap();
    assert!(open_error(&folder).contains("not a regular file"));
    let folder = self::folder();
    drop(Database::create(path(&folder)).unwrap());
    assert!(
        open_error(&folder).contains("damaged"),
        "a database, but no ledger"
    );
}

#[tokio::test]
async fn a_truncated_file_is_refused_wherever_it_ends() {
    let folder = filled().await;
    let whole = fs::read(path(&folder)).unwrap();
    for part in 0..64 {
        let end = whole.len() * part / 64;
        fs::write(path(&folder), &whole[..end]).unwrap();
        let message = open_error(&folder);
        assert!(
            message.contains("damaged"),
            "of {} bytes {end}: {message}",
            whole.len()
        );
    }
}

/// A flipped bit is detected, or lies where nothing is stored.
#[tokio::test]
async fn a_flipped_bit_never_alters_records_and_never_panics() {
    let folder = filled().await;
    let expected = names_and_holders(&open(&folder)).await;
    let whole = fs::read(path(&folder)).unwrap();
    let (mut found, step) = (0, whole.len() / 120);
    for at in (0..whole.len())
        .step_by(step.max(1))
        .chain((0..320).step_by(3))
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(path(&folder), &bytes).unwrap();
        match EmbeddedLedger::open(folder.path()) {
            Ok(ledger) => assert_eq!(names_and_holders(&ledger).await, expected, "byte {at}"),
            Err(error) => {
                found += 1;
                assert!(
                    error.to_string().contains("--data-dir")
                        || error.to_string().contains("damaged"),
                    "{error}"
                );
            }
        }
    }
    assert!(found > 0, "some bits are of content");
}

#[tokio::test]
async fn a_damaged_record_is_reported_and_does_not_affect_others() {
    let folder = filled().await;
    let database = Database::open(path(&folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(ALLOCATIONS).unwrap();
        table.insert("192.0.2.7", b"short".as_slice()).unwrap();
        let other = table.get("192.0.2.8").unwrap().unwrap().value().to_vec();
        table.insert("192.0.2.9", other.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let ledger = open(&folder);
    for name in ["192.0.2.7", "192.0.2.9"] {
        let error = ledger.get(name).await.unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    }
    assert!(ledger.list().await.is_err());
    assert!(ledger.export(std::io::sink()).is_err());
    let (bad, good) = futures_util::future::join(
        ledger.write(vec![create(7, "b")]),
        ledger.write(vec![create(200, "b")]),
    )
    .await;
    assert!(bad.unwrap_err().to_string().contains("192.0.2.7"));
    assert!(good.is_ok());
}
