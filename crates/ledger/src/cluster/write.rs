//! Writes one record until the outcome is known.

use kube::{
    api::{DeleteParams, DynamicObject, Preconditions},
    core::Status,
};

use super::{
    ClusterLedgerInner, messages,
    object::{self, StoredObject, version},
    read::malformed_response,
    request_metrics::RequestVerb,
};
use crate::WriteError;
use nadmit_allocation::{Allocation, Version, Write};
use nadmit_api::call::{ApiCall, ApiError};

/// Number of attempts of a write whose record changes between two reads.
const MAX_ATTEMPTS: usize = 4;

/// A record that was written.
#[derive(Debug)]
pub(super) struct WrittenRecord {
    pub(super) version: Version,
    /// The created object, to be deleted if the batch fails.
    pub(super) created: Option<CreatedObject>,
}

/// An object that a batch has created, with its version at that time.
#[derive(Debug)]
pub(super) struct CreatedObject {
    name: String,
    uid: Option<String>,
    version: Version,
}

/// An object that could not be deleted.
#[derive(Debug)]
pub(super) struct Undeleted {
    /// True if a retry would fail, too: deleting is forbidden.
    pub(super) is_permanent: bool,
    pub(super) reason: String,
}

impl WrittenRecord {
    fn at(version: Version) -> Self {
        Self {
            version,
            created: None,
        }
    }

    fn created(found: StoredObject) -> Self {
        Self {
            version: found.version,
            created: Some(CreatedObject {
                name: found.name,
                uid: found.uid,
                version: found.version,
            }),
        }
    }
}

impl ClusterLedgerInner {
    /// Writes one record under the ID of its batch.
    ///
    /// # Errors
    /// [`WriteError`], as for a batch of one record.
    pub(super) async fn write_record(
        &self,
        write: &Write,
        batch_id: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let mut call = self.begin_call();
        let outcome = match write {
            Write::Create(wanted) => self.create(&mut call, wanted, batch_id).await,
            Write::Update(wanted, version) => {
                self.update(&mut call, wanted, *version, batch_id).await
            }
            Write::Delete(record, version) => self.delete(&mut call, record, *version).await,
        };
        self.count_retries(&call);
        outcome
    }

    async fn create(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        batch_id: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let name = wanted.record_name();
        let joined = format!("{batch_id}+");
        let object = self.object(wanted, None, batch_id)?;
        let params = Self::post_params();
        for _ in 0..MAX_ATTEMPTS {
            let request = call.write(|| {
                self.counters.count_request(RequestVerb::Create);
                self.api.create(&params, &object)
            });
            match request.await {
                Ok(created) => return parse_response(created).map(WrittenRecord::created),
                Err(ApiError::AlreadyExists(_)) => self.counters.count_conflict(),
                Err(error) => return Err(self.failed(call, RequestVerb::Create, &error)),
            }
            let current = self.read_object(call, &name).await;
            let current = current.map_err(|error| self.failed(call, RequestVerb::Get, &error))?;
            // Deleted in between: try again.
            let Some(found) = current else { continue };
            if let Err(reason) = &found.content {
                self.log_unreadable(&name, reason);
            }
            if found.deleting {
                return Err(unavailable(messages::deleting(&name)));
            }
            if !found.matches(wanted) {
                return Err(WriteError::Exists(Box::new(
                    found.conflicting_record(wanted),
                )));
            }
            if found.is_written_by(batch_id) {
                return Ok(WrittenRecord::created(found));
            }
            if found.is_written_by(&joined) {
                return Ok(WrittenRecord::at(found.version));
            }
            // Another batch wrote the same content. Taking the record over keeps both batches from deleting
            // it.
            match self.replace(call, wanted, found.version, &joined).await? {
                Some(found) => return Ok(WrittenRecord::at(found.version)),
                None => continue,
            }
        }
        Err(self.unstable(call, &name))
    }

    async fn update(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        version: Version,
        batch_id: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let name = wanted.record_name();
        if let Some(found) = self.replace(call, wanted, version, batch_id).await? {
            return match found.deleting {
                true => Err(unavailable(messages::deleting(&name))),
                false => Ok(WrittenRecord::at(found.version)),
            };
        }
        let current = self.read_object(call, &name).await;
        let current = current.map_err(|error| self.failed(call, RequestVerb::Get, &error))?;
        match current {
            // The response was lost, or another writer wrote the same content.
            Some(found) if found.matches(wanted) => Ok(WrittenRecord::at(found.version)),
            Some(found) => Err(changed(name, Some(&found), wanted)),
            None => Err(changed(name, None, wanted)),
        }
    }

    /// Replaces this version of a record; `None` if the record has another version or was deleted.
    async fn replace(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        version: Version,
        batch_id: &str,
    ) -> Result<Option<StoredObject>, WriteError> {
        let name = wanted.record_name();
        let object = self.object(wanted, Some(version), batch_id)?;
        let params = Self::post_params();
        let request = call.write(|| {
            self.counters.count_request(RequestVerb::Update);
            self.api.replace(&name, &params, &object)
        });
        match request.await {
            Ok(updated) => parse_response(updated).map(Some),
            Err(ApiError::Conflict(_) | ApiError::NotFound(_)) => {
                self.counters.count_conflict();
                Ok(None)
            }
            // Address and space are immutable: this may be a different record with a colliding name.
            Err(error @ ApiError::Refused { code: 422, .. }) => {
                let current = self.read_object(call, &name).await;
                match current.map_err(|error| self.failed(call, RequestVerb::Get, &error))? {
                    Some(found) if found.has_same_key(wanted) => {
                        Err(self.failed(call, RequestVerb::Update, &error))
                    }
                    _ => Ok(None),
                }
            }
            Err(error) => Err(self.failed(call, RequestVerb::Update, &error)),
        }
    }

