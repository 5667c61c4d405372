//! Lists objects page by page.

use std::{fmt::Write as _, time::Duration};

use kube::core::response::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Cluster, ClusterError, ClusterObject,
    kinds::ListRequest,
    projection::{self, ProjectedItem},
};

/// The number of objects per page.
const PAGE_SIZE: usize = 500;
/// The timeout of the request for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum number of restarts of a list because its continue token has expired.
const MAX_RESTARTS: usize = 3;

/// The objects of a list.
#[derive(Default)]
pub(super) struct ListedObjects {
    pub objects: Vec<ClusterObject>,
    /// The number of further objects that are unrelated to networks.
    pub unrelated: usize,
}

/// A page of a list as the API server returns it.
#[derive(Deserialize)]
struct RawListPage<'t> {
    #[serde(default)]
    metadata: ListPageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'t RawValue>>,
}

#[derive(Default, Deserialize)]
struct ListPageMetadata {
    #[serde(default, rename = "continue")]
    more: Option<String>,
}

/// The result of the request for a page.
enum PageResponse {
    Page(String),
    /// The continue token has expired.
    Expired(String),
    /// The cluster does not have the kind.
    NoSuchKind,
}

impl Cluster {
    /// Returns all objects of a list. `more` is called with the number of objects of each page.
    pub(super) async fn list(
        &self,
        list_request: &ListRequest,
        more: &impl Fn(usize),
    ) -> Result<ListedObjects, ClusterError> {
        let mut restarts = 0;
        let mut list = ListedObjects::default();
        let mut continue_token = String::new();
        loop {
            let text = match self.page(list_request, PAGE_SIZE, &continue_token).await? {
                PageResponse::Page(text) => text,
                PageResponse::NoSuchKind => return Ok(ListedObjects::default()),
                PageResponse::Expired(_)
                    if restarts < MAX_RESTARTS && !continue_token.is_empty() =>
                {
                    restarts += 1;
                    list = ListedObjects::default();
                    continue_token.clear();
                    continue;
                }
                PageResponse::Expired(reason) => {
                    return Err(self.invalid_response(list_request, reason));
                }
            };
            let invalid =
                |error: serde_json::Error| self.invalid_response(list_request, error.to_string());
            let page: RawListPage<'_> = serde_json::from_str(&text).map_err(invalid)?;
            let items = page.items.unwrap_or_default();
            for item in &items {
                match projection::project(&list_request.kind, item).map_err(invalid)? {
                    ProjectedItem::Object(object) => list.objects.push(object),
                    ProjectedItem::Unrelated => list.unrelated += 1,
                    ProjectedItem::Excluded => {}
                }
            }
            more(items.len());
            match page.metadata.more.filter(|more| !more.is_empty()) {
                Some(more) => continue_token = more,
                None => return Ok(list),
            }
        }
    }

    /// Returns true if the cluster has the kind of a list.
    pub(super) async fn has(&self, list_request: &ListRequest) -> Result<bool, ClusterError> {
        match self.page(list_request, 1, "").await? {
            PageResponse::Page(_) => Ok(true),
            PageResponse::NoSuchKind => Ok(false),
            PageResponse::Expired(reason) => Err(self.invalid_response(list_request, reason)),
        }
    }

    async fn page(
        &self,
        list_request: &ListRequest,
        limit: usize,
        continue_token: &str,
    ) -> Result<PageResponse, ClusterError> {
        let resource = list_request.kind.full_resource();
        let request =
            http::Request::get(path(list_request, limit, continue_token)).body(Vec::new());
        let request =
            request.map_err(|error| self.invalid_response(list_request, error.to_string()))?;
        let answered = tokio::time::timeout(PAGE_TIMEOUT, self.client.request_text(request)).await;
        let answered = answered.map_err(|_| ClusterError::Timeout {
            server: self.server.clone(),
            resource: resource.clone(),
            seconds: PAGE_TIMEOUT.as_secs(),
        })?;
        match answered {
            Ok(text) => Ok(PageResponse::Page(text)),
            Err(kube::Error::Api(status)) => self.map_status(list_request, &status),
            Err(error) => Err(ClusterError::from_kube(&error, &self.server, &resource)),
        }
    }

    fn map_status(
        &self,
        list_request: &ListRequest,
        status: &Status,
    ) -> Result<PageResponse, ClusterError> {
        match status.code {
            401 => Err(ClusterError::Unauthorized {
                server: self.server.clone(),
            }),
            403 => Err(ClusterError::Forbidden {
                resource: list_request.kind.full_resource(),
                namespace: list_request.namespace.clone(),
                role: list_request.role,
                message: status.message.clone(),
            }),
            404 if !list_request.kind.built_in => Ok(PageResponse::NoSuchKind),
            410 => Ok(PageResponse::Expired(status.message.clone())),
            code => Err(self.invalid_response(list_request, format!("{code}: {}", status.message))),
        }
    }

    fn invalid_response(&self, list_request: &ListRequest, reason: String) -> ClusterError {
        ClusterError::InvalidResponse {
            server: self.server.clone(),
            resource: list_request.kind.full_resource(),
            reason,
        }
    }
}

/// Returns the URL path of a page of at most `limit` objects.
fn path(list_request: &ListRequest, limit: usize, continue_token: &str) -> String {
    let version = list_request.kind.api_version;
    let root = if version.contains('/') { "apis" } else { "api" };
    let mut path = format!("/{root}/{version}");
    // Writing to a String cannot fail.
    if let Some(namespace) = &list_request.namespace {
        let _ = write!(path, "/namespaces/{}", percent_encoded(namespace));
    }
    let _ = write!(path, "/{}?limit={limit}", list_request.kind.resource);
    if let Some(name) = &list_request.name {
        let _ = write!(
            path,
            "&fieldSelector=metadata.name%3D{}",
            percent_encoded(name)
        );
    }
    if !continue_token.is_empty() {
        let _ = write!(path, "&continue={}", percent_encoded(continue_token));
    }
    path
}

/// Percent-encodes a text as a part of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}
