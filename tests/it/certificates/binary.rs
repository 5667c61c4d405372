//! The real binary: two replicas, and an API server that calls them continuously with its current
//! `caBundle`, while the CA is rotated.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::{Failed, Trial};
use nadmit::pki::{self, Certificate, IssuedCertificate, Signer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    fixture::{CONFIGURATIONS, TestResult, certificates, holds},
    serving::{SERVICE_NAME, ServingReplica, TIMEOUT, WebhookConnection, curl, review},
};
use crate::api_server::{ApiServer, FakeServerSettings, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    let has_curl = Command::new("curl").arg("--version").output();
    let no_curl = !has_curl.is_ok_and(|output| output.status.success());
    tests![with test;
        the_ca_changes_under_load_and_no_review_fails.with_ignored_flag(no_curl),
        it_is_ready_when_it_has_a_certificate.with_ignored_flag(no_curl),
    ]
}

/// Registers a test in real time.
fn test<F>(name: &str, run: fn() -> F) -> Trial
where
    F: Future<Output = TestResult> + 'static,
{
    Trial::test(format!("certificates::{name}"), move || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(run())
    })
}

/// Returns an API server in real time, with the webhooks.
fn api_server() -> Result<ApiServer, Failed> {
    let server = ApiServer::with(FakeServerSettings {
        clock: Arc::new(Timestamp::now),
        ..FakeServerSettings::default()
    });
    server.namespace("nadmit", &[]);
    for kind in ["Mutating", "Validating"] {
        let service = json!({"name": "nadmit", "namespace": "nadmit", "path": "/validate"});
        server.put(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}WebhookConfiguration"), "metadata": {"name": "nadmit"},
            "webhooks": [{"name": "pods.nadmit.io", "clientConfig": {"service": service}}],
        }));
    }
    server.listen()?;
    Ok(server)
}

fn bundle(server: &ApiServer) -> String {
    let found = server.stored(CONFIGURATIONS[1], "", "nadmit");
    let bundle = found.map(|one| one["webhooks"][0]["clientConfig"]["caBundle"].clone());
    bundle
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Creates a Secret whose CA is due for rotation in a few seconds.
fn soon_due(server: &ApiServer) -> TestResult {
    let day = SignedDuration::from_hours(24);
    let due = Timestamp::now() + SignedDuration::from_secs(10);
    let IssuedCertificate { cert, key } = pki::issue_ca("old", due - day * 200, due + day * 100)?;
    let signer =
        Signer::for_key(&Certificate::parse_pem(cert.as_bytes()).0, &key).ok_or("no CA")?;
    let names = ["", ".nadmit", ".nadmit.svc", ".nadmit.svc.cluster.local"];
    let names = names.map(|rest| format!("nadmit{rest}"));
    let made = pki::issue_server(&names, &signer, due - day, due + day * 90)?;
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    let put = server.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "nadmit-tls", "namespace": "nadmit"},
        "data": {
            "tls.crt": text(made.cert.as_bytes()), "tls.key": text(made.key.expose()),
            "ca.crt": text(cert.as_bytes()), "ca.key": text(key.expose()),
        },
    }));
    holds(put, "the Secret is not stored")
}

/// The outcomes of the reviews.
#[derive(Default)]
struct ReviewCounts {
    answered: AtomicU64,
    failed: std::sync::Mutex<Vec<String>>,
    over: AtomicBool,
}

