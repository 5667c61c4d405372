//! Address pools: authority over them does not depend on levels, and offline only warnings are
//! possible for pools elsewhere.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Freshness, Review, ReviewContext, Webhook, decide},
    allocation::{ParsedSpec, SharedIndex},
    catalog::{Catalog, LiveRead, Mode, NamespaceLabels, all_labels},
    check::{self, CheckOptions, File},
    network::Network,
    rules::{Level, Policy, Profile},
};
use serde_json::{Value, json};

use crate::support;
use crate::support::TestResult;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["pools";
        nothing_lowers_authority,
        a_denial_is_confirmed_first,
        a_pool_may_be_created_later,
        isolation_hides_no_pool,
        carets_are_under_the_value,
        a_pool_elsewhere_is_only_warned_about,
    ]
}

/// Returns a network of the namespace `home`, served by the pool `storage`, which serves the teams
/// `db`.
fn catalog(home: &str, mode: Option<Mode>) -> Result<Catalog, Failed> {
    let mut network = Network::new(
        home,
        "storage-net",
        Some(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}"#,
        ),
    );
    network.address_pool = Some("storage".into());
    let spec = json!({
        "ranges": [{"range": "192.0.2.0/24"}],
        "namespaceSelector": {"matchLabels": {"team": "db"}},
    });
    let pool = ParsedSpec::of_pool(&spec).pool("storage");
    let pool = pool.map_err(|faults| format!("{faults:?}"))?;
    let labels = NamespaceLabels {
        mode,
        ..NamespaceLabels::default()
    };
    Ok(
        Catalog::new([("web".into(), labels)], [Arc::new(network)], []).with_pools(
            [("storage".into(), Ok(Arc::new(pool)))],
            [],
            &Arc::default(),
        ),
    )
}

fn pod(networks: &str) -> Value {
    json!({"metadata": {"name": "p", "namespace": "web",
           "annotations": {"k8s.v1.cni.cncf.io/networks": networks}}})
}

fn codes(
    networks: &str,
    catalog: &Catalog,
    policy: &Policy,
) -> Result<Vec<(Level, &'static str)>, Failed> {
    let answer = support::answer(&support::create(&pod(networks)), catalog, policy)?;
    Ok(answer
        .findings()
        .iter()
        .map(|f| (f.level, f.code))
        .collect())
}

fn nothing_lowers_authority() -> TestResult {
    let denied = vec![(Level::Deny, "pool-not-allowed")];
    for profile in Profile::ALL {
        for mode in [None, Some(Mode::Deny), Some(Mode::Warn), Some(Mode::Off)] {
            let catalog = catalog("web", mode)?;
            let mut policy = Policy::of(profile);
            assert_eq!(codes("storage-net", &catalog, &policy)?, denied);
            policy.excluded_namespaces.insert("web".into());
            assert_eq!(codes("storage-net", &catalog, &policy)?, denied);
            // No other rule has a finding there.
            assert_eq!(codes("nowhere", &catalog, &policy)?, []);
        }
    }
    // The label in the selector is enough.
    let labels = all_labels("web", [("team".into(), "db".into())]);
    let catalog = catalog("web", None)?.with_namespace_labels([("web".into(), labels)]);
    assert_eq!(codes("storage-net", &catalog, &Policy::default())?, []);
    Ok(())
}

/// Returns the decision of both webhooks from a cache.
fn decided(networks: &str, catalog: &Catalog) -> Result<Decision, Failed> {
    let body = support::create(&pod(networks));
    let review = Review::parse(&body)?;
    let policy = Policy::default();
    let index = SharedIndex::default();
    let context =
        ReviewContext::authoritative(catalog, &policy, &index).with_freshness(Freshness::Cached);
    let [mutate, validate] = [Webhook::Mutate, Webhook::Validate]
        .map(|webhook| decide(webhook, &review.request, &context));
    assert_eq!(mutate, validate);
    Ok(validate)
}

fn a_denial_is_confirmed_first() -> TestResult {
    let lookup = LiveRead::Pool {
        name: "storage".into(),
        namespace: Some("web".into()),
    };
    assert_eq!(
        decided("storage-net", &catalog("web", None)?)?,
        Decision::VerifyLive(vec![lookup])
    );
    Ok(())
}

fn a_pool_may_be_created_later() -> TestResult {
    let bare = catalog("web", None)?.with_pools_of(&Catalog::default());
    let lookup = LiveRead::Pool {
        name: "storage".into(),
        namespace: None,
    };
    assert_eq!(
        decided("storage-net", &bare)?,
        Decision::VerifyLive(vec![lookup])
    );
    let denied = vec![(Level::Deny, "unknown-pool")];
    assert_eq!(codes("storage-net", &bare, &Policy::default())?, denied);
    Ok(())
}

/// Configuration can allow networks of an isolated namespace, but not their pools.
fn isolation_hides_no_pool() -> TestResult {
    let mut policy = Policy::default();
    policy.set_level("cross-namespace-network", Level::Off)?;
    let found = codes("db/storage-net", &catalog("db", None)?, &policy)?;
    assert_eq!(found, [(Level::Deny, "pool-not-allowed")]);
    Ok(())
}

const FILE: &str = r#"apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges:
  - range: 192.0.2.0/24
    exclude:
    - 192.0.2.0/28
    - 198.51.100.7
    rangestart: 192.0.2.9
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: a, namespace: db}
spec: {network: storage-net, holder: {pod: a}, ips: ["192.0.2.9"], mac: 5}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: storage-net
  namespace: db
  annotations:
    nadmit.io/address-pool: storrage
spec:
  config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp"}}'
"#;

/// Returns level, code and the text under the caret.
fn diagnostics(text: &str) -> Vec<(Level, &'static str, String)> {
    let file = File {
        name: "a.yaml".to_owned(),
        text: Ok(text.to_owned()),
    };
    let outcome = check::run(vec![file], &Policy::default(), CheckOptions::default());
    let diagnostics = outcome.diagnostics.iter();
    diagnostics
        .map(|remark| {
            let (start, end) = (remark.span.start as usize, remark.span.end as usize);
            (remark.level, remark.code, text[start..end].to_owned())
        })
        .collect()
}

fn carets_are_under_the_value() -> TestResult {
    let found = diagnostics(FILE);
    let found: Vec<(Level, &str, &str)> = found.iter().map(|(l, c, t)| (*l, *c, &**t)).collect();
    assert_eq!(
        found,
        [
            (Level::Deny, "invalid-pool", "198.51.100.7"),
            (Level::Warn, "pool-unknown-key", "rangestart"),
            (Level::Deny, "invalid-reservation", "5"),
            (Level::Deny, "unknown-pool", "storrage"),
            (Level::Deny, "pool-needs-static", "\"dhcp\""),
        ]
    );
    Ok(())
}

/// Without any pool or namespace in the files, they are probably elsewhere.
fn a_pool_elsewhere_is_only_warned_about() -> TestResult {
    let network = FILE.rsplit("---\n").next().unwrap_or_default();
    let found = diagnostics(network);
    assert_eq!((found[0].0, found[0].1), (Level::Warn, "unknown-pool"));
    Ok(())
}
