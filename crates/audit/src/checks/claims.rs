//! `claim-mismatch`: an `IPAMClaim` with other addresses than the interface that refers to it.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    AuditCode, AuditFinding, ClaimRecord, ObjectRef, RecordKind, fix,
    view::{View, interface_in_words},
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let claims = view.snapshot.claims.iter();
    let claims: HashMap<(&str, &str), &ClaimRecord> = claims
        .map(|claim| ((&*claim.namespace, &*claim.name), claim))
        .collect();
    let live = view.snapshot.pods.iter();
    let live = live.filter(|pod| {
        !pod.ended && !pod.terminating && pod.whole_status(view.snapshot.now).is_some()
    });
    for pod in live {
        for request in &pod.requested {
            let claim = request.claim.as_deref();
            let claim = claim.and_then(|name| claims.get(&(&*pod.name.namespace, name)));
            let mut status = pod.status.iter().flatten();
            let status = status.find(|one| one.interface.as_deref() == Some(&*request.interface));
            let (Some(claim), Some(status)) = (claim, status) else {
                continue;
            };
            let mut carried = status.ips.clone();
            carried.sort_unstable();
            if claim.ips.is_empty() || carried.is_empty() || claim.ips == carried {
                continue;
            }
            let object = ObjectRef::new(RecordKind::Claim, &claim.namespace, &claim.name);
            let (claimed, carried) = (in_words(&claim.ips), in_words(&carried));
            let (name, interface) = (&pod.name, &request.interface);
            let message =
                format!("{object} has {claimed}, but {interface} of pod {name} has {carried}");
            findings.push(
                AuditFinding::new(AuditCode::ClaimMismatch, message)
                    .with(object, format!("status.ips is {claimed}"))
                    .with(pod.object(), interface_in_words(status))
                    .command(fix::restart(pod))
                    .help("a pod that is created again gets the addresses of the claim"),
            );
        }
    }
}

fn in_words(ips: &[IpAddr]) -> String {
    let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
    ips.join(" and ")
}
