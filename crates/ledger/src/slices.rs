//! Records which node owns which slice, as AddressSlice objects. Clusters only.
//!
//! As with addresses, the object name is the lock: the node whose create succeeded owns the slice. Slices
//! are few and long-lived, so one write serves many pods.

use std::time::Duration;

use futures_util::stream::BoxStream;
use kube::{
    Api, Client, Resource as _,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions},
};
use thiserror::Error;

use super::{
    Actor,
    error::{FollowError, ReadError, WriteError},
    follow::{EventReader, WatchMessage, follow},
};
use nadmit_allocation::{Slice, Version};
use nadmit_api::{
    AddressSlice, SliceError,
    call::{ApiCall, ApiError, RetryPolicy, call},
    watch::{Event, ListWatch, Object, Page, Watch, WatchOptions},
};

/// Field manager in the objects' `managedFields`.
const MANAGER: &str = "nadmit";
/// Duration of one watch request.
const WATCH_DURATION: Duration = Duration::from_secs(240);
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
    list_watch: ListWatch,
    retry_policy: RetryPolicy,
    actor: Actor,
}

impl SliceLedger {
    /// Creates a ledger of slices. Sends no request.
    pub fn new(client: Client, retry_policy: RetryPolicy) -> Self {
        Self {
            list_watch: ListWatch::new(client.clone(), AddressSlice::url_path(&(), None)),
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
        let recorded = response.map_err(|error| self.write_error(&call_state, "create", &error))?;
        parse(&recorded).map_err(|error| WriteError::Unavailable {
            reason: error.to_string(),
        })
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
            found => found.map_err(|error| self.write_error(&call_state, "get", &error))?,
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
            Err(error) => Err(self.write_error(&call_state, "delete", &error)),
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
            let unavailable = |error: ApiError| ReadError::Unavailable {
                reason: self.actor.advice("list", RESOURCE, &error),
            };
            let text = call(self.retry_policy, || self.list_watch.page(&params)).await;
            let text = text.map_err(unavailable)?;
            let page = Page::parse(&text).map_err(unavailable)?;
            for object in page.objects() {
                found.extend(read_or_log(&object.map_err(unavailable)?));
            }
            let revision = page.revision().map_err(unavailable)?;
            params.continue_token = page.into_continue_token();
            if params.continue_token.is_none() {
                found.sort_by_cached_key(|(slice, _)| slice.record_name());
                return Ok((found, Version(revision)));
            }
        }
    }

    fn write_error(&self, call_state: &ApiCall, verb: &str, error: &ApiError) -> WriteError {
        let reason = self.actor.advice(verb, RESOURCE, error);
        if call_state.uncertain() {
            WriteError::Uncertain { reason }
        } else {
            WriteError::Unavailable { reason }
        }
    }

    /// Returns every write after a version. A watch that ends is reopened from the last version seen.
    pub fn follow(&self, from: Version) -> SliceEvents {
        let options = WatchOptions {
            duration: WATCH_DURATION,
            open_timeout: self.retry_policy.attempt_timeout,
            initial_backoff: self.retry_policy.initial_backoff,
            max_backoff: self.retry_policy.max_backoff,
            name: None,
        };
        follow(
            Watch::new(self.list_watch.clone(), options, from.0),
            self.clone(),
        )
    }
}

impl EventReader for SliceLedger {
    type Event = SliceEvent;

    fn failed(&self, error: &ApiError) {
        let advice = self.actor.advice("watch", RESOURCE, error);
        tracing::warn!(component = "ledger", error = %advice, "watch of slices failed");
    }

    fn read(&self, event: Event) -> WatchMessage<SliceEvent> {
        match event {
            Event::Added(object) | Event::Modified(object) => match read_or_log(&object) {
                Some((slice, version)) => WatchMessage::Event(SliceEvent::Put(slice, version)),
                None => WatchMessage::Ignored,
            },
            Event::Deleted(object) => {
                let version = Version(object.revision);
                WatchMessage::Event(SliceEvent::Deleted(object.name.into(), version))
            }
            _ => WatchMessage::Ignored,
        }
    }
}

fn version_of(metadata: &ObjectMeta) -> Option<Version> {
    let version = metadata.resource_version.as_deref()?.parse();
    version.ok().map(Version)
}

/// The reason why an object is not a valid slice.
#[derive(Debug, Error)]
enum InvalidSlice {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Spec(#[from] SliceError),
    #[error("its resourceVersion is not a number")]
    Version,
}

fn parse(object: &AddressSlice) -> Result<(Slice, Version), InvalidSlice> {
    let slice = object.slice()?;
    let version = version_of(&object.metadata);
    let version = version.ok_or(InvalidSlice::Version)?;
    Ok((slice, version))
}

/// Reads the slice of an object of a list or a watch; logs and skips an invalid object.
fn read_or_log(object: &Object) -> Option<(Slice, Version)> {
    let whole = serde_json::from_str::<AddressSlice>(object.json.get());
    let whole = whole.map_err(InvalidSlice::Json);
    match whole.and_then(|whole| parse(&whole)) {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(component = "ledger", object = &*object.name, %error, "ignoring invalid AddressSlice");
            None
        }
    }
}
