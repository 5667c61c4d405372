//! Where it is recorded which node owns which slice: AddressSlice objects, in a cluster only.
//!
//! As with addresses the name is the lock: whoever has created the object owns the slice. Slices are
//! few and last long, so that there is one write here for many pods.

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
use crate::{
    allocation::{Slice, Version},
    api::{
        AddressSlice,
        call::{ApiCall, ApiError, RetryPolicy, call},
    },
};

/// Who writes, in the objects' `managedFields`.
const MANAGER: &str = "nadmit";
/// How long a watch lasts before it is opened anew, in seconds.
const WATCH_SECONDS: u32 = 240;
/// The kind, in RBAC's word.
const RESOURCE: &str = "addressslices";
/// How many objects a page of a list has.
const PAGE_SIZE: u32 = 500;

/// One write of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceEvent {
    /// It is recorded, in this version.
    Put(Slice, Version),
    /// Nothing is recorded under this name any more; the deletion had this version.
    Deleted(String, Version),
}

/// The slices' writes as they happen. It ends after an error.
pub type SliceEvents = BoxStream<'static, Result<SliceEvent, FollowError>>;

/// The AddressSlice objects of a cluster. A clone is the same.
///
/// It needs get, list, watch, create and delete on `addressslices.nadmit.io`.
#[derive(Debug, Clone)]
pub struct SliceLedger {
    api: Api<AddressSlice>,
    patience: RetryPolicy,
    actor: Actor,
}

impl SliceLedger {
    /// The slices of the cluster that `client` leads to. Asks nothing yet.
    pub fn new(client: Client, patience: RetryPolicy) -> Self {
        Self {
            api: Api::all(client),
            patience,
            actor: Actor::Server,
        }
    }

    /// The same, asked by somebody else than a server.
    #[must_use]
    pub fn with_actor(self, caller: Actor) -> Self {
        Self { actor: caller, ..self }
    }

    /// Records that a node owns a slice, unless another does. Answers the slice as it is recorded,
    /// of whichever node.
    ///
    /// # Errors
    /// [`WriteError::Unavailable`] if nothing was written, [`WriteError::Uncertain`] if that is not
    /// known. Asking again does no harm.
    pub async fn claim(&self, slice: &Slice) -> Result<(Slice, Version), WriteError> {
        let object = AddressSlice::of(slice);
        let name = slice.record_name();
        let params = PostParams {
            dry_run: false,
            field_manager: Some(MANAGER.to_owned()),
        };
        let mut asking = ApiCall::begin(self.patience);
        let answered = match asking.ask(|| self.api.create(&params, &object)).await {
            Err(ApiError::AlreadyExists(_)) => asking.look(|| self.api.get(&name)).await,
            answered => answered,
        };
        let recorded = answered.map_err(|answer| self.failed(&asking, "create", &answer))?;
        parse(&recorded).map_err(|reason| WriteError::Unavailable { reason })
    }

    /// Deletes a slice if it still has this version.
    ///
    /// # Errors
    /// [`WriteError::Changed`] if it has not; [`WriteError::Unavailable`] or
    /// [`WriteError::Uncertain`] as with [`Self::claim`].
    pub async fn release(&self, slice: &Slice, version: Version) -> Result<(), WriteError> {
        let name = slice.record_name();
        let changed = || WriteError::Changed {
            name: name.clone(),
            current: None,
        };
        let mut asking = ApiCall::begin(self.patience);
        let found = asking.look(|| self.api.get(&name)).await;
        let found = match found {
            Err(ApiError::NotFound(_)) => return Ok(()),
            found => found.map_err(|answer| self.failed(&asking, "get", &answer))?,
        };
        if parse(&found).ok().is_none_or(|(_, now)| now != version) {
            return Err(changed());
        }
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: found.metadata.uid,
            resource_version: Some(version.0.to_string()),
        });
        match asking.ask(|| self.api.delete(&name, &params)).await {
            Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
            Err(ApiError::Conflict(_)) => Err(changed()),
            Err(answer) => Err(self.failed(&asking, "delete", &answer)),
        }
    }

    /// All slices by name, and the version of that moment.
    ///
    /// # Errors
    /// [`ReadError`], if the API server does not say.
    pub async fn list(&self) -> Result<(Vec<(Slice, Version)>, Version), ReadError> {
        let mut params = ListParams::default().limit(PAGE_SIZE);
        let mut found = Vec::new();
        loop {
            let page = call(self.patience, || self.api.list(&params)).await;
            let page = page.map_err(|answer| ReadError::Unavailable {
                reason: self.actor.advice("list", RESOURCE, &answer),
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

    fn failed(&self, asking: &ApiCall, verb: &str, answer: &ApiError) -> WriteError {
        let reason = self.actor.advice(verb, RESOURCE, answer);
        if asking.uncertain() {
            WriteError::Uncertain { reason }
        } else {
            WriteError::Unavailable { reason }
        }
    }

    /// Every write behind a version. A watch that ends is opened anew where it was.
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

/// One who follows.
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
                    Err(error) if is_expired(&ApiError::of(&error)) => return self.expired(),
                    Err(_) => sleep(self.slices.patience.max_backoff).await,
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
                    if is_expired(&ApiError::of_status(&status)) {
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
        sleep(self.slices.patience.initial_backoff).await;
    }
}

fn is_expired(answer: &ApiError) -> bool {
    matches!(answer, ApiError::Expired(_) | ApiError::NotServed(_))
}

fn version_of(metadata: &ObjectMeta) -> Option<Version> {
    let version = metadata.resource_version.as_deref()?.parse();
    version.ok().map(Version)
}

/// The slice of an object.
fn parse(object: &AddressSlice) -> Result<(Slice, Version), String> {
    let slice = object.slice().map_err(|error| error.to_string())?;
    let version = version_of(&object.metadata);
    let version = version.ok_or("its resourceVersion is not a number")?;
    Ok((slice, version))
}

/// The same; what is none is reported and left alone.
fn parse_or_log(object: &AddressSlice) -> Option<(Slice, Version)> {
    match parse(object) {
        Ok(found) => Some(found),
        Err(reason) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(object = name, error = %reason, "an AddressSlice is ignored");
            None
        }
    }
}
