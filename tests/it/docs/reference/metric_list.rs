//! The metrics in the order of the page, with what their help texts do not say.

/// The servers that export a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Servers {
    All,
    Cluster,
    /// Servers of a folder of manifests.
    Folder,
}

/// A metric, by the name by which it is queried.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) servers: Servers,
    pub(super) labels: &'static [&'static str],
    /// Sentences that follow the help text.
    pub(super) more: &'static str,
}

const fn all(name: &'static str, labels: &'static [&'static str], more: &'static str) -> Metric {
    Metric {
        name,
        servers: Servers::All,
        labels,
        more,
    }
}

const fn cluster(
    name: &'static str,
    labels: &'static [&'static str],
    more: &'static str,
) -> Metric {
    Metric {
        name,
        servers: Servers::Cluster,
        labels,
        more,
    }
}

const fn folder(name: &'static str, more: &'static str) -> Metric {
    Metric {
        name,
        servers: Servers::Folder,
        labels: &[],
        more,
    }
}

/// The metrics by section.
pub(super) const METRICS: &[(&str, &[Metric])] = &[
    (
        "Reviews",
        &[
            all("nadmit_build_info", &["version"], "The value is 1."),
            all(
                "nadmit_settings_info",
                &["sha256"],
                "The value is 1. All replicas show the same hash when they use the same settings.",
            ),
            all(
                "nadmit_reviews_total",
                &["webhook", "resource", "operation", "decision"],
                "`webhook` is `validate` or `mutate`; `decision` is `allow`, `warn` or `deny`.",
            ),
            all("nadmit_review_duration_seconds", &["webhook"], ""),
            all("nadmit_reviews_in_flight", &[], "At most 256."),
            all(
                "nadmit_findings_total",
                &["code", "level"],
                "The codes: [Rules](../rules.md).",
            ),
            all(
                "nadmit_would_deny_total",
                &["code"],
                "How to use it: [From warn to deny](../how-to/deny.md).",
            ),
            all(
                "nadmit_rejected_requests_total",
                &["reason"],
                "[The reasons](#reasons-of-rejected-requests).",
            ),
        ],
    ),
    (
        "Connections and certificate",
        &[
            all("nadmit_open_connections", &[], ""),
            all("nadmit_evicted_connections_total", &[], ""),
            all("nadmit_tls_handshake_failures_total", &[], ""),
            all("nadmit_certificate_expiry_timestamp_seconds", &[], ""),
            all("nadmit_certificate_reload_failures_total", &[], ""),
            all(
                "nadmit_certificate_renewal_failed",
                &[],
                "With `--tls-secret` only: nadmit cannot renew the certificate, or cannot write its Secret or a `caBundle`.",
            ),
        ],
    ),
    (
        "Addresses",
        &[
            all("nadmit_pool_capacity", &["pool", "range"], ""),
            all("nadmit_pool_allocated", &["pool", "range"], ""),
            all("nadmit_pool_reserved", &["pool", "range"], ""),
            all(
                "nadmit_pool_free",
                &["pool", "range"],
                "A pool is as full as its fullest range.",
            ),
            all(
                "nadmit_pool_ready",
                &["pool"],
                "0 while the pool assigns nothing yet.",
            ),
            cluster(
                "nadmit_ippool_capacity",
                &["pool"],
                "`pool` is the name that `nadmit pools` has, `IPPool/NAME`.",
            ),
            cluster("nadmit_ippool_used", &["pool"], ""),
            cluster("nadmit_ippool_reserved", &["pool"], ""),
            cluster("nadmit_ippool_free", &["pool"], ""),
            cluster("nadmit_ippool_outside", &["pool"], ""),
            all("nadmit_pool_exhaustions_total", &[], ""),
            all("nadmit_allocation_duration_seconds", &[], ""),
            all(
                "nadmit_allocation_conflicts_total",
                &[],
                "Another writer was faster. nadmit then takes the next address.",
            ),
            all(
                "nadmit_borrowed_addresses_total",
                &[],
                "More: [Slices](../explanation/slices.md).",
            ),
            all("nadmit_manual_releases_total", &[], "By `nadmit release`."),
            all(
                "nadmit_comparison_duration_seconds",
                &[],
                "The pause before the next one is at least 20 times as long.",
            ),
            all("nadmit_duplicate_addresses", &[], ""),
            all("nadmit_drifted_interfaces", &[], ""),
            cluster(
                "nadmit_whereabouts_leaks_removed_total",
                &[],
                "More: [Leaks](../how-to/serve-whereabouts.md#what-the-plugin-leaves-behind).",
            ),
            all(
                "nadmit_reconciliations_total",
                &["reason"],
                "[The reasons](#reasons-of-reconciliations).",
            ),
        ],
    ),
    (
        "Known objects",
        &[
            all(
                "nadmit_catalog_networks",
                &[],
                "NetworkAttachmentDefinitions that nadmit knows. Absent until it has read them.",
            ),
            all(
                "nadmit_catalog_namespaces",
                &[],
                "Namespaces that nadmit knows. Absent until it has read them.",
            ),
            all(
                "nadmit_catalog_pods",
                &[],
                "Pods that nadmit knows. Absent until it has read them.",
            ),
        ],
    ),
    (
        "Cluster only",
        &[
            cluster("nadmit_leader", &[], ""),
            cluster("nadmit_schedule_invalid", &[], ""),
            cluster("nadmit_full_comparison_next_timestamp_seconds", &[], ""),
            cluster("nadmit_full_comparison_started_timestamp_seconds", &[], ""),
            cluster("nadmit_full_comparison_ended_timestamp_seconds", &[], ""),
            cluster(
                "nadmit_full_comparisons_total",
                &["outcome"],
                "`outcome` is `succeeded`, `failed` or `interrupted`.",
            ),
            cluster(
                "nadmit_notices_total",
                &["outcome"],
                "`outcome` is `written`, `repeated`, `dropped` or `failed`. [The events](events.md).",
            ),
            cluster("nadmit_watch_events_total", &[], ""),
            cluster(
                "nadmit_watch_stale",
                &["resource"],
                "1 while it is interrupted.",
            ),
            cluster("nadmit_watch_objects", &["resource"], ""),
            cluster("nadmit_ledger_requests_total", &["verb"], ""),
            cluster("nadmit_ledger_conflicts_total", &[], ""),
            cluster("nadmit_ledger_retries_total", &[], ""),
            cluster("nadmit_ledger_unreadable_objects_total", &[], ""),
        ],
    ),
    (
        "Folder of manifests only",
        &[
            folder("nadmit_manifest_files", "The folder of `--manifests`."),
            folder("nadmit_manifest_errors", ""),
        ],
    ),
];

