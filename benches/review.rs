//! The pure path: from the bytes of a review to the bytes of the response.
//!
//! `cargo bench --bench review`. The catalog holds 10,000 networks in 500 namespaces; `skip` is the
//! lower bound, a JSON parser that only finds the end of the review.

use std::{hint::black_box, sync::Arc};

use divan::{Bencher, counter::BytesCount};
use nadmit::{
    admission::{Decision, Review, ReviewContext, Webhook, decide},
    allocation::SharedIndex,
    catalog::Catalog,
    network::Network,
    rules::Policy,
};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONFIG: &str = r#"{"cniVersion":"0.3.1","plugins":[{"type":"macvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}},{"type":"tuning","capabilities":{"mac":true}}]}"#;

fn main() {
    divan::main();
}

fn catalog(namespaces: usize) -> Catalog {
    let networks = (0..namespaces).flat_map(|namespace| {
        (0..20).map(move |network| {
            let (namespace, name) = (format!("tenant-{namespace}"), format!("net-{network}"));
            Arc::new(Network::new(&namespace, &name, Some(CONFIG)))
        })
    });
    Catalog::new([], networks, [])
}

/// Returns a captured review of a pod with this annotation, as large as those of real pods.
fn review(annotation: &str) -> Vec<u8> {
    let captured = include_str!("../tests/fixtures/reviews/pod-create-name.validate.json");
    let mut review: Value = serde_json::from_str(captured).expect("the fixture is JSON");
    let request = &mut review["request"];
    request["namespace"] = json!("tenant-7");
    let pod = &mut request["object"];
    pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = json!(annotation);
    let variables: Vec<Value> = (0..60)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value number {n}")}))
        .collect();
    pod["spec"]["containers"][0]["env"] = variables.into();
    review.to_string().into_bytes()
}

const RIGHT: &str = r#"[{"name":"net-3","ips":["192.0.2.205/24"],"mac":"02:5e:00:00:00:01"},{"name":"net-4","ips":["198.51.100.7/24"]}]"#;
const WRONG: &str = r#"[{"name":"net-33","ips":["192.0.2.305/24"],"mac":"02:5e:00:00:00"}]"#;

fn answer(body: &[u8], catalog: &Catalog, policy: &Policy) -> Vec<u8> {
    let review = Review::parse(body).expect("a review");
    let decision = decide(
        Webhook::Validate,
        &review.request,
        &ReviewContext::authoritative(catalog, policy, &SharedIndex::default()),
    );
    let Decision::Respond(answer) = decision else {
        unreachable!("confirmed")
    };
    answer.to_json(&review.request.uid)
}

fn bench(bencher: Bencher<'_, '_>, annotation: &str, namespaces: usize) {
    let (catalog, policy, body) = (catalog(namespaces), Policy::default(), review(annotation));
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| answer(black_box(&body), &catalog, &policy));
}

/// Measures the same review with ten networks in the catalog, and with ten thousand.
#[divan::bench(args = [1, 500])]
fn allowed(bencher: Bencher<'_, '_>, namespaces: usize) {
    bench(bencher, RIGHT, namespaces.max(8));
}

#[divan::bench]
fn denied(bencher: Bencher<'_, '_>) {
    bench(bencher, WRONG, 500);
}

#[divan::bench]
fn without_networks(bencher: Bencher<'_, '_>) {
    bench(bencher, "", 500);
}

/// Measures the lower bound.
#[divan::bench]
fn skip(bencher: Bencher<'_, '_>) {
    let body = review(RIGHT);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| {
            serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&body)).expect("JSON")
        });
}

/// Measures parsing alone.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let body = review(RIGHT);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| {
            Review::parse(black_box(&body))
                .expect("a review")
                .request
                .uid
                .len()
        });
}
