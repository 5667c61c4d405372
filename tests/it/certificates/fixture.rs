//! A cluster in which replicas maintain a certificate, and API servers that would call them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Failed;
use nadmit::{
    clock::Clock,
    controllers::{CertificateKeeper, CertificateLifetimes, CertificateOptions, WebhookService},
    pki::{Certificate, TlsPair, verify},
};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::{
    sync::watch::Receiver,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::api_server::{ApiServer, FakeServerSettings};
pub(super) use crate::support::{TestResult, paused};
pub(super) use crate::support::{holds, same};

pub(super) const CONFIGURATIONS: [&str; 2] = [
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// A wall clock that follows tokio's time, and can be set.
#[derive(Clone)]
pub(super) struct OffsetClock {
    began: Instant,
    offset: Arc<AtomicI64>,
}

impl OffsetClock {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            offset: Arc::new(AtomicI64::new(1_800_000_000)),
        }
    }

    /// Returns an independent clock that is ahead by these seconds or, below 0, behind.
    pub(super) fn ahead(&self, seconds: i64) -> Self {
        let offset = self.offset.load(Ordering::Relaxed) + seconds;
        Self {
            began: self.began,
            offset: Arc::new(AtomicI64::new(offset)),
        }
    }

    /// Moves it forward, or back, by these seconds.
    pub(super) fn set(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        let start = Timestamp::from_second(self.offset.load(Ordering::Relaxed));
        start.unwrap_or(Timestamp::MAX) + passed
    }

    fn clock(&self) -> Clock {
        let wall = self.clone();
        Clock::new(move || wall.now())
    }
}

/// A cluster with nadmit's namespace, and its time.
pub(super) struct CertificateFixture {
    pub(super) server: ApiServer,
    pub(super) wall: OffsetClock,
    pub(super) options: CertificateOptions,
    /// Trusted certificates with the time of their verification, by bundle and certificate.
    believed: RefCell<BTreeMap<(String, Vec<u8>), Instant>>,
}

/// The time for which a successful verification is cached: certificates expire later than that.
const TRUST_CACHE_TTL: Duration = Duration::from_secs(20);

/// A replica that maintains the certificate.
pub(super) struct CertificateReplica {
    pub(super) shown: Receiver<Option<Arc<TlsPair>>>,
    pub(super) failed: Gauge,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl CertificateFixture {
    /// Returns a cluster without webhook configurations.
    pub(super) fn empty() -> Self {
        let wall = OffsetClock::new();
        let time = wall.clone();
        let server = ApiServer::with(FakeServerSettings {
            clock: Arc::new(move || time.now()),
            ..FakeServerSettings::default()
        });
        server.namespace("nadmit", &[]);
        let options = CertificateOptions::new("nadmit", "nadmit-tls", "nadmit", "nadmit");
        Self {
            server,
            wall,
            options,
            believed: RefCell::default(),
        }
    }

    /// Returns a cluster with both webhook configurations.
    pub(super) fn new() -> Self {
        let fixture = Self::empty();
        fixture.register();
        fixture
    }

    /// Applies the webhook configurations as they are in git: without any `caBundle`.
    pub(super) fn register(&self) {
        for kind in ["Mutating", "Validating"] {
            self.server.put(configuration(kind));
        }
    }

    /// Starts a replica whose clock is that of the API server.
    pub(super) fn replica(&self, name: &str) -> CertificateReplica {
        self.replica_with(name, &self.wall)
    }

    pub(super) fn replica_with(&self, name: &str, wall: &OffsetClock) -> CertificateReplica {
        let client = self.server.named(name).client();
        let failed = Gauge::default();
        let options = self.options.clone();
        let keeper = CertificateKeeper::new(client, options, wall.clock(), failed.clone());
        let stop = CancellationToken::new();
        CertificateReplica {
            shown: keeper.certificate(),
            failed,
            task: tokio::spawn(keeper.run(stop.clone())),
            stop,
        }
    }

    pub(super) fn secret(&self) -> Option<Value> {
        self.server.stored("secrets", "nadmit", "nadmit-tls")
    }

    /// Returns an entry of the Secret.
    pub(super) fn entry(&self, name: &str) -> Result<Vec<u8>, Failed> {
        let secret = self.secret().ok_or("no Secret")?;
        let text = secret["data"][name].as_str().ok_or("no entry")?;
        Ok(STANDARD.decode(text)?)
    }

    /// Edits the Secret as a user.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Value)) -> TestResult {
        let mut secret = self.secret().ok_or("no Secret")?;
        edit(&mut secret);
        same(self.server.put(secret), true)
    }

