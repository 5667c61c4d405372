//! The changes of the entries of an `IPPool`, so that the unmodified plugin gives the addresses that
//! nadmit assigned.

use serde_json::{Value, json};

use super::{
    DesiredEntry, DesiredUse, IpPool, Keeper, MARK, PodName, PoolEntry, Taken, serve::version_test,
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

impl IpPool {
    /// Returns the changes by which an address of the pool gets its use.
    ///
    /// # Errors
    /// If another pod has the address by the plugin, or the pool has another range than its name says.
    pub fn changes(&self, entry: &DesiredEntry) -> Result<PoolChanges, Taken> {
        let offset = self.offset(entry.at.address).ok_or(Taken {
            address: entry.at.address,
            pod: None,
        })?;
        let at = self.entries.binary_search_by_key(&offset, |one| one.offset);
        let found = at.ok().and_then(|at| self.entries.get(at));
        let change = entry_change(&entry.desired, found, offset.to_string())?;
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
/// If another pod has the address by the plugin.
fn entry_change(
    desired: &DesiredUse,
    entry: Option<&PoolEntry>,
    key: String,
) -> Result<Option<EntryChange>, Taken> {
    let taken = |entry: &PoolEntry| Taken {
        address: entry.address,
        pod: entry.pod.clone(),
    };
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
            put(MARK.to_owned(), Some(pod), interface, PutKind::New)
        }
        (
            DesiredUse::Binding { pod, interface } | DesiredUse::Bound { pod, interface },
            Some(entry),
        ) => {
            let is_own = entry.pod.as_ref() == Some(pod) && entry.interface == *interface;
            match entry.keeper() {
                Keeper::Nadmit { .. } if is_own => None,
                // The address is that of the holder's last pod, or held.
                Keeper::Nadmit { .. } => {
                    put(MARK.to_owned(), Some(pod), interface, PutKind::Replaced)
                }
                Keeper::Plugin { .. } if !is_own => return Err(taken(entry)),
                Keeper::Plugin { container } => match desired {
                    DesiredUse::Bound { .. } => put(
                        format!("{MARK}{container}"),
                        Some(pod),
                        interface,
                        PutKind::Replaced,
                    ),
                    _ => None,
                },
            }
        }
        (DesiredUse::Held { .. }, None) => put(MARK.to_owned(), None, "", PutKind::New),
        (DesiredUse::Held { last }, Some(entry)) => match entry.keeper() {
            Keeper::Nadmit { .. } if entry.pod.is_none() => None,
            // A Binding changes the record before the entry, and this write rests on the record: the entry
            // is not that of a next pod.
            Keeper::Nadmit { container } => {
                put(format!("{MARK}{container}"), None, "", PutKind::Replaced)
            }
            Keeper::Plugin { container } if entry.pod == *last && last.is_some() => {
                put(format!("{MARK}{container}"), None, "", PutKind::Replaced)
            }
            Keeper::Plugin { .. } => return Err(taken(entry)),
        },
        (DesiredUse::Released { .. }, None) => None,
        (DesiredUse::Released { seen, to }, Some(entry)) => match (entry.keeper(), to) {
            (Keeper::Plugin { .. }, _) => None,
            // It was given to another pod meanwhile.
            (Keeper::Nadmit { .. }, _) if entry.pod != *seen => None,
            // Without a container its ADD has not run: it takes the entry by pod and interface.
            (Keeper::Nadmit { container }, Some(to)) => put(
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
mod tests {
    use nadmit_cni::Subnet;

    use super::*;
    use crate::{
        IpPoolRef, ServedAddress,
        serve::tests::{RAW, binding, bound, held, pod, released},
    };

    fn pool(entries: &Value) -> IpPool {
        let object = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"range": "192.0.2.0/24", "allocations": entries},
        });
        IpPool::read("kube-system", "192.0.2.0-24", &object)
            .unwrap_or_else(|e| panic!("{e}"))
            .0
    }

    fn at(host: u8) -> ServedAddress {
        let subnet = Subnet::parse("192.0.2.0/24").unwrap_or_else(|e| panic!("{e}"));
        let pool = IpPoolRef::new("kube-system", "", subnet);
        ServedAddress::new(
            "kube-system",
            Some(pool),
            [192, 0, 2, host].into(),
            Some(""),
        )
    }

    fn entry(id: &str, pod: &str, interface: &str) -> Value {
        json!({"id": id, "podref": pod, "ifname": interface})
    }

    /// Returns the entries after the changes, or the pod that has the address.
    fn after(entries: &Value, desired: DesiredUse) -> Result<Value, Option<PodName>> {
        let pool = pool(entries);
        let desired = DesiredEntry { at: at(5), desired };
        let found = pool.changes(&desired).map_err(|taken| taken.pod)?;
        let patch = pool.patch(&found.changes);
        let patch: json_patch::Patch =
            serde_json::from_value(patch).unwrap_or_else(|e| panic!("{e}"));
        let mut object = json!({
            "metadata": {"resourceVersion": "7"}, "spec": {"allocations": entries},
        });
        json_patch::patch(&mut object, &patch).unwrap_or_else(|e| panic!("{e}"));
        let entries = object["spec"]["allocations"].clone();
        let lost = pool.entries.iter().filter(|entry| {
            object["spec"]["allocations"][&*entry.key].is_null() && !entry.is_kept()
        });
        let lost = lost.filter_map(|entry| entry.pod.clone());
        let lost = match &desired.desired {
            DesiredUse::Leaked { pod, .. } => lost.filter(|one| one != pod).collect(),
            _ => lost.collect::<Vec<PodName>>(),
        };
        assert_eq!(found.unbound, lost);
        // Planning again changes nothing.
        let again = self::pool(&entries).changes(&desired);
        assert_eq!(again, Ok(PoolChanges::default()), "{entries}");
        Ok(entries)
    }

    #[test]
    fn entries_become_what_the_records_say() {
        let marked = format!("{MARK}{RAW}");
        let other = || Err(Some(pod("other")));
        let one = |value: Value| json!({"5": value});
        type Case = (
            &'static str,
            Value,
            DesiredUse,
            Result<Value, Option<PodName>>,
        );
        let leaked = |container: &str| DesiredUse::Leaked {
            pod: pod("db-0"),
            container: container.into(),
        };
        let table: Vec<Case> = vec![
            (
                "left behind",
                one(entry(RAW, "db/db-0", "net1")),
                leaked(RAW),
                Ok(json!({})),
            ),
            (
                "left behind, and adopted by another container",
                one(entry("b0b", "db/db-0", "net1")),
                leaked(RAW),
                Ok(one(entry("b0b", "db/db-0", "net1"))),
            ),
            (
                "left behind, and given to another pod",
                one(entry(RAW, "db/other", "net1")),
                leaked(RAW),
                Ok(one(entry(RAW, "db/other", "net1"))),
            ),
            (
                "left behind, and kept by nadmit",
                one(entry(&marked, "db/db-0", "net1")),
                leaked(RAW),
                Ok(one(entry(&marked, "db/db-0", "net1"))),
            ),
            (
                "before ADD",
                json!({}),
                binding("db-0"),
                Ok(one(entry(MARK, "db/db-0", "net1"))),
            ),
            (
                "a hold",
                one(entry(&marked, "", "")),
                binding("db-0"),
                Ok(one(entry(MARK, "db/db-0", "net1"))),
            ),
            (
                "the last pod of the holder",
                one(entry(&marked, "db/db-9", "net1")),
                binding("db-0"),
                Ok(one(entry(MARK, "db/db-0", "net1"))),
            ),
            (
                "given by the plugin to this pod",
                one(entry(RAW, "db/db-0", "net1")),
                binding("db-0"),
                Ok(one(entry(RAW, "db/db-0", "net1"))),
            ),
            (
                "given by the plugin to another pod",
                one(entry(RAW, "db/other", "net1")),
                binding("db-0"),
                other(),
            ),
            (
                "a second entry of the pod",
                json!({"5": entry(&marked, "", ""), "9": entry(RAW, "db/db-0", "net1"),
                    "10": entry(RAW, "db/db-0", "net2")}),
                binding("db-0"),
                Ok(json!({"5": entry(MARK, "db/db-0", "net1"),
                    "10": entry(RAW, "db/db-0", "net2")})),
            ),
            (
                "after ADD",
                one(entry(RAW, "db/db-0", "net1")),
                bound("db-0"),
                Ok(one(entry(&marked, "db/db-0", "net1"))),
            ),
            (
                "taken away by Whereabouts's reconciler",
                json!({}),
                bound("db-0"),
                Ok(one(entry(MARK, "db/db-0", "net1"))),
            ),
            (
                "the pod is deleted",
                one(entry(&marked, "db/db-0", "net1")),
                held(Some("db-0")),
                Ok(one(entry(&marked, "", ""))),
            ),
            (
                "detached from a pod that the record does not name any more",
                one(entry(&marked, "db/db-9", "net1")),
                held(None),
                Ok(one(entry(&marked, "", ""))),
            ),
            (
                "the pod is deleted before its id got the mark",
                one(entry(RAW, "db/db-0", "net1")),
                held(Some("db-0")),
                Ok(one(entry(&marked, "", ""))),
            ),
            (
                "no entry",
                json!({}),
                held(None),
                Ok(one(entry(MARK, "", ""))),
            ),
            (
                "held, and given to another pod",
                one(entry(RAW, "db/other", "net1")),
                held(Some("db-0")),
                other(),
            ),
            (
                "released after its pod",
                one(entry(&marked, "", "")),
                released(None, None),
                Ok(json!({})),
            ),
            (
                "released, and its pod is gone",
                one(entry(&marked, "db/db-0", "net1")),
                released(Some("db-0"), None),
                Ok(json!({})),
            ),
            (
                "left to a pod that runs",
                one(entry(&marked, "db/db-0", "net1")),
                released(Some("db-0"), Some("db-0")),
                Ok(one(entry(RAW, "db/db-0", "net1"))),
            ),
            (
                "left to a pod whose ADD has not run",
                one(entry(MARK, "db/db-0", "net1")),
                released(Some("db-0"), Some("db-0")),
                Ok(one(entry("", "db/db-0", "net1"))),
            ),
            (
                "left to a pod that is being deleted",
                one(entry(&marked, "", "")),
                released(None, Some("db-0")),
                Ok(one(entry(RAW, "db/db-0", "net1"))),
            ),
            (
                "given to another pod since its release was decided",
                one(entry(MARK, "db/db-9", "net1")),
                released(None, None),
                Ok(one(entry(MARK, "db/db-9", "net1"))),
            ),
            (
                "the plugin's own",
                one(entry(RAW, "db/other", "net1")),
                released(None, None),
                Ok(one(entry(RAW, "db/other", "net1"))),
            ),
        ];
        for (name, entries, desired, expected) in table {
            assert_eq!(after(&entries, desired), expected, "{name}");
        }
    }
}
