//! What a keeper of certificates is told.

use std::time::Duration;

use super::{ca_bundles::WebhookService, renewal::CertificateLifetimes};

/// Which Secret, for whom, and how often it is looked at.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// The name of the Secret, in nadmit's namespace.
    pub secret: String,
    /// By which names the callers call.
    pub service: WebhookService,
    /// The name of both webhook configurations.
    pub webhooks: String,
    /// How long certificates last.
    pub lifetimes: CertificateLifetimes,
    /// How often everything is looked at.
    pub interval: Duration,
    /// The same while something is missing, or has just been written.
    pub retry_interval: Duration,
    /// How long a new CA is in every `caBundle` before a certificate of it is served.
    pub propagation_time: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl CertificateOptions {
    /// What serves well: every 10 s, or 2 s; 2 minutes to notice a `caBundle`; 5 s for a request.
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
