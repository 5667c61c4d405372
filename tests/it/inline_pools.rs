//! Pools that networks define by ranges in a static IPAM: the migration from Whereabouts by one word, and
//! what such a pool may decide.

use std::{fs, path::Path, sync::Arc};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Freshness, Review, ReviewContext, Verdict, Webhook, decide},
    allocation::{SharedIndex, Stored, Timestamp, Version},
    catalog::{Catalog, InlinePools, PoolDerivation, WhereaboutsMode},
    manifests::{self, Manifest},
    network::{Network, assignable::RangeWindow, ipam::Ipam},
    rules::{Injection, NamespaceIsolation, Policy},
    sources::catalog_of,
};
use serde_json::{Value, json};

use crate::support::{self, TestResult, holds, same};

pub(crate) fn tests() -> Vec<Trial> {
    tests!["inline_pools";
        every_example_of_whereabouts_changes_by_one_word,
        a_network_decides_about_its_own_pods_alone,
        an_address_pool_is_allowed_over_an_inline_pool,
        a_change_cuts_off_no_held_address,
        a_served_network_takes_requested_addresses,
        without_the_label_a_served_network_is_the_plugins,
    ]
}

const HEAD: &str = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition";
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The folders with examples of networks.
const EXAMPLES: [&str; 4] = [
    "deploy/examples/networks",
    "tests/conformance/manifests",
    "tests/fixtures/cluster",
    "tests/fixtures/reports",
];

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Bind);
    policy.namespace_isolation = Some(NamespaceIsolation::Off);
    policy.pool_derivation = PoolDerivation {
        inline: InlinePools::Enabled,
        whereabouts: WhereaboutsMode::Serve,
    };
    policy
}

/// Returns the manifests with namespaces that have the label for injection.
fn catalog(manifests: &str, labelled: &[&str]) -> Result<Catalog, Failed> {
    let namespaces = labelled.iter().map(|name| {
        format!(
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: \
             {{nadmit.io/injection: enabled}}}}\n"
        )
    });
    let text = format!("{manifests}\n{}", namespaces.collect::<String>());
    let read = manifests::read(&text, "world.yaml");
    if let Some(error) = read.errors.first() {
        return Err(error.to_string().into());
    }
    let catalog = catalog_of([("world.yaml", read.objects)]).0;
    Ok(catalog.deriving_pools(policy().pool_derivation))
}

/// Returns the findings of `/validate` on a review, without those of level warn.
fn denials(catalog: &Catalog, body: &[u8]) -> Result<Vec<String>, Failed> {
    let decision = decided(catalog, &SharedIndex::default(), Webhook::Validate, body)?;
    let Decision::Respond(answer) = decision else {
        return Err(format!("{decision:?}").into());
    };
    match answer.verdict() {
        Verdict::Deny => Ok(support::lines(&answer).lines().map(str::to_owned).collect()),
        _ => Ok(Vec::new()),
    }
}

fn decided(
    catalog: &Catalog,
    index: &SharedIndex,
    webhook: Webhook,
    body: &[u8],
) -> Result<Decision, Failed> {
    let policy = policy();
    let review = Review::parse(body)?;
    let context = ReviewContext {
        now: Timestamp(1000),
        ..ReviewContext::authoritative(catalog, &policy, index)
    };
    Ok(decide(
        webhook,
        &review.request,
        &context.with_freshness(Freshness::Authoritative),
    ))
}

/// Returns the networks of Whereabouts in all examples, each with its configuration as written.
fn examples() -> Result<Vec<(Network, String)>, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = EXAMPLES.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|kind| kind != "yaml") {
                continue;
            }
            let read = manifests::read(&fs::read_to_string(&path)?, "example.yaml");
            for object in read.objects {
                let Manifest::Network(manifest) = object.value else {
                    continue;
                };
                let config = manifest.config.map(|config| config.value.to_string());
                let network = manifest.network;
                let ipam = network.config.loaded().and_then(|config| config.ipam());
                let is_whereabouts = matches!(ipam, Some(Ipam::Whereabouts(_)));
                let plain = network.address_pool.is_none();
                found.extend(
                    config
                        .filter(|_| is_whereabouts && plain)
                        .map(|config| (network, config)),
                );
            }
        }
    }
    Ok(found)
}

