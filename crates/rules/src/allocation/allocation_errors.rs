//! One rule for each reason of an allocation error.

use crate::{
    Attachment, Check, Example, FieldRef, Levels, Report, Rule, RuleDocs,
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
    summary: "The address pool is full",
    docs: RuleDocs {
        checks: "The pool of the network has no free address for the pod. A pod gets an address \
            of each range, or none at all, so one full range is enough. With strictSlices: true \
            the slices of the pod's node must have a free address. The finding has the number of \
            addresses, and the namespaces that hold most of them.",
        consequence: "Without this rule, the pod would hang in ContainerCreating without its \
            address. In a cluster nadmit denies the binding to a node: the pod stays Pending, and \
            the scheduler tries again. With injection: create it denies the creation of the pod.",
        fix: "Release addresses that nobody needs: `nadmit pools --cluster NAME --map` shows them. \
            Or, as an administrator, add a range or enlarge one at its end.",
        source: "docs/explanation/when-addresses-are-assigned.md and docs/explanation/slices.md.",
    },
    wrong: Example(&[POOL_OF_TWO, SERVED_NET, TAKEN, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const OUTSIDE: Rule = Rule {
    code: "address-outside-pool",
    levels: Levels::AUTHORITY,
    summary: "A requested address is in no range of the network's pool",
    docs: RuleDocs {
        checks: "A pod requests an address that is in no range of the AddressPool of the \
            network. On such a network every address comes from the pool.",
        consequence: "nadmit does not record an address that is outside of the pool. Another pod \
            could get the same address.",
        fix: "Request an address of the pool's ranges, or remove \"ips\" to get one assigned. An \
            administrator can add a range to the pool.",
        source: "docs/pools.md.",
    },
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
    summary: "The pool never assigns a requested address",
    docs: RuleDocs {
        checks: "A pod requests an address of the pool that the pool never assigns. These are \
            the first and the last address of a range, its gateway, and its excludes. Addresses \
            before rangeStart and after rangeEnd are never assigned either. A request for such \
            an address by name makes no difference.",
        consequence: "Without this rule, two hosts would use one address: the pod and the gateway, \
            or the host for which the address is excluded.",
        fix: "Request another address, or remove \"ips\" to get one assigned. An administrator \
            can change the range or its excludes.",
        source: "docs/pools.md.",
    },
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
    summary: "A requested address is reserved for another holder",
    docs: RuleDocs {
        checks: "An AddressReservation reserves the requested address for a named pod, replica \
            or virtual machine. No other holder gets it, whether it requests the address or not. \
            With strictSlices: true the slice of a node is reserved in the same way for the pods \
            of that node.",
        consequence: "Without this rule, the holder of the reservation could not start, because \
            another pod would have its address.",
        fix: "Request another address, or remove the address from the annotation to get one \
            assigned. To release the reserved address, an administrator deletes the \
            AddressReservation.",
        source: "docs/pools.md and docs/explanation/slices.md.",
    },
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
    docs: RuleDocs {
        checks: "A pod requests or carries an address that another holder has in the same \
            address space. nadmit reads the record from the API server before it denies. The \
            addresses of a virtual machine are shared by two of its pods during a migration, and \
            at no other time.",
        consequence: "Without this rule, two interfaces would have one address. Both would work \
            only now and then, and the cause is hard to find.",
        fix: "Request another address, or remove the address from the annotation to get one \
            assigned. `nadmit whois --cluster ADDRESS` shows the holder. To release the address, \
            see docs/how-to/operate-addresses.md.",
        source: "docs/how-to/operate-addresses.md and docs/how-to/virtual-machines.md.",
    },
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
    summary: "A requested MAC has another holder, or belongs to an address",
    docs: RuleDocs {
        checks: "A pod requests a MAC that another holder has: a MAC is unique in an address \
            space. Or it requests a MAC that is derived from an address of a pool. Such a MAC is \
            assigned only with that address.",
        consequence: "Two interfaces have one MAC, and switches send the frames of both to one \
            of them.",
        fix: "Request another MAC, or remove \"mac\" to get one assigned.",
        source: "docs/pools.md.",
    },
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
    summary: "The namespace has reached its limit of the pool",
    docs: RuleDocs {
        checks: "The namespace has as many addresses of the pool as maxPerNamespace of the \
            AddressPool permits. Addresses that its reservations reserve count too, and so do \
            retained addresses.",
        consequence: "One namespace uses all addresses of the pool, and pods of other namespaces \
            get none.",
        fix: "Delete pods of the namespace, or release its retained addresses. For more \
            addresses, an administrator raises maxPerNamespace.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[POOL_WITH_LIMIT, SERVED_NET, TAKEN_ONE, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const HOLDS_ANOTHER: Rule = Rule {
    code: "holds-another-address",
    levels: Levels::AUTHORITY,
    summary: "The pod requests another address than its holder has",
    docs: RuleDocs {
        checks: "A pod requests an address, but its holder already has another one on that \
            interface. A holder is a pod by name, a replica of a StatefulSet, or a virtual \
            machine. It has one address of each range on an interface, and keeps it.",
        consequence: "One holder has two addresses of a range, and peers that know the first \
            address no longer reach it.",
        fix: "Request the address that the holder has, or release that address first: `nadmit \
            release ADDRESS`.",
        source: "docs/how-to/lasting-addresses.md.",
    },
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
    summary: "The pod has an address of a pool that is not recorded for it",
    docs: RuleDocs {
        checks: "A pod carries an address of a pool that nadmit did not record for it. The \
            mutating webhook records requested addresses, and the validating webhook accepts \
            exactly the recorded ones. An unrecorded address bypassed the mutating webhook: its \
            configuration does not cover the namespace, or the webhook was down.",
        consequence: "Without this rule, the pool could assign the address to another pod, and two \
            pods would have one address.",
        fix: "Check that the API server calls the mutating webhook (/mutate) for the namespace. \
            Then create the pod again.",
        source: "docs/explanation/when-addresses-are-assigned.md.",
    },
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
    summary: "The pod has an address of one range of its pool, but not of every range",
    docs: RuleDocs {
        checks: "A network entry has an address of some ranges of its pool, but not of all. A \
            pool assigns an address of each range, or none at all. The mutating webhook injects \
            those that the pod does not request. A pod with one family of a dual-stack pool \
            bypassed it. A network entry that an update adds gets nothing later, so it must have \
            its addresses.",
        consequence: "The pod starts without an address of one range, such as its IPv6 address.",
        fix: "Check that the API server calls the mutating webhook (/mutate) for the namespace. \
            Then create the pod again. In an update, write an address of each range.",
        source: "docs/explanation/when-addresses-are-assigned.md.",
    },
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
    summary: "The pool does not assign addresses yet",
    docs: RuleDocs {
        checks: "The pool does not assign an address at the moment. It assigns none before one \
            full comparison has recorded which of its addresses running pods and networks use. \
            An address that nadmit is recording for one request is not assigned to another. A \
            pool with slices (nodeSliceSize) assigns as soon as the node of the pod is known. \
            That is when the pod is bound, or when it is created with spec.nodeName. Without a \
            cluster nadmit does not support slices. On a served network of Whereabouts with \
            node_slice_size, a pod gets an address of the slice that the NodeSlicePool gives to \
            its node.",
        consequence: "Without this rule, the pool could assign an address that a running pod uses.",
        fix: "Wait: controllers and the scheduler try again. If the condition Ready of the \
            AddressPool stays False, an administrator fixes the reason that it names. For a pool \
            with slices set injection: bind, or write spec.nodeName. If a node has no slice in the \
            NodeSlicePool, an administrator checks that Whereabouts's node-slice-controller runs, \
            and that a slice of the range is free.",
        source: "docs/explanation/when-addresses-are-assigned.md and docs/explanation/slices.md.",
    },
    wrong: Example(&[SLICED_POOL, SERVED_NET, pod!("pooled-net")]),
    right: RIGHT,
    check: Check::Allocation(check),
};

pub(crate) const TOO_LONG: Rule = Rule {
    code: "annotations-too-long",
    levels: Levels::AUTHORITY,
    summary: "With the assigned addresses the pod's annotations are too long",
    docs: RuleDocs {
        checks: "The annotations of the pod would be too long with the assigned addresses. \
            nadmit writes the addresses into the annotation, and stores the original text in \
            another annotation. The API server accepts at most 256 KiB of keys and values in all \
            annotations of an object. nadmit denies such a pod before it records anything for \
            it.",
        consequence: "The API server rejects the pod after its addresses are recorded.",
        fix: "Request fewer networks, or shorten the other annotations of the pod.",
        source: "Kubernetes, TotalAnnotationSizeLimitB.",
    },
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
        let (message, detail, help) = (error.to_string(), error.detail(), error.help());
        match live_read(attachment, error, subject) {
            Some(live_read) => {
                report.add_after_live_read_with_detail(live_read, field_ref, message, detail, help)
            }
            None => report.add_with_detail(field_ref, message, detail, help),
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
    let pool = attachment.definition()?.pool().map(Box::from);
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
        DesignatedHolder, ExclusionReason, Exhausted, Holder, NetworkRef, NoNodeSlice,
        OutsideSlice, Slice, SliceLimit, SlicesFull, WithoutSlice,
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
            AllocationError::NoNodeSlice(Box::new(NoNodeSlice {
                network: reservation.clone(),
                without: WithoutSlice::Node("node-a".into()),
                slice_pool: "net".into(),
                exists: true,
            })),
            AllocationError::NeedsSlice(Box::new(Slice::new(&pool(), range, &pool()))),
            AllocationError::SlicesFull(Box::new(SlicesFull {
                pool: pool(),
                range,
                node: "node-a".into(),
                slices: 2,
                capacity: 28,
                elsewhere: 7,
                limit: SliceLimit::Strict,
            })),
            AllocationError::OutsideSlice(Box::new(OutsideSlice {
                address,
                pool: pool(),
                node: "node-a".into(),
                owner: None,
                limit: SliceLimit::Strict,
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
