//! The change of a reservation, so that the unmodified plugin gives the address that nadmit assigned.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    DesiredUse, FINALIZER, OverlappingReservation, PodInterface, PodName, Taken,
    serve::version_test,
};

/// The change of an `OverlappingRangeIPReservation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReservationChange {
    Create {
        pod: Option<PodName>,
        interface: Box<str>,
    },
    /// The pod and the interface are replaced, and the finalizer is added.
    Assign {
        pod: Option<PodName>,
        interface: Box<str>,
    },
    /// The pod and the interface are replaced, and the finalizer is removed. A reservation that is being
    /// deleted is created again without it.
    GiveBack { pod: PodName, interface: Box<str> },
    /// The reservation is deleted, and the finalizer is removed.
    Delete,
}

/// Returns the change of the reservation of an address, if one is needed. One that others deleted keeps
/// the address by its finalizer, and stays so: without it for a moment, a plugin on an overlapping range
/// could take the address.
///
/// # Errors
/// If another pod has the address by the plugin.
pub fn reservation_change(
    desired: &DesiredUse,
    address: IpAddr,
    found: Option<&OverlappingReservation>,
) -> Result<Option<ReservationChange>, Taken> {
    let (pod, interface) = match desired {
        DesiredUse::Binding { pod, interface } | DesiredUse::Bound { pod, interface } => {
            (Some(pod), &**interface)
        }
        DesiredUse::Held { .. } => (None, ""),
        DesiredUse::Leaked { pod, .. } => {
            let left = found.filter(|found| found.is_left_to_plugin(pod));
            return Ok(left.map(|_| ReservationChange::Delete));
        }
        DesiredUse::Released { to, .. } => {
            let kept = found.filter(|found| found.is_kept());
            return Ok(kept.map(|_| match to {
                Some(PodInterface { pod, interface }) => ReservationChange::GiveBack {
                    pod: pod.clone(),
                    interface: interface.clone(),
                },
                None => ReservationChange::Delete,
            }));
        }
    };
    let Some(found) = found else {
        let (pod, interface) = (pod.cloned(), interface.into());
        return Ok(Some(ReservationChange::Create { pod, interface }));
    };
    let is_own = found.pod.as_ref() == pod && *found.interface == *interface;
    let last = match desired {
        DesiredUse::Held { last } => last.as_ref(),
        _ => None,
    };
    let is_of_last = last.is_some() && found.pod.as_ref() == last;
    if !found.is_kept() && !is_own && !is_of_last {
        return Err(Taken {
            address,
            pod: found.pod.clone(),
            space: None,
        });
    }
    Ok(
        (!is_own || !found.is_kept()).then(|| ReservationChange::Assign {
            pod: pod.cloned(),
            interface: interface.into(),
        }),
    )
}

impl ReservationChange {
    /// Returns the object to create for a reservation of this name, if the change creates one.
    pub fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        let (pod, interface, finalizers) = match self {
            Self::Create { pod, interface } => (pod.as_ref(), interface, vec![FINALIZER]),
            Self::GiveBack { pod, interface } => (Some(pod), interface, Vec::new()),
            _ => return None,
        };
        let pod = pod.map(ToString::to_string).unwrap_or_default();
        Some(json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1",
            "kind": "OverlappingRangeIPReservation",
            "metadata": {"name": name, "namespace": namespace, "finalizers": finalizers},
            "spec": {"podref": pod, "ifname": interface},
        }))
    }
}

impl OverlappingReservation {
    /// Returns the JSON patch that gives the reservation this pod and the finalizer, for this version
    /// alone.
    pub fn assign_patch(&self, pod: Option<&PodName>, interface: &str) -> Value {
        let pod = pod.map(ToString::to_string).unwrap_or_default();
        let mut operations = version_test(self.version.as_deref());
        operations.push(json!({"op": "add", "path": "/spec/podref", "value": pod}));
        operations.push(json!({"op": "add", "path": "/spec/ifname", "value": interface}));
        // A finalizer cannot be added to an object that is being deleted.
        if !self.is_kept() && !self.terminating {
            let mut finalizers: Vec<&str> = self.finalizers.iter().map(|one| &**one).collect();
            finalizers.push(FINALIZER);
            operations
                .push(json!({"op": "add", "path": "/metadata/finalizers", "value": finalizers}));
        }
        Value::Array(operations)
    }

    /// Returns the JSON patch that removes the finalizer, for this version alone.
    pub fn return_patch(&self) -> Value {
        let mut operations = version_test(self.version.as_deref());
        operations.push(self.without_finalizer());
        Value::Array(operations)
    }

