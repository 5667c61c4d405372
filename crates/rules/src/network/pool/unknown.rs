//! `unknown-pool`: a network names a pool that does not exist or is not valid.

use crate::{
    Check, Example, FieldRef, Levels, NetworkSubject, PodSubject, Report, Rule,
    examples::{POOL, POOLED_NET, pod},
    subject::annotation_path,
};
use nadmit_catalog::{Catalog, LiveRead, PoolValidity, most_similar};
use nadmit_cni::annotations;

pub(crate) const RULE: Rule = Rule {
    code: "unknown-pool",
    levels: Levels::AUTHORITY,
    summary: "A network's address pool does not exist, or is not valid",
    explanation: "A network says by the annotation nadmit.io/address-pool which AddressPool gives \
        its pods their addresses. If there is none of that name, or it does not make sense, no \
        address can be given: the network is refused, and so is a pod that names it, rather than \
        passed without an address. The pool is looked up afresh before a denial. For pods no \
        setting, profile or label lowers this; for the network itself its namespace's label does.",
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
                "network \"{}/{}\" cannot give an address: {what}",
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
                format!("its pool {name:?} exists but is not valid: {first}{more}"),
                format!("correct the AddressPool \"{name}\""),
            ))
        }
        PoolValidity::Unknown => {
            let names = catalog.pool_names();
            let similar = most_similar(name, names.iter().copied());
            let help = match similar {
                Some(similar) => format!("did you mean \"{similar}\"?"),
                None => "create the AddressPool first, or name one that exists".to_owned(),
            };
            Some((format!("its pool {name:?} does not exist"), help))
        }
    }
}
