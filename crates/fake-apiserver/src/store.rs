//! Objects and their history, as etcd and the watch cache keep them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{kinds::ResourceKind, notify::Notifier, time};

/// Namespace and name.
pub(super) type NamespacedName = (String, String);

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct StoreEvent {
    pub(super) revision: u64,
    pub(super) at: Instant,
    pub(super) key: NamespacedName,
    pub(super) old: Option<Arc<Value>>,
    /// The new state; for a deletion, the last state with the deletion's revision.
    pub(super) new: Arc<Value>,
    pub(super) deleted: bool,
}

/// The objects of one resource.
pub(super) struct ResourceTable {
    pub(super) kind: Arc<ResourceKind>,
    pub(super) objects: BTreeMap<NamespacedName, Arc<Value>>,
    /// The configuration that each field manager applied last, by object.
    pub(super) applied: BTreeMap<NamespacedName, BTreeMap<String, Value>>,
    pub(super) events: VecDeque<StoreEvent>,
    /// History before this revision is compacted.
    pub(super) since: u64,
    /// The revision of the last compacted event.
    pub(super) forgotten: u64,
    /// The number of times that all its watches were dropped.
    pub(super) drops: u64,
    /// Wakes the watches.
    pub(super) notifier: Notifier,
}

impl ResourceTable {
    fn new(kind: ResourceKind, since: u64) -> Self {
        Self {
            kind: Arc::new(kind),
            objects: BTreeMap::new(),
            applied: BTreeMap::new(),
            events: VecDeque::new(),
            since,
            forgotten: 0,
            drops: 0,
            notifier: Notifier::default(),
        }
    }

    /// Returns the objects as they were at a revision.
    pub(super) fn at(&self, revision: u64) -> BTreeMap<NamespacedName, Arc<Value>> {
        let mut objects = self.objects.clone();
        let later = self.events.iter().rev();
        for event in later.take_while(|event| event.revision > revision) {
            match &event.old {
                Some(old) => objects.insert(event.key.clone(), Arc::clone(old)),
                None => objects.remove(&event.key),
            };
        }
        objects
    }

    /// Returns the events after a revision.
    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = &StoreEvent> {
        let from = self.events.partition_point(|e| e.revision <= revision);
        self.events.range(from..)
    }
}

/// A change that was committed.
pub(super) struct CommittedChange {
    /// One of create, update and delete.
    pub(super) what: &'static str,
    pub(super) object: Arc<Value>,
}

/// The whole state of the server.
pub(super) struct StoreState {
    /// The tables by resource: `pods` or `addresspools.nadmit.io`.
    pub(super) tables: BTreeMap<String, ResourceTable>,
    /// The revision of the last write.
    pub(super) revision: u64,
    /// `continue` tokens of lists that began before this revision are expired.
    pub(super) lists_since: u64,
    /// The minor version of Kubernetes.
    pub(super) minor: u32,
    uids: u64,
    names: u64,
}

impl StoreState {
    pub(super) fn new(kinds: Vec<ResourceKind>) -> Self {
        let mut state = Self {
            tables: BTreeMap::new(),
            // Not 1, so that a revision is not mistaken for a count.
            revision: 100,
            lists_since: 0,
            minor: 36,
            uids: 0,
            names: 0,
        };
        for kind in kinds {
            state.register(kind);
        }
        state
    }

    /// Serves a kind from now on; objects of an earlier registration stay.
    pub(super) fn register(&mut self, kind: ResourceKind) {
        let since = self.revision;
        let table = ResourceTable::new(kind, since);
        let known = self.tables.entry(table.kind.qualified());
        known
            .and_modify(|known| known.kind = Arc::clone(&table.kind))
            .or_insert(table);
    }

    /// Serves a definition as soon as it is written, and removes its objects with it.
    pub(super) fn define(&mut self, definition: &Value, deleted: bool) {
        let Some(kind) = ResourceKind::of_definition(definition) else {
            return;
        };
        if deleted {
            self.tables.remove(&kind.qualified());
        } else {
            self.register(kind);
        }
    }

    pub(super) fn uid(&mut self) -> String {
        self.uids += 1;
        time::uid(self.uids)
    }

    /// Returns the suffix for a `generateName`.
    pub(super) fn suffix(&mut self) -> String {
        self.names += 1;
        time::suffix(self.names)
    }

    /// Writes an object or, if it is `None`, removes it; every write has a revision of its own.
    pub(super) fn commit(
        &mut self,
        table: &str,
        key: &NamespacedName,
        object: Option<Value>,
    ) -> Option<CommittedChange> {
        let table = self.tables.get_mut(table)?;
        self.revision += 1;
        let old = table.objects.get(key).cloned();
        let deleted = object.is_none();
        let mut new = match (object, &old) {
            (Some(object), _) => object,
            (None, Some(old)) => Value::clone(old),
            (None, None) => return None,
        };
        new["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        let new = Arc::new(new);
        if deleted {
            table.objects.remove(key);
            table.applied.remove(key);
        } else {
            table.objects.insert(key.clone(), Arc::clone(&new));
        }
        let what = match (&old, deleted) {
            (_, true) => "delete",
            (None, false) => "create",
            (Some(_), false) => "update",
        };
        table.events.push_back(StoreEvent {
            revision: self.revision,
            at: Instant::now(),
            key: key.clone(),
            old,
            new: Arc::clone(&new),
            deleted,
        });
        table.notifier.notify_all();
        Some(CommittedChange { what, object: new })
    }

    /// Forgets the history, so that watches that lag are too old.
    pub(super) fn compact(&mut self) {
        for table in self.tables.values_mut() {
            let last = table.events.back().map(|event| event.revision);
            table.forgotten = last.unwrap_or(table.forgotten);
            table.events.clear();
            table.since = self.revision;
            table.notifier.notify_all();
        }
        self.lists_since = self.revision;
    }
}
