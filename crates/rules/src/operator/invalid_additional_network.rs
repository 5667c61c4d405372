//! `invalid-additional-network`: an entry that the Cluster Network Operator would reject.

use super::OperatorSubject;
use crate::{Check, Example, FieldRef, Levels, Report, Rule, RuleDocs};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-additional-network",
    levels: Levels::FAILS,
    summary: "An entry of OpenShift's additionalNetworks is not valid",
    docs: RuleDocs {
        checks: "Entries of spec.additionalNetworks in Network.operator.openshift.io/cluster \
            that the Cluster Network Operator would refuse. An entry has a name, unique in its \
            namespace (\"default\" if it names none). Its type is Raw with rawCNIConfig, or \
            SimpleMacvlan. The rules on networks check the configuration of an entry, with the \
            same codes.",
        consequence: "The Cluster Network Operator creates a network from each entry. One entry \
            that it refuses makes the operator degraded.",
        fix: "Write a unique name and a type for each entry: Raw with rawCNIConfig, or \
            SimpleMacvlan.",
        source: "OpenShift's Cluster Network Operator; its documentation of secondary networks.",
    },
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
