//! Rules that compare a network with very many others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Freshness, Review, ReviewContext, Verdict, Webhook, decide},
    allocation::{Holder, SharedIndex, Stored, Version},
    catalog::{Catalog, LiveRead, Pod, RequestedAnnotations},
    manifests,
    network::Network,
    rules::{Finding, Injection, Level, Policy},
    sources,
};
use serde_json::json;

use crate::support;
use crate::support::TestResult;

/// More than a debug build needs on a slow machine, and less than a scan of all texts takes.
const MAX_DURATION: Duration = Duration::from_millis(500);

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::test("neighbours::ten_thousand_apart", || {
            let range = |i: usize| format!("10.{}.{}.0/24", i / 256, i % 256);
            compare(range, "10.7.7.0/24", 1)
        }),
        Trial::test("neighbours::ten_thousand_in_one_range", || {
            compare(|_| "10.0.0.0/8".to_owned(), "10.7.7.0/24", 10)
        }),
    ];
    tests.extend(tests!["neighbours";
        no_text_makes_a_review_expensive,
        no_annotation_makes_a_review_expensive,
        no_denial_for_pods_in_a_cache_only,
        operators_may_delete_what_is_in_use,
        no_warning_of_a_network_in_a_cache_only,
    ]);
    tests
}

/// Returns a network and a catalog of a hundred thousand pods, of which every hundredth uses it.
fn in_use() -> (Network, Catalog) {
    let pod = |i: usize| {
        Arc::new(Pod {
            requested: RequestedAnnotations::default(),
            node: None,
            terminating: false,
            mirror: false,
            migration: None,
            namespace: "db".into(),
            name: format!("db-{i}").into(),
            uid: None,
            holder: Holder::Pod {
                namespace: "db".into(),
                name: format!("db-{i}").into(),
            },
            host_network: false,
            networks: Some(format!("net-{}", i % 100).into()),
            default_network: None,
            network_status: None,
        })
    };
    let network = Network::new("db", "net-7", Some(r#"{"type": "macvlan"}"#));
    (network, Catalog::new([], [], (0..100_000).map(pod)))
}

fn no_denial_for_pods_in_a_cache_only() -> TestResult {
    let (network, catalog) = in_use();
    let body = support::delete_network(&network, None);
    let review = Review::parse(&body)?;
    let ask = |policy: &Policy, evidence| {
        decide(
            Webhook::Validate,
            &review.request,
            &ReviewContext::authoritative(&catalog, policy, &SharedIndex::default())
                .with_freshness(evidence),
        )
    };
    let lookup = LiveRead::NetworkUsers {
        namespace: "db".into(),
        name: "net-7".into(),
    };
    let mut policy = Policy::default();
    if ask(&policy, Freshness::Cached) != Decision::VerifyLive(vec![lookup]) {
        return Err("denied without a look".into());
    }
    let Decision::Respond(answer) = ask(&policy, Freshness::Authoritative) else {
        return Err("confirmed, and no answer".into());
    };
    let begun = Instant::now();
    ask(&policy, Freshness::Authoritative);
    println!("second look: {:?}", begun.elapsed());
    let described = answer.findings().iter().map(Finding::sentence);
    let described: Vec<String> = described.collect();
    if !described
        .iter()
        .any(|text| text.contains("1000 pods: db/db-10007, db/db-1007, "))
    {
        return Err(format!("{described:?}").into());
    }
    policy.set_level("network-in-use", Level::Warn)?;
    match ask(&policy, Freshness::Cached) {
        Decision::Respond(answer) if answer.verdict() == Verdict::Warn => Ok(()),
        other => Err(format!("a warning needs no look, but {other:?}").into()),
    }
}

fn no_warning_of_a_network_in_a_cache_only() -> TestResult {
    let template = |networks: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "db", "namespace": "db"},
            "spec": {"template": {
                "metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": networks}},
                "spec": {},
            }},
        })
    };
    let lookup = |name: &str| LiveRead::Network {
        namespace: "db".into(),
        name: name.into(),
    };
    let (catalog, policy) = (Catalog::default(), Policy::default());
    let index = SharedIndex::default();
    let ask = |networks: &str, evidence| -> Result<Decision, Failed> {
        let body = support::create_deployment(&template(networks));
        let review = Review::parse(&body)?;
        let context =
            ReviewContext::authoritative(&catalog, &policy, &index).with_freshness(evidence);
        Ok(decide(Webhook::Validate, &review.request, &context))
    };
    let one = [lookup("a")];
    if ask("a", Freshness::Cached)? != Decision::Refresh(one.to_vec()) {
        return Err("warned without a look".into());
    }
    // Objects that were read, or that could not be read, are not requested again.
    let unanswered = Freshness::VerifiedFor {
        verified: &[],
        unanswered: &one,
    };
    for evidence in [
        Freshness::verified_for(&one),
        unanswered,
        Freshness::Authoritative,
    ] {
        match ask("a", evidence)? {
            Decision::Respond(answer) if answer.verdict() == Verdict::Warn => {}
            other => return Err(format!("{evidence:?}: {other:?}").into()),
        }
    }
    // However many there are, four are read live.
    let four = ["a", "b", "c", "d"].map(lookup);
    if ask("a,b,c,d,e,f", Freshness::Cached)? != Decision::Refresh(four.to_vec()) {
        return Err("the number of look-ups has no bound".into());
    }
    match ask("a,b,c,d,e,f", Freshness::verified_for(&four))? {
        Decision::Respond(answer) if answer.findings().len() == 6 => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn operators_may_delete_what_is_in_use() -> TestResult {
    let (network, catalog) = in_use();
    let mut policy = Policy::default();
    // The reviews made here name no user.
    policy.operator_users.insert("".into());
    let answer = support::answer(&support::delete_network(&network, None), &catalog, &policy)?;
    match answer.verdict() {
        Verdict::Allow => Ok(()),
        _ => Err(support::lines(&answer).into()),
    }
}

/// Compares a network with ten thousand others; `denied` is the number of conflicts.
fn compare(range: fn(usize) -> String, own: &str, denied: usize) -> TestResult {
    let config = |range: &str, name: &str| {
        format!(
            r#"{{"type": "macvlan", "master": "eth1", "ipam": {{"type": "whereabouts",
                "range": "{range}", "network_name": "{name}"}}}}"#
        )
    };
    let network = |i| {
        Arc::new(Network::new(
            "db",
            &format!("net-{i}"),
            Some(&config(&range(i), "shared")),
        ))
    };
    let catalog = Catalog::new([], (0..10_000).map(network), []);
    let config = config(own, "mine");
    let network = Network::new("web", "mine", Some(&config));
    let body = support::create_network(&network, Some(&config));
    for round in ["first", "second"] {
        let begun = Instant::now();
        let answer = support::answer(&body, &catalog, &Policy::default())?;
        let elapsed = begun.elapsed();
        println!("{round} look: {elapsed:?}");
        let found = answer.findings().iter();
        let found = found.filter(|f| f.code == "overlapping-ranges").count();
        if (answer.verdict(), found) != (Verdict::Deny, denied) || elapsed > MAX_DURATION {
            return Err(format!("{found} in {elapsed:?}\n{}", support::lines(&answer)).into());
        }
    }
    Ok(())
}

