//! Messages about invalid objects and objects that wait for finalizers.

use super::object::InvalidObject;

/// Returns the message and remedy for an object that is not a valid record.
pub(super) fn unreadable(name: &str, reason: &InvalidObject) -> String {
    format!(
        "AddressAllocation {name} was not written by nadmit: {reason}; nadmit does not assign the address \
         until you delete the object: kubectl delete addressallocation {name}"
    )
}

/// Returns the message and remedy for a record that is being deleted but still exists.
pub(super) fn deleting(name: &str) -> String {
    format!(
        "AddressAllocation {name} is being deleted and waits for finalizers, which nadmit did not set; \
         remove the finalizers"
    )
}
