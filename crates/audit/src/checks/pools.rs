//! `unused-pool`: an `IPPool` to which no network's configuration leads.

use nadmit_cni::ConfigState;

use crate::{AuditCode, AuditFinding, RecordKind, fix, view::View};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
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
        let finding = AuditFinding::new(AuditCode::UnusedPool, message).with(
            object.clone(),
            format!("spec.range is {}, with {count} entries", pool.range_text),
        );
        findings.push(match count {
            0 => finding.command(fix::delete(&object)),
            _ => finding.help("delete it once its pods have ended and its entries are gone"),
        });
    }
}
