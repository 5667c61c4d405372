//! The workloads that retain addresses beyond their pods: StatefulSets, with their desired
//! replicas, and KubeVirt's virtual machines, with their migrations.

use std::sync::Arc;

use super::objects_of_kind::{Existence, ObjectsOfKind};

/// The ordinals of the replicas that a StatefulSet should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordinals {
    /// The first ordinal (`spec.ordinals.start`).
    pub start: u32,
    /// The number of replicas.
    pub replicas: u32,
}

impl Ordinals {
    /// Returns true if the replica with this ordinal is one of them.
    pub fn contains(self, ordinal: u32) -> bool {
        ordinal
            .checked_sub(self.start)
            .is_some_and(|place| place < self.replicas)
    }
}

/// A live migration of a virtual machine, which has two launcher pods while it is in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The migration's UID.
    pub uid: Box<str>,
    /// The name of the VirtualMachineInstance, in the same namespace.
    pub machine: Box<str>,
    /// Set if the migration has ended, for whatever reason, or is being aborted.
    pub ended: bool,
}

/// The known workloads.
#[derive(Debug, Clone, Default)]
pub struct Workloads {
    stateful_sets: ObjectsOfKind<Ordinals>,
    machines: ObjectsOfKind<()>,
    /// The VirtualMachineInstances, which may exist without a VirtualMachine.
    instances: ObjectsOfKind<()>,
    migrations: ObjectsOfKind<Arc<Migration>>,
}

impl Workloads {
    /// Returns the replicas that a StatefulSet should have.
    pub fn stateful_set(&self, namespace: &str, name: &str) -> Existence<Ordinals> {
        self.stateful_sets.get(namespace, name)
    }

    /// Returns the existence of a virtual machine: a VirtualMachine or VirtualMachineInstance of
    /// that name.
    pub fn machine(&self, namespace: &str, name: &str) -> Existence<()> {
        let machine = self.machines.get(namespace, name);
        let instance = self.instances.get(namespace, name);
        match (machine, instance) {
            (Existence::Present(()), _) | (_, Existence::Present(())) => Existence::Present(()),
            (Existence::Absent, Existence::Absent) => Existence::Absent,
            _ => Existence::Unknown,
        }
    }

    /// Returns a migration of a virtual machine.
    pub fn migration(&self, namespace: &str, name: &str) -> Existence<Arc<Migration>> {
        self.migrations.get(namespace, name)
    }

    /// Returns true if all StatefulSets are known.
    pub fn knows_stateful_sets(&self) -> bool {
        self.stateful_sets.are_known()
    }

    /// Returns true if all VirtualMachines and VirtualMachineInstances are known.
    pub fn knows_machines(&self) -> bool {
        self.machines.are_known() && self.instances.are_known()
    }

    /// Sets whether all StatefulSets are known; returns true if that changes.
    pub fn set_stateful_sets_known(&mut self, known: bool) -> bool {
        self.stateful_sets.set_known(known)
    }

    /// Sets whether all VirtualMachines are known; returns true if that changes.
    pub fn set_machines_known(&mut self, known: bool) -> bool {
        self.machines.set_known(known)
    }

    /// Sets whether all VirtualMachineInstances are known; returns true if that changes.
    pub fn set_instances_known(&mut self, known: bool) -> bool {
        self.instances.set_known(known)
    }

    /// Sets whether all migrations are known; returns true if that changes.
    pub fn set_migrations_known(&mut self, known: bool) -> bool {
        self.migrations.set_known(known)
    }

    /// Adds, replaces or, with `None`, removes a migration; returns true if that changes anything.
    pub fn set_migration(&mut self, id: (&str, &str), migration: Option<Migration>) -> bool {
        self.migrations.set(id, migration.map(Arc::new))
    }

    /// Adds, replaces or, with `None`, removes a StatefulSet; returns true if that changes
    /// anything.
    pub fn set_stateful_set(&mut self, id: (&str, &str), ordinals: Option<Ordinals>) -> bool {
        self.stateful_sets.set(id, ordinals)
    }

    /// Adds or removes a VirtualMachine; returns true if that changes anything.
    pub fn set_machine(&mut self, id: (&str, &str), exists: bool) -> bool {
        self.machines.set(id, exists.then_some(()))
    }

    /// Adds or removes a VirtualMachineInstance; returns true if that changes anything.
    pub fn set_instance(&mut self, id: (&str, &str), exists: bool) -> bool {
        self.instances.set(id, exists.then_some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_kind_is_unknown_not_absent() {
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
