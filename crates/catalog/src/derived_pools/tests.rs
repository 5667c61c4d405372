//! Tests of the pools that networks define.

use super::*;
use crate::NamespaceLabels;
use nadmit_whereabouts::NodeSlicePool;

const ENABLED: PoolDerivation = PoolDerivation {
    inline: InlinePools::Enabled,
    whereabouts: WhereaboutsMode::Serve,
};

fn network(namespace: &str, name: &str, ipam: &str) -> Arc<Network> {
    let config = format!(r#"{{"cniVersion":"0.3.1","type":"macvlan","ipam":{{{ipam}}}}}"#);
    Arc::new(Network::new(namespace, name, Some(&config)))
}

/// Returns a catalog in which the namespaces `db` and `web` have the label for injection.
fn catalog(networks: &[Arc<Network>]) -> Catalog {
    let labels = NamespaceLabels {
        injection: true,
        ..NamespaceLabels::default()
    };
    let namespaces = ["db", "web"].map(|name| (name.into(), labels));
    let mut catalog = Catalog::new(namespaces, [], []).deriving_pools(ENABLED);
    for network in networks {
        catalog.put_network(Arc::clone(network));
    }
    catalog.set_pools([], []);
    catalog
}

fn pool_of(catalog: &Catalog, namespace: &str, name: &str) -> Option<String> {
    let network = catalog.network(namespace, name)?;
    network.pool().map(str::to_owned)
}

#[test]
fn networks_with_one_definition_share_a_pool() {
    let range = r#""range":"192.0.2.192/27","network_name":"common""#;
    let of = |kind: &str, more: &str| format!(r#""type":"{kind}",{range}{more}"#);
    let catalog = catalog(&[
        network("db", "a", &of("static", "")),
        network("web", "b", &of("static", "")),
        network(
            "web",
            "c",
            &of("static", r#","exclude":["192.0.2.192/30"]"#),
        ),
        network("web", "d", &of("whereabouts", "")),
        network("tmp", "e", &of("static", "")),
        network("web", "f", r#""type":"static""#),
    ]);
    let pool = |namespace, name| pool_of(&catalog, namespace, name).unwrap_or_default();
    assert_eq!(pool("db", "a"), "inline/common-192.0.2.192-27");
    assert_eq!(pool("web", "b"), pool("db", "a"));
    assert!(pool("web", "c").starts_with("inline/common-192.0.2.192-27-"));
    assert_eq!(pool("web", "d"), "whereabouts/common-192.0.2.192-27");
    // Without the label, and without ranges.
    assert_eq!((pool("tmp", "e"), pool("web", "f")), Default::default());
    let pools: Vec<_> = catalog.pool_config().pools.keys().collect();
    assert_eq!(pools.len(), 3, "{pools:?}");
    let served = &catalog.pool_config().served[&*pool("db", "a")];
    assert_eq!(served.len(), 2);
}

#[test]
fn a_pool_has_the_addresses_that_whereabouts_assigns() {
    let catalog = catalog(&[network(
        "db",
        "a",
        r#""type":"static","gateway":"192.0.2.1","ipRanges":[
            {"range":"192.0.2.10-192.0.2.20/24","exclude":["192.0.2.12/31"]},
            {"range":"2001:db8::/64","range_end":"2001:db8::ffff"}]"#,
    )]);
    let name = pool_of(&catalog, "db", "a").unwrap_or_default();
    let Some(pool) = catalog.pool(&name).valid() else {
        panic!("no pool {name}")
    };
    let capacities = pool.ranges.iter().map(|r| r.free_numbers().capacity());
    assert_eq!(capacities.collect::<Vec<_>>(), [9, 0xffff]);
    assert_eq!(
        (pool.origin, pool.is_guarded_everywhere()),
        (PoolOrigin::InlineRanges, false)
    );
}

#[test]
fn without_the_settings_networks_define_nothing() {
    let mut catalog = catalog(&[network(
        "db",
        "a",
        r#""type":"static","range":"192.0.2.0/24""#,
    )]);
    assert!(pool_of(&catalog, "db", "a").is_some());
    assert!(catalog.set_pool_derivation(PoolDerivation::default()));
    assert!(!catalog.set_pool_derivation(PoolDerivation::default()));
    catalog.set_pools([], []);
    assert_eq!(pool_of(&catalog, "db", "a"), None);
    assert!(catalog.pool_config().pools.is_empty());
}

#[test]
fn a_label_enables_the_networks_of_its_namespace() {
    let mut catalog = catalog(&[network(
        "tmp",
        "a",
        r#""type":"static","range":"192.0.2.0/24""#,
    )]);
    assert_eq!(pool_of(&catalog, "tmp", "a"), None);
    let labels = NamespaceLabels {
        injection: true,
        ..NamespaceLabels::default()
    };
    catalog.put_namespace("tmp", labels, crate::all_labels("tmp", []));
    assert!(pool_of(&catalog, "tmp", "a").is_some());
    catalog.remove_namespace("tmp");
    assert_eq!(pool_of(&catalog, "tmp", "a"), None);
}

#[test]
fn an_annotated_pool_wins_and_an_address_pool_takes_its_addresses_out() {
    let ipam = r#""type":"static","range":"192.0.2.0/24""#;
    let mut annotated = Arc::unwrap_or_clone(network("db", "annotated", ipam));
    annotated.address_pool = Some("storage".into());
    let mut catalog = catalog(&[Arc::new(annotated), network("db", "a", ipam)]);
    assert_eq!(
        pool_of(&catalog, "db", "annotated").as_deref(),
        Some("storage")
    );
    let spec = serde_json::json!({"ranges": [{"range": "192.0.2.0/25"}]});
    let pool = nadmit_allocation::ParsedSpec::of_pool(&spec).pool("storage");
    let pool = pool.map(Arc::new).map_err(Arc::from);
    catalog.set_pools([("storage".into(), pool)], []);
    let name = pool_of(&catalog, "db", "a").unwrap_or_default();
    let free = catalog.pool(&name).valid().map(|pool| {
        let free = pool.ranges[0].free_numbers();
        (free.capacity(), pool.ranges.len())
    });
    assert_eq!(free, Some((127, 1)));
}

#[test]
fn whereabouts_networks_that_nadmit_cannot_serve_define_nothing() {
    let of_ipv6 = r#""range":"2001:db8::/64","node_slice_size":"/80""#;
    let two =
        r#""range":"192.0.2.0/24","node_slice_size":"/28","ipRanges":[{"range":"10.0.0.0/24"}]"#;
    let on_node = r#""configuration_path":"/etc/whereabouts.conf""#;
    for keys in [of_ipv6, two, on_node] {
        let ipam = format!(r#""type":"whereabouts",{keys}"#);
        let catalog = catalog(&[network("db", "a", &ipam)]);
        assert_eq!(pool_of(&catalog, "db", "a"), None, "{keys}");
    }
}

#[test]
fn a_network_with_node_slices_has_those_of_its_slice_pool() {
    let sliced = |more: &str| {
        format!(r#""type":"whereabouts","range":"192.0.2.0/24","node_slice_size":"/28"{more}"#)
    };
    let mut catalog = catalog(&[
        network("db", "a", &sliced("")),
        network("db", "b", &sliced("")),
        network("db", "named", &sliced(r#","network_name":"common""#)),
        network("web", "named", &sliced(r#","network_name":"common""#)),
    ]);
    // A NodeSlicePool has the name of the address space or else of the network.
    let pool = |namespace, name| pool_of(&catalog, namespace, name).unwrap_or_default();
    let names = [pool("db", "a"), pool("db", "b"), pool("db", "named")];
    assert_eq!(pool("web", "named"), names[2]);
    assert_eq!(catalog.pool_config().pools.len(), 3, "{names:?}");

    let slices = |catalog: &Catalog, at: usize| {
        let pool = catalog.pool(&names[at]).valid().cloned();
        let pool = pool.unwrap_or_else(|| panic!("no pool {}", names[at]));
        assert_eq!(pool.retention, Retention::Pod);
        pool.node_slices.clone()
    };
    assert_eq!(slices(&catalog, 0), Some(NodeSlices::missing("a")));
    let object = serde_json::json!({"status": {"allocations": [
        {"nodeName": "node-1", "sliceRange": "192.0.2.16/28"},
        {"nodeName": "", "sliceRange": "192.0.2.32/28"},
    ]}});
    let read = |namespace: &str| Arc::new(NodeSlicePool::read(namespace, "a", &object));
    assert!(catalog.set_node_slice_pool(("kube-system", "a"), Some(read("kube-system"))));
    let subnet = |text| nadmit_cni::Subnet::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let given = [
        ("node-1", subnet("192.0.2.16/28")),
        ("", subnet("192.0.2.32/28")),
    ];
    assert_eq!(slices(&catalog, 0), Some(NodeSlices::new("a", given)));
    assert_eq!(slices(&catalog, 1), Some(NodeSlices::missing("b")));
    catalog.set_node_slice_pool(("kube-system", "a"), None);
    assert_eq!(slices(&catalog, 0), Some(NodeSlices::missing("a")));
}
