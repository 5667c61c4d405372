//! The marks by which nadmit knows the records that it keeps in Whereabouts's objects.
//!
//! The plugin's DEL removes the entry with its container's id. An entry whose id begins with
//! [`MARK`] has another one, so no DEL removes it; the container's id follows the mark, to be put back.
//! The address space of the record that the entry is for comes last: an `IPPool` may be that of several.
//! A reservation has the [`FINALIZER`], with which it outlives its deletion.

use super::{OverlappingReservation, PodName, PoolEntry};

/// The beginning of the id of an entry that nadmit keeps.
pub const MARK: &str = "nadmit:";
/// The separator before the address space in such an id. No container's id has it.
const SPACE_SEPARATOR: char = '/';
/// The sign after [`MARK`] by which a renewed entry differs from the one before. No container's id begins with it.
const RENEWED: char = '-';
/// The finalizer of a reservation that nadmit keeps.
pub const FINALIZER: &str = "nadmit.io/whereabouts";

/// The keeper of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper<'e> {
    /// nadmit: no DEL removes the entry.
    Nadmit {
        /// The id of the container that has the address; empty before the plugin's ADD.
        container: &'e str,
        /// The address space of the record that the entry is for.
        space: &'e str,
    },
    /// The plugin, whose DEL of this container removes the entry.
    Plugin {
        /// The id of the container.
        container: &'e str,
    },
}

/// Returns the id of an entry that nadmit keeps for a record of this address space.
pub fn kept_id(container: &str, space: &str) -> String {
    match space {
        "" => format!("{MARK}{container}"),
        space => format!("{MARK}{container}{SPACE_SEPARATOR}{space}"),
    }
}

/// Returns another id of an entry that nadmit keeps, with the same meaning.
pub(super) fn renewed_id(id: &str) -> String {
    let rest = id.strip_prefix(MARK).unwrap_or(id);
    match rest.strip_prefix(RENEWED) {
        Some(plain) => format!("{MARK}{plain}"),
        None => format!("{MARK}{RENEWED}{rest}"),
    }
}

impl PoolEntry {
    /// Returns the keeper of the entry.
    pub fn keeper(&self) -> Keeper<'_> {
        match self.container_id.strip_prefix(MARK) {
            Some(rest) => {
                let rest = rest.strip_prefix(RENEWED).unwrap_or(rest);
                let (container, space) = rest.split_once(SPACE_SEPARATOR).unwrap_or((rest, ""));
                Keeper::Nadmit { container, space }
            }
            None => Keeper::Plugin {
                container: &self.container_id,
            },
        }
    }

    /// Returns the address space of the record that nadmit keeps the entry for; `None` if the plugin keeps it.
    pub fn kept_for(&self) -> Option<&str> {
        match self.keeper() {
            Keeper::Nadmit { space, .. } => Some(space),
            Keeper::Plugin { .. } => None,
        }
    }

    /// Returns true if nadmit keeps the entry.
    pub fn is_kept(&self) -> bool {
        self.kept_for().is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_kept_entry_says_its_container_and_its_space() {
        let table = [
            ("nadmit:", "", ""),
            ("nadmit:c0ffee", "c0ffee", ""),
            ("nadmit:/neta", "", "neta"),
            ("nadmit:c0ffee/192.0.2.0-27", "c0ffee", "192.0.2.0-27"),
            ("nadmit:c0ffee/a/b", "c0ffee", "a/b"),
        ];
        for (id, container, space) in table {
            let entry = PoolEntry {
                offset: 5,
                key: "5".into(),
                address: [192, 0, 2, 5].into(),
                pod: None,
                interface: "".into(),
                container_id: id.into(),
            };
            assert_eq!(entry.keeper(), Keeper::Nadmit { container, space });
            assert_eq!(kept_id(container, space), id);
            let renewed = PoolEntry {
                container_id: renewed_id(id).into(),
                ..entry.clone()
            };
            assert_ne!(renewed.container_id, entry.container_id);
            assert_eq!(renewed.keeper(), entry.keeper());
            assert_eq!(renewed_id(&renewed.container_id), id);
        }
    }
}
