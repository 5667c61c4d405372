//! Pools: shared spaces, readiness, and changes of their configuration.

use super::*;

#[test]
fn pools_of_one_space_share_allocated_addresses() {
    let wide = pool("wide", r#"{"ranges":[{"range":"192.0.2.0/24"}]}"#);
    let apart = pool(
        "apart",
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"networkName":"blue"}"#,
    );
    let mut index = index(&[storage(""), wide, apart], &[]);
    let of = |pool: &str| AttachmentRequest {
        pool: pool.into(),
        mac: MacRequest::None,
        ..request(&[])
    };
    assert_eq!(
        ips(allocate(&mut index, &requester("a"), &[of("wide")])),
        ["192.0.2.1/24"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[of("storage")])),
        ["192.0.2.2/29"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[of("wide")])),
        ["192.0.2.3/24"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("d"), &[of("apart")])),
        ["192.0.2.1/24"]
    );
}

#[test]
fn a_network_without_ipam_gets_only_a_mac() {
    let mut index = index(&[storage("")], &[]);
    let mac_only = AttachmentRequest {
        needs_ips: false,
        ..request(&[])
    };
    let assigned =
        allocate(&mut index, &requester("a"), &[mac_only]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(assigned[0].ips, []);
    // The first MAC after the derived ones.
    assert_eq!(
        assigned[0].mac.map(|mac| mac.to_string()).as_deref(),
        Some("02:5e:00:00:00:08")
    );
}

#[test]
fn unready_and_unknown_pools_reject_requests() {
    let pool_config = PoolConfig::new([storage("")], [], |_| None);
    let mut index = Index::default();
    index.sync(&Arc::new(pool_config));
    assert_eq!(
        code(allocate(&mut index, &requester("a"), &[request(&[])])),
        "pool-not-ready"
    );
    let elsewhere = AttachmentRequest {
        pool: "other".into(),
        ..request(&[])
    };
    let error = allocate(&mut index, &requester("a"), &[elsewhere]).err();
    assert_eq!(error, Some(AllocationError::UnknownPool("other".into())));
}

#[test]
fn a_sliced_pool_rejects_requests_without_slice_support() {
    let sliced = pool(
        "storage",
        r#"{"ranges":[{"range":"10.5.0.0/20"}],"nodeSliceSize":"/24"}"#,
    );
    let mut index = index(&[sliced], &[]);
    let error = allocate(&mut index, &requester("a"), &[request(&[])]).err();
    assert_eq!(
        error,
        Some(AllocationError::SlicesUnsupported("storage".into()))
    );
}

#[test]
fn held_addresses_survive_pool_changes() {
    let mut index = index(&[storage("")], &[]);
    allocate(&mut index, &requester("a"), &[request(&[])]).unwrap_or_else(|e| panic!("{e}"));
    let wider = pool("storage", r#"{"ranges":[{"range":"192.0.2.0/28"}]}"#);
    index.sync(&Arc::new(PoolConfig::new([wider], [], |_| None)));
    // Addresses in use in the new range are not recorded yet.
    assert_eq!(
        allocate(&mut index, &requester("b"), &[request(&[])]).err(),
        Some(AllocationError::NotReady("storage".into()))
    );
    // Recorded addresses can be read regardless.
    let recalled = index.preview_ignoring_readiness(&requester("a"), &[request(&[])], Timestamp(0));
    let recalled = recalled.unwrap_or_else(|rejected| panic!("{rejected:?}"));
    assert_eq!(recalled[0].ips, [("192.0.2.2".parse().unwrap(), 28)]);
    index.set_ready("storage");
    let usage = index.usage("storage").unwrap_or_default();
    assert_eq!((usage.capacity, usage.allocated, usage.free), (14, 1, 13));
    assert_eq!(
        ips(allocate(&mut index, &requester("b"), &[request(&[])])),
        ["192.0.2.1/28"]
    );
    assert_eq!(
        ips(allocate(&mut index, &requester("c"), &[request(&[])])),
        ["192.0.2.3/28"]
    );
}

#[test]
fn a_mac_has_one_holder_whether_derived_or_requested() {
    let mut index = index(&[storage("")], &[]);
    let named = |mac: &str| AttachmentRequest {
        mac: match address(mac) {
            Address::Mac(mac) => MacRequest::Exact(mac),
            Address::Ip(_) => panic!("{mac} is a MAC"),
        },
        ..request(&[])
    };
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("a"),
            &[named("ca:fe:c0:ff:ee:00")]
        )),
        "given"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("ca:fe:c0:ff:ee:00")]
        )),
        "mac-in-use"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("02:5e:00:00:00:02")]
        )),
        "mac-in-use"
    );
    assert_eq!(
        code(allocate(
            &mut index,
            &requester("b"),
            &[named("02:5e:00:00:00:06")]
        )),
        "mac-in-use"
    );
    assert_eq!(index.usage("storage").unwrap_or_default().free, 4);
}