    /// Returns the JSON patch that leaves the reservation to this pod, without the finalizer, for this
    /// version alone.
    pub fn give_back_patch(&self, pod: &PodName, interface: &str) -> Value {
        let mut operations = version_test(self.version.as_deref());
        operations.push(json!({"op": "add", "path": "/spec/podref", "value": pod.to_string()}));
        operations.push(json!({"op": "add", "path": "/spec/ifname", "value": interface}));
        operations.push(self.without_finalizer());
        Value::Array(operations)
    }

    fn without_finalizer(&self) -> Value {
        let others = self.finalizers.iter().filter(|one| &***one != FINALIZER);
        let others: Vec<&str> = others.map(|one| &**one).collect();
        json!({"op": "add", "path": "/metadata/finalizers", "value": others})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::{binding, bound, held, pod, released};

    fn reservation(pod: &str, interface: &str, kept: bool, terminating: bool) -> Value {
        let mut object = json!({
            "metadata": {"resourceVersion": "3", "finalizers": []},
            "spec": {"podref": pod, "ifname": interface},
        });
        if kept {
            object["metadata"]["finalizers"] = json!([FINALIZER]);
        }
        if terminating {
            object["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        }
        object
    }

    #[test]
    fn reservations_become_what_the_records_say() {
        use ReservationChange::{Assign, Create, Delete, GiveBack};
        let to = |name: &str| (Some(pod(name)), Box::<str>::from("net1"));
        let create = |(pod, interface)| Some(Create { pod, interface });
        let assign = |(pod, interface)| Some(Assign { pod, interface });
        let no_pod = || (None, Box::<str>::from(""));
        let own = |kept, terminating| Some(reservation("db/db-0", "net1", kept, terminating));
        let other = |kept| Some(reservation("db/other", "net1", kept, false));
        type Case = (
            &'static str,
            Option<Value>,
            DesiredUse,
            Result<Option<ReservationChange>, Option<PodName>>,
        );
        let leaked = || DesiredUse::Leaked {
            pod: pod("db-0"),
            container: "c0ffee".into(),
        };
        let table: Vec<Case> = vec![
            ("left behind", own(false, false), leaked(), Ok(Some(Delete))),
            ("left behind, and gone", None, leaked(), Ok(None)),
            (
                "left behind, and kept by nadmit",
                own(true, false),
                leaked(),
                Ok(None),
            ),
            (
                "left behind, and being deleted",
                own(false, true),
                leaked(),
                Ok(None),
            ),
            (
                "left behind, and of another pod by now",
                other(false),
                leaked(),
                Ok(None),
            ),
            ("none", None, binding("db-0"), Ok(create(to("db-0")))),
            ("kept", own(true, false), binding("db-0"), Ok(None)),
            (
                "the plugin's of this pod",
                own(false, false),
                bound("db-0"),
                Ok(assign(to("db-0"))),
            ),
            (
                "of the last pod",
                other(true),
                binding("db-0"),
                Ok(assign(to("db-0"))),
            ),
            (
                "of another pod",
                other(false),
                binding("db-0"),
                Err(Some(pod("other"))),
            ),
            (
                "deleted by others, before ADD",
                own(true, true),
                binding("db-0"),
                Ok(None),
            ),
            (
                "deleted by others",
                own(true, true),
                bound("db-0"),
                Ok(None),
            ),
            (
                "held",
                own(true, false),
                held(Some("db-0")),
                Ok(assign(no_pod())),
            ),
            (
                "held, not kept",
                own(false, false),
                held(Some("db-0")),
                Ok(assign(no_pod())),
            ),
            (
                "deleted by others, and held",
                own(true, true),
                held(Some("db-0")),
                Ok(assign(no_pod())),
            ),
            (
                "released",
                own(true, false),
                released(None, None),
                Ok(Some(Delete)),
            ),
            (
                "left",
                own(true, false),
                released(Some("db-0"), Some("db-0")),
                Ok(Some(GiveBack {
                    pod: pod("db-0"),
                    interface: "net1".into(),
                })),
            ),
            (
                "left alone",
                own(false, false),
                released(None, None),
                Ok(None),
            ),
        ];
        for (name, object, desired, expected) in table {
            let found = object.map(|object| {
                OverlappingReservation::read("kube-system", "192.0.2.5", &object)
                    .unwrap_or_else(|e| panic!("{e}"))
            });
            let change = reservation_change(&desired, [192, 0, 2, 5].into(), found.as_ref());
            assert_eq!(change.map_err(|taken| taken.pod), expected, "{name}");
        }
    }
}
