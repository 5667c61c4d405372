//! All faults at once, from a seed: replicas crash, API servers fail, lose responses and perform
//! requests late, clocks are wrong, and users break Secrets.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fixture::{
    CertificateFixture, CertificateReplica, TestResult, certificates, holds, paused, same, seconds,
    short_lives,
};
use crate::api_server::{FaultAction, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        paused(
            "certificates::whatever_happens_callers_are_served_1",
            || storm(1),
        ),
        paused(
            "certificates::whatever_happens_callers_are_served_2",
            || storm(2),
        ),
    ]
}

/// The maximum delay until an API server notices a `caBundle`.
const MAX_NOTICE_DELAY: Duration = Duration::from_secs(40);
/// The number of random steps.
const STEPS: u64 = 30;

struct StormRng(u64);

impl StormRng {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.below(u64::try_from(all.len()).unwrap_or(1));
        all[usize::try_from(at).unwrap_or(0)]
    }
}

/// API servers that call replicas, and the versions of the webhooks that they have noticed.
struct ApiCallers {
    /// The times when the bundles changed.
    views: Vec<(Instant, Vec<String>)>,
    /// The end of the time in which failing calls are expected, after a user broke the webhooks.
    excused: Instant,
}

impl ApiCallers {
    /// Checks that each API server, with any version that it may have, trusts each replica.
    fn check(
        &mut self,
        fixture: &CertificateFixture,
        replicas: &[CertificateReplica; 2],
        words: &str,
    ) -> TestResult {
        let (now, bundles) = (Instant::now(), fixture.bundles());
        if self.views.last().is_none_or(|(_, last)| *last != bundles) {
            self.views.push((now, bundles));
        }
        // Its successor has been noticed by every API server, or this one may still be in use.
        let old = |(since, _): &(Instant, _)| now.duration_since(*since) > MAX_NOTICE_DELAY;
        let gone = self.views.iter().filter(|view| old(view)).count();
        self.views.drain(..gone.saturating_sub(1));
        if now < self.excused {
            return Ok(());
        }
        for replica in replicas {
            let Some(shown) = replica.shows() else {
                continue;
            };
            for bundle in self.views.iter().flat_map(|(_, bundles)| bundles) {
                let believed = fixture.believes(bundle, &shown);
                holds(believed, (words, fixture.wall.now(), certificates(bundle)))?;
            }
        }
        Ok(())
    }
}

async fn pass(
    fixture: &CertificateFixture,
    replicas: &[CertificateReplica; 2],
    callers: &mut ApiCallers,
    time: u64,
    words: &str,
) -> TestResult {
    for _ in 0..time {
        callers.check(fixture, replicas, words)?;
        seconds(1).await;
    }
    Ok(())
}

async fn storm(seed: u64) -> TestResult {
    let mut rng = StormRng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut fixture = CertificateFixture::new();
    fixture.options.lifetimes = short_lives();
    fixture.options.propagation_time = Duration::from_secs(60);
    let clocks = [
        fixture.wall.ahead(9_000_000),
        fixture.wall.ahead(-9_000_000),
    ];
    let names = ["a", "b"];
    let mut replicas = [0, 1].map(|at| fixture.replica_with(names[at], &clocks[at]));
    seconds(20).await;
    let mut callers = ApiCallers {
        views: Vec::new(),
        excused: Instant::now() + MAX_NOTICE_DELAY,
    };
    for round in 0..STEPS {
        let words = format!("seed {seed}, round {round}");
        let which = usize::try_from(rng.below(2))?;
        match rng.below(8) {
            0 => {
                replicas[which].crash();
                let name = format!("{}{round}", names[which]);
                replicas[which] = fixture.replica_with(&name, &clocks[which]);
            }
            1 | 2 => {
                break_something(&fixture, &mut rng).await?;
                pass(&fixture, &replicas, &mut callers, 30, &words).await?;
            }
            3 => {
                // A user applies the manifests from git: calls may fail until the webhooks are
                // repaired.
                fixture.register();
                callers.excused = Instant::now() + Duration::from_secs(20) + MAX_NOTICE_DELAY;
                pass(&fixture, &replicas, &mut callers, 30, &words).await?;
            }
            _ => {
                let action = fault(&mut rng);
                let rule = FaultRule::of(rng.one_of(&["*", "get", "update", "patch"]), "*", action);
                fixture.server.fault(match rng.below(3) {
                    0 => rule,
                    1 => rule.for_client(names[which]),
                    _ => rule.times(1),
                });
                let time = 1 + rng.below(60);
                pass(&fixture, &replicas, &mut callers, time, &words).await?;
                fixture.server.heal();
            }
        }
        let time = 25 + rng.below(120);
        pass(&fixture, &replicas, &mut callers, time, &words).await?;
    }
    settled(&fixture, &replicas, &mut callers).await
}

fn fault(rng: &mut StormRng) -> FaultAction {
    let time = Duration::from_millis(rng.below(8_000));
    let lost = rng.one_of(&[0, 1]) == 0;
    match rng.below(6) {
        0 => InjectedFailure::Connection.into(),
        1 => InjectedFailure::Internal.into(),
        2 if lost => FaultAction::lost(InjectedFailure::Silence),
        2 => InjectedFailure::Silence.into(),
        3 => FaultAction::lost(InjectedFailure::Timeout),
        4 => FaultAction::later(time * 4, InjectedFailure::Timeout),
        _ => FaultAction::slow(time, Duration::from_millis(rng.below(4_000))),
    }
}

async fn break_something(fixture: &CertificateFixture, rng: &mut StormRng) -> TestResult {
    if fixture.secret().is_none() {
        return Ok(());
    }
    if rng.below(4) == 0 {
        let path = "/api/v1/namespaces/nadmit/secrets/nadmit-tls";
        return fixture.delete(path).await;
    }
    let entries = ["tls.crt", "tls.key", "ca.crt", "ca.key"];
    let (entry, other) = (rng.one_of(&entries), rng.one_of(&entries));
    let half = rng.below(2) == 0;
    fixture.edit(|secret| {
        let text = secret["data"][other].as_str().unwrap_or_default();
        // If every CA key were removed, the Secret would count as foreign.
        let broken = match half && text.len() > 8 {
            true => Value::from(&text[..text.len() / 8 * 4]),
            false => json!(text),
        };
        secret["data"][entry] = broken;
    })
}

/// Checks that finally all agree, and that nothing is written except when due.
async fn settled(
    fixture: &CertificateFixture,
    replicas: &[CertificateReplica; 2],
    callers: &mut ApiCallers,
) -> TestResult {
    pass(fixture, replicas, callers, 300, "in the end").await?;
    let writes = || fixture.writes("update", "secrets") + fixture.writes("create", "secrets");
    let before = writes();
    pass(fixture, replicas, callers, 360, "in the end").await?;
    // A certificate in six minutes, and perhaps a CA rotation.
    holds(writes() - before <= 4, writes() - before)?;
    seconds(20).await;
    same(replicas[0].shows(), replicas[1].shows())?;
    for replica in replicas {
        holds(fixture.is_served_by(replica), "one is refused")?;
        same(replica.failed.get(), 0)?;
    }
    Ok(())
}
