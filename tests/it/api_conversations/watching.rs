//! Watches and lists: the events, their order, and expired positions.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{
        DeleteParams, ListParams, PatchParams, PostParams, VersionMatch, WatchEvent, WatchParams,
    },
    core::PartialObjectMeta,
    runtime::watcher,
};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::behaviour::{TestResult, config_map, error_of, maps, merge, paused, same};
use crate::api_server::{ApiServer, FaultAction, FaultRule};

pub(super) fn tests() -> Vec<Trial> {
    tests!["api_server"; with paused;
        a_watcher_survives_broken_watches,
        a_streaming_watcher_gets_every_object,
        bookmarks_come_in_time,
        an_object_leaving_a_selection_is_deleted,
        pages_are_of_one_state,
        a_lagging_watch_delays_events,
        the_watches_of_one_client_break,
        metadata_is_watched_alone,
    ]
}

async fn write(maps: &Api<ConfigMap>, name: &str, data: &str) -> TestResult {
    let patch = merge(json!({"data": {"k": data}}));
    if maps.get_opt(name).await?.is_none() {
        maps.create(&PostParams::default(), &config_map(name))
            .await?;
    }
    maps.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Returns the names and data that a watcher has after a time without events.
async fn settled(
    events: &mut (impl futures_util::Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
    known: &mut BTreeSet<(String, String)>,
) {
    let received = |map: ConfigMap| {
        let data = map.data.and_then(|data| data.into_values().next());
        (
            map.metadata.name.unwrap_or_default(),
            data.unwrap_or_default(),
        )
    };
    while let Ok(Some(event)) = timeout(Duration::from_secs(30), events.next()).await {
        match event {
            Ok(watcher::Event::Init) => known.clear(),
            Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                let (name, data) = received(map);
                known.retain(|(known, _)| *known != name);
                known.insert((name, data));
            }
            Ok(watcher::Event::Delete(map)) => {
                let name = received(map).0;
                known.retain(|(known, _)| *known != name);
            }
            Ok(watcher::Event::InitDone) | Err(_) => {}
        }
    }
}

async fn follows(config: watcher::Config) -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    write(&maps, "a", "1").await?;
    let backed_off = watcher::watcher(maps.clone(), config);
    let mut events = pin!(backed_off);
    let mut known = BTreeSet::new();
    let has = |known: &BTreeSet<(String, String)>, expected: &[(&str, &str)]| {
        let expected = expected.iter();
        let expected = expected.map(|(name, data)| ((*name).to_owned(), (*data).to_owned()));
        same(known, &expected.collect())
    };
    settled(&mut events, &mut known).await;
    has(&known, &[("a", "1")])?;
    write(&maps, "a", "2").await?;
    write(&maps, "b", "1").await?;
    settled(&mut events, &mut known).await;
    has(&known, &[("a", "2"), ("b", "1")])?;
    // The connection breaks, and something changes meanwhile.
    server.drop_watches("configmaps");
    write(&maps, "b", "2").await?;
    maps.delete("a", &DeleteParams::default()).await?;
    settled(&mut events, &mut known).await;
    has(&known, &[("b", "2")])?;
    // The history of the change is compacted.
    write(&maps, "c", "1").await?;
    maps.delete("b", &DeleteParams::default()).await?;
    server.compact();
    settled(&mut events, &mut known).await;
    has(&known, &[("c", "1")])
}

async fn a_watcher_survives_broken_watches() -> TestResult {
    follows(watcher::Config::default()).await
}

async fn a_streaming_watcher_gets_every_object() -> TestResult {
    follows(watcher::Config::default().streaming_lists()).await
}

async fn bookmarks_come_in_time() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    write(&maps, "a", "1").await?;
    let began = tokio::time::Instant::now();
    let watch = maps
        .watch(&WatchParams::default().timeout(150), "0")
        .await?;
    let mut watch = pin!(watch);
    let mut received = Vec::new();
    while let Some(event) = watch.try_next().await? {
        if let WatchEvent::Bookmark(bookmark) = event {
            received.push((
                began.elapsed().as_secs(),
                bookmark.metadata.resource_version,
            ));
            // An object of another kind; the bookmark has its revision all the same.
            server.namespace("other", &[]);
        }
    }
    same(&began.elapsed().as_secs(), &150)?;
    let times: Vec<u64> = received.iter().map(|(time, _)| *time).collect();
    same(&times, &vec![60, 120, 148])?;
    let versions: BTreeSet<String> = received.into_iter().map(|(_, version)| version).collect();
    same(&versions.len(), &3)
}

async fn an_object_leaving_a_selection_is_deleted() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let labelled = |value: &str| merge(json!({"metadata": {"labels": {"color": value}}}));
    write(&maps, "a", "1").await?;
    let params = WatchParams::default().labels("color=red").timeout(10);
    let watch = maps.watch(&params, "0").await?;
    for value in ["red", "red", "blue", "green"] {
        maps.patch("a", &PatchParams::default(), &labelled(value))
            .await?;
        write(&maps, "a", value).await?;
    }
    let received: Vec<WatchEvent<ConfigMap>> = watch.try_collect().await?;
    let received = received.iter().map(|event| match event {
        WatchEvent::Added(_) => "added",
        WatchEvent::Modified(_) => "modified",
        WatchEvent::Deleted(_) => "deleted",
        WatchEvent::Bookmark(_) => "bookmark",
        WatchEvent::Error(_) => "error",
    });
    same(
        &received.collect::<Vec<_>>(),
        &vec!["added", "modified", "deleted", "bookmark"],
    )
}

