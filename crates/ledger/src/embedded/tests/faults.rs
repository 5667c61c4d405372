//! Disk failures: unacknowledged writes are uncertain, and the ledger recovers.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::StreamExt as _;
use redb::{Builder, Database, StorageBackend, backends::FileBackend};
use tempfile::TempDir;

use super::{
    super::{
        file::{self, OpenedLedger},
        version_file,
    },
    support::*,
};
use crate::{
    EmbeddedLedger, LedgerEvent, OlderLedger, OpenError, ReadError, Store as _, WriteError,
};
use nadmit_allocation::Version;

/// Operations that fail.
#[derive(Debug, Default)]
struct DiskFaults {
    on_write: AtomicBool,
    on_sync: AtomicBool,
    on_open: AtomicBool,
}

#[derive(Debug)]
struct FaultyDisk {
    file: FileBackend,
    faults: Arc<DiskFaults>,
}

fn fail(switch: &AtomicBool) -> io::Result<()> {
    if switch.load(Ordering::Relaxed) {
        return Err(io::Error::other("the disk is gone"));
    }
    Ok(())
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        fail(&self.faults.on_sync)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        fail(&self.faults.on_write)?;
        self.file.write(offset, data)
    }
}

fn open_on_faulty_disk(folder: &TempDir) -> (EmbeddedLedger, Arc<DiskFaults>) {
    let path = folder.path().join(file::FILE_NAME);
    let opened = file::open(folder.path(), OlderLedger::Refuse).unwrap();
    let (last, origin, commit_files) = (opened.last, opened.origin, opened.commit_files);
    drop(opened.database);
    let faults = Arc::new(DiskFaults::default());
    let disk = {
        let (path, faults) = (path.clone(), Arc::clone(&faults));
        move || -> Result<Database, OpenError> {
            let open = || {
                fail(&faults.on_open)?;
                fs_open(&path)
            };
            let file = open().map_err(|source| OpenError::File {
                path: path.clone(),
                source,
            })?;
            let disk = FaultyDisk {
                file,
                faults: Arc::clone(&faults),
            };
            Ok(Builder::new().create_with_backend(disk).unwrap())
        }
    };
    let database = disk().unwrap();
    let opened = OpenedLedger {
        database,
        last,
        origin,
        commit_files,
    };
    let ledger = EmbeddedLedger::start(&path, opened, Box::new(disk), 100).unwrap();
    (ledger, faults)
}

fn fs_open(path: &std::path::Path) -> io::Result<FileBackend> {
    let file = std::fs::File::options().read(true).write(true).open(path)?;
    FileBackend::new(file).map_err(io::Error::other)
}

#[tokio::test]
async fn a_failed_commit_is_uncertain_until_the_next_write_resolves_it() {
    for (on_write, on_sync) in [(true, false), (false, true)] {
        let folder = folder();
        let (ledger, faults) = open_on_faulty_disk(&folder);
        let (_, cursor) = ledger.list().await.unwrap();
        ledger.write(vec![create(1, "a")]).await.unwrap();
        faults.on_write.store(on_write, Ordering::Relaxed);
        faults.on_sync.store(on_sync, Ordering::Relaxed);
        let uncertain = ledger.write(vec![create(2, "b"), create(3, "b")]).await;
        assert!(
            matches!(uncertain, Err(WriteError::Uncertain { .. })),
            "{uncertain:?}"
        );
        faults.on_write.store(false, Ordering::Relaxed);
        faults.on_sync.store(false, Ordering::Relaxed);

        // Repeated under the same names, it succeeds or finds its own records.
        match ledger.write(vec![create(2, "b"), create(3, "b")]).await {
            Ok(again) => assert_eq!(again, versions(&[2, 3])),
            Err(error) => assert_eq!(error, exists(2, "b", 2)),
        }
        ledger.write(vec![create(4, "c")]).await.unwrap();
        let events: Vec<_> = ledger.follow(cursor).take(4).collect().await;
        let expected = [
            stored(1, "a", 1),
            stored(2, "b", 2),
            stored(3, "b", 3),
            stored(4, "c", 4),
        ];
        assert_eq!(
            events,
            expected.map(|stored| Ok(LedgerEvent::Put(stored))),
            "without gaps"
        );
        ledger.close().await;
        assert_eq!(names_and_holders(&open(&folder)).await.len(), 4);
    }
}

