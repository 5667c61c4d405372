//! What a keeper of certificates is told.

use std::time::Duration;

use super::{ca_bundles::WebhookService, renewal::CertificateLifetimes};

/// Which Secret, for whom, and how often it is looked at.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// The name of the Secret, in nadmit's namespace.
    pub secret: String,
    /// By which names the callers call.
    pub called: WebhookService,
    /// The name of both webhook configurations.
    pub webhooks: String,
    /// How long certificates last.
    pub lives: CertificateLifetimes,
    /// How often everything is looked at.
    pub every: Duration,
    /// The same while something is missing, or has just been written.
    pub soon: Duration,
    /// How long a new CA is in every `caBundle` before a certificate of it is served.
    pub settles: Duration,
    /// How long one request may take.
    pub attempt: Duration,
}

impl CertificateOptions {
    /// What serves well: every 10 s, or 2 s; 2 minutes to notice a `caBundle`; 5 s for a request.
    pub fn new(namespace: &str, secret: &str, service: &str, webhooks: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            called: WebhookService {
                namespace: namespace.to_owned(),
                service: service.to_owned(),
            },
            webhooks: webhooks.to_owned(),
            lives: CertificateLifetimes::default(),
            every: Duration::from_secs(10),
            soon: Duration::from_secs(2),
            settles: Duration::from_secs(120),
            attempt: Duration::from_secs(5),
        }
    }
}
