//! The part of a pool's spec that names networks: the pool then has settings for the pools that these
//! networks define, and assigns nothing by itself.

use super::{record::NetworkRef, spec::PoolSpec, spec_error::SpecError};
use nadmit_cni::name;

/// The path of the list of networks.
const NETWORKS: &str = "whereabouts.networks";

/// Returns the settings in the spec of a pool, without the networks and the keys that these decide.
pub(super) fn settings_alone(spec: &PoolSpec) -> PoolSpec {
    PoolSpec {
        retention: spec.retention.clone(),
        workload_retention: spec.workload_retention.clone(),
        quarantine: spec.quarantine.clone(),
        lost_node_quarantine: spec.lost_node_quarantine.clone(),
        max_per_namespace: spec.max_per_namespace,
        virtual_machines: spec.virtual_machines.clone(),
        ..PoolSpec::default()
    }
}

/// Returns the networks that a spec names; reports what names none, and keys that have no meaning with
/// networks.
pub(super) fn configured_networks(
    spec: &PoolSpec,
    errors: &mut Vec<SpecError>,
) -> Box<[NetworkRef]> {
    let Some(named) = &spec.whereabouts else {
        return Box::default();
    };
    errors.extend(decided_elsewhere(spec));
    if named.networks.is_empty() {
        let reason = "needs at least one network; write its namespace/name, or remove whereabouts";
        errors.push(SpecError::new(NETWORKS, reason.to_owned()));
    }
    let mut networks: Vec<NetworkRef> = Vec::new();
    for (at, text) in named.networks.iter().enumerate() {
        let reason = match network(text) {
            None => format!(
                "{text:?} names no network; write the namespace/name of a \
                 NetworkAttachmentDefinition"
            ),
            Some(network) if networks.contains(&network) => {
                format!("{text:?} is named before; remove it")
            }
            Some(network) => {
                networks.push(network);
                continue;
            }
        };
        errors.push(SpecError::new(format!("{NETWORKS}[{at}]"), reason));
    }
    networks.into()
}

/// Returns an error for each key whose value follows from the networks.
fn decided_elsewhere(spec: &PoolSpec) -> Vec<SpecError> {
    const BY_NETWORK: &str = "has no meaning with whereabouts, because the networks have their own; \
                              remove it, or remove whereabouts";
    const MACS: &str = "has no meaning with whereabouts, because nadmit assigns no MACs there; remove \
                        it, or write a pool with ranges and name it in nadmit.io/address-pool";
    const BY_LABEL: &str = "has no meaning with whereabouts: the label nadmit.io/injection selects \
                            the namespaces; remove it, or remove whereabouts";
    let keys = [
        ("ranges", !spec.ranges.is_empty(), BY_NETWORK),
        ("macs", spec.macs.is_some(), MACS),
        ("networkName", !spec.network_name.is_empty(), BY_NETWORK),
        ("nodeSliceSize", spec.node_slice_size.is_some(), BY_NETWORK),
        ("strictSlices", spec.strict_slices.is_some(), BY_NETWORK),
        (
            "namespaceSelector",
            spec.namespace_selector.is_some(),
            BY_LABEL,
        ),
    ];
    let present = keys.into_iter().filter(|(_, is_present, _)| *is_present);
    present
        .map(|(key, _, reason)| SpecError::new(key, reason.to_owned()))
        .collect()
}

fn network(text: &str) -> Option<NetworkRef> {
    let (namespace, name) = text.split_once('/')?;
    let is_valid = name::label(namespace).is_ok() && name::subdomain(name).is_ok();
    is_valid.then(|| NetworkRef {
        namespace: namespace.into(),
        name: name.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{ParsedSpec, Pool, Retention};

    fn pool(more: Value) -> Result<Pool, Vec<String>> {
        let mut spec = json!({"whereabouts": {"networks": ["db/storage-net", "web/front"]}});
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut()
            .into_iter()
            .for_each(|spec| spec.extend(more.clone()));
        let pool = ParsedSpec::of_pool(&spec).pool("keep");
        pool.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn settings_are_those_of_any_pool_but_machines_keep_their_addresses() {
        let plain = pool(json!({})).unwrap_or_else(|e| panic!("{e:?}"));
        let networks = plain.configures.iter();
        let networks: Vec<String> = networks
            .map(|network| format!("{}/{}", network.namespace, network.name))
            .collect();
        assert_eq!(networks, ["db/storage-net", "web/front"]);
        assert_eq!(plain.retention, Retention::Workload);
        assert!(plain.ranges.is_empty() && plain.vms_retain_ips);
        let set = pool(
            json!({"retention": "Pod", "quarantine": "5m", "lostNodeQuarantine": "1h",
            "maxPerNamespace": 9, "virtualMachines": "MAC",
            "workloadRetention": {"whenScaled": "Release", "whenDeleted": "Retain"}}),
        );
        let set = set.unwrap_or_else(|e| panic!("{e:?}"));
        let durations = (set.quarantine.as_secs(), set.lost_node_quarantine.as_secs());
        assert_eq!((set.retention, durations), (Retention::Pod, (300, 3600)));
        assert_eq!(
            (set.max_per_namespace, set.vms_retain_ips),
            (Some(9), false)
        );
        let retention = set.workload_retention;
        assert!(!retention.retain_when_scaled && retention.retain_when_deleted);
    }

    #[test]
    fn what_the_networks_decide_is_refused() {
        let table = [
            (
                "ranges",
                json!([{"range": "192.0.2.0/24"}]),
                "networks have their own",
            ),
            (
                "macs",
                json!({"prefix": "02:5e:00"}),
                "nadmit.io/address-pool",
            ),
            ("networkName", json!("blue"), "networks have their own"),
            ("nodeSliceSize", json!("/28"), "networks have their own"),
            ("strictSlices", json!(false), "networks have their own"),
            ("namespaceSelector", json!({}), "nadmit.io/injection"),
        ];
        for (key, value, reason) in table {
            let errors = pool(json!({ key: value })).err().unwrap_or_default();
            let [error] = &*errors else {
                panic!("{key}: {errors:?}")
            };
            assert!(error.starts_with(key) && error.contains(reason), "{error}");
        }
        // Settings are validated as those of any pool.
        let errors = pool(json!({"retention": "Forever", "quarantine": "soon"}));
        assert_eq!(errors.err().unwrap_or_default().len(), 2);
    }

    #[test]
    fn a_network_has_a_namespace_and_is_named_once() {
        let table = [
            (
                json!([]),
                "whereabouts.networks: needs at least one network",
            ),
            (
                json!(["storage-net"]),
                "whereabouts.networks[0]: \"storage-net\" names no network",
            ),
            (
                json!(["a/b/c"]),
                "whereabouts.networks[0]: \"a/b/c\" names no network",
            ),
            (
                json!(["db/a", "db/a"]),
                "whereabouts.networks[1]: \"db/a\" is named before",
            ),
            (
                json!("db/a"),
                "whereabouts.networks: must be a list of strings",
            ),
        ];
        for (networks, expected) in table {
            let errors = pool(json!({"whereabouts": {"networks": networks}}));
            let errors = errors.err().unwrap_or_default();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with(expected), "{errors:?}");
        }
    }
}
