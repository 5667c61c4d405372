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
    client::Authorities,
    error::CertificateError,
    load::{Contents, Loaded, Shown, Sources},
    self_signed::{self, Made},
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
pub(in crate::server) struct Resolver(ArcSwapOption<CertifiedKey>);

/// Keeps what is shown and asked for up to date with the files.
pub(in crate::server) struct Reloader {
    sources: Sources,
    contents: Contents,
    own: Option<Own>,
    resolver: Arc<Resolver>,
    authorities: Option<Arc<Authorities>>,
    metrics: Arc<Metrics>,
    complaint: String,
}

/// A certificate that nadmit makes and remakes.
struct Own {
    directory: PathBuf,
    names: Vec<String>,
    clock: Clock,
    checked: Timestamp,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl Resolver {
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
    ) -> Result<(Self, Option<Arc<Authorities>>), CertificateError> {
        let own = Own::new(&certificates.source, clock.clone())?;
        let sources = Sources::new(certificates);
        let contents = sources.read()?;
        let loaded = sources.load(&contents)?;
        let expiry = loaded.shown.as_ref().map(|shown| shown.expiry);
        if expiry.is_some_and(|expiry| expiry <= clock.now().as_second()) {
            warn!("the certificate has expired; callers will refuse it");
        }
        let authorities = loaded.client.map(Authorities::new).map(Arc::new);
        let reloader = Self {
            sources,
            contents,
            own,
            resolver: Arc::default(),
            authorities: authorities.clone(),
            metrics,
            complaint: String::new(),
        };
        reloader.show(loaded.shown);
        Ok((reloader, authorities))
    }

    pub(in crate::server) fn resolver(&self) -> Arc<Resolver> {
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
                () = self.sources.brought() => {}
                _ = ticks.tick() => {}
                () = now.notified() => {}
            }
            // Files may lie on a network.
            match spawn_blocking(move || self.looked()).await {
                Ok(reloader) => self = reloader,
                Err(panic) => {
                    error!(error = %panic, "certificates are no longer reloaded; restart nadmit");
                    return;
                }
            }
        }
    }

    fn looked(mut self) -> Self {
        let looked = self.look();
        // Who keeps it elsewhere says so himself.
        if !self.sources.are_kept() {
            self.metrics.renewal_failed.set(i64::from(looked.is_err()));
        }
        match looked {
            Ok(()) => self.complaint.clear(),
            Err(error) => self.complain(&error),
        }
        self
    }

    /// Renews what is ours, and takes over what has changed: each even if the other fails.
    fn look(&mut self) -> Result<(), CertificateError> {
        let renewed = self.own.as_mut().map_or(Ok(()), Own::renew);
        let taken_over = self.take_over();
        renewed.and(taken_over)
    }

    fn take_over(&mut self) -> Result<(), CertificateError> {
        let contents = self.sources.read()?;
        if contents == self.contents {
            return Ok(());
        }
        let loaded = self.sources.load(&contents)?;
        self.contents = contents;
        self.publish(loaded);
        Ok(())
    }

    fn publish(&self, loaded: Loaded) {
        let expiry = loaded.shown.as_ref().map(|shown| shown.expiry);
        self.show(loaded.shown);
        if let (Some(authorities), Some(verifier)) = (&self.authorities, loaded.client) {
            authorities.replace(verifier);
        }
        info!(expiry, "the certificates were reloaded");
    }

    /// Without another one, what was shown is shown on.
    fn show(&self, shown: Option<Shown>) {
        if let Some(shown) = shown {
            self.metrics.certificate_expiry.set(shown.expiry);
            self.resolver.0.store(Some(Arc::new(shown.identity)));
        }
    }

    /// Counts each failure, and tells each kind of it once.
    fn complain(&mut self, error: &CertificateError) {
        self.metrics.reload_failures.inc();
        let complaint = error.to_string();
        let last = mem::replace(&mut self.complaint, complaint);
        if last != self.complaint {
            error!(
                error = self.complaint,
                "the certificates were not reloaded; the old ones stay in use"
            );
        }
    }
}

impl Own {
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
        if made != Made::Nothing {
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
