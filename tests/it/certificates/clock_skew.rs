//! Replicas that disagree on the time, or on their flags, do not overwrite each other in turns.

use jiff::SignedDuration;
use libtest_mimic::Trial;

use super::fixture::{Replica, Stage, Told, called, holds, same, seconds, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("wrong_clocks_of_replicas_change_nothing", wrong_clocks),
        trial(
            "api_servers_whose_clocks_differ_do_not_make_replicas_take_turns",
            two_times,
        ),
        trial("without_a_date_each_has_its_own_clock", no_date),
        trial(
            "replicas_with_other_flags_share_one_certificate",
            two_services,
        ),
    ]
}

/// Checks that nothing is written for a quarter of an hour, and that both replicas are trusted.
async fn is_calm(stage: &Stage, replicas: &[Replica]) -> Told {
    let before = stage.server.written();
    seconds(900).await;
    same(stage.server.written(), before)?;
    for replica in replicas {
        holds(stage.is_served_by(replica), "one is refused")?;
    }
    Ok(())
}

async fn wrong_clocks() -> Told {
    let stage = Stage::new();
    let days = |count: i64| stage.wall.ahead(count * 86_400);
    let replicas = [
        stage.replica_with("a", &days(4_000)),
        stage.replica_with("b", &days(-4_000)),
        stage.replica_with("c", &days(80)),
    ];
    seconds(10).await;
    is_calm(&stage, &replicas).await?;
    // When it is due, it is renewed, once.
    stage.wall.set(70 * 86_400);
    seconds(30).await;
    same(stage.writes("update", "secrets"), 1)?;
    is_calm(&stage, &replicas).await
}

async fn two_times() -> Told {
    let stage = Stage::new();
    let day = SignedDuration::from_hours(24);
    stage.server.skew("a", Some(day * 2));
    stage.server.skew("b", Some(-day * 20));
    let replicas = [stage.replica("a"), stage.replica("b")];
    seconds(30).await;
    // a's certificate is not valid yet for b; b's is valid for both.
    holds(
        stage.writes("update", "secrets") <= 1,
        stage.server.written(),
    )?;
    is_calm(&stage, &replicas).await
}

async fn no_date() -> Told {
    let stage = Stage::new();
    for name in ["a", "b"] {
        stage.server.skew(name, None);
    }
    let hours = |count: i64| stage.wall.ahead(count * 3_600);
    let replicas = [
        stage.replica_with("a", &hours(12)),
        stage.replica_with("b", &hours(-8)),
    ];
    seconds(10).await;
    is_calm(&stage, &replicas).await
}

/// A rollout that gives the Service another name.
async fn two_services() -> Told {
    let mut stage = Stage::new();
    let old = stage.replica("a");
    seconds(5).await;
    stage.options.called = called("nadmit-2");
    let new = stage.replica("b");
    seconds(30).await;
    same(old.shows(), new.shows())?;
    is_calm(&stage, &[old, new]).await
}
