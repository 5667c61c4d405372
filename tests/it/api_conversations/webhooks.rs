//! Admission webhooks: when they are called, their requests, and the effect of their responses.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{
    behaviour::{TestResult, error_of, paused, same},
    normalize::normal,
    pods::{bind, binding, pod, pods},
};
use crate::api_server::{ApiServer, FaultAction, FaultRule, InjectedFailure, Webhook, posting};

pub(super) fn tests() -> Vec<Trial> {
    tests!["api_server"; with paused;
        reviews_are_as_recorded,
        a_patch_of_a_webhook_is_applied,
        a_binding_gets_annotations_from_a_webhook,
        a_denial_keeps_its_message,
        a_webhook_that_fails_is_passed_over_or_not,
        a_webhook_is_called_for_matching_requests,
    ]
}

type Reviews = Arc<Mutex<Vec<Value>>>;

fn allow(review: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    })
}

fn patch(review: &Value, patch: &Value) -> Value {
    let mut answer = allow(review);
    answer["response"]["patchType"] = json!("JSONPatch");
    answer["response"]["patch"] = json!(STANDARD.encode(patch.to_string()));
    answer
}

/// Registers two webhooks that record their reviews.
fn register_recorders(server: &ApiServer, operations: &[&str], resources: &[&str]) -> [Reviews; 2] {
    let kept = [Reviews::default(), Reviews::default()];
    let keep = |reviews: &Reviews| {
        let reviews = reviews.clone();
        move |review: Value| {
            let answer = allow(&review);
            reviews.lock().expect("no panic").push(review);
            async move { Ok(answer) }
        }
    };
    let mutating = Webhook::mutating("m.example.dev", keep(&kept[0]));
    let validating = Webhook::validating("v.example.dev", keep(&kept[1]));
    for webhook in [mutating, validating] {
        server.webhook(webhook.on(operations, resources));
    }
    kept
}

fn fixture(name: &str) -> Result<Value, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reviews");
    Ok(serde_json::from_str(&std::fs::read_to_string(
        folder.join(name),
    )?)?)
}

/// The recorded changes, by the name of the review's fixture.
const RECORDED_CHANGES: &[(&str, &str, &str)] = &[
    ("pod-create-name", "POST", "pods"),
    ("pod-create-generatename", "POST", "pods"),
    ("pod-create-dryrun", "POST", "pods?dryRun=All"),
    ("pod-binding", "POST", "pods/NAME/binding"),
    ("pod-legacy-bindings", "POST", "bindings"),
    ("pod-eviction", "POST", "pods/NAME/eviction"),
    ("pod-update-annotations", "PUT", "pods/NAME"),
    ("pod-status-update", "PUT", "pods/NAME/status"),
    ("pod-delete", "DELETE", "pods/NAME"),
];

/// The reviews of recorded changes equal the recorded reviews, except for user and tool.
async fn reviews_are_as_recorded() -> TestResult {
    for (name, method, path) in RECORDED_CHANGES {
        let server = ApiServer::new();
        server.namespace("cap", &[]);
        let all = [
            "pods",
            "pods/status",
            "pods/binding",
            "pods/eviction",
            "bindings",
        ];
        let heard = register_recorders(&server, &["*"], &all);
        let first = fixture(&format!("{name}.mutate.json"))?;
        let mut object = first["request"]["object"].clone();
        let named = first["request"]["name"].as_str().unwrap_or_default();
        if first["request"]["oldObject"].is_object() {
            server.put(first["request"]["oldObject"].clone());
        } else if !path.starts_with("pods?") && *path != "pods" {
            server.put(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": named, "namespace": "cap"},
            }));
        }
        json_patch::merge(&mut object, &json!({"metadata": {"resourceVersion": null}}));
        let path = path.replace("NAME", named);
        let request = http::Request::builder()
            .method(*method)
            .uri(format!("/api/v1/namespaces/cap/{path}"))
            .header(http::header::CONTENT_TYPE, "application/json");
        let body = if *method == "DELETE" {
            json!({})
        } else {
            object
        };
        let request = request.body(body.to_string().into_bytes())?;
        server.client().request::<Value>(request).await?;
        let second = fixture(&format!("{name}.validate.json"))?;
        for (heard, expected) in heard.iter().zip([first, second]) {
            let found = heard.lock().expect("no panic").pop();
            let found = found.ok_or_else(|| format!("{name}: not called"))?;
            let [found, expected] = [found, expected].map(|review| normal(comparable(review)));
            same(&found, &expected).map_err(|why| format!("{name}: {why:?}"))?;
        }
    }
    Ok(())
}

/// Returns a review without the user, and without a generated name.
fn comparable(mut review: Value) -> Value {
    let request = &mut review["request"];
    let generated = request["object"]["metadata"]["generateName"].is_string();
    for (key, anyway) in [("userInfo", true), ("options", true), ("name", generated)] {
        if let Some(members) = request.as_object_mut().filter(|_| anyway) {
            members.remove(key);
        }
    }
    review
}