/// Calls a replica continuously: over a persistent connection, and over new ones.
async fn load(address: SocketAddr, server: ApiServer, counted: Arc<ReviewCounts>) -> TestResult {
    let mut view = bundle(&server);
    let mut noticed = Instant::now();
    let mut lasting = WebhookConnection::open(address, &view).await?;
    while !counted.over.load(Ordering::Relaxed) {
        let asked = async {
            lasting.review().await?;
            WebhookConnection::open(address, &view)
                .await?
                .review()
                .await
        };
        match asked.await {
            Ok(()) => counted.answered.fetch_add(2, Ordering::Relaxed),
            Err(error) => {
                let error_message = error.message().unwrap_or("?").to_owned();
                counted
                    .failed
                    .lock()
                    .map_err(|e| e.to_string())?
                    .push(error_message);
                0
            }
        };
        // An API server notices a change within a second.
        if noticed.elapsed() > Duration::from_secs(1) {
            (view, noticed) = (bundle(&server), Instant::now());
        }
        sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

async fn the_ca_changes_under_load_and_no_review_fails() -> TestResult {
    let (server, folder) = (api_server()?, tempfile::tempdir()?);
    soon_due(&server)?;
    let before = server
        .stored("secrets", "nadmit", "nadmit-tls")
        .ok_or("no Secret")?;
    let replicas = [
        ServingReplica::start(&folder, &server, "a")?,
        ServingReplica::start(&folder, &server, "b")?,
    ];
    for replica in &replicas {
        replica.is_ready().await?;
    }
    let first = bundle(&server);
    holds(certificates(&first).len() <= 2, first)?;
    let counted = Arc::new(ReviewCounts::default());
    let loads = replicas.each_ref().map(|replica| {
        let (server, counted) = (server.clone(), Arc::clone(&counted));
        tokio::spawn(load(replica.webhooks, server, counted))
    });
    let old = WebhookConnection::open(replicas[0].webhooks, &bundle(&server))
        .await?
        .shown;
    let until = Instant::now() + TIMEOUT;
    for replica in &replicas {
        while WebhookConnection::open(replica.webhooks, &bundle(&server))
            .await?
            .shown
            == old
        {
            holds(Instant::now() < until, "the CA does not change")?;
            sleep(Duration::from_millis(200)).await;
        }
    }
    sleep(Duration::from_secs(2)).await;
    counted.over.store(true, Ordering::Relaxed);
    for load in loads {
        load.await??;
    }
    let failed = counted.failed.lock().map_err(|e| e.to_string())?.clone();
    holds(failed.is_empty(), failed)?;
    let answered = counted.answered.load(Ordering::Relaxed);
    holds(answered > 200, answered)?;
    let pem = STANDARD.decode(bundle(&server))?;
    by_curl(&folder, &replicas[1], &pem)?;
    let after = server
        .stored("secrets", "nadmit", "nadmit-tls")
        .ok_or("no Secret")?;
    for replica in &replicas {
        holds_no_key(replica, &[&before, &after])?;
    }
    Ok(())
}

/// Calls a replica with curl, with the bundle in a file.
fn by_curl(folder: &TempDir, replica: &ServingReplica, bundle: &[u8]) -> TestResult {
    let file = folder.path().join("ca.crt");
    fs::write(&file, bundle)?;
    let file = file.display().to_string();
    let port = replica.webhooks.port();
    let (url, resolve) = (
        format!("https://{SERVICE_NAME}:{port}/validate"),
        format!("{SERVICE_NAME}:{port}:127.0.0.1"),
    );
    let json = "Content-Type: application/json";
    let reported = curl(&[
        "--cacert",
        &file,
        "--resolve",
        &resolve,
        &url,
        "--header",
        json,
        "--data",
        &review(),
    ])?;
    holds(reported.contains("\"allowed\":true"), reported)
}

/// Checks that no line of the log, at the finest level, has a part of a key in it.
fn holds_no_key(replica: &ServingReplica, secrets: &[&Value]) -> TestResult {
    let log = fs::read_to_string(&replica.log)?;
    holds(
        log.contains("certificate Secret written") || log.contains("reloaded"),
        "no log",
    )?;
    for secret in secrets {
        for name in ["tls.key", "ca.key"] {
            let encoded = secret["data"][name].as_str().ok_or("no key")?;
            let pem = String::from_utf8(STANDARD.decode(encoded)?)?;
            let line = pem.lines().nth(1).ok_or("no key")?;
            // Every such key begins with the same header: an ECDSA key on P-256.
            for part in [&encoded[80..120], &line[40..]] {
                holds(!log.contains(part), (name, &replica.log))?;
            }
        }
    }
    Ok(())
}

async fn it_is_ready_when_it_has_a_certificate() -> TestResult {
    let (server, folder) = (api_server()?, tempfile::tempdir()?);
    server.fault(FaultRule::of(
        "create",
        "secrets",
        InjectedFailure::Forbidden.into(),
    ));
    let replica = ServingReplica::start(&folder, &server, "a")?;
    let until = Instant::now() + TIMEOUT;
    // The networks have been loaded.
    while !replica
        .get("/metrics")?
        .contains("nadmit_certificate_renewal_failed 1")
    {
        holds(Instant::now() < until, "the metric is not set")?;
        sleep(Duration::from_millis(200)).await;
    }
    let reported = replica.get("/readyz")?;
    holds(
        reported.ends_with("503") && reported.contains("certificate"),
        reported,
    )?;
    server.heal();
    replica.is_ready().await?;
    let page = replica.get("/metrics")?;
    let expiry = page.lines().find_map(|line| {
        let value = line.strip_prefix("nadmit_certificate_expiry_timestamp_seconds ")?;
        value.parse::<i64>().ok()
    });
    let left = expiry.ok_or("no metric")? - Timestamp::now().as_second();
    holds((89 * 86_400..=90 * 86_400).contains(&left), left)?;
    holds(page.contains("nadmit_certificate_renewal_failed 0"), page)?;
    // The first pass updated the webhooks; the served certificate is trusted from the beginning.
    let mut connection = WebhookConnection::open(replica.webhooks, &bundle(&server)).await?;
    connection.review().await
}
