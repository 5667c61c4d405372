//! `fast-ipam-namespace` and `fast-ipam-controller`: the requirements of networks with node slices.

use crate::{Check, Example, FieldRef, Levels, NetworkSubject, Report, Rule, RuleDocs};
use nadmit_cni::{
    ipam::{Ipam, SLICE_CONTROLLER, WhereaboutsIpam},
    json::find,
};

pub(crate) const NAMESPACE: Rule = Rule {
    code: "fast-ipam-namespace",
    levels: Levels::ADVICE,
    summary: "A network with node slices is not in Whereabouts's namespace",
    docs: RuleDocs {
        checks: "A network with node_slice_size is not in a namespace of Whereabouts. The setting \
            whereaboutsNamespaces names these namespaces: by default kube-system and \
            openshift-multus.",
        consequence: "Whereabouts's controller divides the range into slices, and records them in a \
            NodeSlicePool of its own namespace, owned by the network. Kubernetes deletes an object \
            whose owner is in another namespace. The network and its pods therefore have to be in \
            Whereabouts's namespace.",
        fix: "Move the network and its pods to a namespace of Whereabouts, or remove node_slice_size. \
            If Whereabouts runs in another namespace, an administrator adds it to \
            whereaboutsNamespaces.",
        source: "OpenShift's documentation of Fast IPAM; Whereabouts v0.9.4, its README and \
            node-controller.",
    },
    wrong: Example(&[CONTROLLER_RUNS, ELSEWHERE]),
    right: Example(&[CONTROLLER_RUNS, SLICED]),
    check: Check::Network(check_namespace),
};

pub(crate) const CONTROLLER: Rule = Rule {
    code: "fast-ipam-controller",
    levels: Levels::ADVICE,
    summary: "No controller divides a network's range into slices",
    docs: RuleDocs {
        checks: "A network has node_slice_size, but nothing shows that Whereabouts's controller runs: the \
            Deployment whereabouts-controller. nadmit knows the controller by its manifest. On \
            OpenShift, the Cluster Network Operator runs it if one of its additional networks uses \
            Whereabouts. The rule also reports slices that have no name. The controller names the \
            NodeSlicePool after network_name, or after the \"name\" next to the plugin's \"type\". \
            It does not read the \"name\" of a list of plugins.",
        consequence: "The network assigns no address before the controller has divided its range into slices. \
            Without a name for the NodeSlicePool, the controller creates no slices.",
        fix: "If the slices have no name, add network_name to \"ipam\". An administrator runs \
            whereabouts-controller, or on OpenShift adds a shim network to additionalNetworks. If it \
            runs, add the manifest of its Deployment to the files that nadmit reads.",
        source: "Whereabouts v0.9.4, getSliceName and LoadIPAMConfiguration; OpenShift's Cluster Network \
            Operator.",
    },
    wrong: Example(&[SLICED]),
    right: Example(&[CONTROLLER_RUNS, SLICED]),
    check: Check::Network(check_controller),
};

pub(crate) const CONTROLLER_RUNS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: whereabouts-controller, namespace: openshift-multus}
spec:
  replicas: 1
  selector: {matchLabels: {app: whereabouts-controller}}
  template:
    metadata: {labels: {app: whereabouts-controller}}
    spec: {containers: [{name: whereabouts, image: registry.example/whereabouts:0.9}]}
"#;

pub(crate) const SLICED: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-ipam, namespace: openshift-multus}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-ipam", "type": "bridge", "bridge": "cni0",
     "ipam": {"type": "whereabouts", "range": "10.5.0.0/20", "node_slice_size": "/24"}}
"#;

const ELSEWHERE: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: wb-ipam, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.0", "name": "wb-ipam", "type": "bridge", "bridge": "cni0",
     "ipam": {"type": "whereabouts", "range": "10.5.0.0/20", "node_slice_size": "/24"}}
"#;

/// Returns the IPAMs with node slices, each with a reference to its `node_slice_size`.
fn sliced<'s>(subject: &'s NetworkSubject<'_>) -> Vec<(&'s WhereaboutsIpam, FieldRef<'s>)> {
    let Some(config) = subject.parsed() else {
        return Vec::new();
    };
    let both = config.plugins.iter().zip(subject.plugins());
    both.filter_map(|(plugin, text)| {
        let Some(Ipam::Whereabouts(ipam)) = &plugin.ipam else {
            return None;
        };
        ipam.node_slice_size.as_ref()?;
        let size = find(text.ipam()?.1, "node_slice_size")?.value.span();
        let path = format!("{}.ipam.node_slice_size", text.path);
        Some((ipam, subject.field_ref(&path, size)))
    })
    .collect()
}

fn check_namespace(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let policy = subject.policy;
    if policy.whereabouts_namespaces.contains(subject.namespace) {
        return;
    }
    for (_, field_ref) in sliced(subject) {
        report.add(
            field_ref,
            format!(
                "a network with node slices works only in Whereabouts's namespace, not in {:?}",
                subject.namespace
            ),
            format!(
                "move the network and its pods to {}, or remove \"node_slice_size\"",
                policy.describe_whereabouts_namespaces()
            ),
        );
    }
}

fn check_controller(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let missing_controller = missing_controller(subject);
    for (ipam, field_ref) in sliced(subject) {
        if ipam.network_name.is_none() && !has_top_level_name(subject) {
            report.add(
                field_ref.clone(),
                "Whereabouts's controller cannot name the slices without \"network_name\", or a \
                 \"name\" next to the plugin's \"type\"",
                "add \"network_name\" to \"ipam\"",
            );
        }
        if let Some((message, help)) = &missing_controller {
            report.add(field_ref, message, help);
        }
    }
}

/// Returns true if the configuration has a `name` that the controller reads. It does not read that of a
/// list.
fn has_top_level_name(subject: &NetworkSubject<'_>) -> bool {
    let Some((_, members)) = subject.document() else {
        return false;
    };
    let text = |key| find(members, key).is_some_and(|member| !member.value.is_empty());
    text("type") && text("name")
}

/// Returns the reason to assume that the controller does not run, and the remedy; `None` if it seems to
/// run.
fn missing_controller(subject: &NetworkSubject<'_>) -> Option<(String, String)> {
    let name = SLICE_CONTROLLER;
    let namespaces = subject.policy.describe_whereabouts_namespaces();
    let mut known = false;
    for namespace in &subject.policy.whereabouts_namespaces {
        match subject.catalog.slicing().controller(namespace) {
            Some(true) => return None,
            Some(false) => known = true,
            None => {}
        }
    }
    // The operator runs the controller if one of its additional networks, perhaps this one, uses
    // Whereabouts.
    let daemons = subject.catalog.operator();
    if subject.siblings.is_some() || daemons.is_some_and(|daemons| daemons.whereabouts) {
        return None;
    }
    Some(if known {
        (
            format!("the Deployment {name}, which creates the slices, has no replica"),
            format!("scale the Deployment {name} to 1 replica"),
        )
    } else if daemons.is_some() {
        (
            format!(
                "no additionalNetworks entry uses whereabouts, so OpenShift does not run {name}, \
                 which creates the slices"
            ),
            "add a shim network to spec.additionalNetworks of \
             Network.operator.openshift.io/cluster (see missing-ipam-daemon)"
                .to_owned(),
        )
    } else {
        (
            format!("nothing shows that {name}, which creates the slices, runs"),
            format!(
                "run it in {namespaces}; if it runs already, add its Deployment to the manifests \
                 that nadmit reads"
            ),
        )
    })
}
