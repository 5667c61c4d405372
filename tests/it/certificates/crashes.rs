//! Replicas that crash at each step of a CA rotation: the next one continues.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use libtest_mimic::Trial;
use tokio::sync::Notify;

use super::fixture::{
    CONFIGURATIONS, CertificateFixture, TestResult, holds, paused, same, seconds,
};
use crate::api_server::{FaultAction, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        paused(
            "certificates::a_replica_may_die_at_any_request_of_a_change_of_cas",
            || each(false),
        ),
        paused(
            "certificates::a_request_that_outlives_its_replica_is_harmless",
            || each(true),
        ),
        trial!["certificates"; with paused; a_late_patch_reverts_nothing],
    ]
}

/// The delay until the second of two API servers notices a `caBundle`, in seconds.
const NOTICE_DELAY: u64 = 30;
/// The maximum number of requests in a CA rotation.
const MAX_REQUESTS: usize = 24;

async fn each(late: bool) -> TestResult {
    for request in 0..MAX_REQUESTS {
        crash_at(request, late).await.map_err(|error| {
            format!(
                "died at request {request}: {}",
                error.message().unwrap_or("?")
            )
        })?;
    }
    Ok(())
}

/// Crashes the replica at a request; with `late`, that request takes effect when the next replica
/// has already started.
async fn crash_at(nth: usize, late: bool) -> TestResult {
    let mut fixture = CertificateFixture::new();
    fixture.options.propagation_time = Duration::from_secs(40);
    let first = fixture.replica("first");
    let witness = fixture.replica("witness");
    seconds(10).await;
    // Only one replica takes part in it.
    witness.crash();
    let before = first.shows().ok_or("nothing is shown")?;
    let (asked, died) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let bell = Arc::clone(&died);
    fixture.server.faults(move |request| {
        if &*request.client != "first" || asked.fetch_add(1, Ordering::Relaxed) != nth {
            return None;
        }
        bell.notify_one();
        let later = FaultAction::later(Duration::from_secs(25), InjectedFailure::Silence);
        Some(if late {
            later
        } else {
            InjectedFailure::Silence.into()
        })
    });
    // If the key of its CA is broken, it creates a new CA.
    fixture.edit(|secret| secret["data"]["ca.key"] = "eA==".into())?;
    let killed = async {
        died.notified().await;
        first.crash();
    };
    let mut second = None;
    tokio::select! {
        () = killed => second = Some(fixture.replica("second")),
        () = seconds(600) => {}
    }
    let mut view = fixture.bundles();
    for second_passed in 0..300 {
        // The crashed replica has a sibling that serves the same certificate until it reads the
        // Secret.
        let shown = second.as_ref().and_then(|replica| replica.shows());
        for bundle in view.iter().chain(&fixture.bundles()) {
            if let Some(shown) = &shown {
                holds(fixture.believes(bundle, shown), ("second", second_passed))?;
            }
            holds(fixture.believes(bundle, &before), ("sister", second_passed))?;
        }
        seconds(1).await;
        if (second_passed + 1) % NOTICE_DELAY == 0 {
            view = fixture.bundles();
        }
    }
    let last = second.as_ref().unwrap_or(&first);
    holds(fixture.is_served_by(last), "it is refused in the end")?;
    let changed = last.shows().is_some_and(|shown| shown != before);
    holds(changed, "the change came to no end")?;
    same_as_secret(&fixture)
}

/// A patch with the previous CAs arrives when a certificate of the new CA is served.
async fn a_late_patch_reverts_nothing() -> TestResult {
    let fixture = CertificateFixture::new();
    let replicas = [fixture.replica("a"), fixture.replica("b")];
    seconds(10).await;
    let before = replicas[1].shows();
    let late = FaultAction::slow(Duration::from_secs(400), Duration::ZERO);
    fixture
        .server
        .fault(FaultRule::of("patch", "*", late).for_client("a"));
    fixture.register();
    seconds(60).await;
    let asked = fixture.server.request_counts();
    let patch = ("patch".to_owned(), CONFIGURATIONS[0].to_owned());
    holds(asked.get(&patch).is_some_and(|count| *count >= 3), asked)?;
    fixture.edit(|secret| secret["data"]["ca.key"] = "eA==".into())?;
    for second in 0..600 {
        for replica in &replicas {
            holds(fixture.is_served_by(replica), second)?;
        }
        seconds(1).await;
    }
    holds(replicas[1].shows() != before, "the CA did not change")?;
    same_as_secret(&fixture)
}

fn same_as_secret(fixture: &CertificateFixture) -> TestResult {
    let wanted = STANDARD.encode(fixture.entry("ca.crt")?);
    for bundle in fixture.bundles() {
        same(&bundle, &wanted)?;
    }
    Ok(())
}
