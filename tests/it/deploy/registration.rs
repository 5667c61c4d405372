//! The webhooks: everything that the rules judge is reviewed, and as little else as possible.

use std::{collections::BTreeSet, fs, path::Path};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Review, ReviewContext, Webhook, decide},
    allocation::SharedIndex,
    catalog::Catalog,
    network::annotations,
    rules::{Injection, Policy, workload::kind::KINDS},
};
use serde_json::{Value, json};

use super::{
    objects::ROOT,
    registered::{RegisteredWebhook, hooks},
};
use crate::match_conditions::{looked_at, pods, variants};
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    tests!["deploy::webhooks";
        captured_reviews_go_where_they_belong,
        no_pod_that_matters_is_passed_over,
        all_workloads_with_networks_come,
        all_kinds_with_rules_come,
    ]
}

fn labels(namespace: &str) -> Value {
    json!({"kubernetes.io/metadata.name": namespace, "nadmit.io/injection": "enabled"})
}

/// Returns the webhooks called for a request in a namespace labelled for injection.
pub(super) fn asked(hooks: &[RegisteredWebhook], request: &Value) -> Result<Vec<String>, Failed> {
    let labels = labels(request["namespace"].as_str().unwrap_or_default());
    let mut asked = Vec::new();
    for hook in hooks {
        if hook.is_asked(request, &labels)? {
            asked.push(hook.name());
        }
    }
    Ok(asked)
}

