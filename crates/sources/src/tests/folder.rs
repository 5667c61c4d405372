//! Tests of the folder source: published catalogs, refreshes, polling.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use super::nad;
use crate::{FolderOptions, FolderSource, FolderStatus, WatchedFile};
use nadmit_catalog::Catalog;
use nadmit_cni::Network;

fn source(folder: &Path) -> (FolderSource, Arc<ArcSwapOption<Catalog>>) {
    let catalog = Arc::new(ArcSwapOption::empty());
    let options = FolderOptions {
        interval: Duration::from_millis(5),
        ..FolderOptions::default()
    };
    let source = FolderSource::open(folder, options, Arc::clone(&catalog)).expect("a folder");
    (source, catalog)
}

fn network(catalog: &ArcSwapOption<Catalog>, name: &str) -> Option<Arc<Network>> {
    catalog.load().as_ref()?.network("db", name).cloned()
}

async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time");
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |path: PathBuf| {
        let catalog = Arc::new(ArcSwapOption::empty());
        FolderSource::open(path, FolderOptions::default(), catalog)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let error = open(folder.path().join("nets")).expect_err("none");
    assert!(
        error.ends_with("/nets of --manifests does not exist: create it or name another"),
        "{error}"
    );
    fs::write(folder.path().join("file"), "").expect("writing");
    let error = open(folder.path().join("file")).expect_err("a file");
    assert!(error.contains("of --manifests is not a folder"), "{error}");
}

#[tokio::test]
async fn an_empty_folder_has_a_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, catalog) = source(folder.path());
    assert!(catalog.load().is_none());
    source.refresh().await.expect("a scan");
    assert_eq!(catalog.load().as_ref().map(|c| c.network_count()), Some(0));
}

#[tokio::test]
async fn the_folder_is_polled_until_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, catalog) = source(folder.path());
    let cancel = CancellationToken::new();
    let running = tokio::spawn(source.clone().run(cancel.clone()));
    fs::write(folder.path().join("a.yaml"), nad("a")).expect("writing");
    eventually(|| network(&catalog, "a").is_some()).await;
    let before = catalog.load_full();
    fs::write(folder.path().join("a.yaml"), "kind: [").expect("writing");
    eventually(|| source.status().faulty.len() == 1).await;
    let same = before
        .zip(catalog.load_full())
        .map(|(a, b)| Arc::ptr_eq(&a, &b));
    assert_eq!(same, Some(true), "what did not change is not published");
    fs::remove_file(folder.path().join("a.yaml")).expect("removing");
    eventually(|| network(&catalog, "a").is_none()).await;
    assert_eq!(*source.status(), FolderStatus::default());
    cancel.cancel();
    running.await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refresh_the_catalog_has_what_was_written_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, catalog) = source(folder.path());
    let path = Arc::new(folder.path().to_owned());
    let refresh_repeatedly = |number: usize| {
        let (source, catalog, path) = (source.clone(), Arc::clone(&catalog), Arc::clone(&path));
        async move {
            for round in 0..20 {
                let name = format!("n{number}-{round}");
                fs::write(path.join(format!("{name}.yaml")), nad(&name)).expect("writing");
                source.refresh().await.expect("a scan");
                assert!(network(&catalog, &name).is_some(), "{name}");
            }
        }
    };
    let tasks: Vec<_> = (0..8)
        .map(|number| tokio::spawn(refresh_repeatedly(number)))
        .collect();
    for task in tasks {
        task.await.expect("fresh");
    }
}

/// The only thread for scans is held until every caller has arrived, so that none of them can arrive
/// after the scan began.
#[test]
fn concurrent_callers_share_one_scan() {
    const CALLERS: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let (source, _) = source(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (release, held) = mpsc::channel::<()>();
        let thread = tokio::task::spawn_blocking(move || held.recv());
        let arrived = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (source, arrived) = (source.clone(), Arc::clone(&arrived));
                tokio::spawn(async move {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    source.refresh().await
                })
            })
            .collect();
        while arrived.load(Ordering::SeqCst) < CALLERS {
            tokio::task::yield_now().await;
        }
        release.send(()).expect("the thread waits");
        thread.await.expect("an end").expect("a message");
        for caller in callers {
            caller.await.expect("an end").expect("a scan");
        }
    });
    assert_eq!(source.scans(), 1);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_spoil_the_scan_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, catalog) = source(folder.path());
    let cancelled = tokio::spawn({
        let source = source.clone();
        async move { source.refresh().await }
    });
    tokio::task::yield_now().await;
    cancelled.abort();
    fs::write(folder.path().join("a.yaml"), nad("a")).expect("writing");
    source.refresh().await.expect("a scan");
    assert!(network(&catalog, "a").is_some());
}

#[tokio::test]
async fn refreshing_a_vanished_folder_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let nets = folder.path().join("nets");
    fs::create_dir(&nets).expect("a folder");
    fs::write(nets.join("a.yaml"), nad("a")).expect("writing");
    let (source, catalog) = source(&nets);
    source.refresh().await.expect("a scan");
    fs::remove_dir_all(&nets).expect("removing");
    let error = source.refresh().await.expect_err("nothing to read");
    assert_eq!(source.status().errors, [error]);
    assert!(network(&catalog, "a").is_some());
}

#[tokio::test]
async fn a_watched_file_reports_new_content_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nadmit.yaml");
    assert!(WatchedFile::open(&path).is_err());
    fs::write(&path, "one").expect("writing");
    let file = WatchedFile::open(&path).expect("the file");
    assert_eq!(file.content(), "one");
    let received = Arc::new(Mutex::new(Vec::new()));
    let cancel = CancellationToken::new();
    let receive = {
        let received = Arc::clone(&received);
        move |text: &str| {
            received.lock().expect("no panic").push(text.to_owned());
            if text == "bad" {
                Err("it is bad")
            } else {
                Ok(())
            }
        }
    };
    let watching = tokio::spawn(file.watch(Duration::from_millis(5), cancel.clone(), receive));
    let has_received = |count: usize| {
        let received = Arc::clone(&received);
        move || received.lock().expect("no panic").len() == count
    };
    fs::remove_file(&path).expect("removing");
    tokio::time::sleep(Duration::from_millis(20)).await;
    for (count, text) in [(1, "bad"), (2, "two")] {
        // Replaced atomically, so that no partial content is read.
        fs::write(folder.path().join("new"), text).expect("writing");
        fs::rename(folder.path().join("new"), &path).expect("swapping");
        eventually(has_received(count)).await;
    }
    fs::write(folder.path().join("new"), "two").expect("writing");
    fs::rename(folder.path().join("new"), &path).expect("swapping");
    tokio::time::sleep(Duration::from_millis(20)).await;
    cancel.cancel();
    watching.await.expect("an end");
    assert_eq!(*received.lock().expect("no panic"), ["bad", "two"]);
}

#[tokio::test]
async fn a_watch_ends_when_it_is_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, "").expect("writing");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let file = WatchedFile::open(&path).expect("the file");
    let changed = |_: &str| Ok::<(), Infallible>(());
    file.watch(Duration::from_secs(3600), cancel, changed).await;
}
