//! Certificates change while the server runs, and no connection notices.
//!
//! The files' contents are read every few seconds and compared: that sees a kubelet's swap of the
//! `..data` symlink, an editor's rename and a plain write alike. What cannot be used changes
//! nothing: the old certificate is shown on, a log line and a counter say so, and the next look
//! tries again.

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
};
use crate::{
    clock::Clock,
    server::{
        metrics::Metrics,
        options::{CertificateSource, ServerCertificates},
    },
};

/// How often a certificate of nadmit's own is looked at for its age.
const RENEWAL_CHECK: SignedDuration = SignedDuration::from_hours(1);

/// Shows the certificate of the moment, if there is one.
#[derive(Debug, Default)]
pub(in crate::server) struct CertificateResolver(ArcSwapOption<CertifiedKey>);

/// Keeps what is shown and asked for up to date with the files.
pub(in crate::server) struct Reloader {
    sources: PemSources,
    contents: PemContents,
    own: Option<SelfSignedCertificate>,
    resolver: Arc<CertificateResolver>,
    authorities: Option<Arc<ClientAuthorities>>,
    metrics: Arc<Metrics>,
    last_error: String,
}

/// A certificate that nadmit makes and remakes.
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
    /// Whether there is one to show.
    pub(in crate::server) fn has_certificate(&self) -> bool {
        self.0.load().is_some()
    }
}

impl Reloader {
    /// Loads everything for the first time.
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
        if expiry.is_some_and(|expiry| expiry <= clock.now().as_second()) {
            warn!("the certificate has expired; callers will refuse it");
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

    pub(in crate::server) fn resolver(&self) -> Arc<CertificateResolver> {
        self.resolver.clone()
    }

    /// Looks at the files every so often and whenever `now` is notified, until told to stop.
    pub(in crate::server) async fn run(
        mut self,
        every: Duration,
        now: Arc<Notify>,
        stop: CancellationToken,
    ) {
        // A timer panics at zero.
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
            // Files may lie on a network.
            match spawn_blocking(move || self.refreshed()).await {
                Ok(reloader) => self = reloader,
                Err(panic) => {
                    error!(error = %panic, "certificates are no longer reloaded; restart nadmit");
                    return;
                }
            }
        }
    }

    fn refreshed(mut self) -> Self {
        let refreshed = self.refresh();
        // Who keeps it elsewhere says so himself.
        if !self.sources.are_managed() {
            self.metrics
                .renewal_failed
                .set(i64::from(refreshed.is_err()));
        }
        match refreshed {
            Ok(()) => self.last_error.clear(),
            Err(error) => self.record_failure(&error),
        }
        self
    }

    /// Renews what is ours, and takes over what has changed: each even if the other fails.
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
        let expiry = loaded.served.as_ref().map(|served| served.expiry);
        self.serve(loaded.served);
        if let (Some(authorities), Some(verifier)) = (&self.authorities, loaded.client) {
            authorities.replace(verifier);
        }
        info!(expiry, "the certificates were reloaded");
    }

    /// Without another one, what was shown is shown on.
    fn serve(&self, served: Option<ServedCertificate>) {
        if let Some(served) = served {
            self.metrics.certificate_expiry.set(served.expiry);
            self.resolver.0.store(Some(Arc::new(served.identity)));
        }
    }

    /// Counts each failure, and tells each kind of it once.
    fn record_failure(&mut self, error: &CertificateError) {
        self.metrics.reload_failures.inc();
        let last_error = error.to_string();
        let last = mem::replace(&mut self.last_error, last_error);
        if last != self.last_error {
            error!(
                error = self.last_error,
                "the certificates were not reloaded; the old ones stay in use"
            );
        }
    }
}

impl SelfSignedCertificate {
    /// Makes the certificate if it is wanted and absent.
    fn new(identity: &CertificateSource, clock: Clock) -> Result<Option<Self>, CertificateError> {
        let CertificateSource::Directory { path, names } = identity else {
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
        let made = self_signed::ensure(&self.directory, &self.names, now)?;
        if made != Issuance::Nothing {
            let directory = self.directory.display();
            info!(%directory, ?made, "made a certificate; callers trust ca.crt of this directory");
        }
        Ok(())
    }

    /// Remakes it when its time has come.
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