    async fn delete(
        &self,
        call: &mut ApiCall,
        record: &Allocation,
        version: Version,
    ) -> Result<WrittenRecord, WriteError> {
        let name = record.record_name();
        for _ in 0..MAX_ATTEMPTS {
            let current = self.read_object(call, &name).await;
            let current = current.map_err(|error| self.failed(call, RequestVerb::Get, &error))?;
            let Some(found) = current else {
                return self.record_missing(call, record, version);
            };
            if found.version != version || !found.has_same_key(record) {
                self.counters.count_conflict();
                return Err(match &found.content {
                    Ok(_) => changed(name, Some(&found), record),
                    Err(reason) => {
                        self.log_unreadable(&name, reason);
                        changed(name, None, record)
                    }
                });
            }
            match self.delete_object(call, &name, found.uid, version).await {
                Ok(Some(at)) => return Ok(WrittenRecord::at(at)),
                Ok(None) => return Err(unavailable(messages::deleting(&name))),
                Err(ApiError::NotFound(_)) => return self.record_missing(call, record, version),
                Err(ApiError::Conflict(_)) => {}
                Err(error) => return Err(self.failed(call, RequestVerb::Delete, &error)),
            }
        }
        Err(self.unstable(call, &name))
    }

    /// Handles a missing record. If an earlier delete request got no response, it succeeded.
    fn record_missing(
        &self,
        call: &ApiCall,
        record: &Allocation,
        version: Version,
    ) -> Result<WrittenRecord, WriteError> {
        if call.uncertain() {
            return Ok(WrittenRecord::at(next_version(version)));
        }
        self.counters.count_conflict();
        Err(changed(record.record_name(), None, record))
    }

    /// Deletes an object if it has this UID and version, and returns the version of the deletion; `None` if
    /// the object waits for finalizers.
    async fn delete_object(
        &self,
        call: &mut ApiCall,
        name: &str,
        uid: Option<String>,
        version: Version,
    ) -> Result<Option<Version>, ApiError> {
        let preconditions = Preconditions {
            resource_version: Some(version.0.to_string()),
            uid,
        };
        let params = DeleteParams::default().preconditions(preconditions);
        let request = call.write(|| {
            self.counters.count_request(RequestVerb::Delete);
            self.api.delete(name, &params)
        });
        let response = request.await?;
        if response.as_ref().left().is_some_and(awaits_finalizers) {
            return Ok(None);
        }
        let deleted = response.right().as_ref().and_then(deletion_version);
        Ok(Some(deleted.unwrap_or_default().max(next_version(version))))
    }

    /// Deletes an object that a failed batch has created, unless another batch has taken it over.
    ///
    /// # Errors
    /// [`Undeleted`] if the object may still exist.
    pub(super) async fn delete_created(&self, created: CreatedObject) -> Result<(), Undeleted> {
        let CreatedObject { name, uid, version } = created;
        let mut call = self.begin_call();
        let removed = self.delete_object(&mut call, &name, uid, version).await;
        self.count_retries(&call);
        match removed {
            Ok(_) | Err(ApiError::NotFound(_) | ApiError::Conflict(_)) => Ok(()),
            Err(error) => Err(Undeleted {
                is_permanent: !call.uncertain() && !error.is_transient(),
                reason: format!(
                    "{name} was created and could not be deleted: {}",
                    self.advice(RequestVerb::Delete, &error)
                ),
            }),
        }
    }

    /// Returns the error of a failed write: uncertain as soon as one of its requests may have taken effect.
    fn failed(&self, call: &ApiCall, verb: RequestVerb, error: &ApiError) -> WriteError {
        let reason = self.advice(verb, error);
        match call.uncertain() {
            true => WriteError::Uncertain { reason },
            false => unavailable(reason),
        }
    }

    fn unstable(&self, call: &ApiCall, name: &str) -> WriteError {
        let reason = format!("record {name} is created and deleted repeatedly");
        self.failed(call, RequestVerb::Get, &malformed_response(reason))
    }

    fn object(
        &self,
        wanted: &Allocation,
        version: Option<Version>,
        batch_id: &str,
    ) -> Result<DynamicObject, WriteError> {
        object::object(wanted, batch_id, version).map_err(|error| {
            unavailable(format!(
                "record {} cannot be written: {error}",
                wanted.record_name()
            ))
        })
    }
}

fn parse_response(object: DynamicObject) -> Result<StoredObject, WriteError> {
    StoredObject::parse(object).map_err(|error| WriteError::Uncertain {
        reason: error.to_string(),
    })
}

/// Returns whether a deleted object waits for finalizers.
fn awaits_finalizers(object: &DynamicObject) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Returns the version of a deletion, if the response has it.
fn deletion_version(status: &Status) -> Option<Version> {
    let text = status.metadata.as_ref()?.resource_version.as_deref()?;
    version(text).ok()
}

/// Returns a version after this one and before any later write of the record: the deletion has a revision
/// of its own.
fn next_version(version: Version) -> Version {
    Version(version.0.saturating_add(1))
}

fn unavailable(reason: String) -> WriteError {
    WriteError::Unavailable { reason }
}

fn changed(name: String, current: Option<&StoredObject>, wanted: &Allocation) -> WriteError {
    WriteError::Changed {
        name,
        current: current.map(|found| Box::new(found.conflicting_record(wanted))),
    }
}
