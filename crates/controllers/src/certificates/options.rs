//! The options of a [`super::CertificateKeeper`].

use std::time::Duration;

use super::{ca_bundles::WebhookService, renewal::CertificateLifetimes};

/// The Secret, the callers, and the timing.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// The name of the Secret, in nadmit's namespace.
    pub secret: String,
    /// The Service whose names the certificate is for.
    pub service: WebhookService,
    /// The name of both webhook configurations.
    pub webhooks: String,
    pub lifetimes: CertificateLifetimes,
    /// The interval between two passes.
    pub interval: Duration,
    /// The interval while something is missing or was just written.
    pub retry_interval: Duration,
    /// The time for which a new CA is in every `caBundle` before a certificate signed by it is served.
    pub propagation_time: Duration,
    /// The timeout of one request.
    pub request_timeout: Duration,
}

impl CertificateOptions {
    /// Returns the default timing: every 10 s, or 2 s; 2 minutes to notice a `caBundle`; 5 s for a
    /// request.
    pub fn new(namespace: &str, secret: &str, service: &str, webhooks: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            service: WebhookService {
                namespace: namespace.to_owned(),
                service: service.to_owned(),
            },
            webhooks: webhooks.to_owned(),
            lifetimes: CertificateLifetimes::default(),
            interval: Duration::from_secs(10),
            retry_interval: Duration::from_secs(2),
            propagation_time: Duration::from_secs(120),
            request_timeout: Duration::from_secs(5),
        }
    }
}
