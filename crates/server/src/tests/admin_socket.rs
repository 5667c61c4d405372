//! The admin socket: permissions, existing files and shutdown.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::operator;
use crate::{AdminSocket, admin_socket::AdminSocketError};

async fn bound(directory: &Path) -> Result<AdminSocket, AdminSocketError> {
    AdminSocket::bind(directory, Arc::new(operator::empty(directory).await))
}

#[tokio::test]
async fn only_its_owner_may_open_it_and_nothing_else_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let socket = bound(directory.path()).await.unwrap();
    let path = directory.path().join("admin.sock");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    assert_eq!(
        names(),
        ["admin.sock", "allocations.redb", "allocations.version"]
    );
    drop(socket);
    assert_eq!(names(), ["allocations.redb", "allocations.version"]);
}

#[tokio::test]
async fn a_live_socket_is_refused_and_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let other = UnixListener::bind(&path).unwrap();
    let refused = bound(directory.path()).await;
    assert!(matches!(refused, Err(AdminSocketError::InUse { .. })));
    assert!(path.exists());
    drop(other);
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(bound(directory.path()).await.unwrap());
    fs::write(&path, "mine").unwrap();
    let refused = bound(directory.path()).await;
    assert!(matches!(refused, Err(AdminSocketError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_socket_that_replaced_it_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let socket = bound(directory.path()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(socket);
    assert!(path.exists());
    drop(other);
}

#[tokio::test]
async fn a_too_long_path_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(100));
    fs::create_dir(&deep).unwrap();
    let refused = bound(&deep).await;
    assert!(matches!(refused, Err(AdminSocketError::TooLong { .. })));
}

#[tokio::test]
async fn it_serves_until_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let cancel = CancellationToken::new();
    let socket = bound(directory.path()).await.unwrap();
    let running = tokio::spawn(socket.run(cancel.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = b"GET /pools HTTP/1.1\r\nhost: nadmit\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("[]"),
        "{answer}"
    );
    // A silent client does not delay the shutdown.
    let _silent = UnixStream::connect(&path).await.unwrap();
    cancel.cancel();
    timeout(Duration::from_secs(10), running)
        .await
        .unwrap()
        .unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn idle_connections_do_not_lock_operators_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let cancel = CancellationToken::new();
    let socket = bound(directory.path()).await.unwrap();
    let running = tokio::spawn(socket.run(cancel.clone()));
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    let pending = async {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let request = b"GET /pools HTTP/1.1\r\nhost: nadmit\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(2), pending)
        .await
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    cancel.cancel();
    running.await.unwrap();
}
