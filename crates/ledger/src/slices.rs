//! Records which node owns which slice, as AddressSlice objects. Clusters only.
//!
//! As with addresses, the object name is the lock: the node whose create succeeded owns the slice. Slices
//! are few and long-lived, so one write serves many pods.

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client,
    api::{
        DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions, WatchEvent, WatchParams,
    },
};
use tokio::time::sleep;

use super::{
    Actor,
    error::{FollowError, ReadError, WriteError},
};
use nadmit_allocation::{Slice, Version};
use nadmit_api::{
    AddressSlice,
    call::{ApiCall, ApiError, RetryPolicy, call},
};

/// Field manager in the objects' `managedFields`.
const MANAGER: &str = "nadmit";
/// Duration of one watch request, in seconds.
const WATCH_SECONDS: u32 = 240;
/// Resource name, as in RBAC rules.
const RESOURCE: &str = "addressslices";
/// Number of objects per page of a list.
const PAGE_SIZE: u32 = 500;

/// A committed write of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceEvent {
    /// The slice was recorded with this version.
    Put(Slice, Version),
    /// The slice of this name was deleted, with this version.
    Deleted(String, Version),
}

/// Stream of slice writes. It ends after an error.
pub type SliceEvents = BoxStream<'static, Result<SliceEvent, FollowError>>;

/// The AddressSlice objects of a cluster. Clones share the client.
///
/// Requires get, list, watch, create and delete on `addressslices.nadmit.io`.
#[derive(Debug, Clone)]
pub struct SliceLedger {
    api: Api<AddressSlice>,
    retry_policy: RetryPolicy,
    actor: Actor,
}

impl SliceLedger {
    /// Creates a ledger of slices. Sends no request.
    pub fn new(client: Client, retry_policy: RetryPolicy) -> Self {
        Self {
            api: Api::all(client),
            retry_policy,
            actor: Actor::Server,
        }
    }

    /// Returns this ledger with another actor than the server.
    #[must_use]
    pub fn with_actor(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Records that a node owns a slice, unless another node does. Returns the recorded slice, whichever
    /// node owns it.
    ///
    /// # Errors
    /// [`WriteError::Unavailable`] if nothing was written, [`WriteError::Uncertain`] if that is unknown.
    /// The call may be repeated.
    pub async fn claim(&self, slice: &Slice) -> Result<(Slice, Version), WriteError> {
        let object = AddressSlice::of(slice);
        let name = slice.record_name();
        let params = PostParams {
            dry_run: false,
            field_manager: Some(MANAGER.to_owned()),
        };
        let mut call_state = ApiCall::begin(self.retry_policy);
        let response = match call_state.write(|| self.api.create(&params, &object)).await {
            Err(ApiError::AlreadyExists(_)) => call_state.read(|| self.api.get(&name)).await,
            response => response,
        };
        let recorded = response.map_err(|error| self.failed(&call_state, "create", &error))?;
        parse(&recorded).map_err(|reason| WriteError::Unavailable { reason })
    }

    /// Deletes a slice if it still has this version.
    ///
    /// # Errors
    /// [`WriteError::Changed`] if the version differs; [`WriteError::Unavailable`] or
    /// [`WriteError::Uncertain`] as for [`Self::claim`].
    pub async fn release(&self, slice: &Slice, version: Version) -> Result<(), WriteError> {
        let name = slice.record_name();
        let changed = || WriteError::Changed {
            name: name.clone(),
            current: None,
        };
        let mut call_state = ApiCall::begin(self.retry_policy);
        let found = call_state.read(|| self.api.get(&name)).await;
        let found = match found {
            Err(ApiError::NotFound(_)) => return Ok(()),
            found => found.map_err(|error| self.failed(&call_state, "get", &error))?,
        };
        if parse(&found).ok().is_none_or(|(_, now)| now != version) {
            return Err(changed());
        }
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: found.metadata.uid,
            resource_version: Some(version.0.to_string()),
        });
        match call_state.write(|| self.api.delete(&name, &params)).await {
            Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
            Err(ApiError::Conflict(_)) => Err(changed()),
            Err(error) => Err(self.failed(&call_state, "delete", &error)),
        }
    }

    /// Lists all slices, sorted by name, with the version of the list.
    ///
    /// # Errors
    /// [`ReadError`] if the list cannot be read.
    pub async fn list(&self) -> Result<(Vec<(Slice, Version)>, Version), ReadError> {
        let mut params = ListParams::default().limit(PAGE_SIZE);
        let mut found = Vec::new();
        loop {
            let page = call(self.retry_policy, || self.api.list(&params)).await;
            let page = page.map_err(|error| ReadError::Unavailable {
                reason: self.actor.advice("list", RESOURCE, &error),
            })?;
            found.extend(page.items.iter().filter_map(parse_or_log));
            params.continue_token = page.metadata.continue_.filter(|place| !place.is_empty());
            if params.continue_token.is_none() {
                let at = page.metadata.resource_version.unwrap_or_default();
                let at = at.parse().map(Version);
                found.sort_by_cached_key(|(slice, _)| slice.record_name());
                return at
                    .map(|at| (found, at))
                    .map_err(|_| ReadError::Unavailable {
                        reason: "the list of addressslices has no version; try again".to_owned(),
                    });
            }
        }
    }

    fn failed(&self, call_state: &ApiCall, verb: &str, error: &ApiError) -> WriteError {
        let reason = self.actor.advice(verb, RESOURCE, error);
        if call_state.uncertain() {
            WriteError::Uncertain { reason }
        } else {
            WriteError::Unavailable { reason }
        }
    }

    /// Returns every write after a version. A watch that ends is reopened from the last version seen.
    pub fn follow(&self, from: Version) -> SliceEvents {
        let follower = SliceFollower {
            slices: self.clone(),
            version: from,
            watch: None,
            ended: false,
        };
        Box::pin(stream::unfold(follower, |mut follower| async move {
            let next = follower.next().await?;
            Some((next, follower))
        }))
    }
}

