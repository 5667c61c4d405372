//! Maps a pod to its holder, based on proof of its identity.

use std::sync::Arc;

use super::{Holder, PodRef, index::Requester};
use nadmit_cni::name;

/// The metadata of a pod that determines its holder.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequesterIdentity<'a> {
    /// The namespace of the pod.
    pub namespace: &'a str,
    /// The name of the pod; empty until the API server has generated it.
    pub name: &'a str,
    /// The `generateName` of the pod; empty without one.
    pub generate_name: &'a str,
    /// The UID of the pod, once it has one.
    pub uid: Option<&'a str>,
    /// The controlling owner.
    pub controller: Option<Controller<'a>>,
    /// The holder token: it identifies allocations made before the pod had a name.
    pub token: Option<&'a str>,
}

/// The owner reference with `controller: true`.
#[derive(Debug, Clone, Copy)]
pub struct Controller<'a> {
    /// The API version (group and version) of the owner.
    pub api_version: &'a str,
    /// The kind of the owner.
    pub kind: &'a str,
    /// The name of the owner.
    pub name: &'a str,
}

impl RequesterIdentity<'_> {
    /// Returns the requester for this pod, or `None` if it has neither name nor token.
    ///
    /// A `StatefulSet` replica is recognized by the kind and group of its controlling owner and by its
    /// ordinal, a virtual machine by its `VirtualMachineInstance`. Labels are not proof of identity.
    pub fn requester(&self) -> Option<Requester> {
        let pod = (!self.name.is_empty()).then(|| PodRef {
            name: self.name.into(),
            uid: self.uid.map(Arc::from),
            node: None,
        });
        let holder = self.replica().or_else(|| self.virtual_machine());
        let holder = holder.or_else(|| self.unnamed()).or_else(|| self.named())?;
        Some(Requester {
            holder,
            pod,
            node: None,
        })
    }

    fn replica(&self) -> Option<Holder> {
        let set = self.controlled_by("apps", "StatefulSet")?;
        // The controller writes ordinals without leading zeros.
        let ordinal = self.name.strip_prefix(set)?.strip_prefix('-')?;
        let number: u32 = ordinal.parse().ok()?;
        (number.to_string() == ordinal).then(|| Holder::Replica {
            namespace: self.namespace.into(),
            stateful_set: set.into(),
            ordinal: number,
        })
    }

    fn virtual_machine(&self) -> Option<Holder> {
        let name = self.controlled_by("kubevirt.io", "VirtualMachineInstance")?;
        // Owner references are not validated; a name that no object can have cannot be looked up.
        name::subdomain(name).ok()?;
        Some(Holder::VirtualMachine {
            namespace: self.namespace.into(),
            name: name.into(),
        })
    }

    /// Returns the holder of a pod with a generated name: its token, even once the name is known.
    fn unnamed(&self) -> Option<Holder> {
        let token = self.token.filter(|_| !self.generate_name.is_empty())?;
        Some(Holder::Unnamed {
            namespace: self.namespace.into(),
            generate_name: self.generate_name.into(),
            token: token.into(),
        })
    }

    fn named(&self) -> Option<Holder> {
        (!self.name.is_empty()).then(|| Holder::Pod {
            namespace: self.namespace.into(),
            name: self.name.into(),
        })
    }

    fn controlled_by(&self, group: &str, kind: &str) -> Option<&str> {
        let controller = self.controller.filter(|c| c.kind == kind)?;
        let (found, _) = controller.api_version.split_once('/')?;
        (found == group).then_some(controller.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str, controller: Option<(&str, &str, &str)>, token: Option<&str>) -> String {
        let identity = RequesterIdentity {
            namespace: "db",
            name,
            generate_name: "db-",
            uid: None,
            controller: controller.map(|(api_version, kind, name)| Controller {
                api_version,
                kind,
                name,
            }),
            token,
        };
        identity
            .requester()
            .map_or("none".to_owned(), |requester| requester.holder.to_string())
    }

    #[test]
    fn a_replica_is_proven_by_its_controller_and_ordinal() {
        let set = |name| holder(name, Some(("apps/v1", "StatefulSet", "db")), None);
        assert_eq!(set("db-2"), "replica 2 of StatefulSet db/db");
        for other in ["db-02", "db-", "db-x", "web-0", "db-4294967296"] {
            assert_eq!(set(other), format!("pod db/{other}"));
        }
        for (group, kind) in [("v1", "StatefulSet"), ("apps.kruise.io/v1", "StatefulSet")] {
            assert_eq!(
                holder("db-2", Some((group, kind, "db")), None),
                "pod db/db-2"
            );
        }
    }

    #[test]
    fn launchers_map_to_virtual_machines_and_unnamed_pods_to_tokens() {
        let vmi = Some(("kubevirt.io/v1", "VirtualMachineInstance", "vm1"));
        assert_eq!(holder("", vmi, Some("t")), "virtual machine db/vm1");
        let set = Some(("apps/v1", "ReplicaSet", "web-5d"));
        assert_eq!(holder("", set, Some("t")), "a new pod db/db-*");
        assert_eq!(holder("", set, None), "none");
        assert_eq!(holder("web-5d-x", set, None), "pod db/web-5d-x");
        let invalid = Some(("kubevirt.io/v1", "VirtualMachineInstance", "vm1,x=y"));
        assert_eq!(holder("launcher", invalid, None), "pod db/launcher");
    }
}
