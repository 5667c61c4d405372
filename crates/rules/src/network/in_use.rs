//! `network-in-use` and `network-in-use-changed`: the deletion or change of a network that running pods
//! use.

use serde_json::Value;

use crate::{
    Check, Example, FieldRef, Levels, Report, Rule,
    examples::{MACVLAN_CONF, pod},
    network_use::NetworkUseSubject,
};

pub(crate) const DELETED: Rule = Rule {
    code: "network-in-use",
    levels: Levels::MISLEADS,
    summary: "A network is deleted that pods use",
    explanation: "Kubernetes lets a network go while pods are attached to it. They run on, until \
        one has to be set up anew: then it stays in ContainerCreating, and what its plugins made \
        may not be taken down. A pod uses a network if one of its annotations names it, unless it \
        has ended or is on the node's own network. An entry that is taken out of OpenShift's \
        additionalNetworks is judged in the same way, for the operator then deletes its network. \
        Never refused are deletions in a namespace \
        that is being deleted, by Kubernetes's namespace controller and garbage collector, and by \
        operatorUsers. The pods are looked up afresh before a denial. Source: multus#199.",
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    right: Example(&[MACVLAN_CONF, pod!("other-net")]),
    check: Check::NetworkDelete(deleted),
};

pub(crate) const CHANGED: Rule = Rule {
    code: "network-in-use-changed",
    levels: Levels::ADVICE,
    summary: "A network is changed that pods use",
    explanation: "Running pods keep what they were given when they started: a change reaches only \
        pods that are set up after it, so that for a while pods of one network are attached \
        differently, and Whereabouts may look for addresses in another pool than it took them \
        from. Compared is the configuration's meaning, not its text. Exempt is who may delete \
        networks in use (see network-in-use). Source: multus#199.",
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
    report.add_after_live_read(
        subject.live_read(),
        field_ref(subject),
        format!(
            "the network {}/{} is used by {}",
            subject.namespace,
            subject.name,
            subject.describe_users()
        ),
        "delete these pods first, or give them other networks",
    );
}

fn changed(subject: &NetworkUseSubject<'_>, report: &mut Report<'_>) {
    if subject.users.is_empty() || is_equivalent(subject.before, subject.after) {
        return;
    }
    report.add_after_live_read(
        subject.live_read(),
        field_ref(subject),
        format!(
            "the configuration changes, but not for who uses it already, {}",
            subject.describe_users()
        ),
        "create these pods anew afterwards, or make a network of another name",
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
