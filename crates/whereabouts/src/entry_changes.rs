//! The changes of the entries of an `IPPool`, so that the unmodified plugin gives the addresses that
//! nadmit assigned.

use serde_json::{Value, json};

use super::{
    DesiredEntry, DesiredUse, IpPool, Keeper, PodName, PoolEntry, Taken, custody::renewed_id,
    kept_id, serve::version_test,
};

/// The changes of an `IPPool` for one address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolChanges {
    pub changes: Vec<EntryChange>,
    /// The pods that lose another entry, which the plugin keeps: that may be done only to a pod that is
    /// not bound, as of a read after the pool's.
    pub unbound: Vec<PodName>,
}

/// A change of an entry of an `IPPool`, by its offset as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChange {
    /// The entry is added, or replaced.
    Put {
        key: String,
        id: String,
        pod: Option<PodName>,
        interface: Box<str>,
        kind: PutKind,
    },
    Remove {
        key: String,
    },
}

/// The state of the place of an entry before it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutKind {
    New,
    Replaced,
}

impl EntryChange {
    /// Returns the key of the entry.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Remove { key } => key,
        }
    }
}

impl IpPool {
    /// Returns the changes by which an address of the pool gets its use.
    ///
    /// # Errors
    /// If another pod has the address by the plugin, or nadmit keeps it for the record of another address
    /// space, or the pool has another range than its name says.
    pub fn changes(&self, entry: &DesiredEntry) -> Result<PoolChanges, Taken> {
        let offset = self.offset(entry.at.address).ok_or(Taken {
            address: entry.at.address,
            pod: None,
            space: None,
        })?;
        let at = self.entries.binary_search_by_key(&offset, |one| one.offset);
        let found = at.ok().and_then(|at| self.entries.get(at));
        let change = entry_change(entry, found, offset.to_string())?;
        let others = self.others_of(&entry.desired, offset);
        let unbound = others.iter().filter(|other| !other.is_kept());
        let removed = others.iter().map(|other| EntryChange::Remove {
            key: other.key.to_string(),
        });
        Ok(PoolChanges {
            changes: removed.chain(change).collect(),
            unbound: unbound.filter_map(|other| other.pod.clone()).collect(),
        })
    }

    /// Returns a change of the entry of an address that is as it has to be: the pool gets another version,
    /// so that a write fails which was decided for an earlier pod of the same name. `None` if nadmit does
    /// not keep the entry for this record.
    pub fn renewal(&self, entry: &DesiredEntry) -> Option<EntryChange> {
        let offset = self.offset(entry.at.address)?;
        let mut entries = self.entries.iter();
        let found = entries.find(|one| one.offset == offset)?;
        (found.kept_for() == Some(&*entry.at.space)).then(|| EntryChange::Put {
            key: found.key.to_string(),
            id: renewed_id(&found.container_id),
            pod: found.pod.clone(),
            interface: found.interface.clone(),
            kind: PutKind::Replaced,
        })
    }

    /// Returns the other entries of a pod that is about to be bound: of two, the plugin takes either.
    fn others_of(&self, desired: &DesiredUse, offset: u128) -> Vec<&PoolEntry> {
        let DesiredUse::Binding { pod, interface } = desired else {
            return Vec::new();
        };
        let others = self.entries.iter().filter(|entry| {
            entry.offset != offset
                && entry.pod.as_ref() == Some(pod)
                && entry.interface == *interface
        });
        others.collect()
    }

    /// Makes these changes, so that those of the next address are seen against them. The pool keeps the
    /// version that was read.
    pub fn apply(&mut self, changes: &[EntryChange]) {
        for change in changes {
            match change {
                EntryChange::Put {
                    key,
                    id,
                    pod,
                    interface,
                    kind: _,
                } => {
                    let Ok(offset) = key.parse() else { continue };
                    let Some(address) = self.address(offset) else {
                        continue;
                    };
                    let entry = PoolEntry {
                        offset,
                        key: key.as_str().into(),
                        address,
                        pod: pod.clone(),
                        interface: interface.clone(),
                        container_id: id.as_str().into(),
                    };
                    match self.entries.binary_search_by_key(&offset, |one| one.offset) {
                        Ok(at) => self.entries[at] = entry,
                        Err(at) => self.entries.insert(at, entry),
                    }
                }
                EntryChange::Remove { key } => self.entries.retain(|entry| *entry.key != **key),
            }
        }
    }

