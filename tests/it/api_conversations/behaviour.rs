//! What the recorded conversations do not say: through kube's own client, with time standing still.

use std::future::Future;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use libtest_mimic::{Failed, Trial};

use crate::api_server::ApiServer;

pub(super) type Told = Result<(), Failed>;

/// A trial on one thread, in paused time.
pub(super) fn trial<F: Future<Output = Told>>(name: &str, run: fn() -> F) -> Trial
where
    F: 'static,
{
    Trial::test(format!("api_server::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        runtime.block_on(run())
    })
}

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("an_object_is_created_read_watched_and_deleted", life)]
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Told {
    if found == expected {
        return Ok(());
    }
    Err(format!("found    {found:#?}\nexpected {expected:#?}").into())
}

pub(super) fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

async fn life() -> Told {
    let server = ApiServer::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
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
    let told: Vec<WatchEvent<ConfigMap>> = watch.try_collect().await?;
    let told: Vec<String> = told.iter().map(|event| format!("{event:?}")).collect();
    same(&told.len(), &3)
}
