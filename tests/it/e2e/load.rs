//! Disruptions of nadmit while pods are created and bound.

use std::{
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use libtest_mimic::Failed;

use super::{
    NamedTest,
    cluster::{E2eCluster, Registration, soon},
    pod_stream::{PodStream, UNREVIEWED, settled},
    process::{ReplicaConfig, certificates},
    shared::installed,
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![
    certificates_rotate_without_a_failed_review,
    one_of_two_replicas_is_killed
];

/// The certificate files are replaced while both CAs are trusted; then the old CA is removed.
fn certificates_rotate_without_a_failed_review() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("rotated", "10.1.0.0/18", &[("e2e", "rotation")])?;
    cluster.until_ready("rotated")?;
    let home = ReplicaConfig::new("")?;
    let nadmit = home.serve(cluster, "nadmit-rotating", 0)?;
    soon("nadmit is not ready", || {
        Ok(nadmit.is_ready()?.then_some(()))
    })?;
    // Validity periods are in whole seconds, and distinguish the certificates.
    thread::sleep(Duration::from_millis(1100));
    let next = home.path("next");
    certificates(&next)?;
    let new = fs::read_to_string(next.join("ca.crt"))?;
    let both = home.ca()? + &new;
    let registration = |ca: &str| {
        cluster.register(&Registration {
            name: "rotation",
            url: &nadmit.url,
            ca,
            flags: &["--fail-closed"],
        })
    };
    registration(&both)?;
    let expiry = || nadmit.metric("nadmit_certificate_expiry_timestamp_seconds", &[]);
    let before = expiry()?;
    let stream = PodStream::start(cluster, "rotated");
    stream.more(10)?;
    for file in ["tls.crt", "tls.key"] {
        fs::rename(next.join(file), home.path("certs").join(file))?;
    }
    soon("the certificate is not read again", || {
        Ok((expiry()? != before).then_some(()))
    })?;
    stream.more(10)?;
    registration(&new)?;
    stream.more(20)?;
    let errors = stream.end()?;
    match errors.is_empty() {
        true => settled(cluster, "rotated"),
        false => Err(errors.join("\n").into()),
    }
}

/// Kills the leader. Its reviews in progress fail open, and are backfilled.
fn one_of_two_replicas_is_killed() -> TestResult {
    let cluster = E2eCluster::start()?;
    let home = ReplicaConfig::new("")?;
    let mut replicas = Vec::new();
    for name in ["nadmit-0", "nadmit-1"] {
        replicas.push(home.serve(&cluster, name, 0)?);
    }
    let backends = replicas.iter().map(|one| one.url.replace("https://", ""));
    let url = format!("https://127.0.0.1:{}", service(backends.collect())?);
    cluster.install(&Registration {
        name: "nadmit",
        url: &url,
        ca: &home.ca()?,
        flags: &["--mode", "deny"],
    })?;
    for replica in &replicas {
        soon("nadmit is not ready", || {
            Ok(replica.is_ready()?.then_some(()))
        })?;
    }
    cluster.create_namespace_with_pool("db", "10.2.0.0/18", &[])?;
    cluster.until_ready("db")?;
    let leads = soon("there is no leader", || {
        for (number, replica) in replicas.iter().enumerate() {
            if replica.metric("nadmit_leader", &[])? > 0.0 {
                return Ok(Some(number));
            }
        }
        Ok(None)
    })?;
    let stream = PodStream::start(&cluster, "db");
    stream.more(20)?;
    let mut leader = replicas.remove(leads);
    leader.kill()?;
    stream.more(20)?;
    let errors = stream.end()?;
    // A create that failed open is not an error; anything else is.
    if let Some(error) = errors.iter().find(|error| !error.starts_with(UNREVIEWED)) {
        return Err(format!("{error}, and {} more", errors.len() - 1).into());
    }
    let other = replicas.first().ok_or("no replica")?;
    soon("the other does not lead", || {
        Ok((other.metric("nadmit_leader", &[])? > 0.0).then_some(()))
    })?;
    settled(&cluster, "db")?;
    cluster.done(&["delete", "pods", "--all", "-n", "db", "--wait=false"], "")?;
    cluster.until_free("db")
}

/// Plays a Service: a port that forwards to one of the available replicas. Runs until the process
/// ends.
fn service(backends: Vec<String>) -> Result<u16, Failed> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let callers = listener.incoming().map_while(Result::ok);
        for (turn, caller) in callers.enumerate() {
            let order =
                (0..backends.len()).filter_map(|n| backends.get((turn + n) % backends.len()));
            let found = order
                .into_iter()
                .find_map(|one| TcpStream::connect(one).ok());
            if let Some(backend) = found
                && let (Ok(from), Ok(to)) = (caller.try_clone(), backend.try_clone())
            {
                thread::spawn(move || forward(from, to));
                thread::spawn(move || forward(backend, caller));
            }
        }
    });
    Ok(port)
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    // If one end closes, both do.
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
