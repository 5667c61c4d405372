//! Requests for the objects of Whereabouts.

use std::collections::HashSet;

use http::{Method, Request, header::CONTENT_TYPE};
use kube::Client;
use serde_json::{Value, json};

use super::WhereaboutsError;
use nadmit_api::call::{ApiCall, ApiError, RetryPolicy};
use nadmit_whereabouts::{
    DesiredEntry, DesiredUse, EntryChange, IpPool, IpPoolRef, OverlappingReservation, PodName,
    ReservationChange, reservation_change,
};

/// The path of the API.
const API: &str = "/apis/whereabouts.cni.cncf.io/v1alpha1";
/// The number of attempts for one reservation.
const MAX_ATTEMPTS: usize = 8;

/// The objects of Whereabouts in a cluster.
pub(super) struct WhereaboutsApi {
    client: Client,
    retry_policy: RetryPolicy,
}

impl WhereaboutsApi {
    pub(super) fn new(client: Client, retry_policy: RetryPolicy) -> Self {
        Self {
            client,
            retry_policy,
        }
    }

    /// Reads a pool. If it does not exist, creates it and returns `None`.
    pub(super) async fn pool(&self, pool: &IpPoolRef) -> Result<Option<IpPool>, WhereaboutsError> {
        let path = pool_path(pool);
        let mut call = ApiCall::begin(self.retry_policy);
        let found = call.read(|| self.send(Method::GET, &path, None)).await;
        match found {
            Ok(object) => {
                let read = IpPool::read(&pool.namespace, &pool.name, &object);
                read.map(|(pool, _)| Some(pool))
                    .map_err(|error| WhereaboutsError::Unreadable {
                        pool: format!("{}/{}", pool.namespace, pool.name),
                        reason: error.to_string(),
                    })
            }
            Err(ApiError::NotFound(_)) => {
                let path = format!("{API}/namespaces/{}/ippools", pool.namespace);
                let object = pool.to_object();
                match call
                    .write(|| self.send(Method::POST, &path, Some(&object)))
                    .await
                {
                    Ok(_) | Err(ApiError::AlreadyExists(_)) => Ok(None),
                    Err(error) => Err(WhereaboutsError::Api(error)),
                }
            }
            Err(error) => Err(WhereaboutsError::Api(error)),
        }
    }

    /// Applies changes to a pool in the version that was read. Returns false if it has another one.
    pub(super) async fn change_pool(
        &self,
        pool: &IpPoolRef,
        observed: &IpPool,
        changes: &[EntryChange],
    ) -> Result<bool, WhereaboutsError> {
        let patched = self
            .patch(&pool_path(pool), &observed.patch(changes))
            .await?;
        let Some(object) = patched else {
            return Ok(false);
        };
        let entries = &object["spec"]["allocations"];
        let is_dropped = |change: &EntryChange| match change {
            EntryChange::Put { key, interface, .. } => {
                !interface.is_empty() && entries[key]["ifname"] != **interface
            }
            EntryChange::Remove { .. } => false,
        };
        let mut keys = HashSet::new();
        let mut last = changes.iter().rev().filter(|one| keys.insert(one.key()));
        match last.any(is_dropped) {
            true => Err(WhereaboutsError::OldDefinition),
            false => Ok(true),
        }
    }

    /// Makes the reservation of an address what it has to be, if it has one. `check` is called after the
    /// read and before the write.
    pub(super) async fn reserve<F>(
        &self,
        entry: &DesiredEntry,
        check: impl Fn() -> F,
    ) -> Result<(), WhereaboutsError>
    where
        F: Future<Output = Result<(), WhereaboutsError>>,
    {
        let Some(name) = entry.at.reservation.as_deref() else {
            return Ok(());
        };
        if let DesiredUse::Binding { .. } = &entry.desired
            && self.create_if_absent(entry, name, &check).await?
        {
            return Ok(());
        }
        for _ in 0..MAX_ATTEMPTS {
            let found = self.reservation(&entry.at.namespace, name).await?;
            let change = reservation_change(&entry.desired, entry.at.address, found.as_ref());
            let change = change.map_err(WhereaboutsError::Taken)?;
            let Some(change) = change else { return Ok(()) };
            check().await?;
            if self
                .change_reservation(&entry.at.namespace, name, found.as_ref(), &change)
                .await?
            {
                return Ok(());
            }
        }
        Err(WhereaboutsError::TimedOut)
    }

    /// Creates the reservation of a pod that is about to be bound, without reading it before: it rarely
    /// exists. Returns false if it does.
    async fn create_if_absent<F>(
        &self,
        entry: &DesiredEntry,
        name: &str,
        check: impl Fn() -> F,
    ) -> Result<bool, WhereaboutsError>
    where
        F: Future<Output = Result<(), WhereaboutsError>>,
    {
        let change = reservation_change(&entry.desired, entry.at.address, None);
        let Some(change) = change.map_err(WhereaboutsError::Taken)? else {
            return Ok(false);
        };
        check().await?;
        self.create_reservation(&entry.at.namespace, name, &change)
            .await
    }