fn every_example_of_whereabouts_changes_by_one_word() -> TestResult {
    let (mut changed, mut wrong) = (0, Vec::new());
    for (network, config) in examples()? {
        let namespace = &*network.namespace;
        let catalog = catalog("", &[namespace])?;
        let accepted = |config: &str| -> Result<Vec<String>, Failed> {
            let network = Network::new(namespace, &network.name, Some(config));
            denials(&catalog, &support::create_network(&network, Some(config)))
        };
        // What Whereabouts itself refuses does not become right.
        if !accepted(&config)?.is_empty() {
            continue;
        }
        let Some(Ipam::Whereabouts(ipam)) = network.config.loaded().and_then(|c| c.ipam()) else {
            continue;
        };
        let is_pool = !ipam.ranges.is_empty()
            && ipam
                .ranges
                .iter()
                .all(|range| RangeWindow::of(range).is_some_and(|range| range.window.is_some()));
        let word = config.replace("\"whereabouts\"", "\"static\"");
        let denied = accepted(&word)?;
        let after = Network::new(namespace, &network.name, Some(&word));
        let derived = catalog.derived_pool_of(&after).is_some();
        if !denied.is_empty() || derived != is_pool {
            wrong.push(format!(
                "{namespace}/{} {word}: {denied:?}, a pool: {derived}",
                network.name
            ));
        }
        changed += 1;
    }
    crate::prose::none_of(&wrong, "the change of one word has to be accepted")?;
    holds(changed >= 10, format!("{changed} networks"))
}

fn pod(namespace: &str, networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "app", "namespace": namespace, "annotations": {NETWORKS: networks}},
        "spec": {"containers": []},
    })
}

const POOL: &str = "---\napiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: storage}\n\
    spec: {ranges: [{range: 192.0.2.0/25}], namespaceSelector: {}}\n";

fn inline(namespace: &str, name: &str, range: &str) -> String {
    let config = json!({
        "cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "capabilities": {"ips": true},
        "ipam": {"type": "static", "range": range},
    });
    format!(
        "---\n{HEAD}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{config: '{config}'}}\n"
    )
}

/// A tenant's network over the ranges of others leaves the verdicts on all other pods as they are.
fn a_network_decides_about_its_own_pods_alone() -> TestResult {
    let plain = json!({
        "cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "capabilities": {"ips": true},
        "ipam": {"type": "static"},
    });
    let own = format!(
        "{POOL}{}---\n{HEAD}\nmetadata: {{name: plain, namespace: db}}\nspec: {{config: '{plain}'}}\n\
         ---\n{HEAD}\nmetadata: {{name: pooled, namespace: db, annotations: \
         {{nadmit.io/address-pool: storage}}}}\nspec: {{config: '{plain}'}}\n",
        inline("db", "own", "192.0.2.128/25"),
    );
    let tenant = inline("tenant", "greedy", "192.0.2.0/24");
    let alone = catalog(&own, &["db"])?;
    let beside = catalog(&format!("{own}{tenant}"), &["db", "tenant"])?;
    for networks in [
        r#"[{"name":"plain","ips":["192.0.2.200/24"]}]"#,
        r#"[{"name":"plain","ips":["192.0.2.5/24"]}]"#,
        r#"[{"name":"pooled","ips":["192.0.2.5/25"]}]"#,
        r#"[{"name":"own","ips":["192.0.2.200/25"]}]"#,
        "own",
        "pooled",
    ] {
        let answers = [&alone, &beside].map(|catalog| -> Result<String, Failed> {
            let index = SharedIndex::default();
            for pool in catalog.pool_config().pools.keys() {
                index.synced(catalog.pool_config()).set_ready(pool);
            }
            let body = support::create(&pod("db", networks));
            let decision = decided(catalog, &index, Webhook::Mutate, &body)?;
            Ok(match decision {
                Decision::Respond(answer) => support::lines(&answer),
                Decision::Commit(plan) => format!("{:?}", plan.response),
                other => format!("{other:?}"),
            })
        });
        let [alone, beside] = answers;
        same(beside?, alone?)?;
    }
    Ok(())
}

fn an_address_pool_is_allowed_over_an_inline_pool() -> TestResult {
    let catalog = catalog(&inline("db", "own", "192.0.2.0/24"), &["db"])?;
    let pool = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": "192.0.2.0/25"}], "namespaceSelector": {}},
    });
    let body = support::create_other(&pool, "nadmit.io", "addresspools");
    same(denials(&catalog, &body)?, Vec::new())
}

