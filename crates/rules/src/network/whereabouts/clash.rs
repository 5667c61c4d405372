//! `clashing-slices`: two networks whose slices Whereabouts's controller cannot distinguish.

use std::collections::HashMap;

use crate::{
    Check, Example, FieldRef, Levels, NetworkSubject, Report, Rule, RuleDocs,
    network::fast_ipam::{CONTROLLER_RUNS, SLICED},
};
use nadmit_catalog::{Catalog, ComparedNetwork};
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
    let own_name = (subject.namespace, subject.name);
    let siblings = subject.siblings;
    let is_sibling = |network: &Network| {
        siblings.is_some_and(|s| s.network(&network.namespace, &network.name).is_some())
    };
    let known = candidates(subject.catalog, &own).map(|one| (one, false));
    let known = known.filter(|(one, _)| !is_sibling(&one.network));
    let listed = siblings.into_iter().flat_map(|s| candidates(s, &own));
    let listed = listed.map(|one| (one, true));
    // Networks that describe the same slices are compared once.
    let mut same: HashMap<(usize, bool), bool> = HashMap::new();
    let (mut compared, mut pooled) = (Conflicting::default(), Conflicting::default());
    for (one, is_listed) in known.chain(listed).take(MAX_COMPARED_NETWORKS) {
        let network = &*one.network;
        if (&*network.namespace, &*network.name) == own_name {
            continue;
        }
        let same = same.entry((one.slices, is_listed));
        if *same.or_insert_with(|| describes_same_slices(&own, network)) {
            continue;
        }
        if own.network_name == one.network_name.as_deref() {
            compared.add(network);
        } else if own.size.is_some() && own.pool.is_some() && own.pool == one.pool.as_deref() {
            pooled.add(network);
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

/// Returns the networks that the controller compares with one, in the order of the catalog. Those of
/// its `network_name` come first, and perhaps once more.
fn candidates<'c>(
    catalog: &'c Catalog,
    own: &SliceView<'_>,
) -> impl Iterator<Item = &'c ComparedNetwork> {
    // A network without slices can only conflict with networks that have slices.
    let named = own.size.map(|_| catalog.networks_of_name(own.network_name));
    let named = named.unwrap_or_default().iter();
    named.chain(catalog.sliced_networks())
}

fn describes_same_slices(own: &SliceView<'_>, network: &Network) -> bool {
    let theirs = network.config.loaded().and_then(SliceView::of);
    theirs.is_some_and(|theirs| own.describes_same_slices(&theirs))
}

/// The networks with a conflict.
#[derive(Default)]
struct Conflicting<'c>(Vec<&'c Network>);

impl<'c> Conflicting<'c> {
    fn add(&mut self, network: &'c Network) {
        self.0.push(network);
    }

    /// Returns the names for a message: the first of them, and the number of the others.
    fn names(mut self) -> Vec<String> {
        // A network is compared twice if it has slices and the same network_name.
        self.0
            .sort_unstable_by_key(|network| std::ptr::from_ref(*network));
        self.0.dedup_by(|one, other| std::ptr::eq(*one, *other));
        let more = self.0.len().saturating_sub(MAX_NAMED);
        let by_text = |one: &&Network, other: &&Network| text(one).cmp(text(other));
        if more > 0 {
            self.0.select_nth_unstable_by(MAX_NAMED, by_text);
            self.0.truncate(MAX_NAMED);
        }
        self.0.sort_unstable_by(by_text);
        let names = self.0.into_iter();
        let names = names.map(|network| format!("{}/{}", network.namespace, network.name));
        let more = (more > 0).then(|| format!("{more} more"));
        names.chain(more).collect()
    }
}

/// Returns the bytes of a network's name in messages.
fn text(network: &Network) -> impl Iterator<Item = u8> {
    let namespace = network.namespace.bytes().chain([b'/']);
    namespace.chain(network.name.bytes())
}

/// Reports all other networks in one finding.
fn report_conflict(
    ipam: &Fields<'_, '_>,
    own: &SliceView<'_>,
    others: Conflicting<'_>,
    report: &mut Report<'_>,
    message: impl FnOnce(&str) -> String,
) {
    let others = others.names();
    if others.is_empty() {
        return;
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
