//! Persistent maps by name: copies share their common parts.
//!
//! Copying is free. A change copies the list of shards and one shard of about sixty entries, so
//! that a catalog can be published for each change of one pod among fifty thousand. Entries are
//! ordered by the hash of their names, with fixed keys: equal content is in equal order, however it
//! came about.

use std::{
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
};

/// The average number of entries in a shard above which the number of shards doubles.
const MAX_SHARD_LOAD: usize = 32;

/// A value that is found by its name.
pub(super) trait HasName {
    /// Returns the name.
    fn name(&self) -> &str;
}

impl<T: HasName> HasName for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }
}

/// A map of values by their names.
#[derive(Debug, Clone)]
pub(super) struct SharedMap<V> {
    /// The shards, by the first bits of the hash. Their number is zero or a power of two.
    shards: Arc<Vec<Shard<V>>>,
    len: usize,
}

/// Hashes and values, ordered by hash and name.
type Shard<V> = Arc<Vec<(u64, V)>>;

impl<V> Default for SharedMap<V> {
    fn default() -> Self {
        Self {
            shards: Arc::default(),
            len: 0,
        }
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// Returns the index of a hash's shard among `shards`, which must not be zero.
fn shard_of(hash: u64, shards: usize) -> usize {
    // With one shard no bit is used, and a shift by all 64 would overflow.
    let index = hash
        .checked_shr(64 - shards.trailing_zeros())
        .unwrap_or_default();
    usize::try_from(index).unwrap_or_default()
}

fn find<V: HasName>(shard: &[(u64, V)], hash: u64, name: &str) -> Result<usize, usize> {
    shard.binary_search_by(|(h, value)| h.cmp(&hash).then_with(|| value.name().cmp(name)))
}

impl<V: HasName + Clone> SharedMap<V> {
    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns true if the map is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the value of this name.
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let hash = hash(name);
        let shard = self.shards.get(shard_of(hash, self.shards.len()))?;
        let found = find(shard, hash, name).ok()?;
        shard.get(found).map(|(_, value)| value)
    }

    /// Returns all values, in an order that depends only on their names.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let shards = self.shards.iter();
        shards.flat_map(|shard| shard.iter().map(|(_, value)| value))
    }

    /// Inserts a value; returns the previous one of that name.
    pub(super) fn insert(&mut self, value: V) -> Option<V> {
        if self.len >= self.shards.len() * MAX_SHARD_LOAD {
            self.grow();
        }
        let hash = hash(value.name());
        let shard = self.shard_mut(hash)?;
        match find(shard, hash, value.name()) {
            Ok(at) => {
                let before = shard.get_mut(at)?;
                Some(std::mem::replace(&mut before.1, value))
            }
            Err(at) => {
                shard.insert(at, (hash, value));
                self.len += 1;
                None
            }
        }
    }

    /// Removes the value of this name and returns it.
    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        self.get(name)?;
        let hash = hash(name);
        let shard = self.shard_mut(hash)?;
        let at = find(shard, hash, name).ok()?;
        let (_, value) = shard.remove(at);
        self.len -= 1;
        Some(value)
    }

    /// Returns the value of this name for changes.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.get(name)?;
        let hash = hash(name);
        let shard = self.shard_mut(hash)?;
        let at = find(shard, hash, name).ok()?;
        shard.get_mut(at).map(|(_, value)| value)
    }

    /// Returns the number of entries in shards that are not shared with an earlier state.
    #[cfg(test)]
    pub(super) fn copied_since(&self, before: &Self) -> usize {
        let pairs = self.shards.iter().zip(before.shards.iter());
        pairs
            .filter(|(now, then)| !Arc::ptr_eq(now, then))
            .map(|(now, _)| now.len())
            .sum()
    }

    fn shard_mut(&mut self, hash: u64) -> Option<&mut Vec<(u64, V)>> {
        let shards = Arc::make_mut(&mut self.shards);
        let index = shard_of(hash, shards.len());
        shards.get_mut(index).map(Arc::make_mut)
    }

    fn grow(&mut self) {
        let wanted = (self.shards.len() * 2).max(1);
        let mut shards = vec![Vec::new(); wanted];
        for (hash, value) in self.shards.iter().flat_map(|shard| shard.iter()) {
            if let Some(shard) = shards.get_mut(shard_of(*hash, wanted)) {
                shard.push((*hash, value.clone()));
            }
        }
        self.shards = Arc::new(shards.into_iter().map(Arc::new).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct NamedValue(String, u32);

    impl HasName for NamedValue {
        fn name(&self) -> &str {
            &self.0
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_and_copies_stay_unchanged(
            steps in proptest::collection::vec((0..400u32, any::<bool>(), any::<u32>()), 0..1500),
        ) {
            let (mut shared, mut plain) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (step, (name, puts, value)) in steps.into_iter().enumerate() {
                let name = format!("pod-{name}");
                if puts {
                    let before = shared.insert(NamedValue(name.clone(), value)).map(|e| e.1);
                    prop_assert_eq!(before, plain.insert(name.clone(), value));
                } else {
                    prop_assert_eq!(shared.remove(&name).map(|e| e.1), plain.remove(&name));
                }
                prop_assert_eq!(shared.get(&name).map(|e| e.1), plain.get(&name).copied());
                if step % 300 == 0 {
                    copies.push((shared.clone(), plain.clone()));
                }
            }
            copies.push((shared, plain));
            for (shared, plain) in copies {
                let mut found: Vec<_> = shared.values().map(|e| (e.0.clone(), e.1)).collect();
                found.sort();
                prop_assert_eq!(found.len(), shared.len());
                prop_assert_eq!(found, plain.into_iter().collect::<Vec<_>>());
            }
        }

        #[test]
        fn order_depends_only_on_content(mut names in proptest::collection::vec(0..5000u32, 0..300)) {
            let of = |names: &[u32]| {
                let mut map = SharedMap::default();
                for name in names {
                    map.insert(NamedValue(name.to_string(), 0));
                }
                map.values().map(|e| e.0.clone()).collect::<Vec<_>>()
            };
            let one = of(&names);
            names.reverse();
            // A map that was larger once has more shards, but the same order.
            prop_assert_eq!(one, of(&names));
        }
    }

    #[test]
    fn a_change_copies_little() {
        let mut map = SharedMap::default();
        for number in 0..50_000u32 {
            map.insert(NamedValue(number.to_string(), 0));
        }
        let before = map.clone();
        map.insert(NamedValue("7".to_owned(), 1));
        let copied = map.copied_since(&before);
        assert!((1..200).contains(&copied), "{copied} entries were copied");
    }
}
