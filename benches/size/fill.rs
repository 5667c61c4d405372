//! The creation of the cluster's objects, without webhooks.

use std::collections::HashMap;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::ListParams;
use serde_json::Value;

use super::{
    api::ClusterApi,
    cluster_size::{self, ClusterSize, PLAIN, ordinals},
    objects::{self, SHARED_POOL, SHARED_RANGE},
    record_kinds,
};

/// The number of requests at the same time.
const CONCURRENCY: usize = 48;
/// The quarantine of the pools.
pub(crate) const QUARANTINE_SECONDS: u64 = 5;

/// The UIDs of the StatefulSets, by name.
pub(crate) type SetUids = HashMap<String, String>;

/// Creates kinds, policy, nodes, networks, pools, StatefulSets and running pods. Returns the UIDs of the
/// StatefulSets.
pub(crate) async fn fill(api: &ClusterApi, size: ClusterSize) -> anyhow::Result<SetUids> {
    api.define_kinds().await?;
    for object in record_kinds::policy(&["nadmit.io"])? {
        api.create(&object).await?;
    }
    let homes = || (0..size.namespaces()).map(cluster_size::namespace);
    create_all(
        api,
        homes().map(|name| objects::namespace(&name, "enabled")),
    )
    .await?;
    api.create(&objects::namespace(PLAIN, "disabled")).await?;
    create_all(api, (0..size.nodes()).map(objects::node)).await?;
    let own = (0..size.namespaces()).map(|number| {
        let range = cluster_size::own_range(number);
        objects::pool(&cluster_size::namespace(number), &range, QUARANTINE_SECONDS)
    });
    let shared = objects::pool(SHARED_POOL, SHARED_RANGE, QUARANTINE_SECONDS);
    create_all(api, own.chain([shared])).await?;
    let networks = homes().flat_map(|home| {
        (0..size.networks_of_namespace()).map(move |number| {
            let pool = [SHARED_POOL, &home][number % 2];
            objects::network(&home, &cluster_size::network(number), Some(pool))
        })
    });
    let plain = (0..2).map(|number| objects::network(PLAIN, &cluster_size::network(number), None));
    create_all(api, networks.chain(plain)).await?;
    let sets = || size.all_sets().chain(size.plain_sets());
    create_all(api, sets().map(|set| objects::stateful_set(&set))).await?;
    let uids = set_uids(api).await?;
    let pods = sets().flat_map(|set| {
        let owner = uids.get(&set.name).cloned().unwrap_or_default();
        ordinals().map(move |ordinal| objects::running_pod(&set, &size.pod(&set, ordinal), &owner))
    });
    create_all(api, pods).await?;
    Ok(uids)
}

/// Creates objects, many at the same time.
pub(crate) async fn create_all(
    api: &ClusterApi,
    objects: impl Iterator<Item = Value>,
) -> anyhow::Result<()> {
    stream::iter(objects)
        .map(async |object| api.create(&object).await)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Returns the UIDs of all StatefulSets.
async fn set_uids(api: &ClusterApi) -> anyhow::Result<SetUids> {
    let sets = api.objects("apps/v1", "StatefulSet", None)?;
    let list = sets.list_metadata(&ListParams::default()).await?;
    let uids = list.items.into_iter().map(|set| {
        let name = set.metadata.name.context("a set without a name")?;
        Ok((name, set.metadata.uid.context("a set without a UID")?))
    });
    uids.collect()
}
