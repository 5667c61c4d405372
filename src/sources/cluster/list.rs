//! Whole lists, page by page.

use std::{fmt::Write as _, time::Duration};

use kube::core::response::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Cluster, ClusterError, ClusterObject,
    kept::{self, Item},
    kinds::Listing,
};

/// How many objects are asked for at a time.
const PAGE: usize = 500;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a list is begun anew, when its place was lost.
const RESTARTS: usize = 3;

/// What a list holds.
#[derive(Default)]
pub(super) struct List {
    pub objects: Vec<ClusterObject>,
    /// How many more have nothing to do with networks.
    pub silent: usize,
}

/// A page as the API server sends it.
#[derive(Deserialize)]
struct Page<'t> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'t RawValue>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    more: Option<String>,
}

/// What a request for a page came to.
enum Turn {
    Page(String),
    /// The place in the list is lost.
    Lost(String),
    /// The cluster has no such kind.
    NoSuchKind,
}

impl Cluster {
    /// All objects of a listing. `more` is told how many a page held.
    pub(super) async fn list(
        &self,
        listing: &Listing,
        more: &impl Fn(usize),
    ) -> Result<List, ClusterError> {
        let mut restarts = 0;
        let mut list = List::default();
        let mut place = String::new();
        loop {
            let text = match self.page(listing, PAGE, &place).await? {
                Turn::Page(text) => text,
                Turn::NoSuchKind => return Ok(List::default()),
                Turn::Lost(_) if restarts < RESTARTS && !place.is_empty() => {
                    restarts += 1;
                    list = List::default();
                    place.clear();
                    continue;
                }
                Turn::Lost(reason) => return Err(self.answer(listing, reason)),
            };
            let invalid = |error: serde_json::Error| self.answer(listing, error.to_string());
            let page: Page<'_> = serde_json::from_str(&text).map_err(invalid)?;
            let items = page.items.unwrap_or_default();
            for item in &items {
                match kept::item(&listing.kind, item).map_err(invalid)? {
                    Item::Kept(object) => list.objects.push(object),
                    Item::Silent => list.silent += 1,
                    Item::Past => {}
                }
            }
            more(items.len());
            match page.metadata.more.filter(|more| !more.is_empty()) {
                Some(more) => place = more,
                None => return Ok(list),
            }
        }
    }

    /// Whether the cluster has the kind of a listing, and lets who asks list it.
    pub(super) async fn has(&self, listing: &Listing) -> Result<bool, ClusterError> {
        match self.page(listing, 1, "").await? {
            Turn::Page(_) => Ok(true),
            Turn::NoSuchKind => Ok(false),
            Turn::Lost(reason) => Err(self.answer(listing, reason)),
        }
    }

    async fn page(
        &self,
        listing: &Listing,
        most: usize,
        place: &str,
    ) -> Result<Turn, ClusterError> {
        let resource = listing.kind.full_resource();
        let request = http::Request::get(path(listing, most, place)).body(Vec::new());
        let request = request.map_err(|error| self.answer(listing, error.to_string()))?;
        let answered = tokio::time::timeout(PATIENCE, self.client.request_text(request)).await;
        let answered = answered.map_err(|_| ClusterError::Timeout {
            server: self.server.clone(),
            resource: resource.clone(),
            seconds: PATIENCE.as_secs(),
        })?;
        match answered {
            Ok(text) => Ok(Turn::Page(text)),
            Err(kube::Error::Api(status)) => self.refused(listing, &status),
            Err(error) => Err(ClusterError::of(&error, &self.server, &resource)),
        }
    }

    fn refused(&self, listing: &Listing, status: &Status) -> Result<Turn, ClusterError> {
        match status.code {
            401 => Err(ClusterError::Unauthorized {
                server: self.server.clone(),
            }),
            403 => Err(ClusterError::Forbidden {
                resource: listing.kind.full_resource(),
                namespace: listing.namespace.clone(),
                role: listing.role,
                message: status.message.clone(),
            }),
            404 if !listing.kind.built_in => Ok(Turn::NoSuchKind),
            410 => Ok(Turn::Lost(status.message.clone())),
            code => Err(self.answer(listing, format!("{code}: {}", status.message))),
        }
    }

    fn answer(&self, listing: &Listing, reason: String) -> ClusterError {
        ClusterError::Answer {
            server: self.server.clone(),
            resource: listing.kind.full_resource(),
            reason,
        }
    }
}

/// The path of a page of at most so many, `place` being where the page before it ended.
fn path(listing: &Listing, most: usize, place: &str) -> String {
    let version = listing.kind.api_version;
    let root = if version.contains('/') { "apis" } else { "api" };
    let mut path = format!("/{root}/{version}");
    // Writing to a String cannot fail.
    if let Some(namespace) = &listing.namespace {
        let _ = write!(path, "/namespaces/{}", escaped(namespace));
    }
    let _ = write!(path, "/{}?limit={most}", listing.kind.resource);
    if let Some(name) = &listing.name {
        let _ = write!(path, "&fieldSelector=metadata.name%3D{}", escaped(name));
    }
    if !place.is_empty() {
        let _ = write!(path, "&continue={}", escaped(place));
    }
    path
}

/// A text as a part of a URL.
pub(in crate::sources) fn escaped(text: &str) -> String {
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
