//! Live reads of single objects and namespaces.
//!
//! A live read is a list without a `resourceVersion`, which the API server answers with the present
//! state (for a single name it reads one key, like a get), and which has a revision even if it is
//! empty. The result goes into the same store as that of the watches, if it is newer, and is published
//! before the call returns.
//!
//! A pod that is read by its UID is taken from the watch, which has it already or soon: what matters of
//! an unbound pod does not change.

use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio::time::timeout;

use crate::ClusterError;
use nadmit_api::{
    call::{ApiCall, ApiError, RetryPolicy},
    watch::Page,
};
use nadmit_catalog::{LiveRead, Pod};

use super::{
    ClusterSource, SourceState,
    kinds::WatchedKind,
    progress::{ObjectKey, ReadFreshness, ReadScope},
    read::{self, WatchedObject},
    requests,
};

/// The maximum number of attempts at a read that a list or a compaction makes useless.
const MAX_ATTEMPTS: usize = 5;
/// The time that the watch has to deliver a pod that was created just before. A scheduler's own watch
/// delivered it already.
const OBSERVATION_TIMEOUT: Duration = Duration::from_millis(50);
/// The number of pods of other namespaces that are read concurrently.
const CONCURRENCY: usize = 8;

enum LiveReadResult {
    /// The objects as of this revision; no others exist.
    All(u64, Vec<WatchedObject>),
    /// The kind does not exist.
    Missing,
    /// The continuation expired between two pages.
    Expired,
}

impl ClusterSource {
    /// Reads the objects of a live read. Afterwards the catalog has them as they are at present; not a pod
    /// that has ended or uses no additional networks. `multus_namespace` is the namespace of default
    /// networks that name none. Reads of the ledger are skipped.
    ///
    /// # Errors
    /// If the API server does not answer. The catalog then stays as it was.
    pub async fn refresh(
        &self,
        read: &LiveRead,
        multus_namespace: &str,
    ) -> Result<(), ClusterError> {
        if let Some((kinds, namespace, name)) = WatchedKind::of_object(read) {
            let all = kinds
                .iter()
                .map(|watched| self.refresh_kind(*watched, namespace, Some(name)));
            return try_join_all(all).await.map(drop);
        }
        match read {
            LiveRead::PodOfUid {
                namespace,
                name,
                uid,
            } => {
                let key = (namespace.clone(), name.clone());
                if self.shared.observes_pod(&key, uid).await {
                    self.shared.publish();
                    return Ok(());
                }
                self.refresh_kind(WatchedKind::Pods, namespace, Some(name))
                    .await
            }
            LiveRead::PodsOf { namespace } => {
                self.refresh_kind(WatchedKind::Pods, namespace, None).await
            }
            LiveRead::NetworkOperator => self.refresh_kind(WatchedKind::Operators, "", None).await,
            LiveRead::Pool { name, namespace } => {
                self.refresh_kind(WatchedKind::Pools, "", Some(name))
                    .await?;
                match namespace {
                    Some(namespace) => self.refresh_namespace(namespace).await,
                    None => Ok(()),
                }
            }
            LiveRead::NetworkUsers { namespace, name } => {
                self.refresh_namespace(namespace).await?;
                self.refresh_network_users(namespace, name, multus_namespace)
                    .await
            }
            // The ledger answers the others.
            _ => Ok(()),
        }
    }

