//! `annotation-on-workload`: a pod annotation on the metadata of a workload instead of its template.

use crate::{
    Check, Example, FieldRef, Levels, Policy, Report, Rule, RuleDocs, examples::MACVLAN_CONF,
    subject::annotation_path,
};
use nadmit_cni::near_miss::{intended_key, is_for_pods};

pub(crate) const RULE: Rule = Rule {
    code: "annotation-on-workload",
    levels: Levels::ADVICE,
    summary: "The annotation for networks is on a workload, and not in its template",
    docs: RuleDocs {
        checks: "The annotation for networks is on a workload's own metadata, and its template \
            does not have it. Templates have their annotations in spec.template.metadata, and \
            those of a CronJob in spec.jobTemplate.spec.template.metadata. The networks of \
            KubeVirt's VirtualMachine are those of spec.template.spec.networks. A workload whose \
            template has the annotation, too, is not reported.",
        consequence: "Pods get the annotations of their template, and none of the workload's \
            own. They start without the networks, and without an error.",
        fix: "Move the annotation to the metadata of the template. In a VirtualMachine, list the \
            networks in spec.template.spec.networks, with an interface of the same name for \
            each.",
        source: "Kubernetes, the controllers of these kinds; multus-cni issue 404.",
    },
    wrong: Example(&[MACVLAN_CONF, ON_WORKLOAD]),
    right: Example(&[MACVLAN_CONF, IN_TEMPLATE]),
    check: Check::Workload(check),
};

const ON_WORKLOAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: db
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/networks: macvlan-conf
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

const IN_TEMPLATE: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: db}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations:
        k8s.v1.cni.cncf.io/networks: macvlan-conf
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

/// The annotations of a workload's own metadata.
#[derive(Debug)]
pub struct MetadataSubject<'a> {
    /// The `kind` of the workload, such as `Deployment` or `VirtualMachine`.
    pub kind: &'a str,
    /// The field in which the networks of the pods must be declared.
    pub location: NetworksLocation,
    /// The keys of the workload's own annotations. The check considers only those that were meant for pods.
    pub keys: Vec<&'a str>,
    /// The annotation keys of the template.
    pub in_template: Vec<&'a str>,
    /// The settings of nadmit.
    pub policy: &'a Policy,
}

/// The field in which the networks of a workload's pods must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworksLocation {
    /// The annotations of the template at this path.
    Template(&'static str),
    /// The list of networks of a virtual machine.
    VirtualMachine,
}

fn check(subject: &MetadataSubject<'_>, report: &mut Report<'_>) {
    for key in subject.keys.iter().filter(|key| is_for_pods(key)) {
        if report.is_full() {
            return;
        }
        let read = intended_key(key).unwrap_or(key);
        if subject.in_template.contains(&read) || subject.in_template.contains(key) {
            continue;
        }
        let field_ref = FieldRef {
            field: annotation_path(key, ""),
            source: None,
        };
        let help = match subject.location {
            NetworksLocation::Template(path) => {
                format!("move it to {path}metadata.annotations, as {read}")
            }
            NetworksLocation::VirtualMachine => {
                "list the networks in spec.template.spec.networks, with an interface of the same \
                 name for each"
                    .to_owned()
            }
        };
        report.add(
            field_ref,
            format!(
                "the annotation {key} is on the {} itself, and its pods do not get it",
                subject.kind
            ),
            help,
        );
    }
}
