//! `invalid-additional-network`: an entry that the Cluster Network Operator would reject.

use super::OperatorSubject;
use crate::{Check, Example, FieldRef, Levels, Report, Rule};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-additional-network",
    levels: Levels::FAILS,
    summary: "An entry of OpenShift's additionalNetworks could not become a network",
    explanation: "The Cluster Network Operator makes a network of each entry of \
        spec.additionalNetworks in Network.operator.openshift.io/cluster. An entry has a name, \
        unique in its namespace (\"default\" if it names none), and a type: Raw with rawCNIConfig, \
        or SimpleMacvlan. One entry that it refuses leaves the operator degraded. What an entry's \
        configuration says is checked by the rules on networks, with the same codes. Source: \
        OpenShift's Cluster Network Operator; its documentation of secondary networks.",
    wrong: Example(&[r#"apiVersion: operator.openshift.io/v1
kind: Network
metadata: {name: cluster}
spec:
  additionalNetworks:
  - {name: storage, type: Raw}
"#]),
    right: Example(&[r#"apiVersion: operator.openshift.io/v1
kind: Network
metadata: {name: cluster}
spec:
  additionalNetworks:
  - name: storage
    namespace: db
    type: Raw
    rawCNIConfig: |-
      {"cniVersion": "0.3.1", "name": "storage", "type": "macvlan", "master": "eth1",
       "ipam": {"type": "static", "addresses": [{"address": "192.0.2.10/24"}]}}
"#]),
    check: Check::Operator(check),
};

fn check(subject: &OperatorSubject<'_>, report: &mut Report<'_>) {
    for entry in subject.entries {
        for fault in &entry.faults {
            let field_ref = FieldRef {
                field: entry.field(fault.path),
                source: None,
            };
            report.add(field_ref, &*fault.message, fault.help);
        }
        if report.is_full() {
            return;
        }
    }
}
