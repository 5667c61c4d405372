//! `unread-annotation`: an annotation key that no component reads and that resembles one for network
//! requests.

use crate::{
    Check, Example, FieldRef, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
    subject::annotation_path,
};
use nadmit_cni::{annotations::NETWORKS, near_miss::intended_key};

pub(crate) const RULE: Rule = Rule {
    code: "unread-annotation",
    levels: Levels::ADVICE,
    summary: "An annotation that no component reads resembles the one for networks",
    docs: RuleDocs {
        checks: "An annotation key of the pod resembles k8s.v1.cni.cncf.io/networks or \
            v1.multus-cni.io/default-network. Multus reads these two keys in exactly this \
            spelling and case. Keys that other components read (network-status, networks-status, \
            resourceName, policy-for, nodeSelector) and keys of other prefixes are not reported.",
        consequence: "The pod starts without the networks, and without an error.",
        fix: "Write the key k8s.v1.cni.cncf.io/networks for additional networks, or \
            v1.multus-cni.io/default-network for the network of eth0.",
        source: "The spec, section 4.1; Multus v4.3.0.",
    },
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
            format!("no component reads the annotation {key}"),
            format!("did you mean {meant} ({what})?"),
        );
    }
}
