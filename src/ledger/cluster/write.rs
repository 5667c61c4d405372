//! One record's write, carried through to an answer that leaves no question.

use kube::{
    api::{DeleteParams, DynamicObject, Preconditions},
    core::Status,
};

use super::{
    Inner, messages,
    object::{self, StoredObject, version},
    read::malformed_response,
    request_metrics::RequestVerb,
};
use crate::{
    allocation::{Allocation, Version, Write},
    api::call::{ApiCall, ApiError},
    ledger::WriteError,
};

/// How often a write begins anew, where the record changes or goes between two looks at it.
const MAX_ATTEMPTS: usize = 4;

/// A write that was done.
#[derive(Debug)]
pub(super) struct WrittenRecord {
    pub(super) version: Version,
    /// What it has created, to be taken back with the batch.
    pub(super) created: Option<CreatedObject>,
}

/// An object that a batch has created, as it was then.
#[derive(Debug)]
pub(super) struct CreatedObject {
    name: String,
    uid: Option<String>,
    version: Version,
}

/// An object that could not be taken back.
#[derive(Debug)]
pub(super) struct Undeleted {
    /// Whether trying again changes nothing: it may not be deleted.
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

impl Inner {
    /// Writes one record, under the mark of its batch.
    ///
    /// # Errors
    /// [`WriteError`], as of a batch of one.
    pub(super) async fn write_record(
        &self,
        write: &Write,
        mark: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let mut call = self.begin();
        let outcome = match write {
            Write::Create(wanted) => self.create(&mut call, wanted, mark).await,
            Write::Update(wanted, version) => self.update(&mut call, wanted, *version, mark).await,
            Write::Delete(record, version) => self.delete(&mut call, record, *version).await,
        };
        self.ended(&call);
        outcome
    }

    async fn create(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        mark: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let name = wanted.record_name();
        let joined = format!("{mark}+");
        let object = self.object(wanted, None, mark)?;
        let params = Self::params();
        for _ in 0..MAX_ATTEMPTS {
            let asked = call.ask(|| {
                self.counted.asked(RequestVerb::Create);
                self.api.create(&params, &object)
            });
            match asked.await {
                Ok(created) => return parse_response(created).map(WrittenRecord::created),
                Err(ApiError::AlreadyExists(_)) => self.counted.conflicted(),
                Err(answer) => return Err(self.failed(call, RequestVerb::Create, &answer)),
            }
            let looked = self.look(call, &name).await;
            let looked = looked.map_err(|answer| self.failed(call, RequestVerb::Get, &answer))?;
            // Gone since then: once more.
            let Some(found) = looked else { continue };
            if let Err(reason) = &found.content {
                self.notice(&name, reason);
            }
            if found.deleting {
                return Err(unavailable(messages::deleting(&name)));
            }
            if !found.is(wanted) {
                return Err(WriteError::Exists(Box::new(found.shown(wanted))));
            }
            if found.is_written_by(mark) {
                return Ok(WrittenRecord::created(found));
            }
            if found.is_written_by(&joined) {
                return Ok(WrittenRecord::at(found.version));
            }
            // Another batch wrote the very same. From here on it cannot take it back, nor may this
            // one.
            match self.replace(call, wanted, found.version, &joined).await? {
                Some(found) => return Ok(WrittenRecord::at(found.version)),
                None => continue,
            }
        }
        Err(self.restless(call, &name))
    }

    async fn update(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        version: Version,
        mark: &str,
    ) -> Result<WrittenRecord, WriteError> {
        let name = wanted.record_name();
        if let Some(found) = self.replace(call, wanted, version, mark).await? {
            return match found.deleting {
                true => Err(unavailable(messages::deleting(&name))),
                false => Ok(WrittenRecord::at(found.version)),
            };
        }
        let looked = self.look(call, &name).await;
        let looked = looked.map_err(|answer| self.failed(call, RequestVerb::Get, &answer))?;
        match looked {
            // The answer was lost, or another did the very same.
            Some(found) if found.is(wanted) => Ok(WrittenRecord::at(found.version)),
            Some(found) => Err(changed(name, Some(&found), wanted)),
            None => Err(changed(name, None, wanted)),
        }
    }

