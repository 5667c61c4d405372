//! What the server counts, in the words of OpenMetrics.
//!
//! Labels are bounded whatever callers send: every value is one of ours.

mod allocation;
mod catalog_sizes;
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
    pools::PoolCollector,
    reviews::{ReviewCounters, webhook_index},
};
use super::reject::RejectReason;
use crate::{
    admission::{AdmissionRequest, AdmissionResponse, Webhook},
    allocation::SharedIndex,
    catalog::Catalog,
};

/// Seconds, from far below what a decision takes to the longest a webhook may take.
const DURATIONS: [f64; 16] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5,
    10.0, 30.0,
];

/// The server's counters and gauges.
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

/// A registry for nadmit's metrics: each name begins with `nadmit_`.
pub fn registry() -> Registry {
    Registry::with_prefix("nadmit")
}

/// Registers the pools of an index, as full as they are at each scrape.
pub fn register_pools(registry: &mut Registry, index: Arc<SharedIndex>) {
    registry.register_collector(Box::new(PoolCollector(index)));
}

impl Metrics {
    /// Registers the server's metrics, and the sizes of the catalog as it is at each scrape.
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
            "Time from the head of a request to its answer",
            Unit::Seconds,
            durations,
        );
        metrics.register_connections(registry);
        registry.register_collector(Box::new(CatalogSizes(catalog)));
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The version that runs", Info::new(version));
        Arc::new(metrics)
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register(
            "reviews",
            "Reviews that were answered",
            self.reviews.family(),
        );
        registry.register(
            "findings",
            "Findings in the answers, by the code of their rule",
            self.findings.clone(),
        );
        registry.register(
            "would_deny",
            "Findings that were warned of and would deny, but for the mode warn of namespace or settings",
            self.would_deny.clone(),
        );
        registry.register(
            "rejected_requests",
            "Requests that got a status of 4xx or 5xx in place of a review",
            self.rejected.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Reviews that are being worked on",
            self.in_flight.clone(),
        );
    }

    fn register_connections(&self, registry: &mut Registry) {
        registry.register(
            "open_connections",
            "Connections that are open, on both listeners",
            self.connections.clone(),
        );
        registry.register(
            "evicted_connections",
            "Connections that were closed to make room for others",
            self.evicted_connections.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or took too long",
            self.handshake_failures.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate that is shown expires, since the epoch",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Attempts to load changed certificates that failed; the old ones stay in use",
            self.reload_failures.clone(),
        );
        registry.register(
            "certificate_renewal_failed",
            "1 if the certificate could not be looked after at the last look",
            self.renewal_failed.clone(),
        );
    }

    /// Where it is said whether the certificate could not be looked after at the last look; for
    /// whoever keeps it for the server.
    pub fn renewal_failed(&self) -> Gauge {
        self.renewal_failed.clone()
    }

    /// Counts a review and its answer.
    pub(super) fn answered(
        &self,
        webhook: Webhook,
        request: &AdmissionRequest<'_>,
        answer: &AdmissionResponse,
        elapsed: Duration,
    ) {
        self.reviews.count(webhook, request, answer.verdict());
        self.durations[webhook_index(webhook)].observe(elapsed.as_secs_f64());
        if request.is_self_test() {
            return;
        }
        self.allocation.answered(answer);
        for finding in answer.findings() {
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

    /// Counts what was recorded for a pod, this long after it was decided.
    pub(super) fn allocated(&self, elapsed: Duration) {
        self.allocation.allocated(elapsed);
    }

    /// Counts a plan that another was faster than.
    pub(super) fn commit_conflict(&self) {
        self.allocation.commit_conflict();
    }

    /// Counts addresses that were lent from slices of other nodes.
    pub(super) fn borrowed(&self, count: usize) {
        self.allocation.borrowed(count);
    }

    /// Counts an address that was released by hand.
    pub(super) fn released(&self) {
        self.allocation.released();
    }

    /// Counts a request that got no review back.
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
    use crate::admission::Review;

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
            let answer = AdmissionResponse::allow(&review.request);
            metrics.answered(Webhook::Mutate, &review.request, &answer, Duration::ZERO);
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
            [("db".into(), crate::catalog::NamespaceLabels::default())],
            [],
            [],
        ))));
        let text = scrape(&registry);
        assert!(text.contains("\nnadmit_catalog_namespaces 1\n"), "{text}");
        assert!(text.contains("\nnadmit_catalog_pods 0\n"), "{text}");
    }
}
