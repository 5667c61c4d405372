//! Pages of lists, and their objects.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::ApiError;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<'t> {
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'t RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    continue_token: Option<String>,
}

/// An object of a list or a watch; of its JSON only identity and version are decoded.
#[derive(Debug)]
pub struct Object {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// The revision of the object's last change, or of its deletion.
    pub revision: u64,
    /// The object as the API server sent it.
    pub json: Box<RawValue>,
}

impl<'t> Page<'t> {
    /// Parses the text of a page.
    ///
    /// # Errors
    /// [`ApiError::Uncertain`] if it is not a page.
    pub fn parse(text: &'t str) -> Result<Self, ApiError> {
        serde_json::from_str(text).map_err(ApiError::unreadable)
    }

    /// Returns the revision of the list: the state of the cluster that all its pages show.
    ///
    /// # Errors
    /// [`ApiError::Uncertain`] if it is not a number.
    pub fn revision(&self) -> Result<u64, ApiError> {
        parse_revision(&self.metadata.resource_version)
    }

    /// Returns the JSON of the objects.
    pub fn items(&self) -> &[&'t RawValue] {
        self.items.as_deref().unwrap_or_default()
    }

    /// Returns the objects, each decoded when it is reached.
    pub fn objects(&self) -> impl Iterator<Item = Result<Object, ApiError>> {
        let items = self.items().iter();
        items.map(|item| Object::new((*item).to_owned()))
    }

    /// Returns the token of the next page; `None` after the last.
    pub fn into_continue_token(self) -> Option<String> {
        let token = self.metadata.continue_token;
        token.filter(|token| !token.is_empty())
    }
}

impl Object {
    /// Decodes identity and version of an object.
    ///
    /// # Errors
    /// [`ApiError::Uncertain`] if it is not a Kubernetes object.
    pub(super) fn new(json: Box<RawValue>) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: Box<str>,
            #[serde(default)]
            namespace: Box<str>,
            resource_version: String,
        }
        #[derive(Deserialize)]
        struct Head {
            metadata: Metadata,
        }
        let Head { metadata } = serde_json::from_str(json.get()).map_err(ApiError::unreadable)?;
        Ok(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            revision: parse_revision(&metadata.resource_version)?,
            json,
        })
    }
}

/// Parses the revision of a bookmark: everything up to it was delivered.
///
/// # Errors
/// [`ApiError::Uncertain`] if it is not a bookmark.
pub(super) fn bookmark(object: &RawValue) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: PageMetadata,
    }
    let Bookmark { metadata } = serde_json::from_str(object.get()).map_err(ApiError::unreadable)?;
    parse_revision(&metadata.resource_version)
}

/// Parses a `resourceVersion` as a number.
///
/// # Errors
/// [`ApiError::Uncertain`] if it is not a number, because then versions cannot be compared.
fn parse_revision(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let message = format!("the resourceVersion {text:?} is not a number");
        ApiError::unreadable(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_objects_as_they_are() {
        let text = r#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"abc"},"items":[
            {"metadata":{"name":"a","namespace":"db","resourceVersion":"3"},"spec":{"odd":[1, 2]}}]}"#;
        let page = Page::parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(page.revision(), Ok(7));
        let objects: Result<Vec<Object>, ApiError> = page.objects().collect();
        let objects = objects.unwrap_or_else(|e| panic!("{e}"));
        let [object] = &objects[..] else {
            panic!("{objects:?}")
        };
        assert_eq!((&*object.namespace, &*object.name), ("db", "a"));
        assert_eq!(object.revision, 3);
        assert!(object.json.get().contains("[1, 2]"), "{}", object.json);
        assert_eq!(page.into_continue_token().as_deref(), Some("abc"));
    }

    #[test]
    fn an_empty_list_may_have_null_items() {
        let text = r#"{"metadata":{"resourceVersion":"7","continue":""},"items":null}"#;
        let page = Page::parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert!(page.items().is_empty());
        assert_eq!(page.into_continue_token(), None);
    }

    #[test]
    fn a_non_numeric_version_is_an_error() {
        let json = r#"{"metadata":{"name":"db","resourceVersion":"x"}}"#;
        let json = RawValue::from_string(json.to_owned()).unwrap_or_else(|e| panic!("{e}"));
        let error = Object::new(json).err();
        let expected = ApiError::unreadable("the resourceVersion \"x\" is not a number");
        assert_eq!(error, Some(expected));
    }
}