    /// Puts a record in the place of this version; `None` if that is not there any more.
    async fn replace(
        &self,
        call: &mut ApiCall,
        wanted: &Allocation,
        version: Version,
        mark: &str,
    ) -> Result<Option<StoredObject>, WriteError> {
        let name = wanted.record_name();
        let object = self.object(wanted, Some(version), mark)?;
        let params = Self::params();
        let asked = call.ask(|| {
            self.counted.asked(RequestVerb::Update);
            self.api.replace(&name, &params, &object)
        });
        match asked.await {
            Ok(updated) => parse_response(updated).map(Some),
            Err(ApiError::Conflict(_) | ApiError::NotFound(_)) => {
                self.counted.conflicted();
                Ok(None)
            }
            // Address and space cannot change: the record may be another's whose name is the same.
            Err(answer @ ApiError::Refused { code: 422, .. }) => {
                let looked = self.look(call, &name).await;
                match looked.map_err(|answer| self.failed(call, RequestVerb::Get, &answer))? {
                    Some(found) if found.has_same_key(wanted) => {
                        Err(self.failed(call, RequestVerb::Update, &answer))
                    }
                    _ => Ok(None),
                }
            }
            Err(answer) => Err(self.failed(call, RequestVerb::Update, &answer)),
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
            let looked = self.look(call, &name).await;
            let looked = looked.map_err(|answer| self.failed(call, RequestVerb::Get, &answer))?;
            let Some(found) = looked else {
                return self.gone(call, record, version);
            };
            if found.version != version || !found.has_same_key(record) {
                self.counted.conflicted();
                return Err(match &found.content {
                    Ok(_) => changed(name, Some(&found), record),
                    Err(reason) => {
                        self.notice(&name, reason);
                        changed(name, None, record)
                    }
                });
            }
            match self.remove(call, &name, found.uid, version).await {
                Ok(Some(at)) => return Ok(WrittenRecord::at(at)),
                Ok(None) => return Err(unavailable(messages::deleting(&name))),
                Err(ApiError::NotFound(_)) => return self.gone(call, record, version),
                Err(ApiError::Conflict(_)) => {}
                Err(answer) => return Err(self.failed(call, RequestVerb::Delete, &answer)),
            }
        }
        Err(self.restless(call, &name))
    }

    /// The record is not there. If a request to delete it was answered by silence, it was that.
    fn gone(
        &self,
        call: &ApiCall,
        record: &Allocation,
        version: Version,
    ) -> Result<WrittenRecord, WriteError> {
        if call.uncertain() {
            return Ok(WrittenRecord::at(next_version(version)));
        }
        self.counted.conflicted();
        Err(changed(record.record_name(), None, record))
    }

    /// Deletes an object if it has this UID and version, and says the version of the deletion; `None`
    /// if it waits for finalizers.
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
        let asked = call.ask(|| {
            self.counted.asked(RequestVerb::Delete);
            self.api.delete(name, &params)
        });
        let answer = asked.await?;
        if answer.as_ref().left().is_some_and(awaits_finalizers) {
            return Ok(None);
        }
        let told = answer.right().as_ref().and_then(deletion_version);
        Ok(Some(told.unwrap_or_default().max(next_version(version))))
    }

    /// Takes back what a batch has created, unless somebody has taken it over since.
    ///
    /// # Errors
    /// Why it may be there still.
    pub(super) async fn delete_created(&self, created: CreatedObject) -> Result<(), Undeleted> {
        let CreatedObject { name, uid, version } = created;
        let mut call = self.begin();
        let removed = self.remove(&mut call, &name, uid, version).await;
        self.ended(&call);
        match removed {
            Ok(_) | Err(ApiError::NotFound(_) | ApiError::Conflict(_)) => Ok(()),
            Err(answer) => Err(Undeleted {
                is_permanent: !call.uncertain() && !answer.is_transient(),
                reason: format!(
                    "{name} was created and could not be taken back: {}",
                    self.advice(RequestVerb::Delete, &answer)
                ),
            }),
        }
    }

    /// Why a write did not come to its end. Once a request of it may have taken effect, nothing but
    /// the record itself can say that it has not.
    fn failed(&self, call: &ApiCall, verb: RequestVerb, answer: &ApiError) -> WriteError {
        let reason = self.advice(verb, answer);
        match call.uncertain() {
            true => WriteError::Uncertain { reason },
            false => unavailable(reason),
        }
    }

    fn unstable(&self, call: &ApiCall, name: &str) -> WriteError {
        let reason = format!("record {name} comes and goes");
        self.failed(call, RequestVerb::Get, &malformed_response(reason))
    }

    fn object(
        &self,
        wanted: &Allocation,
        version: Option<Version>,
        mark: &str,
    ) -> Result<DynamicObject, WriteError> {
        object::object(wanted, mark, version).map_err(|error| {
            unavailable(format!(
                "record {} cannot be written: {error}",
                wanted.record_name()
            ))
        })
    }
}

/// Reads what the API server answers to a write.
fn parse_response(object: DynamicObject) -> Result<StoredObject, WriteError> {
    StoredObject::parse(object).map_err(|reason| WriteError::Uncertain { reason })
}

/// Whether an object that was deleted waits for finalizers.
fn awaits_finalizers(object: &DynamicObject) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// The version of a deletion, if the server says.
fn deletion_version(status: &Status) -> Option<Version> {
    let told = status.metadata.as_ref()?.resource_version.as_deref()?;
    version(told).ok()
}

/// A version behind this one and before every other write of the record: the deletion has a number of
/// its own.
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
