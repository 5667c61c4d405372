//! Tests of AddressPools that configure the pools of networks.

use core::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{NamedPool, NamespaceLabels, PoolDerivation, PoolValidity};
use nadmit_allocation::{ParsedSpec, Retention};

const ENABLED: PoolDerivation = PoolDerivation {
    inline: InlinePools::Enabled,
    whereabouts: WhereaboutsMode::Serve,
};
const RANGE: &str = r#""type":"whereabouts","range":"192.0.2.192/27""#;
const OTHER_RANGE: &str = r#""type":"whereabouts","range":"198.51.100.0/24""#;
const INLINE: &str = r#""type":"static","range":"203.0.113.0/24""#;
const SLICED: &str = r#""type":"whereabouts","range":"10.8.0.0/16","node_slice_size":"/24""#;

fn network(namespace: &str, name: &str, ipam: &str) -> Network {
    let config = format!(r#"{{"cniVersion":"0.3.1","type":"macvlan","ipam":{{{ipam}}}}}"#);
    Network::new(namespace, name, Some(&config))
}

fn settings(name: &str, networks: &[&str], more: &Value) -> NamedPool {
    let mut spec = json!({"whereabouts": {"networks": networks}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let pool = ParsedSpec::of_pool(&spec).pool(name);
    (name.into(), pool.map(Arc::new).map_err(Arc::from))
}

/// Returns a catalog of these networks. The namespace `db` has the label for injection.
fn catalog(networks: impl IntoIterator<Item = Network>, pools: Vec<NamedPool>) -> Catalog {
    let labels = NamespaceLabels {
        injection: true,
        ..NamespaceLabels::default()
    };
    let networks = networks.into_iter().map(Arc::new);
    let catalog = Catalog::new([("db".into(), labels)], networks, []);
    let mut catalog = catalog.deriving_pools(ENABLED);
    catalog.set_pools(pools, []);
    catalog
}

fn pool<'c>(catalog: &'c Catalog, network: &str) -> &'c Pool {
    let network = catalog.network("db", network);
    let name = network.and_then(|network| network.pool());
    let pool = name.and_then(|name| catalog.pool(name).valid());
    pool.unwrap_or_else(|| panic!("no pool {name:?}"))
}

/// Returns the effects of the AddressPool of this name, each in one word and its detail.
fn effects(catalog: &Catalog, name: &str) -> Vec<String> {
    let PoolValidity::Settings(settings) = catalog.pool(name) else {
        panic!("{name} has no settings")
    };
    let effects = catalog.settings_effects(settings).into_iter();
    let texts = effects.map(|(network, effect)| match effect {
        SettingsEffect::Applied(pool) => format!("{}: configures {}", network.name, pool.name),
        SettingsEffect::Preceded { by } => format!("{}: preceded by {by}", network.name),
        SettingsEffect::WithoutPool(why) => format!("{}: {why}", network.name),
    });
    texts.collect()
}

#[test]
fn networks_of_one_pool_are_configured_by_naming_one() {
    let networks = [
        network("db", "a", RANGE),
        network("db", "b", RANGE),
        network("db", "inline", INLINE),
        network("db", "other", OTHER_RANGE),
    ];
    let before = catalog(networks.clone(), vec![]);
    let more = json!({"retention": "Pod", "quarantine": "5m", "lostNodeQuarantine": "1h",
        "maxPerNamespace": 7, "virtualMachines": "MAC",
        "workloadRetention": {"whenDeleted": "Retain"}});
    let keep = settings("keep", &["db/b", "db/inline"], &more);
    let mut catalog = catalog(networks, vec![keep]);
    for (name, origin) in [
        ("a", "whereabouts/"),
        ("b", "whereabouts/"),
        ("inline", "inline/"),
    ] {
        let (pool, plain) = (pool(&catalog, name), pool(&before, name));
        // Records refer to the name, and the index to the ranges.
        assert_eq!((&pool.name, &pool.ranges), (&plain.name, &plain.ranges));
        assert!(pool.name.starts_with(origin), "{}", pool.name);
        assert_eq!(pool.retention, Retention::Pod);
        assert_eq!(pool.quarantine, Duration::from_secs(300));
        assert_eq!(pool.lost_node_quarantine, Duration::from_secs(3600));
        assert_eq!(
            (pool.max_per_namespace, pool.vms_retain_ips),
            (Some(7), false)
        );
        assert!(pool.workload_retention.retain_when_deleted);
        assert!(pool.serves(&catalog.namespace_labels("web")));
        assert_eq!(pool.configures, Box::default());
    }
    assert_eq!(pool(&catalog, "other"), pool(&before, "other"));
    let applied = [
        "b: configures whereabouts/192.0.2.192-27",
        "inline: configures inline/203.0.113.0-24",
    ];
    assert_eq!(effects(&catalog, "keep"), applied);
    // The AddressPool is no pool to anyone else, and its settings go with it.
    assert!(!catalog.pool_names().contains(&"keep"));
    assert!(catalog.pool("keep").valid().is_none());
    assert!(catalog.set_pools([], []));
    assert_eq!(catalog.pool_config(), before.pool_config());
}

#[test]
fn the_first_by_name_configures_a_pool() {
    let pools = || {
        vec![
            settings(
                "second",
                &["db/b", "db/other"],
                &json!({"quarantine": "2m"}),
            ),
            settings("first", &["db/a"], &json!({"quarantine": "1m"})),
        ]
    };
    let networks = [
        network("db", "a", RANGE),
        network("db", "b", RANGE),
        network("db", "other", OTHER_RANGE),
    ];
    let mut catalog = catalog(networks, pools());
    let quarantines = |catalog: &Catalog| {
        ["a", "b", "other"].map(|name| pool(catalog, name).quarantine.as_secs())
    };
    assert_eq!(quarantines(&catalog), [60, 60, 120]);
    let first = ["a: configures whereabouts/192.0.2.192-27"];
    assert_eq!(effects(&catalog, "first"), first);
    let second = [
        "b: preceded by first",
        "other: configures whereabouts/198.51.100.0-24",
    ];
    assert_eq!(effects(&catalog, "second"), second);
    catalog.set_pools(pools().into_iter().take(1), []);
    assert_eq!(quarantines(&catalog), [120; 3]);
}

#[test]
fn networks_without_a_pool_are_named_with_the_reason() {
    let mut annotated = network("db", "annotated", RANGE);
    annotated.address_pool = Some("storage".into());
    let mut off = network("db", "off", RANGE);
    off.serving = Serving::Off;
    let networks = [
        annotated,
        off,
        network("db", "on-node", r#""type":"whereabouts""#),
        network("db", "dhcp", r#""type":"dhcp""#),
        network("db", "a", RANGE),
        network("db", "inline", INLINE),
        network("web", "unlabelled", INLINE),
    ];
    let names = [
        "db/missing",
        "db/annotated",
        "db/off",
        "db/on-node",
        "db/dhcp",
        "db/a",
        "db/inline",
        "web/unlabelled",
    ];
    let mut catalog = catalog(networks, vec![settings("keep", &names, &json!({}))]);
    let starts = |catalog: &Catalog, expected: [&str; 8]| {
        for (effect, expected) in effects(catalog, "keep").iter().zip(expected) {
            assert!(effect.starts_with(expected), "{effect}, not {expected}");
        }
    };
    let missing = "missing: does not exist";
    let annotated = "annotated: uses AddressPool \"storage\"";
    let off = "off: has the annotation nadmit.io/serve";
    let no_ranges = ["on-node: has no ranges", "dhcp: has no ranges"];
    starts(
        &catalog,
        [
            missing,
            annotated,
            off,
            no_ranges[0],
            no_ranges[1],
            "a: configures",
            "inline: configures",
            "unlabelled: has an inline pool only if",
        ],
    );
    catalog = catalog.deriving_pools(PoolDerivation::default());
    starts(
        &catalog,
        [
            missing,
            annotated,
            off,
            "on-node: is one of Whereabouts",
            no_ranges[1],
            "a: is one of Whereabouts",
            "inline: has the ranges of an inline pool",
            "unlabelled: has the ranges of an inline pool",
        ],
    );
}

#[test]
fn a_network_that_is_created_later_is_configured() {
    let keep = settings("keep", &["db/a"], &json!({"quarantine": "5m"}));
    let mut catalog = catalog([], vec![keep.clone()]);
    assert!(effects(&catalog, "keep")[0].starts_with("a: does not exist"));
    catalog.put_network(Arc::new(network("db", "a", RANGE)));
    catalog.set_pools([keep], []);
    assert_eq!(pool(&catalog, "a").quarantine, Duration::from_secs(300));
}

#[test]
fn addresses_of_node_slices_stay_with_their_pods() {
    let own_slices = r#""type":"static","range":"10.9.0.0/16","node_slice_size":"/24""#;
    let more = json!({"retention": "Workload", "quarantine": "5m"});
    let names = ["db/sliced", "db/own"];
    let networks = [
        network("db", "sliced", SLICED),
        network("db", "own", own_slices),
    ];
    let mut catalog = catalog(networks, vec![settings("keep", &names, &more)]);
    let check = |catalog: &Catalog| {
        for name in ["sliced", "own"] {
            let pool = pool(catalog, name);
            assert!(pool.assigns_by_node());
            let found = (pool.retention, pool.quarantine.as_secs());
            assert_eq!(found, (Retention::Pod, 300), "{name}");
        }
    };
    check(&catalog);
    // The settings stay when only the slices change.
    let object = json!({"status": {"allocations": [
        {"nodeName": "n7", "sliceRange": "10.8.3.0/24"}]}});
    let slices = nadmit_whereabouts::NodeSlicePool::read("kube-system", "sliced", &object);
    catalog.set_node_slice_pool(("kube-system", "sliced"), Some(Arc::new(slices)));
    assert!(
        pool(&catalog, "sliced")
            .node_slices
            .as_ref()
            .is_some_and(|slices| slices.of_node("n7").is_some())
    );
    check(&catalog);
}
