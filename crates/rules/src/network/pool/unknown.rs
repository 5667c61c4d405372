//! `unknown-pool`: a network names a pool that does not exist or is not valid.

use crate::{
    Check, Example, FieldRef, Levels, NetworkSubject, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pod},
    subject::annotation_path,
};
use nadmit_catalog::{Catalog, LiveRead, PoolValidity};
use nadmit_cni::annotations;

pub(crate) const RULE: Rule = Rule {
    code: "unknown-pool",
    levels: Levels::AUTHORITY,
    summary: "The address pool of a network does not exist, or is not valid",
    docs: RuleDocs {
        checks: "Networks whose annotation nadmit.io/address-pool names an AddressPool that does \
            not exist or is not valid. A pod that names such a network is denied, too. A live \
            lookup of the pool precedes a denial. For pods, no setting, profile or label lowers \
            the level. For the network itself, the label of its namespace does.",
        consequence: "The annotation names the pool from which the network's pods get their \
            addresses. Without a valid pool nadmit cannot assign an address, and the pod would \
            start without one.",
        fix: "Name an AddressPool that exists. An administrator creates the missing pool, or \
            fixes the invalid one.",
        source: "nadmit's AddressPool and the annotation nadmit.io/address-pool.",
    },
    wrong: Example(&[POOLED_NET, pod!("storage-net")]),
    right: Example(&[POOL, POOLED_NET, pod!("storage-net")]),
    check: Check::NetworkAndPod {
        network: check_network,
        pod: check_pod,
    },
};

fn check_network(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(name) = subject.address_pool.filter(|name| !name.is_empty()) else {
        return;
    };
    let Some((what, help)) = pool_problem(name, subject.catalog) else {
        return;
    };
    let field_ref = FieldRef {
        field: annotation_path(annotations::ADDRESS_POOL, ""),
        source: None,
    };
    report.add_after_live_read(live_read(name), field_ref, what, help);
}

fn check_pod(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for served in subject.pooled() {
        let Some((what, help)) = pool_problem(served.pool, subject.catalog) else {
            continue;
        };
        report.add_after_live_read(
            live_read(served.pool),
            served.field_ref(),
            format!(
                "nadmit cannot assign an address on network \"{}/{}\": {what}",
                served.network.namespace, served.network.name
            ),
            help,
        );
    }
}

fn live_read(name: &str) -> LiveRead {
    LiveRead::Pool {
        name: name.into(),
        namespace: None,
    }
}

/// Returns message and remedy if the pool of this name is missing or invalid.
fn pool_problem(name: &str, catalog: &Catalog) -> Option<(String, String)> {
    match catalog.pool(name) {
        PoolValidity::Valid(_) => None,
        PoolValidity::Invalid(faults) => {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            let more = match faults.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            Some((
                format!("the pool {name:?} exists but is not valid: {first}{more}"),
                format!("fix the AddressPool \"{name}\""),
            ))
        }
        PoolValidity::Settings(_) => Some((
            format!(
                "the pool {name:?} assigns nothing: it has settings for pools of other networks"
            ),
            "name a pool with ranges, or remove the annotation".to_owned(),
        )),
        PoolValidity::Unknown => {
            let help = match catalog.similar_pool(name) {
                Some(similar) => format!("did you mean \"{similar}\"?"),
                None => "create the AddressPool, or name one that exists".to_owned(),
            };
            Some((format!("the pool {name:?} does not exist"), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use nadmit_allocation::ParsedSpec;

    #[test]
    fn a_pool_without_addresses_is_no_pool_of_a_network() {
        let named = |name: &str, spec: serde_json::Value| {
            let pool = ParsedSpec::of_pool(&spec).pool(name);
            (name.into(), pool.map(Arc::new).map_err(Arc::from))
        };
        let mut catalog = Catalog::default();
        let range = json!({"ranges": [{"range": "192.0.2.0/24"}]});
        let settings = json!({"whereabouts": {"networks": ["db/net"]}});
        let pools = [named("storage", range), named("storage-keep", settings)];
        catalog.set_pools(pools, []);
        let problem = |name| pool_problem(name, &catalog).unwrap_or_default();
        assert_eq!(problem("storage"), Default::default());
        let (message, _) = problem("storage-keep");
        assert!(message.contains("has settings for pools"), "{message}");
        // Nor is it suggested.
        let (_, help) = problem("storage-kep");
        assert_eq!(help, "did you mean \"storage\"?");
    }
}
