//! Live reads of single objects and namespaces.
//!
//! A live read is a list without a `resourceVersion`, which the API server answers with the present
//! state (for a single name it reads one key, like a get), and which has a revision even if it is
//! empty. The result goes into the same store as that of the watches, if it is newer, and is published
//! before the call returns.

use futures_util::future::{try_join, try_join_all};

use crate::ClusterError;
use nadmit_api::{
    call::{ApiCall, ApiError, RetryPolicy},
    watch::Page,
};
use nadmit_catalog::Pod;

use super::{
    ClusterSource, SourceState,
    kinds::WatchedKind,
    progress::{ReadFreshness, ReadScope},
    read::{self, WatchedObject},
    requests,
};

/// The maximum number of attempts at a read that a list or a compaction makes useless.
const MAX_ATTEMPTS: usize = 5;
/// The number of pods of other namespaces that are read concurrently.
const CONCURRENCY: usize = 8;

/// The result of a live read.
enum LiveReadResult {
    /// The objects as of this revision; no others exist.
    All(u64, Vec<WatchedObject>),
    /// The kind does not exist.
    Missing,
    /// The continuation expired between two pages.
    Expired,
}

impl ClusterSource {
    /// Reads a network live.
    ///
    /// # Errors
    /// If the API server does not answer. The catalog then stays as it was.
    pub async fn refresh_network(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Networks, namespace, Some(name))
            .await
    }

    /// Reads a pod live. Afterwards the catalog has it with its present UID, or, if it does not exist,
    /// has ended or uses no additional networks, does not have it.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_pod(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Pods, namespace, Some(name)).await
    }

    /// Reads a namespace live: its labels, and whether it is terminating.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_namespace(&self, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Namespaces, "", Some(name)).await
    }

    /// Reads an address pool live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_pool(&self, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Pools, "", Some(name)).await
    }

    /// Reads the configuration of OpenShift's network operator live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_operator(&self) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Operators, "", None).await
    }

    /// Reads all pods of a namespace live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_pods_of(&self, namespace: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Pods, namespace, None).await
    }

    /// Reads a StatefulSet live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_stateful_set(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::StatefulSets, namespace, Some(name))
            .await
    }

    /// Reads a virtual machine and its instance live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_virtual_machine(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<(), ClusterError> {
        let machine = self.refresh(WatchedKind::VirtualMachines, namespace, Some(name));
        let instance = self.refresh(WatchedKind::VirtualMachineInstances, namespace, Some(name));
        try_join(machine, instance).await.map(drop)
    }

    /// Reads a migration of a virtual machine live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_migration(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Migrations, namespace, Some(name))
            .await
    }

    /// Reads a node live.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_node(&self, name: &str) -> Result<(), ClusterError> {
        self.refresh(WatchedKind::Nodes, "", Some(name)).await
    }

    /// Reads the users of a network live: its namespace and the pods in it. If none of them uses it,
    /// reads the known users in other namespaces, until one is confirmed or none is left.
    /// `multus_namespace` is the namespace of default networks that name none.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn refresh_network_users(
        &self,
        namespace: &str,
        name: &str,
        multus_namespace: &str,
    ) -> Result<(), ClusterError> {
        try_join(
            self.refresh_namespace(namespace),
            self.refresh_pods_of(namespace),
        )
        .await?;
        let users = || self.users(namespace, name, multus_namespace);
        let known = users();
        if known.iter().any(|(home, _)| **home == *namespace) {
            return Ok(());
        }
        for some in known.chunks(CONCURRENCY) {
            let pods = some.iter().map(|(home, pod)| self.refresh_pod(home, pod));
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

    async fn refresh(
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
