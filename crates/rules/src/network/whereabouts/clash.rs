//! `clashing-slices`: two networks whose slices Whereabouts's controller cannot distinguish.

use std::sync::Arc;

use crate::{
    Check, Example, FieldRef, Levels, NetworkSubject, Report, Rule, RuleDocs,
    network::fast_ipam::{CONTROLLER_RUNS, SLICED},
};
use nadmit_catalog::Catalog;
use nadmit_cni::{Network, slices::SliceView};

use super::{super::fields::Fields, ipams};

pub(crate) const RULE: Rule = Rule {
    code: "clashing-slices",
    levels: Levels::ADVICE,
    summary: "Whereabouts's controller creates no slices, because two networks conflict",
    docs: RuleDocs {
        checks: "Two Whereabouts networks with the same network_name, or both without one, that \
            differ in their first range or node_slice_size. Also two networks that differ so and \
            share a NodeSlicePool. A NodeSlicePool is named after network_name, or else after \
            the \"name\" beside the plugin's \"type\". If neither network has node_slice_size, \
            they do not conflict.",
        consequence: "Before the controller divides a range into slices, it compares the network \
            with every other Whereabouts network. On a mismatch it creates slices for neither \
            (\"found IPAM conf mismatch\"), even if the other network has no slices. For \
            networks that share a NodeSlicePool, it recreates the slices for each in turn.",
        fix: "Write a different \"network_name\" in each network.",
        source: "Whereabouts v0.9.4, checkForMultiNadMismatch and getSliceName; whereabouts#558.",
    },
    wrong: Example(&[CONTROLLER_RUNS, SLICED, UNNAMED]),
    right: Example(&[CONTROLLER_RUNS, SLICED, NAMED]),
    check: Check::Network(check),
};

const UNNAMED: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-other, namespace: openshift-multus}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-other", "type": "bridge", "bridge": "cni1",
     "ipam": {"type": "whereabouts", "range": "10.6.0.0/20", "node_slice_size": "/24"}}
"#;

const NAMED: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-other, namespace: openshift-multus}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-other", "type": "bridge", "bridge": "cni1",
     "ipam": {"type": "whereabouts", "range": "10.6.0.0/20", "node_slice_size": "/24", "network_name": "other"}}
"#;

/// The maximum number of networks that are compared.
const MAX_COMPARED_NETWORKS: usize = 2_000;
/// The maximum number of networks that a message names.
const MAX_NAMED: usize = 3;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(own) = subject.parsed().and_then(SliceView::of) else {
        return;
    };
    let Some(ipam) = ipams(subject).into_iter().next() else {
        return;
    };
    // A network without slices can only conflict with networks that have slices.
    let candidates = |catalog: &'_ Catalog| -> Vec<Arc<Network>> {
        let named = catalog.networks_of_name(own.network_name);
        let sliced = catalog.sliced_networks();
        match own.size {
            Some(_) => named.iter().chain(sliced).cloned().collect(),
            None => sliced.to_vec(),
        }
    };
    let siblings = subject.siblings;
    let known = candidates(subject.catalog).into_iter().filter(|network| {
        siblings.is_none_or(|s| s.network(&network.namespace, &network.name).is_none())
    });
    let listed = siblings.map(candidates).unwrap_or_default();
    let (mut compared, mut pooled) = (Vec::new(), Vec::new());
    for network in known.chain(listed).take(MAX_COMPARED_NETWORKS) {
        if (&*network.namespace, &*network.name) == (subject.namespace, subject.name) {
            continue;
        }
        let Some(theirs) = network.config.loaded().and_then(SliceView::of) else {
            continue;
        };
        if own.describes_same_slices(&theirs) {
            continue;
        }
        let name = format!("{}/{}", network.namespace, network.name);
        if own.network_name == theirs.network_name {
            compared.push(name);
        } else if own.pool.is_some() && own.pool == theirs.pool && own.size.is_some() {
            pooled.push(name);
        }
    }
    let named = own.network_name.map_or_else(
        || "no network_name".to_owned(),
        |name| format!("the network_name {name:?}"),
    );
    report_conflict(&ipam, &own, compared, report, |others| {
        format!(
            "this network and {others} have {named} and different ranges or slice sizes, so \
             Whereabouts's controller creates no slices for them"
        )
    });
    let pool = own.pool.unwrap_or_default();
    report_conflict(&ipam, &own, pooled, report, |others| {
        format!(
            "this network and {others} share the NodeSlicePool {pool:?}, whose slices the \
             controller recreates for each in turn"
        )
    });
}

/// Reports all other networks in one finding.
fn report_conflict(
    ipam: &Fields<'_, '_>,
    own: &SliceView<'_>,
    mut others: Vec<String>,
    report: &mut Report<'_>,
    message: impl FnOnce(&str) -> String,
) {
    others.sort_unstable();
    others.dedup();
    if others.is_empty() {
        return;
    }
    let more = others.len().saturating_sub(MAX_NAMED);
    others.truncate(MAX_NAMED);
    if more > 0 {
        others.push(format!("{more} more"));
    }
    let field_ref: FieldRef<'_> = match own.size {
        Some(_) => ipam.field_ref("node_slice_size"),
        None => ipam.field_ref("range"),
    };
    report.add(
        field_ref,
        message(&others.join(", ")),
        "write a different \"network_name\" in each network",
    );
}
