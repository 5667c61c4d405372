//! Lists and watches of one kind: URLs, pages, events, and the reopening of watches.
//!
//! 1. A [`ListWatch`] requests pages ([`ListWatch::page`]), whose text [`Page::parse`] reads. Retries and time
//!    limits of pages are the caller's, by [`crate::call`] or by its own loop.
//! 2. A [`Watch`] starts at the revision of that list and goes on for ever: it reopens what ends or
//!    breaks where it stopped, with growing pauses after failures. [`Event::Relist`] says that the
//!    history is no longer kept.
//!
//! Objects stay JSON ([`Object`]): each caller decodes what it uses, so one that cannot be decoded
//! affects only itself.
//!
//! kube builds the URLs. Its `Api::list`, `Client::request_events` and `runtime::watcher` decode whole
//! objects, and one mistake in one object fails a page or ends a watch; `ObjectList` and `WatchEvent` cannot
//! hold `RawValue`, because serde buffers their content. `runtime::watcher` also hides the revisions of
//! lists and bookmarks, by which live reads and events are ordered.

mod backoff;
mod page;
mod stream;
#[cfg(test)]
mod tests;

use kube::{
    Client,
    api::{ListParams, WatchParams},
    core::Request,
};

pub use self::{
    page::{Object, Page},
    stream::{Event, Watch, WatchOptions},
};

/// Returns the field selector of the object with this name.
pub fn name_selector(name: &str) -> String {
    format!("metadata.name={name}")
}

/// The lists and watches of one kind, or of its objects in one namespace.
#[derive(Clone)]
pub struct ListWatch {
    client: Client,
    requests: Request,
}

impl ListWatch {
    /// Creates lists and watches of the objects at this path: `/api/v1/pods`. Sends no request.
    pub fn new(client: Client, url_path: String) -> Self {
        Self {
            client,
            requests: Request::new(url_path),
        }
    }

    /// Requests a page of a list once, and returns its text for [`Page::parse`].
    ///
    /// # Errors
    /// kube's error, which [`crate::call`] classifies.
    pub async fn page(&self, params: &ListParams) -> kube::Result<String> {
        let request = self.requests.list(params);
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await
    }

    fn watch_request(
        &self,
        params: &WatchParams,
        revision: u64,
    ) -> kube::Result<http::Request<Vec<u8>>> {
        let request = self.requests.watch(params, &revision.to_string());
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        // A compressed stream would arrive in pieces that end within lines.
        let identity = http::HeaderValue::from_static("identity");
        let headers = request.headers_mut();
        headers.insert(http::header::ACCEPT_ENCODING, identity);
        Ok(request)
    }
}

impl std::fmt::Debug for ListWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("ListWatch");
        debug.field("path", &self.requests.url_path);
        debug.finish_non_exhaustive()
    }
}
