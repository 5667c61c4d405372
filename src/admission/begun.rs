//! A review that is too large to be read: its beginning is enough to refuse it.
//!
//! An error over HTTP would let a pod pass where the webhook is one that may fail, and how large a review is
//! the user decides: in JSON one character of an object may take six bytes. The API server writes what names
//! the review before the object.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::answer::Answer;

/// Returns the refusal of a review of a pod or a Binding that begins with these bytes; `None` if they do not
/// name one.
pub fn refuse_unread(beginning: &[u8], reason: &str) -> Option<Vec<u8>> {
    let mut begun = Begun::default();
    let mut deserializer = serde_json::Deserializer::from_slice(beginning);
    // What was read before the text broke off stays.
    let _ = deserializer.deserialize_map(Envelope(&mut begun));
    let uid = begun.uid.filter(|_| begun.of_pod)?;
    Some(Answer::unread(reason.to_owned()).to_json(&uid))
}

/// The members that the beginning of a review holds.
#[derive(Default)]
struct Begun {
    uid: Option<String>,
    of_pod: bool,
}

struct Envelope<'b>(&'b mut Begun);

struct Request<'b>(&'b mut Begun);

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "request" => map.next_value_seed(Request(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "uid" => self.0.uid = Some(map.next_value()?),
                "resource" => {
                    let Resource { group, resource } = map.next_value()?;
                    self.0.of_pod = group.is_empty() && ["pods", "bindings"].contains(&&*resource);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(review: &str, bytes: usize) -> Option<String> {
        let beginning = review.get(..bytes).unwrap_or(review);
        let refused = refuse_unread(beginning.as_bytes(), "too large");
        refused.map(|json| String::from_utf8_lossy(&json).into_owned())
    }

    #[test]
    fn a_pod_is_refused_as_soon_as_the_review_names_it() {
        let review = include_str!("../../tests/fixtures/reviews/pod-create-name.validate.json");
        let json = refused(review, 600).expect("a refusal");
        let uid = "ad64ab84-33dd-4162-a962-4ce5fa36286f";
        assert!(json.contains(&format!("\"uid\":\"{uid}\"")), "{json}");
        assert!(json.contains("\"allowed\":false"), "{json}");
        assert!(json.contains("too large"), "{json}");
        for bytes in [0, 1, 100, 150] {
            assert_eq!(refused(review, bytes), None, "{bytes}");
        }
    }

    #[test]
    fn what_is_no_review_of_a_pod_is_not_answered() {
        let review = include_str!("../../tests/fixtures/reviews/nad-update.validate.json");
        assert_eq!(refused(review, 600), None);
        for other in [
            "",
            "[]",
            "{",
            "null",
            "{\"request\": 7}",
            "{\"request\": {}}",
        ] {
            assert_eq!(refused(other, other.len()), None, "{other}");
        }
    }
}
