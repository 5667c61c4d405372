//! The control loop over the Secret and the webhook configurations.

use std::{mem, sync::Arc};

use jiff::Timestamp;
use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::{
    sync::watch::{Receiver, Sender},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    ca_bundles::{TrustTracker, TrustedBundles},
    contents::{ParsedSecret, SecretContents, ServingCertificate},
    error::CertificateError,
    make::renew,
    options::CertificateOptions,
    renewal::{LastServed, RenewalContext, RenewalReason},
    requests::{DatedObject, RawRequests},
    time::ApiServerTime,
};
use nadmit_api::call::ApiError;
use nadmit_host::clock::Clock;
use nadmit_pki::{Certificate, TlsPair};

/// The maximum number of writes in a pass, when other replicas write in between.
const MAX_ATTEMPTS: usize = 3;

/// Keeps certificates in a Secret, and their CAs in the webhook configurations.
///
/// It needs `get`, `create` and `update` on the Secret, and `get` and `patch` on the two webhook
/// configurations.
pub struct CertificateKeeper {
    requests: RawRequests,
    options: CertificateOptions,
    names: Vec<String>,
    time: ApiServerTime,
    certificate: Sender<Option<Arc<TlsPair>>>,
    last_served: Option<LastServed>,
    /// True if a pass has already had the chance to patch the `caBundle`s.
    bundles_offered: bool,
    trust: TrustTracker,
    /// A gauge that is 1 if the last pass failed.
    failed: Gauge,
    /// The last logged error.
    last_failure: String,
    /// The last logged owner of the Secret: `own`, `foreign`, or empty.
    ownership: &'static str,
}

/// The Secret as it was read or written.
struct SecretState {
    secret: Option<Value>,
    contents: SecretContents,
    parsed: ParsedSecret,
}

/// A webhook configuration and its path.
struct Configuration {
    path: String,
    object: Value,
}

impl CertificateKeeper {
    /// Creates a keeper; sends no request. The client must not retry by itself, as those
    /// built by [`nadmit_api::call::client`] do not. `failed` is set to 1 while the last pass failed.
    pub fn new(client: Client, options: CertificateOptions, clock: Clock, failed: Gauge) -> Self {
        Self {
            requests: RawRequests::new(client, options.request_timeout),
            names: options.service.names(),
            trust: TrustTracker::new(options.propagation_time),
            time: ApiServerTime::new(clock, options.lifetimes.backdate),
            options,
            certificate: Sender::new(None),
            last_served: None,
            bundles_offered: false,
            failed,
            last_failure: String::new(),
            ownership: "",
        }
    }

    /// Returns a receiver of the certificate to serve.
    pub fn certificate(&self) -> Receiver<Option<Arc<TlsPair>>> {
        self.certificate.subscribe()
    }

