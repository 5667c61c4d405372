//! `unused-pool`: an `IPPool` to which no network's configuration leads; `two-allocators`: two `IPPool`s of
//! one range, in the namespaces of two installations of Whereabouts.

use std::collections::BTreeMap;

use nadmit_cni::ConfigState;

use crate::{
    AuditCode, AuditFinding, HasObject as _, IpPool, PodState, RecordKind,
    finding::{counted, some_of},
    fix,
    view::View,
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    unused(view, findings);
    let mut named: BTreeMap<&str, Vec<&IpPool>> = BTreeMap::new();
    for pool in &view.snapshot.ip_pools {
        named.entry(&pool.name).or_default().push(pool);
    }
    for mut pools in named.into_values().filter(|pools| pools.len() > 1) {
        pools.sort_by_key(|pool| &pool.namespace);
        findings.push(two_installations(view, &pools));
    }
}

/// Returns the finding about pools of one name: each installation of Whereabouts knows its own alone.
fn two_installations(view: &View<'_>, pools: &[&IpPool]) -> AuditFinding {
    let is_live = |pool: &&&IpPool| {
        let mut pods = pool.entries.iter().filter_map(|entry| entry.pod.as_ref());
        pods.any(|pod| matches!(view.pod(pod), PodState::Live(_)))
    };
    let objects: Vec<String> = pools.iter().map(|pool| pool.object().to_string()).collect();
    let names = match objects.as_slice() {
        [first, second] => format!("{first} and {second}"),
        all => some_of(all.iter().cloned()),
    };
    let message = format!("{names} record one range");
    let mut finding = AuditFinding::new(AuditCode::TwoAllocators, message);
    for pool in pools {
        finding = finding.with(pool.object(), in_words(pool));
    }
    if pools.iter().filter(is_live).count() < 2 {
        finding = finding.lowered();
    }
    // Deleting a pool cannot test that it still has no entry.
    finding.help(
        "use one installation of Whereabouts, and delete the IPPools of the one that runs no more",
    )
}

fn unused(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let on_node = |state: &ConfigState| matches!(state, ConfigState::OnNode);
    let mut networks = view.snapshot.networks.iter();
    // A configuration on the nodes may be the one that uses the pool.
    let has_unread = networks.any(|network| on_node(&network.config))
        || view.whereabouts.iter().any(|one| one.ipam.has_file);
    if has_unread || !view.snapshot.is_complete(RecordKind::Network) {
        return;
    }
    for (pool, found) in view.snapshot.ip_pools.iter().zip(&view.spaces) {
        if !found.networks.is_empty() {
            continue;
        }
        let object = pool.object();
        let count = pool.entries.len();
        let message =
            format!("no network uses {object}, so its address space is read from its name");
        let finding =
            AuditFinding::new(AuditCode::UnusedPool, message).with(object.clone(), in_words(pool));
        findings.push(match count {
            0 => finding.command(fix::delete(&object)),
            _ => finding.help("delete it once its pods have ended and its entries are gone"),
        });
    }
}

fn in_words(pool: &IpPool) -> String {
    let count = counted(pool.entries.len(), "entry", "entries");
    format!("spec.range is {}, with {count}", pool.range_text)
}
