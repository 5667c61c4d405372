//! One or two replicas with a Secret and webhooks in various states.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::fixture::{
    CONFIGURATIONS, CertificateFixture, TestResult, certificates, holds, paused, same, seconds,
    short_lives,
};
use crate::api_server::{FaultAction, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests!["certificates"; with paused;
        an_empty_cluster_gets_a_secret_and_ca_bundles,
        two_replicas_that_begin_at_once_agree,
        webhooks_that_come_later_are_found,
        foreign_webhooks_and_entries_stay_as_they_are,
        a_current_secret_is_not_written,
        an_overwritten_ca_bundle_is_restored,
        a_damaged_secret_is_never_served,
        certificates_and_cas_are_renewed_in_their_time,
        a_ca_that_one_webhook_lacks_is_not_used,
        a_foreign_certificate_is_served_and_not_changed,
        a_forbidden_write_is_reported_and_the_rest_is_done,
        an_unreachable_api_server_changes_nothing,
        it_ends_on_cancellation,
    ]
}

async fn an_empty_cluster_gets_a_secret_and_ca_bundles() -> TestResult {
    let fixture = CertificateFixture::new();
    let replica = fixture.replica("a");
    seconds(5).await;
    holds(fixture.is_served_by(&replica), "it is not")?;
    let secret = fixture.secret().ok_or("no Secret")?;
    same(&secret["type"], &json!("kubernetes.io/tls"))?;
    let data = secret["data"].as_object().ok_or("no data")?;
    let entries: Vec<&str> = data.keys().map(String::as_str).collect();
    same(entries, vec!["ca.crt", "ca.key", "tls.crt", "tls.key"])?;
    let shown = replica.shows().ok_or("nothing is shown")?;
    same(&fixture.entry("tls.crt")?, &shown.cert)?;
    // For every name of the Service.
    let chain = shown.identity()?.cert;
    let bundle = &certificates(&fixture.bundles()[0]);
    let all = ["", ".nadmit", ".nadmit.svc", ".nadmit.svc.cluster.local"];
    let names = all.map(|rest| format!("nadmit{rest}"));
    holds(
        nadmit::pki::verify(&chain, bundle, &names, fixture.wall.now()),
        "a name is missing",
    )?;
    same(replica.failed.get(), 0)
}

async fn two_replicas_that_begin_at_once_agree() -> TestResult {
    let fixture = CertificateFixture::new();
    let (a, b) = (fixture.replica("a"), fixture.replica("b"));
    seconds(10).await;
    holds(a.shows().is_some() && a.shows() == b.shows(), "they do not")?;
    holds(fixture.is_served_by(&a), "they are not trusted")?;
    same(fixture.writes("create", "secrets"), 1)?;
    same(fixture.writes("update", "secrets"), 0)?;
    same(fixture.writes("patch", CONFIGURATIONS[0]), 1)?;
    same((a.failed.get(), b.failed.get()), (0, 0))
}

async fn webhooks_that_come_later_are_found() -> TestResult {
    let fixture = CertificateFixture::empty();
    let replica = fixture.replica("a");
    seconds(60).await;
    holds(replica.shows().is_some(), "it waits for webhooks")?;
    same(replica.failed.get(), 0)?;
    fixture.register();
    seconds(3).await;
    holds(fixture.is_served_by(&replica), "they are not found")
}

async fn foreign_webhooks_and_entries_stay_as_they_are() -> TestResult {
    let fixture = CertificateFixture::new();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "nadmit-tls", "namespace": "nadmit", "labels": {"team": "x"}},
        "data": {"tls.crt": "", "tls.key": "", "note": "eA=="},
    });
    fixture.server.put(secret);
    let replica = fixture.replica("a");
    seconds(5).await;
    holds(
        fixture.is_served_by(&replica),
        "an empty Secret is not filled",
    )?;
    let secret = fixture.secret().ok_or("no Secret")?;
    same(&secret["data"]["note"], &json!("eA=="))?;
    same(&secret["metadata"]["labels"], &json!({"team": "x"}))?;
    for kind in CONFIGURATIONS {
        let found = fixture
            .server
            .stored(kind, "", "nadmit")
            .ok_or("it is gone")?;
        let bundle = &found["webhooks"][1]["clientConfig"]["caBundle"];
        same(bundle, &json!("b3RoZXJz"))?;
        same(
            &found["webhooks"][0]["clientConfig"]["service"]["path"],
            &json!("/x"),
        )?;
    }
    Ok(())
}

async fn a_current_secret_is_not_written() -> TestResult {
    let fixture = CertificateFixture::new();
    let (_a, _b) = (fixture.replica("a"), fixture.replica("b"));
    seconds(10).await;
    let before = fixture.server.written();
    seconds(900).await;
    same(fixture.server.written(), before)
}

