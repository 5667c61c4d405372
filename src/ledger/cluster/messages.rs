//! What to do about records that are none, or do not go.

/// What to do about an object that is no record.
pub(super) fn unreadable(name: &str, reason: &str) -> String {
    format!(
        "AddressAllocation {name} was not written by nadmit: {reason}; its address is not given until it \
         is gone: kubectl delete addressallocation {name}"
    )
}

/// What to do about a record that is being deleted and not gone.
pub(super) fn deleting(name: &str) -> String {
    format!(
        "AddressAllocation {name} is being deleted and waits for its finalizers, which are none of \
         nadmit's; remove them"
    )
}