#[tokio::test]
async fn a_ledger_whose_file_cannot_be_reopened_is_unavailable() {
    let folder = folder();
    let (ledger, faults) = open_on_faulty_disk(&folder);
    faults.on_sync.store(true, Ordering::Relaxed);
    faults.on_open.store(true, Ordering::Relaxed);
    ledger.write(vec![create(1, "a")]).await.unwrap_err();
    for _ in 0..2 {
        let error = ledger.write(vec![create(1, "a")]).await.unwrap_err();
        assert!(matches!(error, WriteError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
        assert!(ledger.get("192.0.2.1").await.is_err());
    }
    faults.on_sync.store(false, Ordering::Relaxed);
    faults.on_open.store(false, Ordering::Relaxed);
    let _ = ledger.write(vec![create(1, "a")]).await;
    assert_eq!(ledger.get("192.0.2.1").await, Ok(Some(stored(1, "a", 1))));
}

#[tokio::test]
async fn a_file_that_another_process_changed_is_not_trusted() {
    let folder = folder();
    let (ledger, faults) = open_on_faulty_disk(&folder);
    faults.on_sync.store(true, Ordering::Relaxed);
    faults.on_open.store(true, Ordering::Relaxed);
    ledger.write(vec![create(1, "a")]).await.unwrap_err();
    ledger.write(vec![create(1, "a")]).await.unwrap_err();
    {
        let other = open(&folder);
        let _ = other.write(vec![create(5, "z")]).await;
        let done = other
            .write(vec![create(6, "z"), create(7, "z")])
            .await
            .unwrap();
        assert!(done.last() > Some(&Version(1)));
    }
    faults.on_sync.store(false, Ordering::Relaxed);
    faults.on_open.store(false, Ordering::Relaxed);
    let error = ledger.write(vec![create(1, "a")]).await.unwrap_err();
    assert!(error.to_string().contains("restart nadmit"), "{error}");
}

/// A probe reports the reason of the last failure, and the recovery.
#[tokio::test]
async fn the_probe_reports_a_failing_disk_and_its_recovery() {
    const FRESH: std::time::Duration = std::time::Duration::from_millis(1100);
    let folder = folder();
    let (ledger, faults) = open_on_faulty_disk(&folder);
    ledger.writable().await.unwrap();
    faults.on_write.store(true, Ordering::Relaxed);
    faults.on_open.store(true, Ordering::Relaxed);
    ledger.write(vec![create(1, "a")]).await.unwrap_err();
    for _ in 0..2 {
        tokio::time::sleep(FRESH).await;
        let error = ledger.writable().await.unwrap_err();
        assert!(error.to_string().contains("the disk is gone"), "{error}");
    }
    faults.on_write.store(false, Ordering::Relaxed);
    faults.on_open.store(false, Ordering::Relaxed);
    tokio::time::sleep(FRESH).await;
    ledger.writable().await.unwrap();
    ledger.write(vec![create(2, "b")]).await.unwrap();
}

/// A commit whose version is not recorded is not published until it is.
#[tokio::test]
async fn a_commit_whose_version_cannot_be_recorded_is_uncertain_and_unpublished() {
    let folder = folder();
    let ledger = open(&folder);
    let (_, cursor) = ledger.list().await.unwrap();
    ledger.write(vec![create(1, "a")]).await.unwrap();
    let version_file = folder.path().join(version_file::FILE_NAME);
    std::fs::remove_file(&version_file).unwrap();
    std::fs::create_dir(&version_file).unwrap();
    let uncertain = ledger.write(vec![create(2, "b")]).await.unwrap_err();
    assert!(
        matches!(uncertain, WriteError::Uncertain { .. }),
        "{uncertain}"
    );
    assert!(
        uncertain.to_string().contains(version_file::FILE_NAME),
        "{uncertain}"
    );
    for name in ["192.0.2.1", "192.0.2.2"] {
        let read = ledger.get(name).await;
        assert!(
            matches!(read, Err(ReadError::Unavailable { .. })),
            "{read:?}"
        );
    }
    let again = ledger.write(vec![create(2, "b")]).await.unwrap_err();
    assert!(matches!(again, WriteError::Unavailable { .. }), "{again}");
    assert!(ledger.writable().await.is_err());

    std::fs::remove_dir(&version_file).unwrap();
    let again = ledger.write(vec![create(2, "b")]).await;
    assert_eq!(again, Err(exists(2, "b", 2)));
    assert_eq!(recorded_version(&folder), Some(2));
    let events: Vec<_> = ledger.follow(cursor).take(2).collect().await;
    let expected = [stored(1, "a", 1), stored(2, "b", 2)];
    assert_eq!(events, expected.map(|stored| Ok(LedgerEvent::Put(stored))));
    assert_eq!(ledger.get("192.0.2.2").await, Ok(Some(stored(2, "b", 2))));
}
