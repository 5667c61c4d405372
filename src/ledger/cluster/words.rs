//! What to do about a refusal.

use crate::api::call::Answer;

/// An answer, and what to do about it; `verb` is RBAC's word for what was asked.
pub(super) fn advice(verb: &str, answer: &Answer) -> String {
    let todo = match answer {
        Answer::Unserved(_) => "create the definitions that `nadmit crds` prints".to_owned(),
        Answer::Refused { code: 401, .. } => {
            "its credentials are not accepted: see the token of nadmit's ServiceAccount".to_owned()
        }
        Answer::Refused { code: 403, .. } => format!(
            "give nadmit's ServiceAccount the verb {verb:?} on \"addressallocations\" of the API \
             group \"nadmit.io\", in a ClusterRole"
        ),
        Answer::Refused { .. } => {
            "update the definitions to those that this nadmit's `nadmit crds` prints".to_owned()
        }
        _ => "try again".to_owned(),
    };
    format!("{answer}; {todo}")
}

/// What to do about an object that is no record.
pub(super) fn unreadable(name: &str, reason: &str) -> String {
    format!(
        "AddressAllocation {name} is none of nadmit's: {reason}; its address is not given until it \
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
