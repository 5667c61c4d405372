//! Rejecting reviews that are too large to read, by their first bytes.
//!
//! With `failurePolicy: Ignore` an HTTP error would let the pod pass, and users control the size of
//! a review: in JSON one character of an object may take six bytes. The API server writes the
//! fields that identify the review before the object.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::response::AdmissionResponse;

/// Returns the rejection of a pod's or a Binding's review that begins with these bytes; `None` if
/// they do not identify one.
pub fn reject_oversized(beginning: &[u8], reason: &str) -> Option<Vec<u8>> {
    let mut prefix = ReviewPrefix::default();
    let mut deserializer = serde_json::Deserializer::from_slice(beginning);
    // The deserializer fails where the text ends; the fields read before that remain.
    let _ = deserializer.deserialize_map(EnvelopeVisitor(&mut prefix));
    let uid = prefix.uid.filter(|_| prefix.is_pod)?;
    Some(AdmissionResponse::too_large(reason.to_owned()).to_json(&uid))
}

/// The fields found in the first bytes of a review.
#[derive(Default)]
struct ReviewPrefix {
    uid: Option<String>,
    is_pod: bool,
}

struct EnvelopeVisitor<'b>(&'b mut ReviewPrefix);

struct RequestVisitor<'b>(&'b mut ReviewPrefix);

#[derive(Deserialize)]
struct ResourceRef {
    #[serde(default)]
    group: String,
    resource: String,
}

impl<'de> Visitor<'de> for EnvelopeVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "request" => map.next_value_seed(RequestVisitor(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for RequestVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "uid" => self.0.uid = Some(map.next_value()?),
                "resource" => {
                    let ResourceRef { group, resource } = map.next_value()?;
                    self.0.is_pod = group.is_empty() && ["pods", "bindings"].contains(&&*resource);
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

    fn rejected(review: &str, bytes: usize) -> Option<String> {
        let beginning = review.get(..bytes).unwrap_or(review);
        let rejection = reject_oversized(beginning.as_bytes(), "too large");
        rejection.map(|json| String::from_utf8_lossy(&json).into_owned())
    }

    #[test]
    fn rejects_a_pod_as_soon_as_the_review_identifies_it() {
        let review = include_str!("../../../tests/fixtures/reviews/pod-create-name.validate.json");
        let json = rejected(review, 600).expect("a rejection");
        let uid = "ad64ab84-33dd-4162-a962-4ce5fa36286f";
        assert!(json.contains(&format!("\"uid\":\"{uid}\"")), "{json}");
        assert!(json.contains("\"allowed\":false"), "{json}");
        assert!(json.contains("too large"), "{json}");
        for bytes in [0, 1, 100, 150] {
            assert_eq!(rejected(review, bytes), None, "{bytes}");
        }
    }

    #[test]
    fn ignores_reviews_of_other_kinds() {
        let review = include_str!("../../../tests/fixtures/reviews/nad-update.validate.json");
        assert_eq!(rejected(review, 600), None);
        for other in [
            "",
            "[]",
            "{",
            "null",
            "{\"request\": 7}",
            "{\"request\": {}}",
        ] {
            assert_eq!(rejected(other, other.len()), None, "{other}");
        }
    }
}