    /// Runs passes until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                outcome = self.pass() => outcome,
            };
            let pause = match outcome {
                Ok(PassOutcome::Settled) => self.options.interval,
                Err(_) if self.last_served.is_some() => self.options.interval,
                Ok(PassOutcome::Pending) | Err(_) => self.options.retry_interval,
            };
            self.failed.set(i64::from(outcome.is_err()));
            let failure = outcome.err().map(|error| error.to_string());
            self.log_failure(failure.unwrap_or_default());
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Runs one pass. It reads the configurations before the Secret, so that a patch based on an
    /// outdated Secret conflicts with the configuration's new version; see the module's documentation.
    async fn pass(&mut self) -> Result<PassOutcome, CertificateError> {
        let mut errors = Vec::new();
        let (configurations, trusted_cas) = self.read_configurations(&mut errors).await;
        let mut pending = configurations.len() < self.paths().len();
        let (mut found, now) = self.read().await?;
        match self.reconcile_secret(&mut found, &trusted_cas, now).await {
            Ok(written) => pending |= written,
            Err(error) => errors.push(error),
        }
        let mut patched_any = false;
        let trusted = self.is_trusted_by(&found, now);
        for configuration in configurations.iter().filter(|_| trusted) {
            match self
                .patch_bundle(configuration, &found.parsed.authorities)
                .await
            {
                Ok(patched) => patched_any |= patched,
                Err(error) => errors.push(error),
            }
        }
        // A starting replica first waits once for the callers to trust its CAs: other replicas may
        // serve them meanwhile.
        let begins = self.last_served.is_none() && !mem::replace(&mut self.bundles_offered, true);
        if !(begins && patched_any)
            && let Err(error) = self.publish(&found, trusted, now)
        {
            errors.push(error);
        }
        match CertificateError::of(errors) {
            Some(error) => Err(error),
            None if pending || patched_any => Ok(PassOutcome::Pending),
            None => Ok(PassOutcome::Settled),
        }
    }

    /// Reads the existing webhook configurations and the CAs they trust.
    async fn read_configurations(
        &self,
        errors: &mut Vec<CertificateError>,
    ) -> (Vec<Configuration>, TrustedBundles) {
        let (mut configurations, mut trusted_cas) = (Vec::new(), TrustedBundles::default());
        for path in self.paths() {
            match self.requests.get(&path).await {
                Ok(DatedObject { object: None, .. }) => {}
                Ok(DatedObject {
                    object: Some(object),
                    ..
                }) => {
                    trusted_cas.add(&object, &self.options.service);
                    configurations.push(Configuration { path, object });
                }
                Err(source) => {
                    trusted_cas.add_unknown();
                    errors.push(CertificateError::Read {
                        object: path,
                        source,
                    });
                }
            }
        }
        (configurations, trusted_cas)
    }

    fn paths(&self) -> [String; 2] {
        ["mutating", "validating"].map(|kind| {
            let name = &self.options.webhooks;
            let group = "/apis/admissionregistration.k8s.io/v1";
            format!("{group}/{kind}webhookconfigurations/{name}")
        })
    }

    fn collection(&self) -> String {
        let namespace = &self.options.service.namespace;
        format!("/api/v1/namespaces/{namespace}/secrets")
    }

    fn secret(&self) -> String {
        let namespace = &self.options.service.namespace;
        format!("the Secret {namespace}/{}", self.options.secret)
    }

    /// Reads the Secret, and the API server's time.
    async fn read(&mut self) -> Result<(SecretState, Timestamp), CertificateError> {
        let path = format!("{}/{}", self.collection(), self.options.secret);
        let read = self.requests.get(&path).await;
        let read = read.map_err(|source| CertificateError::Read {
            object: self.secret(),
            source,
        })?;
        let now = self.time.of(read.time);
        Ok((SecretState::of(read.object), now))
    }

    /// Writes the Secret if it has to change. Returns true if it was written; `found` holds the new
    /// content.
    async fn reconcile_secret(
        &mut self,
        found: &mut SecretState,
        trusted_cas: &TrustedBundles,
        now: Timestamp,
    ) -> Result<bool, CertificateError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((contents, reason)) = self.due(found, trusted_cas, now)? else {
                return Ok(false);
            };
            match self.write(found.secret.as_ref(), &contents).await {
                Ok(written) => {
                    tracing::info!(
                        namespace = self.options.service.namespace,
                        secret = self.options.secret,
                        %reason,
                        "certificate Secret written"
                    );
                    *found = SecretState {
                        secret: Some(written),
                        parsed: ParsedSecret::of(&contents),
                        contents,
                    };
                    return Ok(true);
                }
                // Another replica was faster: its content counts.
                Err(ApiError::AlreadyExists(_) | ApiError::Conflict(_)) => {
                    *found = self.read().await?.0;
                }
                // The Secret was deleted. On a create, the namespace does not exist.
                Err(ApiError::NotFound(_)) if found.secret.is_some() => {
                    *found = self.read().await?.0;
                }
                Err(source) => {
                    return Err(CertificateError::Write {
                        object: self.secret(),
                        source,
                    });
                }
            }
        }
        Err(CertificateError::KeptChanging {
            secret: self.secret(),
        })
    }

    /// Returns the new content of the Secret and the reason for it; `None` if it stays.
    fn due(
        &mut self,
        found: &mut SecretState,
        trusted_cas: &TrustedBundles,
        now: Timestamp,
    ) -> Result<Option<(SecretContents, RenewalReason)>, CertificateError> {
        self.trust.observe(trusted_cas, &found.parsed.authorities);
        let context = RenewalContext {
            last_served: self.last_served.as_ref(),
            names: &self.names,
            now,
            trusted_cas: &trusted_cas.any(),
            is_propagated: &|authority| self.trust.is_propagated(authority),
            lifetimes: self.options.lifetimes,
        };
        let made = renew(&found.contents, &mut found.parsed, &context);
        made.map_err(|source| CertificateError::Renewal {
            secret: self.secret(),
            source,
        })
    }

    async fn write(
        &self,
        before: Option<&Value>,
        contents: &SecretContents,
    ) -> Result<Value, ApiError> {
        let collection = self.collection();
        let Some(before) = before else {
            let mut secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {
                    "name": self.options.secret,
                    "namespace": self.options.service.namespace,
                    "labels": {"app.kubernetes.io/managed-by": "nadmit"},
                },
            });
            contents.write(&mut secret);
            return self.requests.create(&collection, &secret).await;
        };
        let mut secret = before.clone();
        contents.write(&mut secret);
        let path = format!("{collection}/{}", self.options.secret);
        self.requests.replace(&path, &secret).await
    }

    /// Returns true if nadmit manages the Secret and callers that trust its CAs accept its certificate.
    fn is_trusted_by(&self, found: &SecretState, now: Timestamp) -> bool {
        let (served, authorities) = (found.parsed.served.as_ref(), &found.parsed.authorities);
        !found.contents.is_foreign()
            && served.is_some_and(|served| served.is_trusted_by(authorities, &self.names, now))
    }

    /// Publishes the certificate of the Secret, unless the present one is better.
    fn publish(
        &mut self,
        found: &SecretState,
        trusted: bool,
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        let foreign = found.contents.is_foreign();
        let good = |served: &&ServingCertificate| match foreign {
            true => self.last_served.is_none() || served.certificate.is_valid_at(now),
            false => trusted,
        };
        let Some(served) = found.parsed.served.as_ref().filter(good) else {
            self.log_ownership("");
            let secret = self.secret();
            return Err(match foreign {
                true => CertificateError::ExternalInvalid { secret },
                false => CertificateError::NothingToServe { secret },
            });
        };
        self.last_served = Some(LastServed {
            served: served.clone(),
            authorities: found.parsed.authorities.clone(),
            foreign,
        });
        self.certificate.send_if_modified(|certificate| {
            let new = certificate.as_deref() != Some(&*served.pair);
            if new {
                *certificate = Some(Arc::clone(&served.pair));
            }
            new
        });
        self.log_ownership(if foreign { "foreign" } else { "own" });
        Ok(())
    }

    fn log_ownership(&mut self, ownership: &'static str) {
        if ownership == "foreign" && self.ownership != ownership {
            tracing::info!(
                namespace = self.options.service.namespace,
                secret = self.options.secret,
                "Secret without ca.key is managed externally: serving it, writing neither it nor a \
                 caBundle"
            );
        }
        self.ownership = ownership;
    }

    /// Writes the CAs into the `caBundle` of nadmit's webhooks. Returns true if a patch was sent.
    async fn patch_bundle(
        &self,
        configuration: &Configuration,
        authorities: &[Certificate],
    ) -> Result<bool, CertificateError> {
        let Configuration { path, object } = configuration;
        let Some(patch) = self.options.service.patch(object, authorities) else {
            return Ok(false);
        };
        match self.requests.patch(path, &patch).await {
            Ok(_) => {
                tracing::info!(path, secret = self.options.secret, "caBundle updated");
                Ok(true)
            }
            // Changed in between: the next pass reads it again.
            Err(ApiError::Conflict(_) | ApiError::NotFound(_)) => Ok(true),
            Err(source) => Err(CertificateError::Patch {
                path: path.clone(),
                source,
            }),
        }
    }

    /// Logs an error, unless it is the same as the last.
    fn log_failure(&mut self, error: String) {
        let last = mem::replace(&mut self.last_failure, error);
        if self.last_failure.is_empty() || self.last_failure == last {
            return;
        }
        let error = &self.last_failure;
        match self.last_served {
            Some(_) => tracing::error!(
                error,
                "certificate pass failed; still serving the last certificate"
            ),
            None => tracing::error!(error, "certificate pass failed; no certificate to serve"),
        }
    }
}

/// The result of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassOutcome {
    /// Nothing is left to do at present.
    Settled,
    /// Something was written, or is still missing.
    Pending,
}

impl SecretState {
    fn of(secret: Option<Value>) -> Self {
        let contents = secret.as_ref().map(SecretContents::of).unwrap_or_default();
        Self {
            parsed: ParsedSecret::of(&contents),
            contents,
            secret,
        }
    }
}