    async fn reservation(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<OverlappingReservation>, WhereaboutsError> {
        let path = reservation_path(namespace, name);
        let mut call = ApiCall::begin(self.retry_policy);
        match call.read(|| self.send(Method::GET, &path, None)).await {
            Ok(object) => {
                let read = OverlappingReservation::read(namespace, name, &object);
                read.map(Some)
                    .map_err(|error| WhereaboutsError::Unreadable {
                        pool: format!("reservation {namespace}/{name}"),
                        reason: error.to_string(),
                    })
            }
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(WhereaboutsError::Api(error)),
        }
    }

    /// Changes a reservation. Returns false if it has to be read again.
    async fn change_reservation(
        &self,
        namespace: &str,
        name: &str,
        found: Option<&OverlappingReservation>,
        change: &ReservationChange,
    ) -> Result<bool, WhereaboutsError> {
        let path = reservation_path(namespace, name);
        match (change, found) {
            (ReservationChange::Create { .. }, _) => {
                self.create_reservation(namespace, name, change).await
            }
            (ReservationChange::Assign { pod, interface }, Some(found)) => {
                let patch = found.assign_patch(pod.as_ref(), interface);
                Ok(self.patch(&path, &patch).await?.is_some())
            }
            (ReservationChange::GiveBack { pod, interface }, Some(found)) => {
                let patch = found.give_back_patch(pod, interface);
                let is_given = self.patch(&path, &patch).await?.is_some();
                if is_given && found.terminating {
                    // It ended with its finalizer. If the plugin has created it since, the next read
                    // finds nothing to do.
                    return self.create_reservation(namespace, name, change).await;
                }
                Ok(is_given)
            }
            (ReservationChange::Delete, Some(found)) => self.delete_reservation(&path, found).await,
            (_, None) => Ok(false),
        }
    }

    /// Creates the reservation of a change. Returns false if there is one by now.
    async fn create_reservation(
        &self,
        namespace: &str,
        name: &str,
        change: &ReservationChange,
    ) -> Result<bool, WhereaboutsError> {
        let Some(object) = change.object(namespace, name) else {
            return Ok(true);
        };
        let path = format!("{API}/namespaces/{namespace}/overlappingrangeipreservations");
        let mut call = ApiCall::begin(self.retry_policy);
        match call
            .write(|| self.send(Method::POST, &path, Some(&object)))
            .await
        {
            Ok(_) => Ok(true),
            Err(ApiError::AlreadyExists(_)) => Ok(false),
            Err(error) => Err(WhereaboutsError::Api(error)),
        }
    }

    /// Returns true if a pod of this name is bound to a node.
    pub(super) async fn is_bound(&self, pod: &PodName) -> Result<bool, WhereaboutsError> {
        let pods = self.pods(pod).await?;
        Ok(pods.iter().any(|pod| {
            let node = pod["spec"]["nodeName"].as_str();
            node.is_some_and(|node| !node.is_empty())
        }))
    }

    /// Returns the pod of this name, if it exists.
    pub(super) async fn pods(&self, pod: &PodName) -> Result<Vec<Value>, WhereaboutsError> {
        let PodName { namespace, name } = pod;
        let path =
            format!("/api/v1/namespaces/{namespace}/pods?fieldSelector=metadata.name%3D{name}");
        let mut call = ApiCall::begin(self.retry_policy);
        let listed = call.read(|| self.send(Method::GET, &path, None)).await;
        let mut listed = listed.map_err(WhereaboutsError::Api)?;
        match listed["items"].take() {
            Value::Array(pods) => Ok(pods),
            _ => Ok(Vec::new()),
        }
    }

    /// Deletes a reservation in the version that was read, and removes the finalizer.
    async fn delete_reservation(
        &self,
        path: &str,
        found: &OverlappingReservation,
    ) -> Result<bool, WhereaboutsError> {
        if found.terminating {
            return Ok(self.patch(path, &found.return_patch()).await?.is_some());
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": found.version},
        });
        let mut call = ApiCall::begin(self.retry_policy);
        match call
            .write(|| self.send(Method::DELETE, path, Some(&options)))
            .await
        {
            // The finalizer is still there, and the version is another one.
            Ok(_) | Err(ApiError::Conflict(_)) => Ok(false),
            Err(ApiError::NotFound(_)) => Ok(true),
            Err(error) => Err(WhereaboutsError::Api(error)),
        }
    }

    /// Applies a JSON patch, and returns the object; `None` if one of its tests fails, or the object is
    /// gone.
    async fn patch(&self, path: &str, patch: &Value) -> Result<Option<Value>, WhereaboutsError> {
        let mut call = ApiCall::begin(self.retry_policy);
        let sent = call.write(|| self.send(Method::PATCH, path, Some(patch)));
        match sent.await {
            Ok(object) => Ok(Some(object)),
            // 422 is the response to a failed test.
            Err(
                ApiError::Conflict(_) | ApiError::NotFound(_) | ApiError::Refused { code: 422, .. },
            ) => Ok(None),
            Err(error) => Err(WhereaboutsError::Api(error)),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> kube::Result<Value> {
        let content_type = match method {
            Method::PATCH => "application/json-patch+json",
            _ => "application/json",
        };
        let body = body.map(|body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .body(body.unwrap_or_default())
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

fn pool_path(pool: &IpPoolRef) -> String {
    format!("{API}/namespaces/{}/ippools/{}", pool.namespace, pool.name)
}

fn reservation_path(namespace: &str, name: &str) -> String {
    format!("{API}/namespaces/{namespace}/overlappingrangeipreservations/{name}")
}