fn a_change_cuts_off_no_held_address() -> TestResult {
    let catalog = catalog(&inline("db", "own", "192.0.2.0/25"), &["db"])?;
    let index = SharedIndex::default();
    let record = json!({
        "address": "192.0.2.100", "pool": "inline/192.0.2.0-25", "since": 0,
        "network": {"namespace": "db", "name": "own"},
        "holder": {"pod": {"namespace": "db", "name": "a"}},
    });
    index.lock().apply(Stored {
        allocation: serde_json::from_value(record)?,
        version: Version(1),
    });
    let config = |ipam: &Value| {
        json!({"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1",
            "capabilities": {"ips": true}, "ipam": ipam})
        .to_string()
    };
    let network = catalog.network("db", "own").ok_or("no network")?;
    let before = config(&json!({"type": "static", "range": "192.0.2.0/25"}));
    for (ipam, denied) in [
        (json!({"type": "static", "range": "192.0.2.0/24"}), false),
        (
            json!({"type": "static", "range": "192.0.2.0/25", "exclude": ["192.0.2.1/32"]}),
            false,
        ),
        (json!({"type": "static", "range": "192.0.2.0/26"}), true),
        (
            json!({"type": "static", "range": "192.0.2.0/25", "exclude": ["192.0.2.96/28"]}),
            true,
        ),
        (
            json!({"type": "static", "range": "192.0.2.0/25", "network_name": "other"}),
            true,
        ),
        // Another allocator gives the addresses then.
        (
            json!({"type": "whereabouts", "range": "192.0.2.0/26"}),
            false,
        ),
    ] {
        let body = support::update_network(network, Some(&before), Some(&config(&ipam)));
        let decision = decided(&catalog, &index, Webhook::Validate, &body)?;
        let Decision::Respond(answer) = decision else {
            return Err(format!("{ipam}: {decision:?}").into());
        };
        let found = support::lines(&answer);
        let is_denied = found.contains("deny pool-in-use spec.config");
        same((ipam.to_string(), is_denied), (ipam.to_string(), denied))?;
    }
    Ok(())
}

const SERVED: &str = r#"
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.0/24"}}'}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
"#;

fn served(labelled: &[&str]) -> Result<(Catalog, Arc<SharedIndex>), Failed> {
    let catalog = catalog(SERVED, labelled)?;
    let index = Arc::new(SharedIndex::default());
    index
        .synced(catalog.pool_config())
        .set_ready("whereabouts/192.0.2.0-24");
    Ok((catalog, index))
}

fn a_served_network_takes_requested_addresses() -> TestResult {
    let (catalog, index) = served(&["db"])?;
    let asks = r#"[{"name":"storage","ips":["192.0.2.77/24"],"mac":"02:5e:00:00:00:05"}]"#;
    let mut asking = pod("db", asks);
    let decision = decided(&catalog, &index, Webhook::Mutate, &support::create(&asking))?;
    let Decision::Commit(plan) = decision else {
        return Err(format!("{decision:?}").into());
    };
    let entries: Vec<String> = plan
        .served
        .iter()
        .map(|one| format!("{} {:?}", one.at.address, one.at.reservation))
        .collect();
    same(entries, vec![r#"192.0.2.77 Some("192.0.2.77")"#.to_owned()])?;
    let patch = plan.response.patch().ok_or("no patch")?;
    json_patch::patch(&mut asking, patch)?;
    let annotations = &asking["metadata"]["annotations"];
    same(
        &annotations[NETWORKS],
        &json!(r#"[{"name":"storage","mac":"02:5e:00:00:00:05"}]"#),
    )?;
    same(&annotations["nadmit.io/requested-networks"], &json!(asks))?;
    // Addresses that the pool never gives are refused.
    for (networks, code) in [
        (
            r#"[{"name":"storage","ips":["192.0.2.255/24"]}]"#,
            "address-excluded",
        ),
        (
            r#"[{"name":"storage","ips":["198.51.100.7/24"]}]"#,
            "address-outside-pool",
        ),
    ] {
        let (catalog, index) = served(&["db"])?;
        let body = support::create(&pod("db", networks));
        let decision = decided(&catalog, &index, Webhook::Mutate, &body)?;
        let Decision::Respond(answer) = decision else {
            return Err(format!("{networks}: {decision:?}").into());
        };
        support::shows(&support::lines(&answer), &[code])?;
    }
    let by_args = pod(
        "db",
        r#"[{"name":"storage","cni-args":{"ips":["192.0.2.7/24"]}}]"#,
    );
    let denied = denials(&catalog, &support::create(&by_args))?;
    holds(
        denied
            .iter()
            .any(|line| line.contains("address-by-cni-args")),
        denied,
    )
}

fn without_the_label_a_served_network_is_the_plugins() -> TestResult {
    let (catalog, index) = served(&[])?;
    let body = support::create(&pod("db", "storage"));
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        match decided(&catalog, &index, webhook, &body)? {
            Decision::Respond(answer) => same(support::lines(&answer), String::new())?,
            other => return Err(format!("{other:?}").into()),
        }
    }
    let asks = pod("db", r#"[{"name":"storage","ips":["192.0.2.77/24"]}]"#);
    let denied = denials(&catalog, &support::create(&asks))?;
    holds(
        denied.iter().any(|line| line.contains("address-of-pool")),
        denied,
    )
}
