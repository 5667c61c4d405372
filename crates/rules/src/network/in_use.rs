//! `network-in-use` and `network-in-use-changed`: the deletion or change of a network that running pods
//! use.

use serde_json::Value;

use crate::{
    Check, Example, FieldRef, Levels, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
    network_use::NetworkUseSubject,
};

pub(crate) const DELETED: Rule = Rule {
    code: "network-in-use",
    levels: Levels::MISLEADS,
    summary: "Pods use a network that is deleted",
    docs: RuleDocs {
        checks: "A network is deleted while pods use it. A pod uses a network if one of its annotations \
            names it, unless the pod has ended or uses hostNetwork. An entry that is removed from \
            OpenShift's additionalNetworks is checked in the same way, because the operator then \
            deletes its network. Deletions in a namespace that is being deleted are never denied. \
            Neither are those by Kubernetes's namespace controller and garbage collector, and by \
            operatorUsers. nadmit reads the pods from the API server before it denies.",
        consequence: "Kubernetes deletes a network while pods are attached to it. The pods run until one has \
            to be set up again: it then stays in ContainerCreating. The interfaces and addresses of \
            the pods may not be removed.",
        fix: "Delete these pods first, or move them to another network.",
        source: "multus#199.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    right: Example(&[MACVLAN_CONF, pod!("other-net")]),
    check: Check::NetworkDelete(deleted),
};

pub(crate) const CHANGED: Rule = Rule {
    code: "network-in-use-changed",
    levels: Levels::ADVICE,
    summary: "Pods use a network that is changed",
    docs: RuleDocs {
        checks: "The configuration of a network changes while pods use it. nadmit compares the meaning of \
            the configuration, not its text. The same users are exempt as for network-in-use.",
        consequence: "Running pods keep what they got at their start: a change reaches only pods that are set \
            up after it. For a while, the pods of one network are attached differently. Whereabouts \
            may look for addresses in another pool than the one that assigned them.",
        fix: "Recreate these pods after the change, or create a network with another name.",
        source: "multus#199.",
    },
    wrong: Example(&[MACVLAN_CONF, CHANGED_CONF, pod!("macvlan-conf")]),
    right: Example(&[MACVLAN_CONF, REFORMATTED_CONF, pod!("macvlan-conf")]),
    check: Check::NetworkUpdate(changed),
};

const CHANGED_CONF: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-conf, namespace: db}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan-conf", "type": "macvlan", "master": "eth2",
     "ipam": {"type": "whereabouts", "range": "192.0.2.192/27"}}
"#;

const REFORMATTED_CONF: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-conf, namespace: db}
spec:
  config: |
    {
      "type": "macvlan", "name": "macvlan-conf", "cniVersion": "0.3.1", "master": "eth1",
      "ipam": {"type": "whereabouts", "range": "192.0.2.192/27"}
    }
"#;

fn deleted(subject: &NetworkUseSubject<'_>, report: &mut Report<'_>) {
    if subject.users.is_empty() {
        return;
    }
    report.add_after_live_read_with_detail(
        subject.live_read(),
        field_ref(subject),
        format!("pods use network {}/{}", subject.namespace, subject.name),
        Some(subject.describe_users()),
        "delete these pods first, or move them to another network",
    );
}

fn changed(subject: &NetworkUseSubject<'_>, report: &mut Report<'_>) {
    if subject.users.is_empty() || is_equivalent(subject.before, subject.after) {
        return;
    }
    report.add_after_live_read_with_detail(
        subject.live_read(),
        field_ref(subject),
        "the configuration changes, but running pods keep the old one",
        Some(subject.describe_users()),
        "recreate these pods after the change, or create a network with another name",
    );
}

fn field_ref(subject: &NetworkUseSubject<'_>) -> FieldRef<'static> {
    FieldRef {
        field: subject.field.clone(),
        source: None,
    }
}

/// Returns true if two configurations are the same JSON value or the same text.
fn is_equivalent(before: Option<&str>, after: Option<&str>) -> bool {
    let [before, after] = [before, after].map(|text| text.unwrap_or_default().trim());
    let value = |text| serde_json::from_str::<Value>(text).ok();
    before == after || value(before).is_some_and(|before| value(after) == Some(before))
}
