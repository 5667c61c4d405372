//! The marks by which nadmit knows the records that it keeps in Whereabouts's objects.
//!
//! The plugin's DEL removes the entry with its container's id. An entry whose id begins with
//! [`MARK`] has another one, so no DEL removes it; the container's id follows the mark, to be put back.
//! A reservation has the [`FINALIZER`], with which it outlives its deletion.

use super::{OverlappingReservation, PodName, PoolEntry};

/// The beginning of the id of an entry that nadmit keeps.
pub const MARK: &str = "nadmit:";
/// The finalizer of a reservation that nadmit keeps.
pub const FINALIZER: &str = "nadmit.io/whereabouts";

/// The keeper of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper<'e> {
    /// nadmit: no DEL removes the entry.
    Nadmit {
        /// The id of the container that has the address; empty before the plugin's ADD.
        container: &'e str,
    },
    /// The plugin, whose DEL of this container removes the entry.
    Plugin {
        /// The id of the container.
        container: &'e str,
    },
}

impl PoolEntry {
    /// Returns the keeper of the entry.
    pub fn keeper(&self) -> Keeper<'_> {
        match self.container_id.strip_prefix(MARK) {
            Some(container) => Keeper::Nadmit { container },
            None => Keeper::Plugin {
                container: &self.container_id,
            },
        }
    }

    /// Returns true if nadmit keeps the entry.
    pub fn is_kept(&self) -> bool {
        matches!(self.keeper(), Keeper::Nadmit { .. })
    }
}

impl OverlappingReservation {
    /// Returns true if the plugin keeps the reservation for this pod.
    pub fn is_left_to_plugin(&self, pod: &PodName) -> bool {
        !self.is_kept() && !self.terminating && self.pod.as_ref() == Some(pod)
    }

    /// Returns true if nadmit keeps the reservation.
    pub fn is_kept(&self) -> bool {
        self.finalizers.iter().any(|one| &**one == FINALIZER)
    }
}
