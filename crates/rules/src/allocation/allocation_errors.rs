//! One rule for each reason of an allocation error.

use crate::{
    Attachment, Check, Example, FieldRef, Levels, Report, Rule,
    allocation::AllocationSubject,
    examples::{
        DUAL_POOL, ITSELF, POOL_OF_TWO, POOL_WITH_LIMIT, RESERVED_ADDRESS, SERVED_NET, SLICED_POOL,
        TAKEN, TAKEN_ONE, pod,
    },
};
use nadmit_allocation::{Address, AllocationError};
use nadmit_catalog::LiveRead;

const RIGHT: Example = Example(&[POOL_OF_TWO, SERVED_NET, pod!("pooled-net")]);

pub(crate) const EXHAUSTED: Rule = Rule {
    code: "pool-exhausted",
    levels: Levels::AUTHORITY,
    summary: "The address pool has nothing left to give",
    explanation: "Every address of a range is held. The pod is refused instead of hanging in \
        ContainerCreating: in a cluster when it is bound to a node (it stays Pending, and the scheduler \
        tries again), with injection: create when it is created. The message has how many addresses \
        there are and which namespaces hold most. A pod is given an address of each range or nothing \
        at all. With strictSlices it is the \
        slices of the pod's node that have to have one.",
    wrong: Example(&[POOL_OF_TWO, SERVED_NET, TAKEN, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const OUTSIDE: Rule = Rule {
    code: "address-outside-pool",
    levels: Levels::AUTHORITY,
    summary: "A requested address lies in no range of the network's pool",
    explanation: "On a network that an AddressPool serves, every address comes from the pool: one \
        from elsewhere would be recorded nowhere, and another pod could be given it.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["198.51.100.5/24"]}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    check: Check::Allocation(check),
};

pub(crate) const EXCLUDED: Rule = Rule {
    code: "address-excluded",
    levels: Levels::AUTHORITY,
    summary: "A requested address is one that the pool never gives",
    explanation: "The first and the last address of a range, its gateway, its excludes, and what \
        lies before rangeStart or behind rangeEnd are never given, asked for by name or not.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.1/29"]}]"#),
    ]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const RESERVED: Rule = Rule {
    code: "address-reserved",
    levels: Levels::AUTHORITY,
    summary: "A requested address is reserved for somebody else",
    explanation: "An AddressReservation sets an address aside for a named pod, replica or virtual \
        machine. Nobody else is given it, asked for by name or not. With strictSlices a node's slice \
        of a pool is set aside for the pods of that node in the same way.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        RESERVED_ADDRESS,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.3/29"]}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        RESERVED_ADDRESS,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    check: Check::Allocation(check),
};

pub(crate) const IN_USE: Rule = Rule {
    code: "address-in-use",
    levels: Levels::AUTHORITY,
    summary: "A requested address has another holder",
    explanation: "Two interfaces with one address work now and then, which is worse than not at \
        all. nadmit reads the record afresh before it denies. \"nadmit whois ADDRESS\" says who \
        holds it, \"nadmit release ADDRESS\" frees it. What a virtual machine holds, two pods of it \
        share while it is migrated, and at no other time.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        TAKEN,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const MAC_IN_USE: Rule = Rule {
    code: "mac-in-use",
    levels: Levels::AUTHORITY,
    summary: "A requested MAC has another holder, or comes with an address only",
    explanation: "A MAC is unique in an address space. The MACs of a pool's prefix follow from its \
        addresses, so that one of them belongs to whoever holds that address.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "mac": "02:5e:00:00:00:03"}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "mac": "ca:fe:c0:ff:ee:00"}]"#),
    ]),
    check: Check::Allocation(check),
};