async fn an_overwritten_ca_bundle_is_restored() -> TestResult {
    let fixture = CertificateFixture::new();
    let replica = fixture.replica("a");
    seconds(5).await;
    let bundles = fixture.bundles();
    // As when a user applies the manifests from git.
    for _ in 0..3 {
        fixture.register();
        seconds(11).await;
        same(fixture.bundles(), bundles.clone())?;
    }
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/nadmit";
    fixture.delete(path).await?;
    seconds(30).await;
    same(replica.failed.get(), 0)?;
    fixture.register();
    seconds(3).await;
    same(fixture.bundles(), bundles)
}

type Damage = fn(&mut Value);

async fn a_damaged_secret_is_never_served() -> TestResult {
    let text = |bytes: &[u8]| Value::from(STANDARD.encode(bytes));
    let other = CertificateFixture::new();
    let _replica = other.replica("a");
    seconds(5).await;
    let strange = other.secret().ok_or("no Secret")?["data"].clone();
    let damages: [(&str, Damage); 6] = [
        ("everything is gone", |data| *data = json!({})),
        ("a half", |data| {
            let text = data["tls.crt"].as_str().unwrap_or_default();
            data["tls.crt"] = Value::from(&text[..400]);
        }),
        ("the key of the CA", |data| {
            data["tls.key"] = data["ca.key"].clone()
        }),
        ("no CA", |data| data["ca.crt"] = json!("")),
        ("a certificate for a CA", |data| {
            data["ca.crt"] = data["tls.crt"].clone()
        }),
        ("a wrong key for the CA", |data| {
            data["ca.key"] = data["tls.key"].clone()
        }),
    ];
    for (words, damage) in damages {
        healed(words, |secret| damage(&mut secret["data"])).await?;
    }
    for name in ["tls.crt", "tls.key", "ca.crt", "ca.key"] {
        let noise = text(b"-----BEGIN CERTIFICATE-----\nnoise");
        healed(name, |secret| secret["data"][name] = noise).await?;
        let strange = strange[name].clone();
        healed(name, |secret| secret["data"][name] = strange).await?;
    }
    healed("all of another", |secret| secret["data"] = strange).await
}

/// However a Secret is damaged, callers are served all the time, and the Secret is repaired.
async fn healed(words: &str, damage: impl FnOnce(&mut Value)) -> TestResult {
    let fixture = CertificateFixture::new();
    let replicas = [fixture.replica("a"), fixture.replica("b")];
    seconds(10).await;
    fixture.edit(damage)?;
    let written = fixture.writes("update", "secrets");
    for second in 0..200 {
        for replica in &replicas {
            holds(fixture.is_served_by(replica), (words, second))?;
        }
        seconds(1).await;
    }
    same(replicas[0].shows(), replicas[1].shows())?;
    let shown = replicas[0].shows().ok_or("nothing is shown")?;
    same(&fixture.entry("tls.crt")?, &shown.cert)?;
    let writes = fixture.writes("update", "secrets") - written;
    // It is repaired, and perhaps a new CA is introduced.
    holds(writes <= 2, (words, writes))?;
    // A new replica can start with the repaired Secret.
    let fresh = fixture.replica("c");
    seconds(1).await;
    holds(fixture.is_served_by(&fresh), words)
}

async fn certificates_and_cas_are_renewed_in_their_time() -> TestResult {
    let mut fixture = CertificateFixture::new();
    fixture.options.lifetimes = short_lives();
    let replicas = [fixture.replica("a"), fixture.replica("b")];
    seconds(10).await;
    let mut shown = Vec::new();
    let mut bundles = Vec::new();
    for _ in 0..4_500 {
        for replica in &replicas {
            let now = replica.shows().ok_or("nothing is shown")?;
            if !shown.contains(&now) {
                shown.push(now);
            }
            holds(fixture.is_served_by(replica), "one is refused")?;
        }
        for one in fixture.bundles() {
            if !bundles.contains(&one) {
                bundles.push(one);
            }
        }
        seconds(1).await;
    }
    // 75 minutes: a certificate is served for six, a CA signs for 26, and is removed ten minutes
    // later.
    holds((11..=16).contains(&shown.len()), shown.len())?;
    // It requested no more than its roles grant (deploy/overlays/self-managed).
    let asked = fixture.server.request_counts();
    let mut asked: Vec<String> = asked
        .keys()
        .map(|(verb, what)| format!("{verb} {what}"))
        .collect();
    let [mutating, validating] = CONFIGURATIONS;
    let mut granted = vec![
        "create secrets".to_owned(),
        format!("get {mutating}"),
        "get secrets".to_owned(),
        format!("get {validating}"),
        format!("patch {mutating}"),
        format!("patch {validating}"),
        "update secrets".to_owned(),
    ];
    granted.sort();
    asked.sort();
    same(asked, granted)?;
    let sizes: Vec<usize> = bundles.iter().map(|one| certificates(one).len()).collect();
    same(sizes, vec![1, 2, 1, 2, 1])
}