/// Reviews that an API server once sent. Both webhooks of a pod match alike.
fn captured_reviews_go_where_they_belong() -> TestResult {
    const PODS: &[&str] = &["mutate pods.nadmit.io", "validate pods.nadmit.io"];
    const BINDINGS: &[&str] = &["mutate bindings.nadmit.io", "validate bindings.nadmit.io"];
    const CREATED: &[&str] = &["validate pods.nadmit.io"];
    const STATUS: &[&str] = CREATED;
    const NETWORKS: &[&str] = &["validate networks.nadmit.io"];
    let hooks = hooks()?;
    let mut seen = BTreeSet::new();
    let mut files: Vec<_> = fs::read_dir(Path::new(ROOT).join("tests/fixtures/reviews"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    for file in files {
        let review: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let request = &review["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (object, old) = (
            &request["object"]["metadata"],
            &request["oldObject"]["metadata"],
        );
        let has = |metadata: &Value| !metadata["annotations"][annotations::NETWORKS].is_null();
        let what = [
            &request["resource"]["resource"],
            &request["subResource"],
            &request["operation"],
        ];
        let [resource, sub, operation] = what.map(text);
        let expected = match (&*resource, &*sub, &*operation) {
            ("pods", "", "CREATE") if has(object) && names_addresses(request) => PODS,
            ("pods", "", "CREATE") if has(object) => CREATED,
            ("pods", "", "UPDATE") if changed(object, old) => PODS,
            ("pods", "status", "UPDATE") if changed(object, old) => STATUS,
            ("pods", "binding", _) | ("bindings", "", _) => BINDINGS,
            ("network-attachment-definitions", ..) => NETWORKS,
            _ => &[],
        };
        let found = asked(&hooks, request)?;
        if found != expected {
            let name = file.display();
            return Err(format!("{name}: asked are {found:?}, and not {expected:?}").into());
        }
        seen.extend(found);
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    Ok(())
}

/// Returns true if a new pod names an address, or is bound already.
fn names_addresses(request: &Value) -> bool {
    let object = &request["object"];
    let text = object["metadata"]["annotations"][annotations::NETWORKS].as_str();
    let selections: Value = serde_json::from_str(text.unwrap_or_default()).unwrap_or_default();
    let mut selections = selections.as_array().into_iter().flatten();
    let names = |selection: &Value| {
        let keys = ["ips", "mac", "cni-args", "ipam-claim-reference"];
        keys.iter().any(|key| !selection[*key].is_null())
    };
    selections.any(names) || object["spec"]["nodeName"].is_string()
}

fn changed(object: &Value, old: &Value) -> bool {
    let of = |metadata: &Value| metadata["annotations"][annotations::NETWORKS].clone();
    of(object) != of(old)
}

/// Everything that the rules judge, or a patch would change, is reviewed; and requests that are not
/// reviewed do not differ in anything relevant to nadmit.
fn no_pod_that_matters_is_passed_over() -> TestResult {
    const OWN: [&str; 3] = [
        annotations::REQUESTED_NETWORKS,
        annotations::REQUESTED_DEFAULT_NETWORK,
        annotations::HOLDER_TOKEN,
    ];
    let keys = [annotations::NETWORKS, annotations::DEFAULT_NETWORK];
    let keys = [&keys[..], &OWN[..]].concat();
    let hooks = hooks()?;
    let of_pods = hooks
        .iter()
        .filter(|hook| hook.config["name"] == "pods.nadmit.io");
    let (mut called, mut spared) = (0, 0);
    for hook in of_pods {
        for (name, review) in pods()? {
            let alone = keys.iter().map(|key| with_only(&review, key));
            for review in variants(&review, &keys).into_iter().chain(alone) {
                let request = &review["request"];
                if request["operation"] == "DELETE" {
                    continue;
                }
                let wants = hook.wants(request)?;
                let is_new = hook.mutating && request["operation"] == "CREATE";
                let matters = (looked_at(&review)? && !is_new) || is_patched(&review)?;
                if matters && !wants {
                    return Err(format!("{} passes over {name}: {review:#}", hook.name()).into());
                }
                let of = |object: &str, key: &str| &request[object]["metadata"]["annotations"][key];
                let same = |key: &&str| of("object", key) == of("oldObject", key);
                if wants && keys.iter().all(same) {
                    return Err(format!("{} comes for nothing: {review:#}", name).into());
                }
                *if wants { &mut called } else { &mut spared } += 1;
            }
        }
    }
    if called > 0 && spared > 0 {
        return Ok(());
    }
    Err(format!("{called} called, {spared} spared").into())
}

/// Returns the review of an update that adds only this annotation to a pod.
fn with_only(review: &Value, key: &str) -> Value {
    let mut review = review.clone();
    for (object, annotations) in [("object", json!({key: "x"})), ("oldObject", json!({}))] {
        let metadata = review["request"][object].pointer_mut("/metadata");
        if let Some(metadata) = metadata {
            metadata["annotations"] = annotations;
        }
    }
    review
}

/// Returns true if `/mutate` changes the pod.
fn is_patched(review: &Value) -> Result<bool, Failed> {
    let body = review.to_string();
    let review = Review::parse(body.as_bytes())?;
    let (catalog, index) = (Catalog::default(), SharedIndex::default());
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Bind);
    let context = ReviewContext::authoritative(&catalog, &policy, &index);
    Ok(match decide(Webhook::Mutate, &review.request, &context) {
        Decision::Respond(answer) => answer.patch().is_some(),
        _ => true,
    })
}

/// Returns a user's request in the namespace `db`.
pub(super) fn request(
    kind: &str,
    group: &str,
    resource: &str,
    operation: &str,
    object: &Value,
) -> Value {
    let old = if operation == "CREATE" {
        &Value::Null
    } else {
        object
    };
    json!({
        "operation": operation, "namespace": "db", "kind": {"kind": kind},
        "resource": {"group": group, "version": "v1", "resource": resource},
        "userInfo": {"username": "alice"}, "object": object, "oldObject": old,
    })
}

fn all_workloads_with_networks_come() -> TestResult {
    let hooks = hooks()?;
    let ask = |request: &Value| Ok::<_, Failed>(!asked(&hooks, request)?.is_empty());
    for kind in KINDS {
        let template =
            json!({"metadata": {"annotations": {annotations::NETWORKS: "a"}}, "spec": {}});
        let spec = match kind.kind {
            "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
            _ => json!({"template": template}),
        };
        let object = json!({"metadata": {"name": "w", "namespace": "db"}, "spec": spec});
        let of = |operation: &str, object: &Value| {
            request(kind.kind, kind.group, kind.resource, operation, object)
        };
        let without: Value =
            serde_json::from_str(&object.to_string().replace(annotations::NETWORKS, "x"))?;
        let mut scaled = of("UPDATE", &object);
        scaled["object"]["spec"]["replicas"] = json!(2);
        let mut owned = object.clone();
        owned["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "name": "w"}]);
        for (what, request, comes) in [
            ("with networks", of("CREATE", &object), true),
            ("without", of("CREATE", &without), false),
            ("with another spec", scaled, true),
            ("with the same spec", of("UPDATE", &object), false),
            ("of a Deployment", of("CREATE", &owned), false),
        ] {
            if ask(&request)? != comes {
                return Err(format!("{} {what}: comes is not {comes}", kind.kind).into());
            }
        }
    }
    let machine = |networks: Value| {
        let spec = json!({"template": {"spec": {"networks": networks}}});
        let object = json!({"metadata": {"name": "vm", "namespace": "db"}, "spec": spec});
        request(
            "VirtualMachine",
            "kubevirt.io",
            "virtualmachines",
            "CREATE",
            &object,
        )
    };
    let own = json!({"name": "default", "pod": {}});
    let multus = json!({"name": "a", "multus": {"networkName": "a"}});
    assert!(ask(&machine(json!([own, multus])))?);
    assert!(!ask(&machine(json!([own])))? && !ask(&machine(json!([])))?);
    Ok(())
}

/// One object of each kind that rules judge, except pods and workloads.
fn all_kinds_with_rules_come() -> TestResult {
    let hooks = hooks()?;
    let object = json!({"metadata": {"name": "whereabouts-config"}, "spec": {}});
    for (group, resource, version, operations) in [
        (
            "k8s.cni.cncf.io",
            "network-attachment-definitions",
            "v1",
            "CREATE UPDATE DELETE",
        ),
        (
            "nadmit.io",
            "addresspools",
            "v1alpha1",
            "CREATE UPDATE DELETE",
        ),
        (
            "nadmit.io",
            "addressreservations",
            "v1alpha1",
            "CREATE UPDATE",
        ),
        ("operator.openshift.io", "networks", "v1", "CREATE UPDATE"),
        ("", "configmaps", "v1", "CREATE UPDATE"),
    ] {
        for operation in operations.split(' ') {
            let mut request = request("", group, resource, operation, &object);
            request["resource"]["version"] = json!(version);
            if ["addresspools", "networks"].contains(&resource) {
                request["namespace"] = Value::Null;
            }
            let asked = asked(&hooks, &request)?;
            if asked.len() != 1 {
                return Err(format!("{operation} of {resource}: asked are {asked:?}").into());
            }
        }
    }
    let other = json!({"metadata": {"name": "settings"}});
    let request = request("", "", "configmaps", "CREATE", &other);
    assert_eq!(asked(&hooks, &request)?, [""; 0]);
    Ok(())
}
