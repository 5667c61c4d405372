//! `unread-annotation`: an annotation key that no component reads and that resembles one for network
//! requests.

use crate::{
    Check, Example, FieldRef, Levels, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, pod},
    subject::annotation_path,
};
use nadmit_cni::{annotations::NETWORKS, near_miss::intended_key};

pub(crate) const RULE: Rule = Rule {
    code: "unread-annotation",
    levels: Levels::ADVICE,
    summary: "An annotation that nobody reads is much like the one for networks",
    explanation: "Multus reads k8s.v1.cni.cncf.io/networks and v1.multus-cni.io/default-network, in \
        exactly this spelling and case. Under another key the pod starts without the networks, and \
        nothing says so. Keys that others read (network-status, networks-status, resourceName, \
        policy-for, nodeSelector) and those of other prefixes are left alone. Source: the spec, section \
        4.1; Multus v4.3.0.",
    wrong: Example(&[MACVLAN_CONF, MISSPELT]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

const MISSPELT: &str = "apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/network: macvlan-conf
spec:
  containers: [{name: app, image: registry.example/app:1}]
";

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for key in &subject.unread {
        let Some(meant) = intended_key(key) else {
            continue;
        };
        let what = match meant {
            NETWORKS => "additional networks",
            _ => "the network of eth0",
        };
        report.add(
            FieldRef {
                field: annotation_path(key, ""),
                source: None,
            },
            format!("nobody reads the annotation {key}"),
            format!("did you mean {meant} ({what})?"),
        );
    }
}
