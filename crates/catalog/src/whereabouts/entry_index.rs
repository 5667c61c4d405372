//! Indices of the entries of all `IPPool`s: by address, and by the pod that they name.
//!
//! They are kept up to date by the difference of a pool to its previous state, so that a change of one
//! entry among thousands changes one set.

use std::{collections::BTreeSet, iter, sync::Arc};

use nadmit_whereabouts::{IpPool, PoolEntry};

use crate::shared_map::{HasName, SharedMap};

/// The place of an entry: its pool, as `namespace/name`, and its offset there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryPlace {
    pub pool: Arc<str>,
    pub offset: u128,
}

/// The places of the entries that share a key.
#[derive(Debug, Clone)]
struct KeyPlaces {
    key: Box<str>,
    /// Each change copies the set, which has one element nearly always.
    places: BTreeSet<EntryPlace>,
}

impl HasName for KeyPlaces {
    fn name(&self) -> &str {
        &self.key
    }
}

/// The entries of all pools, by a key that follows from an entry.
#[derive(Debug, Clone)]
pub(super) struct EntryIndex {
    /// Returns the key of an entry; `None` if it has none.
    key: fn(&PoolEntry) -> Option<String>,
    places: SharedMap<Arc<KeyPlaces>>,
}

impl EntryIndex {
    /// Creates the index of addresses.
    pub(super) fn by_address() -> Self {
        Self {
            key: |entry| Some(entry.address.to_string()),
            places: SharedMap::default(),
        }
    }

    /// Creates the index of pods, as `podref` has them.
    pub(super) fn by_pod() -> Self {
        Self {
            key: |entry| entry.pod.as_ref().map(ToString::to_string),
            places: SharedMap::default(),
        }
    }

    /// Updates the index when a pool changes, appears or disappears. Keys are made of changed entries only.
    pub(super) fn update(&mut self, pool: &str, before: Option<&IpPool>, now: Option<&IpPool>) {
        let pool: Arc<str> = pool.into();
        for change in changes(entries(before), entries(now)) {
            let keys = |entries: &[PoolEntry]| -> BTreeSet<String> {
                entries.iter().filter_map(self.key).collect()
            };
            let (old, new) = (keys(change.before), keys(change.now));
            let place = EntryPlace {
                pool: Arc::clone(&pool),
                offset: change.offset,
            };
            for key in old.difference(&new) {
                self.change(key, |places| places.remove(&place));
            }
            for key in new.difference(&old) {
                self.change(key, |places| places.insert(place.clone()));
            }
        }
    }

    /// Returns the places of the entries with this key.
    pub(super) fn get(&self, key: &str) -> impl Iterator<Item = &EntryPlace> + use<'_> {
        let found = self.places.get(key).into_iter();
        found.flat_map(|found| found.places.iter())
    }

    /// Changes the places of a key by a function that returns true if it changes them.
    fn change(&mut self, key: &str, change: impl FnOnce(&mut BTreeSet<EntryPlace>) -> bool) {
        let known = self.places.get(key);
        let mut places = known.map(|known| known.places.clone()).unwrap_or_default();
        if !change(&mut places) {
            return;
        }
        if places.is_empty() {
            self.places.remove(key);
        } else {
            let key = key.into();
            self.places.insert(Arc::new(KeyPlaces { key, places }));
        }
    }

    /// Returns the number of keys that are not shared with an earlier state.
    #[cfg(test)]
    pub(super) fn copied_since(&self, before: &Self) -> usize {
        self.places.copied_since(&before.places)
    }
}

fn entries(pool: Option<&IpPool>) -> &[PoolEntry] {
    pool.map_or(&[], |pool| &pool.entries)
}

/// The entries of one offset before and after a change. Two entries have one offset if its key is written
/// in two ways, as `7` and `07`.
struct OffsetChange<'e> {
    offset: u128,
    before: &'e [PoolEntry],
    now: &'e [PoolEntry],
}

/// Returns the offsets at which two lists of entries differ. Both are ordered by offset.
fn changes<'e>(
    mut before: &'e [PoolEntry],
    mut now: &'e [PoolEntry],
) -> impl Iterator<Item = OffsetChange<'e>> {
    iter::from_fn(move || {
        loop {
            let firsts = [before.first(), now.first()].into_iter().flatten();
            let offset = firsts.map(|entry| entry.offset).min()?;
            let change = OffsetChange {
                offset,
                before: take_offset(&mut before, offset),
                now: take_offset(&mut now, offset),
            };
            if change.before != change.now {
                return Some(change);
            }
        }
    })
}

/// Takes the entries of an offset from the beginning of a list.
fn take_offset<'e>(entries: &mut &'e [PoolEntry], offset: u128) -> &'e [PoolEntry] {
    let others = entries.iter().position(|entry| entry.offset != offset);
    let (taken, rest) = entries.split_at(others.unwrap_or(entries.len()));
    *entries = rest;
    taken
}