/// Two texts of the maximum size in etcd are compared: neither makes the review expensive.
fn no_text_makes_a_review_expensive() -> TestResult {
    let list = |item: &str, count| vec![item; count].join(",");
    let ranges = list(r#"{"range":"10.0.0.0/8"}"#, 20_000);
    let excludes = (0..40_000).map(|i| format!("\"10.{}.{}.0/30\"", i / 256, i % 256));
    let excludes = excludes.collect::<Vec<_>>().join(",");
    let config = |name: &str| {
        format!(
            r#"{{"type": "macvlan", "ipam": {{"type": "whereabouts", "network_name": "{name}",
                "range": "10.0.0.0/8", "exclude": [{excludes}], "ipRanges": [{ranges}]}}}}"#
        )
    };
    let other = Arc::new(Network::new("db", "other", Some(&config("a"))));
    let catalog = Catalog::new([], [other], []);
    let own = config("b");
    let body = support::create_network(&Network::new("web", "own", Some(&own)), Some(&own));
    let begun = Instant::now();
    let answer = support::answer(&body, &catalog, &Policy::default())?;
    let elapsed = begun.elapsed();
    println!("dear texts: {elapsed:?}");
    if answer.verdict() != Verdict::Deny || elapsed > Duration::from_secs(10) {
        return Err(format!("{elapsed:?}\n{}", support::lines(&answer)).into());
    }
    Ok(())
}

/// An annotation of maximum length, in a namespace at its limit of a pool with many records: the
/// cost per refused attachment and per address is small.
fn no_annotation_makes_a_review_expensive() -> TestResult {
    let world = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 10.0.0.0/16}, {range: "2001:db8::/64"}]
  maxPerNamespace: 2
  namespaceSelector: {}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: a, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static"}}'}
"#;
    let read = manifests::read(world, "world.yaml");
    let (catalog, _) = sources::catalog_of([("world.yaml", read.objects)]);
    let index = SharedIndex::default();
    {
        let mut index = index.synced(catalog.pool_config());
        for number in 1..=20_000_u64 {
            let namespace = if number <= 2 { "db" } else { "web" };
            let record = json!({
                "address": format!("10.0.{}.{}", number / 256, number % 256), "pool": "storage",
                "since": 0, "network": {"namespace": "db", "name": "a"},
                "holder": {"pod": {"namespace": namespace, "name": format!("p-{number}")}},
            });
            index.apply(Stored {
                allocation: serde_json::from_value(record)?,
                version: Version(number),
            });
        }
        index.set_ready("storage");
    }
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Create);
    let attachments = vec![r#"{"name":"a"}"#; 19_000].join(",");
    let ips = (0..14_000).map(|i| format!("\"2001:db8::{i:x}\""));
    let ips = ips.collect::<Vec<_>>().join(",");
    for networks in [
        format!("[{attachments}]"),
        vec!["a"; 120_000].join(","),
        format!(r#"[{{"name":"a","ips":[{ips}]}}]"#),
    ] {
        let pod = json!({"metadata": {"name": "p", "namespace": "db", "uid": "p",
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks}}});
        let body = support::create(&pod);
        let review = Review::parse(&body)?;
        let context = ReviewContext::authoritative(&catalog, &policy, &index);
        let begun = Instant::now();
        let decision = decide(Webhook::Mutate, &review.request, &context);
        let elapsed = begun.elapsed();
        println!("{} bytes: {elapsed:?}", networks.len());
        let Decision::Respond(answer) = decision else {
            return Err(format!("{decision:?}").into());
        };
        if answer.verdict() != Verdict::Deny || elapsed > Duration::from_secs(10) {
            return Err(format!("{elapsed:?}\n{}", support::lines(&answer)).into());
        }
    }
    Ok(())
}
