//! The parsed request.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use serde_json::{Value, json};

use super::{kinds::qualified, response::ApiStatus};

/// A request for a resource.
#[derive(Clone, Debug)]
pub struct ResourceRequest {
    /// One of get, list, watch, create, update, patch, delete and deletecollection.
    pub verb: &'static str,
    /// The API group, empty for the core group.
    pub group: String,
    /// The API version, without the group.
    pub version: String,
    /// The plural name of the resource.
    pub resource: String,
    /// One of `status`, `binding` and `eviction`, or empty.
    pub subresource: String,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The name in the path; `None` for a request to the collection.
    pub name: Option<String>,
    /// The decoded query parameters.
    pub query: BTreeMap<String, String>,
    /// The client that sent the request: see `ApiServer::named`.
    pub client: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Set if nothing that this request asks for may be written.
    pub(super) blocked: bool,
}

impl ResourceRequest {
    /// Returns the impersonated user, if any.
    pub fn acting_as(&self) -> Option<&str> {
        let user = self.headers.get("impersonate-user")?;
        user.to_str().ok()
    }

    /// Parses a request; `None` if the path is not one of a resource.
    pub(super) fn of(parts: &Parts, body: Bytes, client: &str) -> Option<Self> {
        let path: Vec<String> = parts
            .uri
            .path()
            .trim_matches('/')
            .split('/')
            .map(decoded)
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (group, version, rest) = match &path[..] {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // These subresources belong to the namespace itself.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, None, ""),
            [resource, name] => (*resource, Some(*name), ""),
            [resource, name, subresource] => (*resource, Some(*name), *subresource),
            _ => return None,
        };
        let query = query(parts.uri.query().unwrap_or_default());
        let watches = matches!(query.get("watch").map(String::as_str), Some("true" | "1"));
        let verb = match (&parts.method, name) {
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) if watches => "watch",
            (&Method::GET, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, Some(_)) => "update",
            (&Method::PATCH, Some(_)) => "patch",
            (&Method::DELETE, Some(_)) => "delete",
            (&Method::DELETE, None) => "deletecollection",
            _ => return None,
        };
        Some(Self {
            verb,
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            query,
            client: client.to_owned(),
            headers: parts.headers.clone(),
            body,
            blocked: false,
        })
    }

    /// Returns the resource with its group: `pods` or `addresspools.nadmit.io`.
    pub fn qualified(&self) -> String {
        qualified(&self.resource, &self.group)
    }

    /// Returns true if the verb may change something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// Returns the name of the object: from the path, or from the body of a new object.
    pub fn object_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let object: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let name = object["metadata"]["name"].as_str();
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.query("dryRun") == Some("All")
    }

    /// Returns the API server's message for a user without permission.
    pub(super) fn forbidden(&self, user: &str) -> ApiStatus {
        let place = match &self.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{} is forbidden: User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            self.qualified(),
            self.verb,
            self.resource,
            self.group,
        );
        let mut details = json!({"kind": self.resource});
        if !self.group.is_empty() {
            details["group"] = Value::from(self.group.as_str());
        }
        ApiStatus::new(403, "Forbidden", &message).with(details)
    }

    pub(super) fn query(&self, key: &str) -> Option<&str> {
        let value = self.query.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        matches!(self.query(key), Some("true" | "1"))
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn header(&self, name: http::HeaderName) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Returns true if only metadata is requested.
    pub(super) fn wants_metadata(&self) -> bool {
        self.header(http::header::ACCEPT)
            .contains("as=PartialObjectMetadata")
    }

    /// Returns the body, which may be YAML; null if it is empty.
    pub(super) fn json(&self) -> Result<Value, ApiStatus> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let refused = |why: String| ApiStatus::bad_request(&format!("cannot read the body: {why}"));
        if self.header(http::header::CONTENT_TYPE).contains("yaml") {
            let text = str::from_utf8(&self.body).map_err(|e| refused(e.to_string()))?;
            return serde_saphyr::from_str(text).map_err(|e| refused(e.to_string()));
        }
        serde_json::from_slice(&self.body).map_err(|e| refused(e.to_string()))
    }
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = &tail[if code.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
