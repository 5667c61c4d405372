//! `fixed-address-in-template`: a fixed address in a template of which two pods can exist at once.

use crate::{
    Check, Example, Levels, Report, Rule, RuleDocs, examples::STORAGE_NET,
    workload::TemplateSubject,
};

pub(crate) const RULE: Rule = Rule {
    code: "fixed-address-in-template",
    levels: Levels::ADVICE,
    summary: "A template requests the same address or MAC for all of its pods",
    docs: RuleDocs {
        checks: "A workload's template has \"ips\" or \"mac\", and two of its pods can exist at \
            once. This is the case with more than one replica, in a DaemonSet, and in a Job with \
            parallelism or completions above 1. It is the case in a CronJob whose runs may \
            overlap (any concurrencyPolicy but Forbid). A Deployment with one replica has two \
            pods during a rolling update. With maxSurge 0, its new pod starts while the old one \
            terminates; strategy Recreate waits. A StatefulSet with one replica never has two \
            pods: it waits for the end of the old one.",
        consequence: "All pods of the template request the same address or MAC. Nothing prevents \
            two interfaces from having one address, and then both lose packets.",
        fix: "Remove \"ips\" and \"mac\", and let the network's IPAM assign the addresses. To \
            keep them, run one pod at a time. A Deployment needs one replica and strategy \
            Recreate, a CronJob concurrencyPolicy: Forbid.",
        source: "Kubernetes, the controllers of these kinds.",
    },
    wrong: Example(&[STORAGE_NET, ROLLING]),
    right: Example(&[STORAGE_NET, RECREATE]),
    check: Check::Template(check),
};

const ROLLING: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: db}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations:
        k8s.v1.cni.cncf.io/networks: '[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]'
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

const RECREATE: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: db}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations:
        k8s.v1.cni.cncf.io/networks: '[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]'
    spec:
      containers: [{name: app, image: registry.example/app:1}]
"#;

fn check(subject: &TemplateSubject<'_>, report: &mut Report<'_>) {
    let Some(why) = (subject.kind.two_pods_reason)(&subject.scale) else {
        return;
    };
    for attachment in subject.pod.attachments() {
        if report.is_full() {
            return;
        }
        let selection = attachment.selection;
        let ips = selection.ips.as_ref().filter(|ips| !ips.value.is_empty());
        if let Some(ips) = ips {
            let field_ref = attachment.field_ref("ips", ips.span);
            report.add(field_ref, message("these addresses", why), help(subject));
        }
        if let Some(mac) = &selection.mac {
            let field_ref = attachment.field_ref("mac", mac.span);
            report.add(field_ref, message("this MAC", why), help(subject));
        }
    }
}

fn message(what: &str, why: &str) -> String {
    format!("two pods can have {what} at once: {why}")
}

fn help(subject: &TemplateSubject<'_>) -> &'static str {
    match subject.kind.kind {
        "Deployment" => {
            "remove the fixed value, or keep one replica and set strategy.type: Recreate"
        }
        "CronJob" => "remove the fixed value, or set concurrencyPolicy: Forbid",
        "StatefulSet" => "remove the fixed value, or keep one replica",
        _ => "remove the fixed value, or run one pod only",
    }
}
