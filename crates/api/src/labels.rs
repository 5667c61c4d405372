//! The labels of an AddressAllocation, by which it can be listed.
//!
//! They repeat parts of the spec within the limits of label values. Nothing is decided by them:
//! after listing by a label, compare the spec.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest as _, Sha256};

use nadmit_allocation::{Allocation, Holder};

/// The label with the pool, as [`pool_label`] writes it: the name, or a hash of one too long for a
/// label.
pub const POOL: &str = "nadmit.io/pool";
/// The label with the holder, as [`holder_label`] writes it.
pub const HOLDER: &str = "nadmit.io/holder";
/// The label with the UID of the pod that uses the address, once known.
pub(crate) const POD_UID: &str = "nadmit.io/pod-uid";

/// The maximum length of a label's value, in bytes.
const MAX_VALUE_BYTES: usize = 63;
/// The number of bytes of a hash that are written, two digits each.
const HASH_BYTES: usize = 8;

/// Returns the value of [`HOLDER`]: 16 hexadecimal digits of the SHA-256 of the holder's JSON. Two
/// holders might share one, so compare the holders.
pub fn holder_label(holder: &Holder) -> String {
    // A holder consists of names and a number, which always serialize.
    short_hash(&serde_json::to_string(holder).unwrap_or_default())
}

/// Returns the value of [`POOL`]: the name, or the first 16 hexadecimal digits of its SHA-256.
pub(crate) fn pool_label(pool: &str) -> String {
    if is_label_value(pool) {
        pool.to_owned()
    } else {
        short_hash(pool)
    }
}

/// Returns all labels of a record.
pub fn labels_of(allocation: &Allocation) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (POOL.to_owned(), pool_label(&allocation.pool)),
        (HOLDER.to_owned(), holder_label(&allocation.holder)),
    ]);
    let uid = allocation.pod.as_ref().and_then(|pod| pod.uid.as_deref());
    if let Some(uid) = uid.filter(|uid| is_label_value(uid)) {
        labels.insert(POD_UID.to_owned(), uid.to_owned());
    }
    labels
}

/// Returns the first 16 hexadecimal digits of a text's SHA-256.
fn short_hash(text: &str) -> String {
    let mut out = String::with_capacity(2 * HASH_BYTES);
    for byte in Sha256::digest(text.as_bytes()).iter().take(HASH_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Returns true if a text is a valid label value: letters, digits, `-`, `_` and `.`, beginning and
/// ending with a letter or digit.
fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MAX_VALUE_BYTES
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holders_label_is_stable_and_its_own() {
        let pod = |name: &str| Holder::Pod {
            namespace: "db".into(),
            name: name.into(),
        };
        // Stored objects contain it: it must never change.
        assert_eq!(holder_label(&pod("db-0")), "c27723c716ec0641");
        assert_ne!(holder_label(&pod("db-0")), holder_label(&pod("db-1")));
        let machine = Holder::VirtualMachine {
            namespace: "db".into(),
            name: "db-0".into(),
        };
        assert_ne!(holder_label(&pod("db-0")), holder_label(&machine));
    }

    #[test]
    fn a_pools_label_is_its_name_or_a_hash_of_it() {
        assert_eq!(pool_label("storage"), "storage");
        assert_eq!(pool_label("a.b-c"), "a.b-c");
        let long = "a".repeat(64);
        for invalid in [&*long, "", "-a", "a_", "größe"] {
            let label = pool_label(invalid);
            assert!(
                is_label_value(&label) && label.len() == 16,
                "{invalid}: {label}"
            );
        }
    }
}
