//! Tests of virtual machines: they keep their MACs, and their addresses if the pool says so.

use super::*;

fn virtual_machine(name: &str, uid: &str) -> Requester {
    Requester {
        holder: Holder::VirtualMachine {
            namespace: "db".into(),
            name: name.into(),
        },
        pod: Some(PodRef {
            name: format!("virt-launcher-{name}-{uid}").into(),
            uid: Some(uid.into()),
            node: None,
        }),
        node: None,
    }
}

/// Allocates one attachment and returns its addresses and MAC.
fn assigned(
    index: &mut Index,
    requester: &Requester,
    request: &AttachmentRequest,
) -> (Vec<String>, String) {
    let assigned = allocate(index, requester, std::slice::from_ref(request));
    let assigned = assigned.unwrap_or_else(|e| panic!("{e}"));
    let ips = assigned[0].ips.iter().map(|(ip, _)| ip.to_string());
    let mac = assigned[0].mac.map(|mac| mac.to_string());
    (ips.collect(), mac.unwrap_or_default())
}

fn is(found: &(Vec<String>, String), ip: &str, mac: &str) -> bool {
    found.0 == [ip] && found.1 == mac
}

fn naming(mac: &str) -> AttachmentRequest {
    let Address::Mac(mac) = address(mac) else {
        panic!("{mac} is no MAC")
    };
    AttachmentRequest {
        mac: MacRequest::Exact(mac),
        ..request(&[])
    }
}

/// A record of an older release, in which the MAC of a virtual machine is derived from its address.
fn before(ip: &str, mac: &str, version: u64) -> Stored {
    let requester = virtual_machine("vm", "u1");
    let Address::Mac(mac) = address(mac) else {
        panic!("{mac} is no MAC")
    };
    Stored {
        allocation: Allocation {
            pod: requester.pod,
            mac: Some(mac),
            since: Timestamp(NOW.0 - 1000),
            ..record(ip, requester.holder)
        },
        version: Version(version),
    }
}

#[test]
fn a_vm_keeps_its_mac_whatever_address_it_gets() {
    let mut index = index(&[storage("")], &[]);
    let first = assigned(&mut index, &virtual_machine("vm", "u1"), &request(&[]));
    // The MACs from 02:5e:00:00:00:00 to :07 are derived from addresses.
    assert!(is(&first, "192.0.2.2", "02:5e:00:00:00:08"), "{first:?}");
    // A repeated request of the same launcher gets the same result, also when it names it.
    let again = AttachmentRequest {
        ips: request(&["192.0.2.2"]).ips,
        ..naming("02:5e:00:00:00:08")
    };
    for request in [request(&[]), again] {
        assert_eq!(
            assigned(&mut index, &virtual_machine("vm", "u1"), &request),
            first
        );
    }
    release(&mut index, "192.0.2.2");
    let other = assigned(&mut index, &requester("a"), &request(&[]));
    assert!(is(&other, "192.0.2.2", "02:5e:00:00:00:02"), "{other:?}");
    let next = assigned(&mut index, &virtual_machine("vm", "u2"), &request(&[]));
    assert!(is(&next, "192.0.2.3", "02:5e:00:00:00:08"), "{next:?}");
    release(&mut index, "02:5e:00:00:00:08");
    let another = assigned(&mut index, &virtual_machine("other", "u3"), &request(&[]));
    assert!(
        is(&another, "192.0.2.4", "02:5e:00:00:00:08"),
        "{another:?}"
    );
}

