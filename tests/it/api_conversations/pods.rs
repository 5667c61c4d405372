//! Pods: binding and deletion.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams, PatchParams, PostParams},
};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::behaviour::{TestResult, error_of, merge, paused, same};
use crate::api_server::ApiServer;

pub(super) fn tests() -> Vec<Trial> {
    tests!["api_server"; with paused;
        a_binding_merges_its_annotations,
        bindings_bind_as_the_subresource_does,
        a_binding_is_for_the_pod_it_means,
        a_bound_pod_has_a_grace_period,
        an_eviction_deletes,
        pods_are_selected_by_their_node,
    ]
}

pub(super) fn pods(server: &ApiServer) -> Api<Pod> {
    Api::default_namespaced(server.client())
}

pub(super) fn pod(name: &str, annotations: Value) -> Result<Pod, Failed> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "c", "image": "registry.example/app:1"}]},
    }))?)
}

pub(super) fn binding(name: &str, node: &str, metadata: &Value) -> Value {
    let mut binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    json_patch::merge(&mut binding["metadata"], metadata);
    binding
}

/// Posts a binding to the subresource, as a scheduler does.
pub(super) async fn bind(server: &ApiServer, binding: &Value) -> Result<Value, kube::Error> {
    let name = binding["metadata"]["name"].as_str().unwrap_or_default();
    post(server, &format!("pods/{name}/binding"), binding).await
}

async fn post(server: &ApiServer, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::post(format!("/api/v1/namespaces/default/{path}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    server.client().request(request).await
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

async fn a_binding_merges_its_annotations() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    let own = json!({"kept": "1", "replaced": "1"});
    let made = pods.create(&PostParams::default(), &pod("p", own)?).await?;
    let metadata = json!({
        "uid": made.metadata.uid, "annotations": {"replaced": "2", "added": "2"},
    });
    let status = bind(&server, &binding("p", "n1", &metadata)).await?;
    same(&status["status"], &json!("Success"))?;
    let bound = pods.get("p").await?;
    same(&node(&bound), &Some("n1"))?;
    let found = ["kept", "replaced", "added"].map(|key| annotation(&bound, key));
    same(&found, &[Some("1"), Some("2"), Some("2")])?;
    // A binding does not change the pod's generation.
    same(&bound.metadata.generation, &Some(1))?;
    let conditions = bound.status.and_then(|status| status.conditions);
    let conditions = conditions.unwrap_or_default();
    same(&conditions[0].type_.as_str(), &"PodScheduled")?;
    let moved = merge(json!({"spec": {"nodeName": "n2"}}));
    let refused = pods.patch("p", &PatchParams::default(), &moved).await;
    same(&error_of(refused)?.0, &422)
}

async fn bindings_bind_as_the_subresource_does() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    let body = binding("p", "n1", &json!({"annotations": {"a": "b"}}));
    post(&server, "bindings", &body).await?;
    let bound = pods.get("p").await?;
    same(
        &(node(&bound), annotation(&bound, "a")),
        &(Some("n1"), Some("b")),
    )
}

async fn a_binding_is_for_the_pod_it_means() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    let refused = bind(&server, &binding("p", "n1", &json!({}))).await;
    same(
        &error_of(refused)?,
        &(404, "pods \"p\" not found".to_owned()),
    )?;
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    let other = binding("p", "n1", &json!({"uid": "another"}));
    let (code, message) = error_of(bind(&server, &other).await)?;
    same(&code, &409)?;
    same(&message.contains("UID in precondition: another"), &true)?;
    let hold = merge(json!({"metadata": {"finalizers": ["example.dev/hold"]}}));
    pods.patch("p", &PatchParams::default(), &hold).await?;
    pods.delete("p", &DeleteParams::default()).await?;
    let (code, message) = error_of(bind(&server, &binding("p", "n1", &json!({}))).await)?;
    same(&code, &409)?;
    same(
        &message.contains("is being deleted, cannot be assigned"),
        &true,
    )
}

async fn a_bound_pod_has_a_grace_period() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    let gone = pods.delete("p", &DeleteParams::default()).await?;
    // No kubelet runs it yet.
    same(&pods.get_opt("p").await?.is_none(), &true)?;
    same(&gone.is_left(), &true)?;
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    bind(&server, &binding("p", "n1", &json!({}))).await?;
    pods.delete("p", &DeleteParams::default()).await?;
    let dying = pods.get("p").await?.metadata;
    same(&dying.deletion_grace_period_seconds, &Some(30))?;
    same(&dying.deletion_timestamp.is_some(), &true)?;
    let now = DeleteParams::default().grace_period(0);
    pods.delete("p", &now).await?;
    same(&pods.get_opt("p").await?.is_none(), &true)
}

async fn an_eviction_deletes() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    pods.create(&PostParams::default(), &pod("p", json!({}))?)
        .await?;
    bind(&server, &binding("p", "n1", &json!({}))).await?;
    pods.evict("p", &EvictParams::default()).await?;
    let dying = pods.get("p").await?.metadata;
    same(&dying.deletion_timestamp.is_some(), &true)?;
    let evictions = ("create".to_owned(), "pods/eviction".to_owned());
    same(&server.written().get(&evictions), &Some(&1))
}

async fn pods_are_selected_by_their_node() -> TestResult {
    let server = ApiServer::new();
    let pods = pods(&server);
    for name in ["p", "q"] {
        pods.create(&PostParams::default(), &pod(name, json!({}))?)
            .await?;
    }
    bind(&server, &binding("q", "n1", &json!({}))).await?;
    let names = async |fields: &str| {
        let list = pods.list(&ListParams::default().fields(fields)).await?;
        let names = list.items.into_iter().filter_map(|pod| pod.metadata.name);
        Ok::<Vec<String>, kube::Error>(names.collect())
    };
    same(&names("spec.nodeName=n1").await?, &vec!["q".to_owned()])?;
    same(&names("spec.nodeName=").await?, &vec!["p".to_owned()])?;
    same(
        &names("metadata.name=p,spec.nodeName!=n1").await?,
        &vec!["p".to_owned()],
    )?;
    same(&error_of(names("spec.image=x").await)?.0, &400)
}
