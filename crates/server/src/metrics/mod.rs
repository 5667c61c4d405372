//! Metrics of the server in OpenMetrics format.
//!
//! Help texts end in a full stop: the registry appends one to those of registered metrics, and collectors
//! write their own.
//!
//! Labels are bounded whatever clients send: every value is a constant of nadmit.

mod allocation;
mod catalog_sizes;
mod ip_pools;
mod pools;
mod reviews;
mod settings;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

pub(super) use self::reviews::webhook_name;
pub use self::settings::SettingsDigest;
use self::{
    allocation::AllocationMetrics,
    catalog_sizes::CatalogSizes,
    ip_pools::IpPoolCollector,
    pools::PoolCollector,
    reviews::{ReviewCounters, webhook_index},
};
use super::reject::RejectReason;
use nadmit_admission::{AdmissionRequest, AdmissionResponse, Webhook};
use nadmit_allocation::SharedIndex;
use nadmit_catalog::Catalog;

/// Histogram buckets in seconds, from well below the duration of a decision to the longest webhook
/// timeout.
const DURATIONS: [f64; 16] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5,
    10.0, 30.0,
];

/// Counters and gauges of the server.
#[derive(Debug)]
pub struct Metrics {
    reviews: ReviewCounters,
    findings: Family<FindingLabels, Counter>,
    would_deny: Family<CodeLabels, Counter>,
    durations: [Histogram; 2],
    rejected: Family<ReasonLabels, Counter>,
    allocation: AllocationMetrics,
    pub(super) in_flight: Gauge,
    pub(super) connections: Gauge,
    pub(super) evicted_connections: Counter,
    pub(super) handshake_failures: Counter,
    pub(super) certificate_expiry: Gauge,
    pub(super) reload_failures: Counter,
    pub(super) renewal_failed: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    code: &'static str,
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Creates a registry whose metric names begin with `nadmit_`.
pub fn registry() -> Registry {
    Registry::with_prefix("nadmit")
}

/// Registers gauges of pool usage, read from the index at each scrape.
pub fn register_pools(registry: &mut Registry, index: Arc<SharedIndex>) {
    registry.register_collector(Box::new(PoolCollector(index)));
}

impl Metrics {
    /// Registers the server's metrics, and those that are read from the catalog at each scrape.
    pub fn register(registry: &mut Registry, catalog: Arc<ArcSwapOption<Catalog>>) -> Arc<Self> {
        let durations =
            Family::<WebhookLabels, Histogram>::new_with_constructor(|| Histogram::new(DURATIONS));
        let metrics = Self {
            reviews: ReviewCounters::default(),
            findings: Family::default(),
            would_deny: Family::default(),
            durations: [Webhook::Validate, Webhook::Mutate]
                .map(|webhook| durations.get_or_create_owned(&WebhookLabels::from(webhook))),
            rejected: Family::default(),
            allocation: AllocationMetrics::register(registry),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            evicted_connections: Counter::default(),
            handshake_failures: Counter::default(),
            certificate_expiry: Gauge::default(),
            reload_failures: Counter::default(),
            renewal_failed: Gauge::default(),
        };
        metrics.register_requests(registry);
        registry.register_with_unit(
            "review_duration",
            "Time from the head of a review request to its response",
            Unit::Seconds,
            durations,
        );
        metrics.register_connections(registry);
        registry.register_collector(Box::new(IpPoolCollector(Arc::clone(&catalog))));
        registry.register_collector(Box::new(CatalogSizes(catalog)));
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Version of nadmit", Info::new(version));
        Arc::new(metrics)
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register("reviews", "Reviews answered", self.reviews.family());
        registry.register(
            "findings",
            "Findings in responses by rule code and level",
            self.findings.clone(),
        );
        registry.register(
            "would_deny",
            "Findings reported as warnings that would deny without the mode warn of the namespace or settings",
            self.would_deny.clone(),
        );
        registry.register(
            "rejected_requests",
            "Requests rejected with a status of 4xx or 5xx instead of a review",
            self.rejected.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Reviews in progress",
            self.in_flight.clone(),
        );
    }