    async fn refresh_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let namespaces = WatchedKind::Namespaces;
        self.refresh_kind(namespaces, "", Some(name)).await
    }

    /// Reads the users of a network live: its namespace and the pods in it. If none of them uses it,
    /// reads the known users in other namespaces, until one is confirmed or none is left.
    async fn refresh_network_users(
        &self,
        namespace: &str,
        name: &str,
        multus_namespace: &str,
    ) -> Result<(), ClusterError> {
        try_join(
            self.refresh_namespace(namespace),
            self.refresh_kind(WatchedKind::Pods, namespace, None),
        )
        .await?;
        let users = || self.users(namespace, name, multus_namespace);
        let known = users();
        if known.iter().any(|(home, _)| **home == *namespace) {
            return Ok(());
        }
        for some in known.chunks(CONCURRENCY) {
            let pods = some
                .iter()
                .map(|(home, pod)| self.refresh_kind(WatchedKind::Pods, home, Some(pod)));
            try_join_all(pods).await?;
            if users().iter().any(|user| some.contains(user)) {
                break;
            }
        }
        Ok(())
    }

    fn users(
        &self,
        namespace: &str,
        name: &str,
        multus_namespace: &str,
    ) -> Vec<(Box<str>, Box<str>)> {
        // A copy, to release the lock while the index of users is built.
        let catalog = self.shared.store().catalog().clone();
        let users = catalog.users(namespace, name, multus_namespace).into_iter();
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        users.map(|pod| key(pod)).collect()
    }

    async fn refresh_kind(
        &self,
        watched: WatchedKind,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<(), ClusterError> {
        let scope = ReadScope {
            namespace: namespace.into(),
            name: name.map(Into::into),
        };
        let shared = &*self.shared;
        let mut call = ApiCall::begin(RetryPolicy::default());
        for _ in 0..MAX_ATTEMPTS {
            let live = shared.read(watched, &scope, &mut call).await;
            let live = live.map_err(|a| requests::error(watched, &shared.options.server, &a))?;
            let freshness = match live {
                LiveReadResult::All(revision, all) => shared
                    .with(|store| store.apply_live_read(watched, scope.clone(), revision, all)),
                LiveReadResult::Missing => {
                    shared.with(|store| store.apply_live_missing(watched, &scope));
                    ReadFreshness::Newer
                }
                LiveReadResult::Expired => ReadFreshness::Retry,
            };
            if freshness != ReadFreshness::Retry {
                shared.publish();
                return Ok(());
            }
        }
        let overtaken = ApiError::Uncertain {
            after: None,
            message: "each answer was overtaken by a newer list; try again".to_owned(),
        };
        Err(requests::error(watched, &shared.options.server, &overtaken))
    }
}

impl SourceState {
    /// Waits until the watch has delivered the pod of this UID. Returns false if it does not in time.
    async fn observes_pod(&self, key: &ObjectKey, uid: &str) -> bool {
        let mut changes = self.pods_changed.subscribe();
        let observed = async {
            loop {
                let (observed, current) = {
                    let store = self.store();
                    let observed = store.has_observed_pod(key, uid);
                    (observed, store.is_current(WatchedKind::Pods))
                };
                if observed || !current || changes.changed().await.is_err() {
                    return observed;
                }
            }
        };
        timeout(OBSERVATION_TIMEOUT, observed).await == Ok(true)
    }

    async fn read(
        &self,
        watched: WatchedKind,
        scope: &ReadScope,
        call: &mut ApiCall,
    ) -> Result<LiveReadResult, ApiError> {
        let list_watch = requests::list_watch(&self.client, watched, Some(scope));
        let mut params = requests::page(watched, Some(scope), self.options.page_size);
        let mut all = Vec::new();
        loop {
            let text = match call.write(|| list_watch.page(&params)).await {
                Ok(text) => text,
                Err(ApiError::Expired(_)) if params.continue_token.is_some() => {
                    return Ok(LiveReadResult::Expired);
                }
                Err(error) if requests::is_missing(watched, &error) => {
                    return Ok(LiveReadResult::Missing);
                }
                Err(error) => return Err(error),
            };
            let page = Page::parse(&text)?;
            for object in page.objects() {
                all.push(read::read(watched, object?));
            }
            let revision = page.revision()?;
            params.continue_token = page.into_continue_token();
            if params.continue_token.is_none() {
                return Ok(LiveReadResult::All(revision, all));
            }
        }
    }
}