async fn a_ca_that_one_webhook_lacks_is_not_used() -> TestResult {
    let fixture = CertificateFixture::new();
    let replica = fixture.replica("a");
    seconds(5).await;
    let before = replica.shows();
    let denied = FaultAction::from(InjectedFailure::Forbidden);
    let kind = "validatingwebhookconfigurations";
    fixture.server.fault(FaultRule::of("patch", kind, denied));
    fixture.edit(|secret| secret["data"]["ca.key"] = json!("eA=="))?;
    seconds(900).await;
    same(replica.shows(), before.clone())?;
    holds(fixture.is_served_by(&replica), "it is refused")?;
    same(replica.failed.get(), 1)?;
    // An unknown certificate is as bad as a missing one.
    fixture.server.heal();
    let denied = FaultAction::from(InjectedFailure::Forbidden);
    fixture.server.fault(FaultRule::of("get", kind, denied));
    seconds(900).await;
    same(replica.shows(), before.clone())?;
    fixture.server.heal();
    seconds(60).await;
    same(replica.shows(), before.clone())?;
    seconds(120).await;
    holds(replica.shows() != before, "the new CA is not used")?;
    holds(fixture.is_served_by(&replica), "it is refused")?;
    same(replica.failed.get(), 0)
}

async fn a_foreign_certificate_is_served_and_not_changed() -> TestResult {
    let fixture = CertificateFixture::new();
    let maker = fixture.replica("maker");
    seconds(5).await;
    maker.crash();
    fixture.edit(|secret| secret["data"]["ca.key"] = json!(""))?;
    fixture.register();
    let (before, bundles) = (fixture.secret(), fixture.bundles());
    let replica = fixture.replica("a");
    seconds(5).await;
    same(replica.shows(), maker.shows())?;
    seconds(60).await;
    same(replica.failed.get(), 0)?;
    // Not even after it has expired.
    fixture.wall.set(100 * 86_400);
    seconds(60).await;
    same(fixture.secret(), before)?;
    same(fixture.bundles(), bundles)?;
    same(replica.failed.get(), 1)?;
    // Its owner renews it; in between it may be missing or broken.
    let other = CertificateFixture::new();
    other.wall.set(100 * 86_400);
    let other_replica = other.replica("a");
    seconds(5).await;
    fixture
        .delete("/api/v1/namespaces/nadmit/secrets/nadmit-tls")
        .await?;
    seconds(30).await;
    same(fixture.secret(), None)?;
    same(replica.failed.get(), 1)?;
    let mut renewed = other.secret().ok_or("no Secret")?;
    renewed["data"]["ca.key"] = json!("");
    fixture.server.put(renewed);
    seconds(11).await;
    same(replica.shows(), other_replica.shows())?;
    fixture.edit(|secret| secret["data"]["tls.crt"] = json!("eA=="))?;
    seconds(30).await;
    same(replica.shows(), other_replica.shows())?;
    same(replica.failed.get(), 1)
}

async fn a_forbidden_write_is_reported_and_the_rest_is_done() -> TestResult {
    let fixture = CertificateFixture::new();
    let denied = || FaultAction::from(InjectedFailure::Forbidden);
    fixture
        .server
        .fault(FaultRule::of("create", "secrets", denied()));
    let replica = fixture.replica("a");
    seconds(60).await;
    holds(replica.shows().is_none(), "there is no Secret")?;
    same(replica.failed.get(), 1)?;
    fixture.server.heal();
    seconds(5).await;
    holds(fixture.is_served_by(&replica), "it does not begin")?;
    // Without permission to update, the existing certificate is served, and its CA is given to the
    // webhooks.
    fixture
        .server
        .fault(FaultRule::of("update", "secrets", denied()));
    fixture.wall.set(70 * 86_400);
    fixture.register();
    seconds(30).await;
    same(replica.failed.get(), 1)?;
    holds(fixture.is_served_by(&replica), "it is refused")?;
    fixture.server.heal();
    let before = replica.shows();
    seconds(11).await;
    holds(replica.shows() != before, "it is not renewed")?;
    same(replica.failed.get(), 0)
}

async fn an_unreachable_api_server_changes_nothing() -> TestResult {
    for failure in [
        InjectedFailure::Connection,
        InjectedFailure::Silence,
        InjectedFailure::Unavailable,
    ] {
        let fixture = CertificateFixture::new();
        let replica = fixture.replica("a");
        seconds(5).await;
        let before = replica.shows();
        fixture
            .server
            .fault(FaultRule::of("*", "*", failure.into()));
        seconds(7_200).await;
        same(replica.shows(), before)?;
        same(replica.failed.get(), 1)?;
        fixture.server.heal();
        seconds(30).await;
        same(replica.failed.get(), 0)?;
        holds(fixture.is_served_by(&replica), "it is refused")?;
    }
    Ok(())
}

async fn it_ends_on_cancellation() -> TestResult {
    let fixture = CertificateFixture::new();
    fixture
        .server
        .fault(FaultRule::of("*", "*", InjectedFailure::Silence.into()));
    let replica = fixture.replica("a");
    seconds(1).await;
    replica.end();
    seconds(1).await;
    holds(replica.has_ended(), "it has not")
}