pub(crate) const LIMIT: Rule = Rule {
    code: "namespace-limit",
    levels: Levels::AUTHORITY,
    summary: "The namespace holds as many addresses of the pool as it may",
    explanation: "maxPerNamespace of an AddressPool keeps one namespace from using the pool up.",
    wrong: Example(&[POOL_WITH_LIMIT, SERVED_NET, TAKEN_ONE, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const HOLDS_ANOTHER: Rule = Rule {
    code: "holds-another-address",
    levels: Levels::AUTHORITY,
    summary: "The pod asks for another address than its holder has",
    explanation: "A holder (a pod by name, a StatefulSet's replica, a virtual machine) has one \
        address of each range on an interface, and keeps it. To give it another one, release the \
        first.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        ITSELF,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.3/29"]}]"#),
    ]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const NOT_ALLOCATED: Rule = Rule {
    code: "address-not-allocated",
    levels: Levels::AUTHORITY,
    summary: "The pod brings an address of a pool that nothing records as its own",
    explanation: "nadmit's mutating webhook takes requested addresses; its validating webhook \
        accepts exactly what was taken. An address that nobody recorded came past the first: its \
        configuration does not cover the namespace, or it could not be reached.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.3/29"]}]"#),
    ]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const NOT_INJECTED: Rule = Rule {
    code: "address-not-injected",
    levels: Levels::AUTHORITY,
    summary: "The pod has an address of one range of its pool, and none of another",
    explanation: "A pool gives each attachment an address of every range, or none at all: nadmit's \
        mutating webhook fills in what was not asked for by name. A pod with one family only came \
        past it. An attachment that an update adds is given nothing later on, so it brings its \
        addresses.",
    wrong: Example(&[
        DUAL_POOL,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.3/29"]}]"#),
    ]),
    right: Example(&[
        DUAL_POOL,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.3/29", "2001:db8::3/64"]}]"#),
    ]),
    check: Check::Allocation(check),
};

