//! Properties for any input: the bodies of the fuzz targets, which the tests run, too.
//!
//! Each takes untrusted bytes, and panics if a property is violated.

use std::sync::{Arc, LazyLock};

use nadmit::{
    admission::{Decision, Freshness, Review, ReviewContext, Webhook, decide},
    allocation::{ParsedSpec, SharedIndex},
    catalog::{Catalog, Mode, NamespaceLabels},
    network::{
        Annotation, ConfigState, Network, Position, Selection,
        selection::normalized::NormalizedAnnotation,
    },
    rules::{Finding, Level, Policy, Profile},
};

/// Networks of every kind, so that the rules on networks apply.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let config = |name, config| Arc::new(Network::new("db", name, config));
    let networks = [
        config(
            "a",
            Some(r#"{"type":"macvlan","capabilities":{"ips":true},"ipam":{"type":"static"}}"#),
        ),
        config("b", Some(r#"{"type":"ipvlan","ipam":{"type":"dhcp"}}"#)),
        config(
            "c",
            Some(r#"{"type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/16"}}"#),
        ),
        config(
            "d",
            Some(r#"{"type":"macvlan","ipam":{"type":"whereabouts","range":"10.2.0.0/16"}}"#),
        ),
        config("e", Some(r#"{"plugins":[]}"#)),
        config("f", None),
        config("g", Some(r#"{"type":"macvlan"}"#)),
        pooled(),
    ];
    let labels = NamespaceLabels {
        mode: Some(Mode::Warn),
        ..NamespaceLabels::default()
    };
    let spec = serde_json::json!({
        "ranges": [{"range": "192.0.2.0/29"}, {"range": "2001:db8::/125"}],
        "macs": {"prefix": "02:5e:00"}, "namespaceSelector": {},
    });
    let pool = ParsedSpec::of_pool(&spec).pool(POOL).expect("a pool");
    Catalog::new([("web".into(), labels)], networks, []).with_pools(
        [(POOL.into(), Ok(Arc::new(pool)))],
        [],
        &Arc::default(),
    )
});

const POOL: &str = "storage";

/// Returns a network that an address pool serves.
fn pooled() -> Arc<Network> {
    let config = r#"{"cniVersion":"0.3.1","plugins":[
        {"type":"macvlan","capabilities":{"ips":true},"ipam":{"type":"static"}},
        {"type":"tuning","capabilities":{"mac":true}}]}"#;
    let mut network = Network::new("db", "pooled", Some(config));
    network.address_pool = Some(POOL.into());
    Arc::new(network)
}

/// Returns an index whose pool allocates all of its addresses.
fn index() -> SharedIndex {
    let index = SharedIndex::default();
    index.synced(CATALOG.pool_config()).set_ready(POOL);
    index
}

/// Checks an annotation of any bytes: it is parsed without a panic, every position is inside the
/// text, and the printed form parses to the same value.
pub(crate) fn annotation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let annotation = Annotation::parse(text);
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    for selection in &annotation.selections {
        assert!(selection.span.start <= selection.span.end && selection.span.end <= length);
    }
    for fault in &annotation.decode_errors {
        assert!(fault.span.end <= length);
        let _ = Position::of(fault.span.start, text);
    }
    if !annotation.decode_errors.is_empty() {
        return;
    }
    let printed = annotation.to_string();
    let again = Annotation::parse(&printed);
    assert_eq!(again.decode_errors, [], "{text:?} printed as {printed:?}");
    let differences = meaning(&annotation).differences(&meaning(&again));
    assert_eq!(differences, [], "{text:?} printed as {printed:?}");
    assert_eq!(again.to_string(), printed, "printing is settled");
}

fn meaning(annotation: &Annotation<'_>) -> NormalizedAnnotation {
    NormalizedAnnotation::of(annotation, "db", |s: &Selection<'_>| {
        s.interface_name().into_owned()
    })
}

/// Checks a NAD's configuration of any bytes: it is parsed without a panic, and an error's position
/// is inside the text. Every rule runs on it, and what Multus rejects is denied when the network is
/// created.
pub(crate) fn nad_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let ConfigState::Broken(error) = ConfigState::read(Some(text)) {
        assert!(
            error.span.end as usize <= text.len(),
            "{error} at {:?}",
            error.span
        );
        assert!(!error.to_string().is_empty());
        let findings = network_findings(text);
        let found = |f: &Finding| (f.code, f.level) == ("invalid-network-config", Level::Deny);
        assert!(
            findings.iter().any(found),
            "{text}: {error}, but {findings:?}"
        );
    } else {
        let _ = network_findings(text);
    }
}

/// Returns the findings on a network with this configuration, each with a position inside the text.
fn network_findings(config: &str) -> Vec<Finding> {
    let body = serde_json::json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "db",
            "resource": {"group": "k8s.cni.cncf.io", "resource": "network-attachment-definitions"},
            "object": {"metadata": {"name": "n"}, "spec": {"config": config}},
        },
    });
    let body = body.to_string();
    review(body.as_bytes());
    let review = Review::parse(body.as_bytes()).expect("a review");
    let policy = Policy::default();
    let decision = decide(
        Webhook::Validate,
        &review.request,
        &ReviewContext::authoritative(&CATALOG, &policy, &index()),
    );
    let Decision::Respond(answer) = decision else {
        panic!("asked again: {decision:?}")
    };
    for span in answer.findings().iter().filter_map(|f| f.span) {
        assert!(span.start <= span.end && span.end as usize <= config.len());
    }
    answer.findings().to_vec()
}

