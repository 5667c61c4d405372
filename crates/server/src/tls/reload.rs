//! Reloads certificates while the server runs, without interrupting connections.
//!
//! The files' contents are read at an interval and compared, which detects a kubelet's swap of the
//! `..data` symlink, an editor's rename and a plain write alike. Unusable contents change nothing:
//! the old certificate stays in use, a log line and a counter report the failure, and the next
//! check retries. `rustls-cert-file-reader` reloads a pair of files; here the client CAs change with it,
//! contents are bounded and compared, and a certificate may be nadmit's own and be renewed.

use std::{mem, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    client::ClientAuthorities,
    error::CertificateError,
    load::{LoadedCertificates, PemContents, PemSources, ServedCertificate},
    self_signed::{self, Issuance},
    source::{CertificateSource, ServerCertificates},
};
use crate::metrics::Metrics;
use nadmit_host::clock::Clock;

/// Interval at which the age of a self-signed certificate is checked.
const RENEWAL_CHECK: SignedDuration = SignedDuration::from_hours(1);

/// Resolves the current server certificate; fails handshakes until there is one.
#[derive(Debug, Default)]
pub(crate) struct CertificateResolver(ArcSwapOption<CertifiedKey>);

/// Keeps server certificate and client CAs up to date with their sources.
pub(crate) struct Reloader {
    sources: PemSources,
    contents: PemContents,
    own: Option<SelfSignedCertificate>,
    resolver: Arc<CertificateResolver>,
    authorities: Option<Arc<ClientAuthorities>>,
    metrics: Arc<Metrics>,
    last_error: String,
}

/// A server certificate that nadmit creates and renews.
struct SelfSignedCertificate {
    directory: PathBuf,
    names: Vec<String>,
    clock: Clock,
    checked: Timestamp,
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl CertificateResolver {
    /// Returns true if there is a certificate to serve.
    pub(crate) fn has_certificate(&self) -> bool {
        self.0.load().is_some()
    }
}

impl Reloader {
    /// Loads all certificates for the first time.
    pub(super) fn open(
        certificates: &ServerCertificates,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Option<Arc<ClientAuthorities>>), CertificateError> {
        let own = SelfSignedCertificate::new(&certificates.source, clock.clone())?;
        let sources = PemSources::new(certificates);
        let contents = sources.read()?;
        let loaded = sources.load(&contents)?;
        let expiry = loaded.served.as_ref().map(|served| served.expiry);
        if expiry.is_some_and(|expiry| expiry <= clock.now()) {
            warn!("certificate has expired; clients will reject it");
        }
        let authorities = loaded.client.map(ClientAuthorities::new).map(Arc::new);
        let reloader = Self {
            sources,
            contents,
            own,
            resolver: Arc::default(),
            authorities: authorities.clone(),
            metrics,
            last_error: String::new(),
        };
        reloader.serve(loaded.served);
        Ok((reloader, authorities))
    }

    pub(crate) fn resolver(&self) -> Arc<CertificateResolver> {
        self.resolver.clone()
    }

    /// Checks the sources at the interval `every` and whenever `now` is notified, until `stop` is
    /// cancelled.
    pub(crate) async fn run(mut self, every: Duration, now: Arc<Notify>, stop: CancellationToken) {
        // A zero interval panics.
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sources.changed() => {}
                _ = ticks.tick() => {}
                () = now.notified() => {}
            }
            // Files may be on a network file system.
            match spawn_blocking(move || self.check()).await {
                Ok(reloader) => self = reloader,
                Err(panic) => {
                    error!(error = %panic, "certificate reloader stopped; restart nadmit");
                    return;
                }
            }
        }
    }

    fn check(mut self) -> Self {
        let outcome = self.refresh();
        // The keeper of a managed certificate sets the gauge itself.
        if !self.sources.are_managed() {
            self.metrics.renewal_failed.set(i64::from(outcome.is_err()));
        }
        match outcome {
            Ok(()) => self.last_error.clear(),
            Err(error) => self.record_failure(&error),
        }
        self
    }

    /// Renews the self-signed certificate and loads changed sources; each is done even if the other
    /// fails.
    fn refresh(&mut self) -> Result<(), CertificateError> {
        let renewed = self
            .own
            .as_mut()
            .map_or(Ok(()), SelfSignedCertificate::renew);
        let reloaded = self.reload_changed();
        renewed.and(reloaded)
    }

    fn reload_changed(&mut self) -> Result<(), CertificateError> {
        let contents = self.sources.read()?;
        if contents == self.contents {
            return Ok(());
        }
        let loaded = self.sources.load(&contents)?;
        self.contents = contents;
        self.publish(loaded);
        Ok(())
    }

    fn publish(&self, loaded: LoadedCertificates) {
        let expiry = loaded.served.as_ref();
        let expiry = expiry.map(|served| served.expiry.as_second());
        self.serve(loaded.served);
        if let (Some(authorities), Some(verifier)) = (&self.authorities, loaded.client) {
            authorities.replace(verifier);
        }
        info!(expiry, "certificates reloaded");
    }

    /// Serves `served`; without a new certificate the old one stays in use.
    fn serve(&self, served: Option<ServedCertificate>) {
        if let Some(served) = served {
            self.metrics
                .certificate_expiry
                .set(served.expiry.as_second());
            self.resolver.0.store(Some(Arc::new(served.identity)));
        }
    }

    /// Counts a failure; logs it only if it differs from the last one.
    fn record_failure(&mut self, error: &CertificateError) {
        self.metrics.reload_failures.inc();
        let previous = mem::replace(&mut self.last_error, error.to_string());
        if previous != self.last_error {
            error!(
                error = self.last_error,
                "certificate reload failed; the old certificates stay in use"
            );
        }
    }
}

impl SelfSignedCertificate {
    /// Creates the certificate if configured and absent.
    fn new(source: &CertificateSource, clock: Clock) -> Result<Option<Self>, CertificateError> {
        let CertificateSource::Directory { path, names } = source else {
            return Ok(None);
        };
        let own = Self {
            directory: path.clone(),
            names: names.clone(),
            checked: clock.now(),
            clock,
        };
        own.ensure(own.checked)?;
        Ok(Some(own))
    }

    fn ensure(&self, now: Timestamp) -> Result<(), CertificateError> {
        let issuance = self_signed::ensure(&self.directory, &self.names, now)?;
        if issuance != Issuance::Nothing {
            let directory = self.directory.display();
            info!(%directory, made = ?issuance, "certificate created; clients must trust ca.crt in this directory");
        }
        Ok(())
    }

    /// Renews the certificate if it is due.
    fn renew(&mut self) -> Result<(), CertificateError> {
        let now = self.clock.now();
        if now.duration_since(self.checked) < RENEWAL_CHECK {
            return Ok(());
        }
        self.ensure(now)?;
        self.checked = now;
        Ok(())
    }
}
