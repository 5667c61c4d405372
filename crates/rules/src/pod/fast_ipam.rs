//! `fast-ipam-pod`: a pod that gets no address from a network with node slices.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    network::fast_ipam::{CONTROLLER_RUNS, SLICED},
};
use nadmit_cni::{Network, ipam::Ipam};

pub(crate) const RULE: Rule = Rule {
    code: "fast-ipam-pod",
    levels: Levels::ADVICE,
    summary: "A pod may get no address from a network with slices",
    explanation: "A network with node_slice_size gives addresses of the node's slice, which is \
        recorded in a NodeSlicePool: called as network_name says, else as the network is, in \
        Whereabouts's namespace (whereaboutsNamespaces). Without it no pod starts; pods, too, have \
        to be in that namespace. Of a missing pool is spoken only where others are known, for \
        nobody may have told nadmit of any. Source: OpenShift's documentation of Fast IPAM; \
        Whereabouts v0.9.4, GetNodeSlicePoolRange.",
    wrong: Example(&[CONTROLLER_RUNS, OTHER_POOL, SLICED, POD]),
    right: Example(&[CONTROLLER_RUNS, POOL, SLICED, POD]),
    check: Check::Pod(check),
};

const POOL: &str = r#"apiVersion: whereabouts.cni.cncf.io/v1alpha1
kind: NodeSlicePool
metadata: {name: wb-ipam, namespace: openshift-multus}
spec: {range: 10.5.0.0/20, sliceSize: /24}
"#;

const OTHER_POOL: &str = r#"apiVersion: whereabouts.cni.cncf.io/v1alpha1
kind: NodeSlicePool
metadata: {name: other-net, namespace: openshift-multus}
spec: {range: 10.6.0.0/20, sliceSize: /24}
"#;

const POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: sample
  namespace: openshift-multus
  annotations:
    k8s.v1.cni.cncf.io/networks: wb-ipam
spec:
  containers: [{name: app, image: registry.example/app:1}]
"#;

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let pool = attachment
            .network()
            .and_then(|network| Some((network, pool(network)?)));
        if let Some((network, pool)) = pool {
            check_pool(subject, attachment, network, pool, report);
        }
    }
}

/// Returns the name of the NodeSlicePool of a network with node slices.
fn pool(network: &Network) -> Option<&str> {
    let config = network.config.loaded()?;
    match config.ipam() {
        Some(Ipam::Whereabouts(ipam)) if ipam.node_slice_size.is_some() => {
            let named = ipam.network_name.as_deref().or(config.name.as_deref());
            Some(named.unwrap_or(&network.name))
        }
        _ => None,
    }
}

fn check_pool(
    subject: &PodSubject<'_>,
    attachment: Attachment<'_, '_>,
    network: &Network,
    pool: &str,
    report: &mut Report<'_>,
) {
    let Some(name) = &attachment.selection.name else {
        return;
    };
    let field_ref = || attachment.field_ref(attachment.member("name"), name.span);
    let policy = subject.policy;
    let whereabouts_namespaces = policy.describe_whereabouts_namespaces();
    if !policy.whereabouts_namespaces.contains(subject.namespace) {
        report.add(
            field_ref(),
            format!(
                "network \"{}/{}\" has slices, and the pod's namespace {:?} is not Whereabouts's own",
                network.namespace, network.name, subject.namespace
            ),
            format!("move the pod to {whereabouts_namespaces}, or name a network without \"node_slice_size\""),
        );
    }
    let slicing = subject.catalog.slicing();
    let mut namespaces = policy.whereabouts_namespaces.iter();
    if slicing.has_pools() && !namespaces.any(|namespace| slicing.has_pool(namespace, pool)) {
        report.add(
            field_ref(),
            format!("there is no NodeSlicePool {pool:?} yet, so the pod gets no address"),
            format!("see whether whereabouts-controller runs in {whereabouts_namespaces}, and what it logs"),
        );
    }
}