pub(crate) const NOT_READY: Rule = Rule {
    code: "pool-not-ready",
    levels: Levels::AUTHORITY,
    summary: "The pool gives nothing yet",
    explanation: "A pool gives nothing until one full pass has recorded which of its addresses \
        running pods and networks use already; and what is being recorded for one request is not \
        given to another. A pool of slices (nodeSliceSize) gives once the pod's node is known: \
        when the pod is bound, or when it is created with spec.nodeName; and only in a cluster, \
        where slices are recorded. Controllers try again by themselves.",
    wrong: Example(&[SLICED_POOL, SERVED_NET, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const TOO_LONG: Rule = Rule {
    code: "annotations-too-long",
    levels: Levels::AUTHORITY,
    summary: "With its addresses the pod's annotations would be too long to store",
    explanation: "The API server takes at most 256 KiB of keys and values of all annotations of an \
        object. nadmit writes the addresses into the annotation, and keeps the text as it was \
        written beside it. A pod whose annotations would be longer than that is refused before \
        anything is recorded for it. Source: Kubernetes, TotalAnnotationSizeLimitB.",
    wrong: Example(&[POOL_OF_TWO, SERVED_NET, pod!(r#"[{"name": "pooled-net"}]"#)]),
    right: RIGHT,
    check: Check::Allocation(check),
};

/// Reports the allocation errors that belong to the rule with this code.
fn check(code: &str, subject: &AllocationSubject<'_, '_>, report: &mut Report<'_>) {
    for (index, error) in subject.errors {
        if report.is_full() {
            return;
        }
        if error.code() != code {
            continue;
        }
        let Some(attachment) = subject.pod.attachments().nth(*index) else {
            continue;
        };
        let field_ref = field_ref(attachment, error);
        let (message, help) = (error.to_string(), error.help());
        match live_read(attachment, error, subject) {
            Some(live_read) => report.add_after_live_read(live_read, field_ref, message, help),
            None => report.add(field_ref, message, help),
        }
    }
}

/// Returns a reference to the member that names the address, or to the whole selection.
fn field_ref<'a>(attachment: Attachment<'_, 'a>, error: &AllocationError) -> FieldRef<'a> {
    let selection = attachment.selection;
    match error.address() {
        Some(Address::Ip(wanted)) => {
            let mut ips = selection.ips.iter().flat_map(|ips| &ips.value).enumerate();
            let named = ips.find(|(_, ip)| ip.ok().is_some_and(|ip| ip.address == wanted));
            named.map(|(index, ip)| attachment.field_ref(&format!("ips[{index}]"), ip.span))
        }
        Some(Address::Mac(_)) => {
            let mac = selection.mac.as_ref();
            mac.map(|mac| attachment.field_ref(attachment.member("mac"), mac.span))
        }
        None => None,
    }
    .unwrap_or_else(|| attachment.field_ref("", selection.span))
}

/// Returns the live read that is required if the error depends on what others hold: the index may lag.
fn live_read(
    attachment: Attachment<'_, '_>,
    error: &AllocationError,
    subject: &AllocationSubject<'_, '_>,
) -> Option<LiveRead> {
    if !error.depends_on_other_holders() {
        return None;
    }
    let pool = attachment.definition()?.address_pool.clone();
    // For a network without a pool, a read of any pool's allocations serves.
    let address = pool.is_some().then(|| error.address()).flatten();
    let any = || subject.pod.catalog.pool_config().pools.keys().next();
    let pool = pool.or_else(|| any().map(|name| (&**name).into()))?;
    Some(LiveRead::Allocations { pool, address })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::registry;
    use nadmit_allocation::{
        DesignatedHolder, ExclusionReason, Exhausted, Holder, NetworkRef, OutsideSlice, Slice,
        SlicesFull,
    };
    use nadmit_cni::range::Subnet;

    /// An error without a rule would not be denied.
    #[test]
    fn every_allocation_error_has_a_rule() {
        let address: IpAddr = "192.0.2.5".parse().unwrap_or_else(|e| panic!("{e}"));
        let range = Subnet::parse("192.0.2.0/24").unwrap_or_else(|e| panic!("{e}"));
        let mac: Address = "02:5e:00:00:00:05"
            .parse()
            .unwrap_or_else(|e| panic!("{e}"));
        let holder = || {
            Box::new(Holder::Pod {
                namespace: "db".into(),
                name: "db-0".into(),
            })
        };
        let reservation = NetworkRef {
            namespace: "db".into(),
            name: "db-0".into(),
        };
        let pool = || "storage".into();
        let all = [
            AllocationError::UnknownPool(pool()),
            AllocationError::NotReady(pool()),
            AllocationError::SlicesUnsupported(pool()),
            AllocationError::NodeUnknown(pool()),
            AllocationError::NeedsSlice(Box::new(Slice::new(&pool(), range, &pool()))),
            AllocationError::SlicesFull(Box::new(SlicesFull {
                pool: pool(),
                range,
                node: "node-a".into(),
                slices: 2,
                capacity: 28,
                elsewhere: 7,
            })),
            AllocationError::OutsideSlice(Box::new(OutsideSlice {
                address,
                pool: pool(),
                node: "node-a".into(),
                owner: None,
            })),
            AllocationError::Busy(mac),
            AllocationError::Exhausted(Box::new(Exhausted {
                pool: pool(),
                range: None,
                capacity: 0,
                largest: Vec::new(),
            })),
            AllocationError::OutsidePool {
                address,
                pool: pool(),
                ranges: vec![range],
            },
            AllocationError::Excluded {
                address,
                pool: pool(),
                reason: ExclusionReason::Edge,
            },
            AllocationError::Reserved {
                address: address.into(),
                holder: DesignatedHolder::Pod("db-0".into()),
                reservation,
            },
            AllocationError::InUse {
                address: address.into(),
                holder: holder(),
            },
            AllocationError::InUse {
                address: mac,
                holder: holder(),
            },
            AllocationError::DerivedMac { mac, pool: pool() },
            AllocationError::NamespaceLimit {
                namespace: "db".into(),
                pool: pool(),
                held: 1,
                limit: 1,
                retained: vec![mac],
            },
            AllocationError::HoldsAnother {
                holder: holder(),
                held: address.into(),
                requested: mac,
            },
            AllocationError::NotAllocated {
                address: address.into(),
                pool: pool(),
            },
            AllocationError::NotInjected {
                pool: pool(),
                range,
            },
            AllocationError::AnnotationsTooLong { bytes: 1, limit: 0 },
            AllocationError::Internal("a test"),
        ];
        for error in all {
            let rule = registry::find(error.code());
            let is_allocation = rule.is_some_and(|rule| matches!(rule.check, Check::Allocation(_)));
            assert!(is_allocation, "{error:?}");
            assert!(!error.to_string().is_empty() && !error.help().is_empty());
        }
    }
}
