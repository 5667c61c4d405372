//! Namespaces and kinds: their objects, and what is deleted with them.

use futures_util::TryStreamExt as _;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, PatchParams, PostParams, WatchParams,
    },
};
use libtest_mimic::Trial;
use serde_json::json;

use super::behaviour::{TestResult, config_map, error_of, merge, paused, same};
use crate::api_server::{ApiServer, ResourceKind};

pub(super) fn tests() -> Vec<Trial> {
    tests!["api_server"; with paused;
        a_namespace_is_deleted_with_its_contents,
        a_kind_is_there_while_it_is_defined,
        the_kinds_of_nadmit_have_their_schemas,
    ]
}

async fn a_namespace_is_deleted_with_its_contents() -> TestResult {
    let server = ApiServer::new();
    let client = server.client();
    let inside: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    let refused = inside
        .create(&PostParams::default(), &config_map("a"))
        .await;
    same(
        &error_of(refused)?.1.as_str(),
        &"namespaces \"n\" not found",
    )?;
    let namespaces: Api<Namespace> = Api::all(client);
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("n".to_owned());
    let made = namespaces
        .create(&PostParams::default(), &namespace)
        .await?;
    let labels = made.metadata.labels.unwrap_or_default();
    same(
        &labels
            .get("kubernetes.io/metadata.name")
            .map(String::as_str),
        &Some("n"),
    )?;
    let mut held = config_map("held");
    held.metadata.finalizers = Some(vec!["example.dev/hold".to_owned()]);
    inside.create(&PostParams::default(), &held).await?;
    inside
        .create(&PostParams::default(), &config_map("a"))
        .await?;
    namespaces.delete("n", &DeleteParams::default()).await?;
    same(&inside.get_opt("a").await?, &None)?;
    let refused = inside
        .create(&PostParams::default(), &config_map("b"))
        .await;
    same(&error_of(refused)?.0, &403)?;
    let none = merge(json!({"metadata": {"finalizers": null}}));
    inside.patch("held", &PatchParams::default(), &none).await?;
    same(&namespaces.get_opt("n").await?, &None)
}

async fn a_kind_is_there_while_it_is_defined() -> TestResult {
    let server = ApiServer::new();
    let kind = ResourceKind::custom("example.dev/v1", "Thing", "things", false);
    let resource = ApiResource {
        group: "example.dev".to_owned(),
        version: "v1".to_owned(),
        api_version: "example.dev/v1".to_owned(),
        kind: "Thing".to_owned(),
        plural: "things".to_owned(),
    };
    let things: Api<DynamicObject> = Api::all_with(server.client(), &resource);
    let missing = things.list(&ListParams::default()).await;
    same(&error_of(missing)?.0, &404)?;
    server.register(kind);
    let thing = DynamicObject::new("a", &resource);
    things.create(&PostParams::default(), &thing).await?;
    let watch = things.watch(&WatchParams::default(), "0").await?;
    server.unregister("things.example.dev");
    let received: Vec<_> = watch.try_collect().await?;
    same(&received.len(), &1)?;
    same(&error_of(things.get("a").await)?.0, &404)?;
    // A definition does the same.
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client());
    let definition = serde_json::from_value(super::addresses())?;
    definitions
        .create(&PostParams::default(), &definition)
        .await?;
    let groups = server
        .client()
        .list_api_group_resources("example.dev/v1alpha1")
        .await?;
    same(&groups.resources.len(), &2)?;
    definitions
        .delete("addresses.example.dev", &DeleteParams::default())
        .await?;
    let gone = server
        .client()
        .list_api_group_resources("example.dev/v1alpha1")
        .await;
    same(&gone.is_err(), &true)
}

async fn the_kinds_of_nadmit_have_their_schemas() -> TestResult {
    let server = ApiServer::new();
    let groups = server
        .client()
        .list_api_group_resources("nadmit.io/v1alpha1")
        .await?;
    let names: Vec<&str> = groups.resources.iter().map(|r| r.name.as_str()).collect();
    for name in [
        "addressallocations",
        "addresspools",
        "addresspools/status",
        "addressslices",
    ] {
        same(&names.contains(&name), &true)?;
    }
    let pools = ApiResource::erase::<nadmit::api::AddressPool>(&());
    let pools: Api<DynamicObject> = Api::all_with(server.client(), &pools);
    let pool: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "a"}, "spec": {"ranges": [{"gateway": 1}]},
    }))?;
    let (code, message) = error_of(pools.create(&PostParams::default(), &pool).await)?;
    same(&code, &422)?;
    same(
        &message.contains("spec.ranges[0].range: Required value"),
        &true,
    )
}