    /// Returns the JSON patch of these changes, which applies only to this version of the pool.
    pub fn patch(&self, changes: &[EntryChange]) -> Value {
        let mut operations = version_test(self.version.as_deref());
        for change in changes {
            operations.push(match change {
                EntryChange::Put {
                    key,
                    id,
                    pod,
                    interface,
                    kind,
                } => {
                    let pod = pod.as_ref().map(ToString::to_string).unwrap_or_default();
                    let op = match kind {
                        PutKind::New => "add",
                        PutKind::Replaced => "replace",
                    };
                    json!({
                        "op": op,
                        "path": format!("/spec/allocations/{key}"),
                        "value": {"id": id, "podref": pod, "ifname": interface},
                    })
                }
                EntryChange::Remove { key } => {
                    json!({"op": "remove", "path": format!("/spec/allocations/{key}")})
                }
            });
        }
        Value::Array(operations)
    }
}

/// Returns the change of the entry of an address, if one is needed.
///
/// # Errors
/// If another pod has the address by the plugin, or nadmit keeps it for the record of another address space.
fn entry_change(
    wanted: &DesiredEntry,
    entry: Option<&PoolEntry>,
    key: String,
) -> Result<Option<EntryChange>, Taken> {
    let (desired, own_space) = (&wanted.desired, &*wanted.at.space);
    let taken = |entry: &PoolEntry| Taken {
        address: entry.address,
        pod: entry.pod.clone(),
        space: entry.kept_for().map(Into::into),
    };
    let id = |container: &str| kept_id(container, own_space);
    let put = |id: String, pod: Option<&PodName>, interface: &str, kind: PutKind| {
        Some(EntryChange::Put {
            key: key.clone(),
            id,
            pod: pod.cloned(),
            interface: interface.into(),
            kind,
        })
    };
    Ok(match (desired, entry) {
        (DesiredUse::Binding { pod, interface } | DesiredUse::Bound { pod, interface }, None) => {
            put(id(""), Some(pod), interface, PutKind::New)
        }
        (
            DesiredUse::Binding { pod, interface } | DesiredUse::Bound { pod, interface },
            Some(entry),
        ) => {
            let is_own = entry.pod.as_ref() == Some(pod) && entry.interface == *interface;
            match entry.keeper() {
                Keeper::Nadmit { .. } if is_own => None,
                // The record is the lock of its address space: the entry is that of its holder's last pod,
                // or a hold.
                Keeper::Nadmit { space, .. } if space == own_space => {
                    put(id(""), Some(pod), interface, PutKind::Replaced)
                }
                Keeper::Nadmit { .. } => return Err(taken(entry)),
                Keeper::Plugin { .. } if !is_own => return Err(taken(entry)),
                Keeper::Plugin { container } => match desired {
                    DesiredUse::Bound { .. } => {
                        put(id(container), Some(pod), interface, PutKind::Replaced)
                    }
                    _ => None,
                },
            }
        }
        (DesiredUse::Held { .. }, None) => put(id(""), None, "", PutKind::New),
        (DesiredUse::Held { last }, Some(entry)) => match entry.keeper() {
            Keeper::Nadmit { space, .. } if space != own_space => return Err(taken(entry)),
            Keeper::Nadmit { .. } if entry.pod.is_none() => None,
            // A Binding changes the record before the entry, and this write rests on the record: the entry
            // is not that of a next pod.
            Keeper::Nadmit { container, .. } => put(id(container), None, "", PutKind::Replaced),
            Keeper::Plugin { container } if entry.pod == *last && last.is_some() => {
                put(id(container), None, "", PutKind::Replaced)
            }
            Keeper::Plugin { .. } => return Err(taken(entry)),
        },
        (DesiredUse::Released { .. }, None) => None,
        (DesiredUse::Released { seen, to }, Some(entry)) => match (entry.keeper(), to) {
            (Keeper::Plugin { .. }, _) => None,
            // It was given to another pod, or for another record, meanwhile.
            (Keeper::Nadmit { space, .. }, _) if entry.pod != *seen || space != own_space => None,
            // Without a container its ADD has not run: it takes the entry by pod and interface.
            (Keeper::Nadmit { container, .. }, Some(to)) => put(
                container.to_owned(),
                Some(&to.pod),
                &to.interface,
                PutKind::Replaced,
            ),
            (Keeper::Nadmit { .. }, None) => Some(EntryChange::Remove { key }),
        },
        (DesiredUse::Leaked { pod, container }, entry) => {
            let left = entry.filter(|entry| {
                entry.keeper() == Keeper::Plugin { container } && entry.pod.as_ref() == Some(pod)
            });
            left.map(|entry| EntryChange::Remove {
                key: entry.key.to_string(),
            })
        }
    })
}

#[cfg(test)]
mod tests;
