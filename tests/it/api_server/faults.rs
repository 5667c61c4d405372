//! How the stand-in misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;

use super::{listing::Asked, status};

/// Something that goes wrong.
pub(crate) enum Fault {
    /// Who asks may not list this resource.
    Forbidden(&'static str),
    /// Nobody knows who asks.
    Unauthorized,
    /// So many times the place in the list of this resource is lost.
    Expires(&'static str, AtomicUsize),
}

impl Fault {
    /// The answer instead of a list, if this is a request that it spoils.
    pub(super) fn answer(&self, asked: &Asked) -> Option<Response> {
        match self {
            Self::Forbidden(resource) if *resource == asked.resource => {
                let group = asked.group_version.split_once('/').map_or("", |(g, _)| g);
                let message = format!(
                    "{resource} is forbidden: User \"test\" cannot list resource \"{resource}\" in \
                     API group \"{group}\" at the cluster scope"
                );
                Some(status(403, "Forbidden", &message))
            }
            Self::Unauthorized => Some(status(401, "Unauthorized", "Unauthorized")),
            Self::Expires(resource, times) if *resource == asked.resource => {
                let more = asked.after.is_some();
                let left = |left: usize| left.checked_sub(1);
                let spoils = more
                    && times
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                        .is_ok();
                let message = "The provided continue parameter is too old";
                spoils.then(|| status(410, "Expired", message))
            }
            Self::Forbidden(_) | Self::Expires(..) => None,
        }
    }
}
