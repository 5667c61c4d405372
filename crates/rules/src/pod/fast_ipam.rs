//! `fast-ipam-pod`: a pod that gets no address from a network with node slices.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    network::fast_ipam::{CONTROLLER_RUNS, SLICED},
};
use nadmit_cni::Network;

pub(crate) const RULE: Rule = Rule {
    code: "fast-ipam-pod",
    levels: Levels::ADVICE,
    summary: "The pod may get no address from a network with node slices",
    docs: RuleDocs {
        checks: "A pod requests a network with node_slice_size from outside Whereabouts's namespace \
            (whereaboutsNamespaces), or the NodeSlicePool of the network is missing there. The \
            NodeSlicePool has the name in network_name, or else the name of the network. A missing \
            NodeSlicePool is reported only if nadmit knows others, because its input may not contain \
            any.",
        consequence: "A network with node_slice_size assigns addresses from the slice of the node, \
            which the NodeSlicePool records. Without the NodeSlicePool, no pod starts. Pods outside \
            Whereabouts's namespace may get no address.",
        fix: "Move the pod to Whereabouts's namespace, or use a network without node_slice_size. For a \
            missing NodeSlicePool, an administrator checks that whereabouts-controller runs, and \
            reads its log.",
        source: "OpenShift's documentation of Fast IPAM; Whereabouts v0.9.4, GetNodeSlicePoolRange.",
    },
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
        if report.is_full() {
            return;
        }
        let pool = attachment
            .network()
            .and_then(|network| Some((network, network.slice_pool()?)));
        if let Some((network, pool)) = pool {
            check_pool(subject, attachment, network, pool, report);
        }
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
                "network \"{}/{}\" has node slices, which work only in Whereabouts's namespace, not in {:?}",
                network.namespace, network.name, subject.namespace
            ),
            format!("move the pod to {whereabouts_namespaces}, or use a network without \"node_slice_size\""),
        );
    }
    let slicing = subject.catalog.slicing();
    let mut namespaces = policy.whereabouts_namespaces.iter();
    if slicing.has_pools() && !namespaces.any(|namespace| slicing.has_pool(namespace, pool)) {
        report.add(
            field_ref(),
            format!("NodeSlicePool {pool:?} does not exist yet, so the pod gets no address"),
            format!("check that whereabouts-controller runs in {whereabouts_namespaces}, and read its log"),
        );
    }
}
