//! Reservations: their holders, and the capacity that they take.

use super::*;

#[test]
fn a_reservation_for_any_interface_applies_to_one() {
    // There are more addresses than MACs, so the MACs are not derived.
    let run = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/29"}],"namespaceSelector":{},
            "macs":{"start":"02:5f:00:00:00:00","end":"02:5f:00:00:00:03"}}"#,
    );
    for (pool, reserves) in [
        (&storage(""), r#""ips":["192.0.2.5"]"#),
        (&run, r#""mac":"02:5f:00:00:00:02""#),
    ] {
        let spec = format!(r#"{{"network":"storage-net","holder":{{"pod":"a"}},{reserves}}}"#);
        let mut index = index(&[Arc::clone(pool)], &[reservation("r", &spec)]);
        let second = AttachmentRequest {
            interface: "net2".into(),
            ..request(&[])
        };
        let requests = [request(&[]), second];
        let assigned = allocate(&mut index, &requester("a"), &requests);
        let assigned = assigned.unwrap_or_else(|e| panic!("{spec}: {e}"));
        let taken = index
            .recorded()
            .filter(|(one, _)| one.reservation.is_some());
        assert_eq!(taken.count(), 1, "{spec}");
        let again = allocate(&mut index, &requester("a"), &requests);
        assert_eq!(again.ok(), Some(assigned), "{spec}");
    }
}

#[test]
fn a_reserved_address_is_allocated_only_to_its_holder_and_returns() {
    let reserved = reservation(
        "db-0",
        r#"{"network":"storage-net","holder":{"statefulSet":"db","ordinal":0},"ips":["192.0.2.2"]}"#,
    );
    let mut index = index(&[storage("")], &[Arc::clone(&reserved)]);
    assert_eq!(
        ips(allocate(&mut index, &requester("a"), &[request(&[])])),
        ["192.0.2.3/29"]
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[request(&["192.0.2.2"])]
        )),
        "address-reserved"
    );
    // Recorded for the reservation, then taken by its holder.
    let record = Allocation {
        interface: "".into(),
        ..record("192.0.2.2", reserved.as_holder())
    };
    index.apply(Stored {
        allocation: record.clone(),
        version: Version(3),
    });
    let usage = index.usage("storage").unwrap_or_default();
    assert_eq!((usage.allocated, usage.reserved, usage.free), (1, 1, 3));
    let planned = index.plan(&replica(0, "u-1"), &[request(&[])], NOW);
    let planned = planned.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(
        matches!(&planned.writes[..], [Write::Update(a, Version(3))] if a.reservation.is_some())
    );
    index.commit(planned.id, &[Version(4)]);
    assert_eq!(ips(Ok(planned.assignments)), ["192.0.2.2/29"]);
    // The address stays reserved when its record is deleted.
    release(&mut index, "192.0.2.2");
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[request(&[])])),
        ["192.0.2.4/29"]
    );
}

#[test]
fn untaken_reservations_count_as_reserved() {
    let aside = r#"{"network":"storage-net","holder":{"pod":"a"},"ips":["192.0.2.5"]}"#;
    let macs = r#"{"network":"storage-net","holder":{"pod":"a"},"mac":"02:5e:00:00:00:07"}"#;
    let ips = pool(
        "storage",
        r#"{"ranges":[{"range":"192.0.2.0/29"}],"namespaceSelector":{}}"#,
    );
    let l2 = pool("storage", r#"{"macs":{"prefix":"02:5e:00"}}"#);
    for (pool, spec) in [(ips, aside), (l2, macs)] {
        let reservation = reservation("r", spec);
        let address = reservation.reserved_addresses(&pool)[0];
        let mut index = index(&[Arc::clone(&pool)], &[Arc::clone(&reservation)]);
        let counted = |index: &Index| {
            let usage = index.usage("storage").unwrap_or_default();
            (usage.allocated, usage.reserved)
        };
        assert_eq!(counted(&index), (0, 1), "{address}");
        let allocation = Allocation {
            address,
            interface: "".into(),
            ..record("192.0.2.5", reservation.as_holder())
        };
        index.apply(Stored {
            allocation,
            version: Version(1),
        });
        assert_eq!(counted(&index), (0, 1), "{address}");
        // The reservation is deleted; until the reconciler handles it, no other holder gets the address.
        let alone = PoolConfig::new([Arc::clone(&pool)], [], |_| None);
        index.sync(&Arc::new(alone));
        assert_eq!(counted(&index), (0, 1), "{address}");
    }
}
