//! Behaviour of objects that the recorded conversations do not cover: through kube's own client, in
//! paused time.

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Error,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent,
        WatchParams,
    },
};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
pub(super) use crate::support::same;
pub(super) use crate::support::{TestResult, paused};

pub(super) fn tests() -> Vec<Trial> {
    tests!["api_server"; with paused;
        an_object_is_created_read_watched_and_deleted,
        the_same_requests_have_the_same_history,
        a_finalizer_delays_deletion,
        a_delete_is_for_the_version_it_names,
        a_collection_is_deleted_by_its_labels,
        a_no_op_write_keeps_the_version,
        a_manager_removes_fields_that_it_applied,
        a_patch_merges_lists_by_their_keys,
    ]
}

/// Returns the code and the message of an error.
pub(super) fn error_of<T>(answer: Result<T, Error>) -> Result<(u16, String), Failed> {
    match answer {
        Ok(_) => Err("it was not refused".into()),
        Err(Error::Api(status)) => Ok((status.code, status.message)),
        Err(other) => Err(format!("no answer: {other:?}").into()),
    }
}

pub(super) fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

pub(super) fn maps(server: &ApiServer) -> Api<ConfigMap> {
    Api::default_namespaced(server.client())
}

pub(super) fn merge(patch: Value) -> Patch<Value> {
    Patch::Merge(patch)
}

async fn an_object_is_created_read_watched_and_deleted() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let created = maps
        .create(&PostParams::default(), &config_map("a"))
        .await?;
    same(&maps.get("a").await?, &created)?;
    let list = maps.list(&ListParams::default()).await?;
    same(&list.items.len(), &1)?;
    let since = list.metadata.resource_version.unwrap_or_default();
    let watch = maps
        .watch(&WatchParams::default().timeout(5), &since)
        .await?;
    maps.create(&PostParams::default(), &config_map("b"))
        .await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let received: Vec<WatchEvent<ConfigMap>> = watch.try_collect().await?;
    match &received[..] {
        [
            WatchEvent::Added(added),
            WatchEvent::Deleted(deleted),
            WatchEvent::Bookmark(_),
        ] => same(
            &[&added.metadata.name, &deleted.metadata.name],
            &[&Some("b".to_owned()), &Some("a".to_owned())],
        ),
        other => Err(format!("{other:?}").into()),
    }
}

/// Runs requests of many kinds; returns the log, and the stored objects.
async fn run_requests() -> Result<(Vec<String>, Vec<String>), Failed> {
    let server = ApiServer::new();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = lines.clone();
    server.log(move |line| log.lock().expect("no panic").push(line.to_owned()));
    let maps = maps(&server.named("somebody"));
    for _ in 0..20 {
        let mut map = ConfigMap::default();
        map.metadata.generate_name = Some("a-".to_owned());
        let made = maps.create(&PostParams::default(), &map).await?;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let name = made.metadata.name.unwrap_or_default();
        let patch = merge(json!({"data": {"k": name}}));
        maps.patch(&name, &PatchParams::default(), &patch).await?;
    }
    let all = server.all("configmaps");
    let lines = lines.lock().expect("no panic").clone();
    Ok((lines, all.iter().map(ToString::to_string).collect()))
}

async fn the_same_requests_have_the_same_history() -> TestResult {
    let (lines, objects) = run_requests().await?;
    same(&lines.len(), &40)?;
    same(&objects.len(), &20)?;
    let first = "2026-01-01T00:00:00Z somebody create configmaps default/a-";
    let line = lines.first().map(String::as_str).unwrap_or_default();
    same(&line.get(..first.len()), &Some(first))?;
    same(&run_requests().await?, &(lines, objects))
}

async fn a_finalizer_delays_deletion() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let mut map = config_map("held");
    map.metadata.finalizers = Some(vec!["example.dev/hold".to_owned()]);
    maps.create(&PostParams::default(), &map).await?;
    let deleted = maps.delete("held", &DeleteParams::default()).await?;
    let dying = deleted.left().ok_or("it was not held")?;
    same(&dying.metadata.deletion_timestamp.is_some(), &true)?;
    let more = merge(json!({"metadata": {"finalizers": ["example.dev/hold", "example.dev/more"]}}));
    let refused = maps.patch("held", &PatchParams::default(), &more).await;
    same(&error_of(refused)?.0, &422)?;
    let none = merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &none).await?;
    same(&maps.get_opt("held").await?, &None)
}

