//! Which workloads exist that keep addresses beyond their pods: StatefulSets, with the replicas that
//! they want, and KubeVirt's virtual machines; and which of these are being migrated.

use std::sync::Arc;

use super::shared_map::{HasName, SharedMap};

/// What is known of whether something exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence<T> {
    /// Nobody knows: its kind was not read yet, or may not be. Nothing may be concluded from it.
    Unknown,
    /// There is none.
    Absent,
    /// It exists.
    Present(T),
}

/// The numbers of the replicas that a StatefulSet wants to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordinals {
    /// The first number (`spec.ordinals.start`).
    pub start: u32,
    /// How many there are.
    pub replicas: u32,
}

impl Ordinals {
    /// Whether the replica of this number is one of them.
    pub fn contains(self, ordinal: u32) -> bool {
        ordinal
            .checked_sub(self.start)
            .is_some_and(|place| place < self.replicas)
    }
}

/// A live migration of a virtual machine: it has two launchers while that is in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its UID.
    pub uid: Box<str>,
    /// The name of the machine's instance, in the same namespace.
    pub machine: Box<str>,
    /// Whether it has ended, whichever way, or is to be called off.
    pub ended: bool,
}

/// The workloads that exist, as far as anybody knows.
#[derive(Debug, Clone, Default)]
pub struct Workloads {
    stateful_sets: ObjectsOfKind<Ordinals>,
    machines: ObjectsOfKind<()>,
    /// The instances, which may run without a machine that made them.
    instances: ObjectsOfKind<()>,
    migrations: ObjectsOfKind<Arc<Migration>>,
}

/// The objects of a kind, by `namespace/name`.
#[derive(Debug, Clone)]
struct ObjectsOfKind<T> {
    known: bool,
    all: SharedMap<WorkloadEntry<T>>,
}

#[derive(Debug, Clone)]
struct WorkloadEntry<T> {
    key: Box<str>,
    value: T,
}

impl<T> HasName for WorkloadEntry<T> {
    fn name(&self) -> &str {
        &self.key
    }
}

impl<T> Default for ObjectsOfKind<T> {
    fn default() -> Self {
        Self {
            known: false,
            all: SharedMap::default(),
        }
    }
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl<T: Clone + PartialEq> ObjectsOfKind<T> {
    fn set_known(&mut self, known: bool) -> bool {
        std::mem::replace(&mut self.known, known) != known
    }

    fn set(&mut self, (namespace, name): (&str, &str), value: Option<T>) -> bool {
        let key = key(namespace, name);
        let before = self.all.get(&key).map(|entry| &entry.value);
        match value {
            _ if before == value.as_ref() => return false,
            Some(value) => drop(self.all.insert(WorkloadEntry {
                key: key.into(),
                value,
            })),
            None => drop(self.all.remove(&key)),
        }
        true
    }

    /// What is seen to be there is there, whatever else is not known.
    fn get(&self, namespace: &str, name: &str) -> Existence<T> {
        match self.all.get(&key(namespace, name)) {
            Some(entry) => Existence::Present(entry.value.clone()),
            None if self.known => Existence::Absent,
            None => Existence::Unknown,
        }
    }
}

impl Workloads {
    /// The replicas that a StatefulSet wants to have.
    pub fn stateful_set(&self, namespace: &str, name: &str) -> Existence<Ordinals> {
        self.stateful_sets.get(namespace, name)
    }

    /// A virtual machine: a VirtualMachine or a VirtualMachineInstance of that name.
    pub fn machine(&self, namespace: &str, name: &str) -> Existence<()> {
        let machine = self.machines.get(namespace, name);
        let instance = self.instances.get(namespace, name);
        match (machine, instance) {
            (Existence::Present(()), _) | (_, Existence::Present(())) => Existence::Present(()),
            (Existence::Absent, Existence::Absent) => Existence::Absent,
            _ => Existence::Unknown,
        }
    }

    /// A migration of a virtual machine.
    pub fn migration(&self, namespace: &str, name: &str) -> Existence<Arc<Migration>> {
        self.migrations.get(namespace, name)
    }

    /// Whether all StatefulSets are known.
    pub fn knows_stateful_sets(&self) -> bool {
        self.stateful_sets.known
    }

    /// Whether all virtual machines and instances are known.
    pub fn knows_machines(&self) -> bool {
        self.machines.known && self.instances.known
    }

    /// Says whether all StatefulSets are known; whether that is news.
    pub fn set_stateful_sets_known(&mut self, known: bool) -> bool {
        self.stateful_sets.set_known(known)
    }

    /// The same of virtual machines.
    pub fn set_machines_known(&mut self, known: bool) -> bool {
        self.machines.set_known(known)
    }

    /// The same of virtual machines' instances.
    pub fn set_instances_known(&mut self, known: bool) -> bool {
        self.instances.set_known(known)
    }

    /// The same of their migrations.
    pub fn set_migrations_known(&mut self, known: bool) -> bool {
        self.migrations.set_known(known)
    }

    /// Takes note of a migration, or that it is gone; whether that is news.
    pub fn set_migration(&mut self, id: (&str, &str), migration: Option<Migration>) -> bool {
        self.migrations.set(id, migration.map(Arc::new))
    }

    /// Takes note of a StatefulSet, or that it is gone; whether that is news.
    pub fn set_stateful_set(&mut self, id: (&str, &str), ordinals: Option<Ordinals>) -> bool {
        self.stateful_sets.set(id, ordinals)
    }

    /// The same of a virtual machine.
    pub fn set_machine(&mut self, id: (&str, &str), exists: bool) -> bool {
        self.machines.set(id, exists.then_some(()))
    }

    /// The same of a virtual machine's instance.
    pub fn set_instance(&mut self, id: (&str, &str), exists: bool) -> bool {
        self.instances.set(id, exists.then_some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looked_at_is_not_absent() {
        let mut workloads = Workloads::default();
        assert_eq!(workloads.stateful_set("db", "db"), Existence::Unknown);
        let ordinals = Ordinals {
            start: 5,
            replicas: 2,
        };
        assert!(workloads.set_stateful_set(("db", "db"), Some(ordinals)));
        assert!(!workloads.set_stateful_set(("db", "db"), Some(ordinals)));
        assert_eq!(
            workloads.stateful_set("db", "db"),
            Existence::Present(ordinals)
        );
        assert_eq!(workloads.stateful_set("db", "other"), Existence::Unknown);
        assert!(workloads.set_stateful_sets_known(true));
        assert_eq!(workloads.stateful_set("db", "other"), Existence::Absent);
        assert_eq!(
            [4, 5, 6, 7].map(|ordinal| ordinals.contains(ordinal)),
            [false, true, true, false]
        );
    }

    #[test]
    fn a_machine_is_absent_only_if_neither_kind_has_it() {
        let mut workloads = Workloads::default();
        workloads.set_machines_known(true);
        assert_eq!(workloads.machine("db", "vm"), Existence::Unknown);
        workloads.set_instances_known(true);
        assert_eq!(workloads.machine("db", "vm"), Existence::Absent);
        workloads.set_instance(("db", "vm"), true);
        assert_eq!(workloads.machine("db", "vm"), Existence::Present(()));
        workloads.set_instance(("db", "vm"), false);
        assert_eq!(workloads.machine("db", "vm"), Existence::Absent);
    }
}
