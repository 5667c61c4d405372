//! Reads from the API server, never from its watch cache: no request names a `resourceVersion`.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::ListParams;

use super::{ClusterLedgerInner, messages, object::StoredObject, request_metrics::RequestVerb};
use crate::{Cursor, ReadError};
use nadmit_allocation::{Holder, Stored, Version};
use nadmit_api::{
    call::{ApiCall, ApiError},
    labels,
    watch::Page,
};

/// Number of times a list is started when its continue token expires.
const MAX_LIST_ATTEMPTS: usize = 4;
/// Number of objects that are read concurrently.
const CONCURRENCY: usize = 16;

/// Outcome of one attempt to read all pages of a list.
enum ListAttempt {
    Complete(Vec<Stored>, Version),
    /// The continue token expired.
    Expired(String),
}

impl ClusterLedgerInner {
    /// Reads an object within the time limits of `call`.
    pub(super) async fn read_object(
        &self,
        call: &mut ApiCall,
        name: &str,
    ) -> Result<Option<StoredObject>, ApiError> {
        let request = call.read(|| {
            self.counters.count_request(RequestVerb::Get);
            self.api.get(name)
        });
        match request.await {
            Ok(object) => StoredObject::parse(object)
                .map(Some)
                .map_err(malformed_response),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn unavailable(&self, verb: RequestVerb, error: &ApiError) -> ReadError {
        ReadError::Unavailable {
            reason: self.advice(verb, error),
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Stored>, ReadError> {
        let mut call = self.begin_call();
        let found = self.read_object(&mut call, name).await;
        self.count_retries(&call);
        let Some(found) = found.map_err(|error| self.unavailable(RequestVerb::Get, &error))? else {
            return Ok(None);
        };
        match found.stored() {
            Ok(stored) => Ok(Some(stored)),
            Err(reason) => {
                self.log_unreadable(name, reason);
                let reason = messages::unreadable(name, reason);
                Err(ReadError::Unavailable { reason })
            }
        }
    }

    pub(super) async fn get_many(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Stored>>, ReadError> {
        let looks = stream::iter(names).map(|name| self.get(name));
        looks.buffered(CONCURRENCY).try_collect().await
    }

    pub(super) async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
        let (records, version) = self.list_selected(None).await?;
        Ok((records, Cursor(version)))
    }

    pub(super) async fn list_held(&self, holder: &Holder) -> Result<Vec<Stored>, ReadError> {
        let selector = format!("{}={}", labels::HOLDER, labels::holder_label(holder));
        let (mut records, _) = self.list_selected(Some(selector)).await?;
        records.retain(|stored| stored.allocation.holder == *holder);
        Ok(records)
    }

    /// Lists a consistent snapshot of the records that match a selector.
    async fn list_selected(
        &self,
        selector: Option<String>,
    ) -> Result<(Vec<Stored>, Version), ReadError> {
        let mut lost = String::new();
        for _ in 0..MAX_LIST_ATTEMPTS {
            let pages = self.list_pages(selector.as_deref()).await;
            match pages.map_err(|error| self.unavailable(RequestVerb::List, &error))? {
                ListAttempt::Complete(records, version) => return Ok((records, version)),
                ListAttempt::Expired(reason) => lost = reason,
            }
        }
        let reason = format!("a list was cut off {MAX_LIST_ATTEMPTS} times: {lost}; try again");
        Err(ReadError::Unavailable { reason })
    }

    async fn list_pages(&self, selector: Option<&str>) -> Result<ListAttempt, ApiError> {
        let mut params = ListParams::default().limit(self.options.page_size);
        params.label_selector = selector.map(str::to_owned);
        let mut named: Vec<(String, Stored)> = Vec::new();
        loop {
            // Each page has time limits of its own, because there may be many.
            let mut call = self.begin_call();
            let request = call.read(|| {
                self.counters.count_request(RequestVerb::List);
                self.list_watch.page(&params)
            });
            let request = request.await;
            self.count_retries(&call);
            let text = match request {
                Err(ApiError::Expired(reason)) => return Ok(ListAttempt::Expired(reason)),
                request => request?,
            };
            let page = Page::parse(&text)?;
            for object in page.objects() {
                let found = StoredObject::read(object?);
                match found.stored() {
                    Ok(stored) => named.push((found.name, stored)),
                    Err(reason) => self.log_unreadable(&found.name, reason),
                }
            }
            let revision = page.revision()?;
            params.continue_token = page.into_continue_token();
            if params.continue_token.is_none() {
                named.sort_by(|(a, _), (b, _)| a.cmp(b));
                let records = named.into_iter().map(|(_, stored)| stored).collect();
                return Ok(ListAttempt::Complete(records, Version(revision)));
            }
        }
    }
}

/// Maps a malformed API response to `Uncertain`.
pub(super) fn malformed_response(reason: impl ToString) -> ApiError {
    ApiError::Uncertain {
        after: None,
        message: reason.to_string(),
    }
}