    fn register_connections(&self, registry: &mut Registry) {
        registry.register(
            "open_connections",
            "Open connections on both listeners",
            self.connections.clone(),
        );
        registry.register(
            "evicted_connections",
            "Connections closed to make room for others",
            self.evicted_connections.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or timed out",
            self.handshake_failures.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "Expiry of the serving certificate, in seconds since the epoch",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Failed attempts to load changed certificates; the old ones stay in use",
            self.reload_failures.clone(),
        );
        registry.register(
            "certificate_renewal_failed",
            "1 if the last attempt to check or renew the certificate failed",
            self.renewal_failed.clone(),
        );
    }

    /// Returns the gauge for failed certificate renewals, which the certificate keeper sets.
    pub fn renewal_failed(&self) -> Gauge {
        self.renewal_failed.clone()
    }

    /// Counts a review with its response.
    pub(super) fn answered(
        &self,
        webhook: Webhook,
        request: &AdmissionRequest<'_>,
        response: &AdmissionResponse,
        elapsed: Duration,
    ) {
        self.reviews.count(webhook, request, response.verdict());
        self.durations[webhook_index(webhook)].observe(elapsed.as_secs_f64());
        if request.is_self_test() {
            return;
        }
        self.allocation.answered(response);
        for finding in response.findings() {
            let labels = FindingLabels {
                code: finding.code,
                level: finding.level.name(),
            };
            self.findings.get_or_create(&labels).inc();
            if finding.would_deny {
                let labels = CodeLabels { code: finding.code };
                self.would_deny.get_or_create(&labels).inc();
            }
        }
    }

    /// Records the time from a decision to its committed allocation.
    pub(super) fn allocated(&self, elapsed: Duration) {
        self.allocation.allocated(elapsed);
    }

    /// Counts a commit that conflicted with another write.
    pub(super) fn commit_conflict(&self) {
        self.allocation.commit_conflict();
    }

    /// Counts addresses borrowed from slices of other nodes.
    pub(super) fn borrowed(&self, count: usize) {
        self.allocation.borrowed(count);
    }

    /// Counts a manual release.
    pub(super) fn released(&self) {
        self.allocation.released();
    }

    /// Counts a request that was rejected without a review.
    pub(super) fn rejected(&self, reason: RejectReason) {
        let labels = ReasonLabels {
            reason: reason.name(),
        };
        self.rejected.get_or_create(&labels).inc();
    }
}

impl From<Webhook> for WebhookLabels {
    fn from(webhook: Webhook) -> Self {
        Self {
            webhook: webhook_name(webhook),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use nadmit_admission::Review;

    fn scrape(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn reviews_are_counted_under_known_resources_only() {
        let mut registry = registry();
        let metrics = Metrics::register(&mut registry, Arc::default());
        for (group, resource) in [
            ("", "pods"),
            ("", "pods"),
            ("evil.io", "x-1"),
            ("evil.io", "x-2"),
        ] {
            let body = format!(
                r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u",
                "resource":{{"group":"{group}","resource":"{resource}"}},"operation":"CREATE","object":{{}}}}}}"#
            );
            let review = Review::parse(body.as_bytes()).unwrap();
            let response = AdmissionResponse::allow(&review.request);
            metrics.answered(Webhook::Mutate, &review.request, &response, Duration::ZERO);
        }
        let text = scrape(&registry);
        let line = |resource: &str| {
            format!(
                "nadmit_reviews_total{{webhook=\"mutate\",resource=\"{resource}\",\
                 operation=\"CREATE\",decision=\"allow\"}} 2\n"
            )
        };
        assert!(text.contains(&line("pods")), "{text}");
        assert!(text.contains(&line("other")), "{text}");
        assert!(text.contains("nadmit_review_duration_seconds_count{webhook=\"mutate\"} 4\n"));
    }

    #[test]
    fn catalog_sizes_appear_when_there_is_a_catalog() {
        let mut registry = registry();
        let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
        Metrics::register(&mut registry, catalog.clone());
        assert!(!scrape(&registry).contains("catalog_networks"));
        catalog.store(Some(Arc::new(Catalog::new(
            [("db".into(), nadmit_catalog::NamespaceLabels::default())],
            [],
            [],
        ))));
        let text = scrape(&registry);
        assert!(text.contains("\nnadmit_catalog_namespaces 1\n"), "{text}");
        assert!(text.contains("\nnadmit_catalog_pods 0\n"), "{text}");
    }
}