#[test]
fn the_mac_is_derived_where_addresses_are_retained() {
    let both = storage(r#","virtualMachines":"MACAndIPs""#);
    // Here each MAC is derived: a virtual machine cannot keep one without the address.
    let exact = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/24","rangeStart":"192.0.2.2"}],"macs":{"prefix":"02:5e:00:00:00"}}"#,
    );
    assert!(exact.vms_retain_ips);
    let by_pod = storage(r#","retention":"Pod""#);
    for pool in [both, exact, by_pod] {
        let mut index = index(&[pool], &[]);
        let found = assigned(&mut index, &virtual_machine("vm", "u1"), &request(&[]));
        assert!(is(&found, "192.0.2.2", "02:5e:00:00:00:02"), "{found:?}");
        assert_eq!(index.recorded().count(), 1);
    }
}

#[test]
fn the_mac_is_derived_from_a_reserved_address() {
    let reserved = reservation(
        "r",
        r#"{"network":"storage-net","holder":{"virtualMachine":"vm"},"ips":["192.0.2.5"]}"#,
    );
    let mut index = index(&[storage("")], &[reserved]);
    let found = assigned(&mut index, &virtual_machine("vm", "u1"), &request(&[]));
    assert!(is(&found, "192.0.2.5", "02:5e:00:00:00:05"), "{found:?}");
}

#[test]
fn a_mac_recorded_with_an_address_is_detached_from_it() {
    let mut index = index(&[storage("")], &[]);
    index.apply(before("192.0.2.2", "02:5e:00:00:00:02", 1));
    let next = assigned(&mut index, &virtual_machine("vm", "u2"), &request(&[]));
    assert!(is(&next, "192.0.2.2", "02:5e:00:00:00:02"), "{next:?}");
    release(&mut index, "192.0.2.2");
    // The next holder of the address gets another MAC, with a record of its own.
    let other = assigned(&mut index, &requester("a"), &request(&[]));
    assert!(is(&other, "192.0.2.2", "02:5e:00:00:00:08"), "{other:?}");
    assert_eq!(assigned(&mut index, &requester("a"), &request(&[])), other);
    let named = assigned(
        &mut index,
        &virtual_machine("vm", "u3"),
        &naming("02:5e:00:00:00:02"),
    );
    assert!(is(&named, "192.0.2.3", "02:5e:00:00:00:02"), "{named:?}");
    // No other holder can get the MAC.
    let stolen = naming("02:5e:00:00:00:02");
    assert_eq!(
        code(allocate(&mut index, &requester("b"), &[stolen])),
        "mac-in-use"
    );
    let unheld = naming("02:5e:00:00:00:06");
    assert_eq!(
        code(allocate(
            &mut index,
            &virtual_machine("vm2", "u9"),
            &[unheld]
        )),
        "mac-in-use"
    );
    assert_eq!(
        index
            .holder_of_mac(
                &Space::default(),
                match address("02:5e:00:00:00:02") {
                    Address::Mac(mac) => mac,
                    Address::Ip(ip) => panic!("{ip}"),
                }
            )
            .map(|held| held.holder.to_string())
            .as_deref(),
        Some("virtual machine db/vm")
    );
}

#[test]
fn a_vm_may_request_the_mac_of_its_address() {
    let mut index = index(&[storage("")], &[]);
    let named = AttachmentRequest {
        ips: request(&["192.0.2.4"]).ips,
        ..naming("02:5e:00:00:00:04")
    };
    let found = assigned(&mut index, &virtual_machine("vm", "u1"), &named);
    assert!(is(&found, "192.0.2.4", "02:5e:00:00:00:04"), "{found:?}");
    assert_eq!(
        assigned(&mut index, &virtual_machine("vm", "u1"), &named),
        found
    );
    release(&mut index, "192.0.2.4");
    let next = assigned(&mut index, &virtual_machine("vm", "u2"), &request(&[]));
    assert!(is(&next, "192.0.2.2", "02:5e:00:00:00:04"), "{next:?}");
}

#[test]
fn the_namespace_limit_applies_to_macs() {
    let mut index = index(&[storage(r#","maxPerNamespace":2"#)], &[]);
    for name in ["a", "b"] {
        assigned(&mut index, &virtual_machine(name, name), &request(&[]));
    }
    let mut rejected = |name: &str| {
        code(allocate(
            &mut index,
            &virtual_machine(name, name),
            &[request(&[])],
        ))
    };
    assert_eq!(rejected("c"), "namespace-limit");
    for ip in ["192.0.2.2", "192.0.2.3"] {
        release(&mut index, ip);
    }
    // MACs of stopped virtual machines count.
    let mut rejected = |name: &str| {
        code(allocate(
            &mut index,
            &virtual_machine(name, name),
            &[request(&[])],
        ))
    };
    assert_eq!(rejected("c"), "namespace-limit");
    assert_eq!(rejected("b"), "given");
}

#[test]
fn a_vm_keeps_its_mac_across_slices() {
    let sliced = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"macs":{"prefix":"02:5e:00"},"nodeSliceSize":"/28"}"#,
    );
    let virtual_machine = virtual_machine("vm", "u1").holder;
    assert!(sliced.retains(&virtual_machine, crate::Family::Mac));
    assert!(!sliced.retains(&virtual_machine, crate::Family::V4));
    assert!(sliced.detaches_mac(&virtual_machine));
}

#[test]
fn the_latest_of_two_macs_wins() {
    let mut index = index(&[storage("")], &[]);
    let record = |mac: &str, uid: &str, since: Timestamp, version: u64| {
        let requester = virtual_machine("vm", uid);
        let mut stored = before("192.0.2.2", mac, version);
        stored.allocation.address = address(mac);
        stored.allocation.mac = None;
        stored.allocation.pod = requester.pod;
        stored.allocation.since = since;
        stored
    };
    index.apply(record("02:5e:00:00:00:08", "u1", Timestamp(NOW.0 - 50), 1));
    index.apply(record("02:5e:00:00:00:09", "u2", Timestamp(NOW.0 - 10), 2));
    index.apply(record("02:5e:00:00:00:0a", "u3", Timestamp(NOW.0 - 90), 3));
    let mut mac = |uid: &str, request: &AttachmentRequest| {
        assigned(&mut index, &virtual_machine("vm", uid), request).1
    };
    // A repeated request gets the same MAC, whatever another launcher got in the meantime.
    assert_eq!(mac("u1", &request(&[])), "02:5e:00:00:00:08");
    assert_eq!(mac("u3", &naming("02:5e:00:00:00:0a")), "02:5e:00:00:00:0a");
    assert_eq!(mac("u4", &request(&[])), "02:5e:00:00:00:09");
}
