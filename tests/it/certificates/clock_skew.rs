//! Replicas that disagree on the time, or on their flags, do not overwrite each other in turns.

use jiff::SignedDuration;
use libtest_mimic::Trial;

use super::fixture::{
    CertificateFixture, CertificateReplica, TestResult, called, holds, paused, same, seconds,
};

pub(super) fn tests() -> Vec<Trial> {
    tests!["certificates"; with paused;
        wrong_clocks_of_replicas_change_nothing,
        api_servers_with_different_clocks_do_not_make_replicas_alternate,
        without_a_date_each_has_its_own_clock,
        replicas_with_other_flags_share_one_certificate,
    ]
}

/// Checks that nothing is written for a quarter of an hour, and that both replicas are trusted.
async fn is_calm(fixture: &CertificateFixture, replicas: &[CertificateReplica]) -> TestResult {
    let before = fixture.server.written();
    seconds(900).await;
    same(fixture.server.written(), before)?;
    for replica in replicas {
        holds(fixture.is_served_by(replica), "one is refused")?;
    }
    Ok(())
}

async fn wrong_clocks_of_replicas_change_nothing() -> TestResult {
    let fixture = CertificateFixture::new();
    let days = |count: i64| fixture.wall.ahead(count * 86_400);
    let replicas = [
        fixture.replica_with("a", &days(4_000)),
        fixture.replica_with("b", &days(-4_000)),
        fixture.replica_with("c", &days(80)),
    ];
    seconds(10).await;
    is_calm(&fixture, &replicas).await?;
    // When it is due, it is renewed, once.
    fixture.wall.set(70 * 86_400);
    seconds(30).await;
    same(fixture.writes("update", "secrets"), 1)?;
    is_calm(&fixture, &replicas).await
}

async fn api_servers_with_different_clocks_do_not_make_replicas_alternate() -> TestResult {
    let fixture = CertificateFixture::new();
    let day = SignedDuration::from_hours(24);
    fixture.server.skew("a", Some(day * 2));
    fixture.server.skew("b", Some(-day * 20));
    let replicas = [fixture.replica("a"), fixture.replica("b")];
    seconds(30).await;
    // a's certificate is not valid yet for b; b's is valid for both.
    holds(
        fixture.writes("update", "secrets") <= 1,
        fixture.server.written(),
    )?;
    is_calm(&fixture, &replicas).await
}

async fn without_a_date_each_has_its_own_clock() -> TestResult {
    let fixture = CertificateFixture::new();
    for name in ["a", "b"] {
        fixture.server.skew(name, None);
    }
    let hours = |count: i64| fixture.wall.ahead(count * 3_600);
    let replicas = [
        fixture.replica_with("a", &hours(12)),
        fixture.replica_with("b", &hours(-8)),
    ];
    seconds(10).await;
    is_calm(&fixture, &replicas).await
}

/// A rollout that gives the Service another name.
async fn replicas_with_other_flags_share_one_certificate() -> TestResult {
    let mut fixture = CertificateFixture::new();
    let old = fixture.replica("a");
    seconds(5).await;
    fixture.options.service = called("nadmit-2");
    let new = fixture.replica("b");
    seconds(30).await;
    same(old.shows(), new.shows())?;
    is_calm(&fixture, &[old, new]).await
}