/// The values of labels, with their meanings.
type Values = &'static [(&'static str, &'static str)];

/// Titles of sections, with the values of labels that are listed there.
pub(super) const LABEL_VALUES: &[(&str, Values)] = &[
    (
        "Reasons of rejected requests",
        &[
            ("path", "The path is not one of the server's (404)."),
            ("method", "The method is not POST (405)."),
            (
                "content-type",
                "The content is not `application/json` (415).",
            ),
            ("content-encoding", "The body is compressed (415)."),
            (
                "timeout-parameter",
                "The parameter `timeout` of the URL is not a valid time (400).",
            ),
            ("too-large", "The body is larger than the limit (413)."),
            ("body-timeout", "The body did not arrive in time (408)."),
            ("body-cut", "The body could not be read to its end (400)."),
            (
                "crowded",
                "The bodies of other requests leave no memory, or too many requests are in progress (503).",
            ),
            ("not-json", "The body is not JSON (400)."),
            ("not-a-review", "The body is not an AdmissionReview (400)."),
            ("not-loaded", "nadmit has not read its networks yet (503)."),
            ("overloaded", "Too many reviews are in progress (503)."),
            (
                "lookup-failed",
                "A live lookup failed on which a denial depends (500).",
            ),
            ("not-recorded", "The addresses could not be recorded (503)."),
            ("panic", "nadmit failed to answer; the log has more (500)."),
        ],
    ),
    (
        "Reasons of reconciliations",
        &[
            ("adopted", "An address in use was not recorded; now it is."),
            ("reserved", "A reservation is recorded for the first time."),
            ("given-back", "An address returns to its reservation."),
            (
                "handed-over",
                "Another holder than the recorded one uses the address; it becomes the holder.",
            ),
            (
                "pod-gone",
                "Released: the pod is gone, and the quarantine has passed.",
            ),
            ("never-came", "Released: no pod was seen for the address."),
            (
                "workload-gone",
                "Released: the workload no longer retains the address.",
            ),
            (
                "surplus",
                "Released: the pod has another address of the range, or no longer has the interface.",
            ),
            (
                "let-go",
                "The same, but the address is first in quarantine.",
            ),
            ("named", "The name, UID or node of the pod became known."),
            (
                "pool-renamed",
                "The pool that a network defines by itself has another name.",
            ),
            ("reservation-gone", "Released: the reservation is deleted."),
            (
                "not-configured",
                "Released: the configuration of the network no longer has the address.",
            ),
            (
                "mac-parted",
                "The MAC of a VM gets its own record, to outlive its address.",
            ),
            (
                "duplicate",
                "Several holders use the address. nadmit changes nothing; an administrator decides.",
            ),
            ("drift", "A pod has another address or MAC than recorded."),
            (
                "injected-late",
                "A pod got its addresses after its binding.",
            ),
            (
                "late-refused",
                "A pod cannot get its addresses after its binding.",
            ),
            ("slice-released", "The slice of a node was deleted."),
        ],
    ),
];