/// State of a stream of slice events.
struct SliceFollower {
    slices: SliceLedger,
    version: Version,
    watch: Option<BoxStream<'static, kube::Result<WatchEvent<AddressSlice>>>>,
    ended: bool,
}

impl SliceFollower {
    async fn next(&mut self) -> Option<Result<SliceEvent, FollowError>> {
        if self.ended {
            return None;
        }
        loop {
            let Some(watch) = &mut self.watch else {
                let params = WatchParams::default().timeout(WATCH_SECONDS);
                let at = self.version.0.to_string();
                match self.slices.api.watch(&params, &at).await {
                    Ok(watch) => self.watch = Some(watch.boxed()),
                    Err(error) if is_expired(&ApiError::from_kube(&error)) => {
                        return self.expired();
                    }
                    Err(_) => sleep(self.slices.retry_policy.max_backoff).await,
                }
                continue;
            };
            match watch.next().await {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    if let Some((slice, version)) = parse_or_log(&object) {
                        self.version = self.version.max(version);
                        return Some(Ok(SliceEvent::Put(slice, version)));
                    }
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    let version = version_of(&object.metadata)?;
                    self.version = self.version.max(version);
                    let name = object.metadata.name.unwrap_or_default();
                    return Some(Ok(SliceEvent::Deleted(name, version)));
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    let version = bookmark.metadata.resource_version.parse().map(Version);
                    self.version = self.version.max(version.unwrap_or_default());
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    if is_expired(&ApiError::from_status(&status)) {
                        return self.expired();
                    }
                    self.pause().await;
                }
                Some(Err(_)) => self.pause().await,
                None => self.watch = None,
            }
        }
    }

    fn expired(&mut self) -> Option<Result<SliceEvent, FollowError>> {
        self.ended = true;
        Some(Err(FollowError::Expired))
    }

    async fn pause(&mut self) {
        self.watch = None;
        sleep(self.slices.retry_policy.initial_backoff).await;
    }
}

fn is_expired(error: &ApiError) -> bool {
    matches!(error, ApiError::Expired(_) | ApiError::NotServed(_))
}

fn version_of(metadata: &ObjectMeta) -> Option<Version> {
    let version = metadata.resource_version.as_deref()?.parse();
    version.ok().map(Version)
}

/// Parses the slice of an object.
fn parse(object: &AddressSlice) -> Result<(Slice, Version), String> {
    let slice = object.slice().map_err(|error| error.to_string())?;
    let version = version_of(&object.metadata);
    let version = version.ok_or("its resourceVersion is not a number")?;
    Ok((slice, version))
}

/// Parses the slice of an object; logs and skips an invalid object.
fn parse_or_log(object: &AddressSlice) -> Option<(Slice, Version)> {
    match parse(object) {
        Ok(found) => Some(found),
        Err(reason) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(component = "ledger", object = name, error = %reason, "ignoring invalid AddressSlice");
            None
        }
    }
}