async fn a_patch_of_a_webhook_is_applied() -> TestResult {
    let server = ApiServer::new();
    let add = |review: Value| async move {
        let path = "/metadata/annotations/added";
        Ok(patch(
            &review,
            &json!([{"op": "add", "path": path, "value": "1"}]),
        ))
    };
    server.webhook(Webhook::mutating("a.example.dev", add).on(&["CREATE"], &["pods"]));
    let pods = pods(&server);
    let made = pods
        .create(&PostParams::default(), &pod("p", json!({"own": "1"}))?)
        .await?;
    let added = made.metadata.annotations.unwrap_or_default();
    same(&added.len(), &2)?;
    // Without its parent the path cannot be patched.
    let bare: Pod = serde_json::from_value(json!({"metadata": {"name": "q"}}))?;
    let (code, message) = error_of(pods.create(&PostParams::default(), &bare).await)?;
    same(&code, &500)?;
    same(&message.starts_with("Internal error occurred: "), &true)?;
    same(&server.calls("a.example.dev"), &2)
}

async fn a_binding_gets_annotations_from_a_webhook() -> TestResult {
    let server = ApiServer::new();
    let router = Router::new().route(
        "/mutate",
        post(async |body: String| {
            let review: Value = serde_json::from_str(&body).unwrap_or_default();
            let add = json!([{"op": "add", "path": "/metadata/annotations", "value": {"ip": "1"}}]);
            patch(&review, &add).to_string()
        }),
    );
    let webhook = Webhook::mutating("b.example.dev", posting(router, "/mutate"));
    server.webhook(webhook.on(&["CREATE"], &["pods/binding", "bindings"]));
    let pods = pods(&server);
    let own = json!({"own": "1", "ip": "0"});
    pods.create(&PostParams::default(), &pod("p", own)?).await?;
    bind(&server, &binding("p", "n1", &json!({}))).await?;
    let found = pods
        .get("p")
        .await?
        .metadata
        .annotations
        .unwrap_or_default();
    let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
    same(&found, &vec![("ip", "1"), ("own", "1")])?;
    same(&server.calls("b.example.dev"), &1)
}

async fn a_denial_keeps_its_message() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    for (status, code, expected_message) in [
        (
            json!({"code": 422, "reason": "Invalid", "message": "no"}),
            422,
            "request: no",
        ),
        (json!({"message": "no"}), 400, "request: no"),
        (Value::Null, 400, "request without explanation"),
    ] {
        let deny = move |review: Value| {
            let mut answer = allow(&review);
            answer["response"]["allowed"] = json!(false);
            answer["response"]["status"] = status.clone();
            async move { Ok(answer) }
        };
        let webhook = Webhook::validating("d.example.dev", deny);
        server.webhook(webhook.on(&["CREATE"], &["pods"]));
        let refused = pods
            .create(&PostParams::default(), &pod("p", json!({}))?)
            .await;
        let (found, message) = error_of(refused)?;
        same(&found, &code)?;
        let expected = format!("admission webhook \"d.example.dev\" denied the {expected_message}");
        same(&message, &expected)?;
    }
    same(&server.written().len(), &0)
}

async fn a_webhook_that_fails_is_passed_over_or_not() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    let hang = |_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Err("too late".to_owned())
    };
    let hangs = || {
        let webhook = Webhook::validating("f.example.dev", hang);
        webhook
            .on(&["CREATE"], &["pods"])
            .timeout(Duration::from_secs(3))
    };
    server.webhook(hangs());
    let began = tokio::time::Instant::now();
    let refused = pods
        .create(&PostParams::default(), &pod("p", json!({}))?)
        .await;
    let (code, message) = error_of(refused)?;
    same(&(code, began.elapsed().as_secs()), &(500, 3))?;
    let expected_message = "Internal error occurred: failed calling webhook \"f.example.dev\": failed to call \
                webhook: context deadline exceeded";
    same(&message.as_str(), &expected_message)?;
    server.webhook(hangs().ignoring_failure());
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    server.webhook(hangs());
    server.without_webhook("f.example.dev");
    pods.create(&PostParams::default(), &pod("q", json!({}))?)
        .await?;
    Ok(())
}

async fn a_webhook_is_called_for_matching_requests() -> TestResult {
    let server = ApiServer::new();
    server.namespace("watched", &[("example.dev/watched", "yes")]);
    let ask = |review: Value| async move { Ok(allow(&review)) };
    let webhook = Webhook::validating("w.example.dev", ask);
    server.webhook(
        webhook
            .on(&["CREATE", "DELETE"], &["pods"])
            .in_namespaces("example.dev/watched=yes")
            .when(|request| request["object"]["metadata"]["name"] != "ignored"),
    );
    for (namespace, name, calls) in [
        ("default", "p", 0),
        ("watched", "p", 1),
        ("watched", "ignored", 1),
    ] {
        let pods = kube::Api::<Pod>::namespaced(server.client(), namespace);
        pods.create(&PostParams::default(), &pod(name, json!({}))?)
            .await?;
        same(&server.calls("w.example.dev"), &calls)?;
    }
    let pods = kube::Api::<Pod>::namespaced(server.client(), "watched");
    // A request that is refused after admission was reviewed.
    let quota = FaultAction::after_admission(InjectedFailure::Forbidden);
    server.fault(FaultRule::of("create", "pods", quota));
    let refused = pods
        .create(&PostParams::default(), &pod("q", json!({}))?)
        .await;
    same(&error_of(refused)?.0, &403)?;
    same(&server.calls("w.example.dev"), &2)?;
    same(&server.stored("pods", "watched", "q"), &None)?;
    pods.delete("p", &DeleteParams::default()).await?;
    same(&server.calls("w.example.dev"), &3)
}