async fn pages_are_of_one_state() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    for name in ["a", "b", "c", "d"] {
        write(&maps, name, "1").await?;
    }
    let first = maps.list(&ListParams::default().limit(2)).await?;
    same(&first.metadata.remaining_item_count, &Some(2))?;
    maps.delete("c", &DeleteParams::default()).await?;
    write(&maps, "d", "2").await?;
    write(&maps, "e", "1").await?;
    let token = first.metadata.continue_.unwrap_or_default();
    let next = ListParams::default().limit(2).continue_token(&token);
    let second = maps.list(&next).await?;
    let names: Vec<_> = second
        .items
        .iter()
        .map(|map| map.metadata.name.clone())
        .collect();
    same(&names, &vec![Some("c".to_owned()), Some("d".to_owned())])?;
    same(
        &second.metadata.resource_version,
        &first.metadata.resource_version,
    )?;
    let exactly = |version: Option<String>| {
        let version = version.unwrap_or_default();
        ListParams::default()
            .matching(VersionMatch::Exact)
            .at(&version)
    };
    let past = exactly(first.metadata.resource_version);
    same(&maps.list(&past).await?.items.len(), &4)?;
    server.compact();
    same(&error_of(maps.list(&past).await)?.0, &410)?;
    same(&error_of(maps.list(&next).await)?.0, &410)
}

async fn a_lagging_watch_delays_events() -> TestResult {
    let server = ApiServer::new();
    let slow = server.named("slow");
    let writer = maps(&server);
    let reader = maps(&slow);
    server.lag("slow", Duration::from_secs(5));
    let began = tokio::time::Instant::now();
    let watch = reader.watch(&WatchParams::default().timeout(60), "1").await;
    // The cache's lists lag like its watches; a quorum read does not.
    write(&writer, "a", "1").await?;
    let cached = ListParams::default().match_any();
    same(&reader.list(&cached).await?.items.len(), &0)?;
    same(&reader.list(&ListParams::default()).await?.items.len(), &1)?;
    let mut watch = pin!(watch?);
    // Too old: it began before the first change.
    let first = watch.try_next().await?;
    same(&matches!(first, Some(WatchEvent::Error(_))), &true)?;
    let watch = reader
        .watch(&WatchParams::default().timeout(60), "0")
        .await?;
    let mut watch = pin!(watch);
    same(
        &matches!(watch.try_next().await?, Some(WatchEvent::Added(_))),
        &true,
    )?;
    same(&began.elapsed().as_secs(), &5)?;
    // For one watch only.
    let late = FaultAction::lagging(Duration::from_secs(2));
    server.heal();
    server.fault(FaultRule::of("watch", "configmaps", late));
    let since = writer
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let (params, since) = (
        WatchParams::default().timeout(60),
        since.unwrap_or_default(),
    );
    let watch = writer.watch(&params, &since).await?;
    let mut watch = pin!(watch);
    let began = tokio::time::Instant::now();
    write(&writer, "b", "1").await?;
    watch.try_next().await?;
    same(&began.elapsed().as_secs(), &2)
}

async fn the_watches_of_one_client_break() -> TestResult {
    let server = ApiServer::new();
    let params = WatchParams::default().timeout(60);
    let watch = async |client: &str| maps(&server.named(client)).watch(&params, "0").await;
    let (broken, whole) = (watch("broken").await?, watch("whole").await?);
    server.drop_watches_of("broken");
    let began = tokio::time::Instant::now();
    let (broken, whole) = tokio::join!(
        async {
            (
                broken.collect::<Vec<_>>().await.len(),
                began.elapsed().as_secs(),
            )
        },
        async {
            (
                whole.collect::<Vec<_>>().await.len(),
                began.elapsed().as_secs(),
            )
        },
    );
    same(&broken.1, &0)?;
    // Its bookmark, and its end by timeout.
    same(&whole, &(1, 60))
}

async fn metadata_is_watched_alone() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let partial: Api<PartialObjectMeta<ConfigMap>> = Api::default_namespaced(server.client());
    let events = watcher::watcher(partial, watcher::Config::default());
    let mut events = pin!(events);
    write(&maps, "a", "1").await?;
    sleep(Duration::from_secs(1)).await;
    while let Some(event) = events.try_next().await? {
        if let watcher::Event::InitApply(map) | watcher::Event::Apply(map) = event {
            let types = map.types.map(|types| types.kind);
            same(&map.metadata.name.as_deref(), &Some("a"))?;
            return same(&types.as_deref(), &Some("PartialObjectMetadata"));
        }
    }
    Err("it ended".into())
}