    /// Deletes an object as a user.
    pub(super) async fn delete(&self, path: &str) -> TestResult {
        let request = http::Request::delete(path).body(Vec::new())?;
        let client = self.server.named("somebody").client();
        client.request_text(request).await?;
        Ok(())
    }

    /// Returns the `caBundle` of each webhook that points to nadmit.
    pub(super) fn bundles(&self) -> Vec<String> {
        let all = CONFIGURATIONS.iter();
        let found = all.filter_map(|kind| self.server.stored(kind, "", "nadmit"));
        let mut bundles = Vec::new();
        for configuration in found {
            for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
                let config = &webhook["clientConfig"];
                if config["service"]["name"] == "nadmit" {
                    bundles.push(config["caBundle"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        bundles
    }

    /// Returns true if an API server with this `caBundle` would now trust a replica that serves
    /// this certificate.
    pub(super) fn believes(&self, bundle: &str, shown: &TlsPair) -> bool {
        let key = (bundle.to_owned(), shown.cert.clone());
        let mut believed = self.believed.borrow_mut();
        if believed
            .get(&key)
            .is_some_and(|then| then.elapsed() < TRUST_CACHE_TTL)
        {
            return true;
        }
        let chain = shown.identity().map(|identity| identity.cert);
        let names = ["nadmit.nadmit.svc".to_owned()];
        let now = self.wall.now();
        let good = chain.is_ok_and(|chain| verify(&chain, &certificates(bundle), &names, now));
        if good {
            believed.insert(key, Instant::now());
        }
        good
    }

    /// Returns true if every API server would trust this replica.
    pub(super) fn is_served_by(&self, replica: &CertificateReplica) -> bool {
        let Some(shown) = replica.shows() else {
            return false;
        };
        let bundles = self.bundles();
        !bundles.is_empty() && bundles.iter().all(|bundle| self.believes(bundle, &shown))
    }

    /// Returns the number of writes of a resource by this verb.
    pub(super) fn writes(&self, verb: &str, resource: &str) -> u64 {
        let key = (verb.to_owned(), resource.to_owned());
        self.server.written().get(&key).copied().unwrap_or_default()
    }
}

impl CertificateReplica {
    pub(super) fn shows(&self) -> Option<Arc<TlsPair>> {
        self.shown.borrow().clone()
    }

    /// Ends it without a shutdown.
    pub(super) fn crash(&self) {
        self.task.abort();
    }

    pub(super) fn end(&self) {
        self.stop.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for CertificateReplica {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Returns a configuration with a webhook of nadmit's, a foreign one, and another of nadmit's.
fn configuration(kind: &str) -> Value {
    let webhook = |name: &str, service: &str| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": service, "namespace": "nadmit", "path": "/x"}},
        })
    };
    let mut others = webhook("others.example.org", "others");
    others["clientConfig"]["caBundle"] = json!("b3RoZXJz");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": "nadmit"},
        "webhooks": [webhook("pods.nadmit.io", "nadmit"), others, webhook("bindings.nadmit.io", "nadmit")],
    })
}

/// Returns the CAs of a `caBundle`.
pub(super) fn certificates(bundle: &str) -> Vec<Certificate> {
    let pem = STANDARD.decode(bundle).unwrap_or_default();
    Certificate::parse_pem(&pem).0
}

/// Returns validity periods of minutes, so that a test sees many certificates.
pub(super) fn short_lives() -> CertificateLifetimes {
    let minutes = SignedDuration::from_mins;
    CertificateLifetimes {
        server: minutes(10),
        authority: minutes(40),
        backdate: minutes(1),
    }
}

pub(super) fn called(service: &str) -> WebhookService {
    WebhookService {
        namespace: "nadmit".to_owned(),
        service: service.to_owned(),
    }
}

pub(super) async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}