/// Checks a review of any bytes: the result is an error with a message, or a response that echoes
/// the UID; in every profile, by either webhook, and the same each time.
pub(crate) fn review(data: &[u8]) {
    let review = match Review::parse(data) {
        Ok(review) => review,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for profile in Profile::ALL {
        let policy = Policy::of(profile);
        for webhook in [Webhook::Validate, Webhook::Mutate] {
            let decide = |evidence| {
                decide(
                    webhook,
                    &review.request,
                    &ReviewContext::authoritative(&CATALOG, &policy, &index())
                        .with_freshness(evidence),
                )
            };
            let decision = decide(Freshness::Authoritative);
            assert_eq!(decision, decide(Freshness::Authoritative));
            let answer = match decision {
                Decision::Respond(answer) | Decision::Retry(answer) => answer,
                Decision::Commit(plan) => plan.response,
                Decision::VerifyLive(_) | Decision::Refresh(_) | Decision::ClaimSlice(_) => {
                    panic!("asked again: {decision:?}")
                }
            };
            let _ = decide(Freshness::Cached);
            let json: serde_json::Value =
                serde_json::from_slice(&answer.to_json(&review.request.uid)).expect("JSON");
            assert_eq!(json["response"]["uid"], *review.request.uid);
            for finding in answer.findings() {
                assert!(
                    !finding.message.is_empty() && !finding.help.is_empty(),
                    "{finding:?}"
                );
            }
        }
    }
}

/// Checks an annotation of any bytes in a review: every rule runs on it.
pub(crate) fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let pod = |networks: &str| {
        serde_json::json!({"metadata": {"name": "p", "annotations": {
            "k8s.v1.cni.cncf.io/networks": networks, "v1.multus-cni.io/default-network": networks,
        }}})
    };
    for operation in ["CREATE", "UPDATE"] {
        let body = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "resource": {"group": "", "resource": "pods"}, "namespace": "db",
                "operation": operation, "object": pod(text), "oldObject": pod("a@x,b@y"),
            },
        });
        review(body.to_string().as_bytes());
    }
}

/// Checks `cni-args` of any bytes on networks of every kind, and the `args` in a network's own
/// configuration.
pub(crate) fn cni_args(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let selections = ["a", "b", "c", "pooled"]
        .map(|name| format!(r#"{{"name":"{name}","cni-args":{text}}}"#))
        .join(",");
    rules(format!("[{selections}]").as_bytes());
    let config =
        format!(r#"{{"type":"bridge","args":{{"cni":{text}}},"ipam":{{"type":"static"}}}}"#);
    nad_config(config.as_bytes());
}