async fn a_delete_is_for_the_version_it_names() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let first = maps
        .create(&PostParams::default(), &config_map("a"))
        .await?;
    let patch = merge(json!({"data": {"k": "v"}}));
    let second = maps.patch("a", &PatchParams::default(), &patch).await?;
    let judged = |object: &ConfigMap| DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.metadata.uid.clone(),
            resource_version: object.metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let (code, message) = error_of(maps.delete("a", &judged(&first)).await)?;
    same(&code, &409)?;
    same(
        &message.contains("the ResourceVersion in the precondition"),
        &true,
    )?;
    maps.delete("a", &judged(&second)).await?;
    // A later object of the same name is another object.
    let third = maps
        .create(&PostParams::default(), &config_map("a"))
        .await?;
    let mut written = third.clone();
    written.metadata.uid = second.metadata.uid;
    let replaced = maps.replace("a", &PostParams::default(), &written).await;
    let (code, message) = error_of(replaced)?;
    same(&code, &409)?;
    same(&message.contains("UID in precondition"), &true)
}

async fn a_collection_is_deleted_by_its_labels() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    for (name, color) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut map = config_map(name);
        map.metadata.labels = Some([("color".to_owned(), color.to_owned())].into());
        maps.create(&PostParams::default(), &map).await?;
    }
    let red = ListParams::default().labels("color in (red, green)");
    maps.delete_collection(&DeleteParams::default(), &red)
        .await?;
    let left = maps.list_metadata(&ListParams::default()).await?;
    let left: Vec<_> = left
        .items
        .iter()
        .map(|map| map.metadata.name.clone())
        .collect();
    same(&left, &vec![Some("b".to_owned())])?;
    let written = server.written();
    let deletes = ("deletecollection".to_owned(), "configmaps".to_owned());
    same(&written.get(&deletes), &Some(&2))?;
    same(&server.request_counts().get(&deletes), &Some(&1))
}

async fn a_no_op_write_keeps_the_version() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let first = maps
        .create(&PostParams::default(), &config_map("a"))
        .await?;
    let same_again = maps.replace("a", &PostParams::default(), &first).await?;
    same(&same_again, &first)?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let shown = maps
        .patch("a", &dry, &merge(json!({"data": {"k": "v"}})))
        .await?;
    same(&shown.data.is_some(), &true)?;
    same(&maps.get("a").await?, &first)?;
    same(&server.written().len(), &1)
}

async fn a_manager_removes_fields_that_it_applied() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let apply = |manager: &str, data: Value| {
        let params = PatchParams::apply(manager);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
        let maps = maps.clone();
        async move { maps.patch("a", &params, &Patch::Apply(map)).await }
    };
    apply("one", json!({"k": "v", "gone": "soon"})).await?;
    apply("two", json!({"other": "v"})).await?;
    let found = apply("one", json!({"k": "w"})).await?;
    let found: Vec<(String, String)> = found.data.unwrap_or_default().into_iter().collect();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    same(&found, &vec![pair("k", "w"), pair("other", "v")])?;
    let (code, message) = error_of(apply("two", json!({"k": "mine"})).await)?;
    same(&code, &409)?;
    let received = "Apply failed with 1 conflict: conflict with \"one\": .data.k";
    same(&message.as_str(), &received)
}

async fn a_patch_merges_lists_by_their_keys() -> TestResult {
    let server = ApiServer::new();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": null});
    server.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"conditions": [condition("Ready", "True"), condition("DiskPressure", "False")]},
    }));
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(server.client());
    let patch =
        Patch::Strategic(json!({"status": {"conditions": [condition("Ready", "Unknown")]}}));
    let found = nodes
        .patch_status("n", &PatchParams::default(), &patch)
        .await?;
    let found = found
        .status
        .and_then(|status| status.conditions)
        .unwrap_or_default();
    let found: Vec<_> = found.into_iter().map(|c| (c.type_, c.status)).collect();
    let pair = |kind: &str, status: &str| (kind.to_owned(), status.to_owned());
    same(
        &found,
        &vec![pair("Ready", "Unknown"), pair("DiskPressure", "False")],
    )
}
