//! Every object fits its schema: it has no unknown member, which the API server would drop.

use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
            ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
        },
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
        flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        scheduling::v1::PriorityClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use libtest_mimic::Trial;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    objects::{CERTIFICATE_SOURCES, kustomized, missing, of_folder},
    unless,
};
use crate::support::TestResult;

/// Kinds of other projects, with the members used here (cert-manager 1.x, Prometheus operator 0.x).
const FOREIGN: &[(&str, &[&str])] = &[
    (
        "cert-manager.io/v1 Issuer",
        &["selfSigned", "ca.secretName"],
    ),
    (
        "cert-manager.io/v1 Certificate",
        &[
            "secretName",
            "commonName",
            "isCA",
            "duration",
            "renewBefore",
            "dnsNames",
            "usages",
            "privateKey.algorithm",
            "privateKey.size",
            "privateKey.rotationPolicy",
            "issuerRef.group",
            "issuerRef.kind",
            "issuerRef.name",
        ],
    ),
    (
        "monitoring.coreos.com/v1 ServiceMonitor",
        &["selector.matchLabels", "endpoints"],
    ),
    ("monitoring.coreos.com/v1 PrometheusRule", &["groups"]),
];

pub(super) fn tests() -> Vec<Trial> {
    let mut tests = vec![Trial::test("deploy::schemas::files", || {
        let mut all = of_folder("base")?;
        for folder in ["crds", "components/monitoring", "components/whereabouts"] {
            all.extend(of_folder(folder)?);
        }
        strict(&all)
    })];
    tests.extend(CERTIFICATE_SOURCES.into_iter().map(|(overlay, _)| {
        unless(missing(false), &format!("schemas::{overlay}"), move || {
            let overlay = format!("overlays/{overlay}");
            let parts = [
                "components/monitoring",
                "components/fail-closed",
                "components/injection-at-creation",
                "components/whereabouts",
            ];
            strict(&kustomized(&["crds", &overlay], &parts)?)
        })
    }));
    tests.push(trial!["deploy::schemas"; find_mistakes]);
    tests
}

fn strict(objects: &[Value]) -> TestResult {
    let wrong: Vec<String> = objects.iter().flat_map(faults).collect();
    if wrong.is_empty() && !objects.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

/// Returns the errors of an object, each with its path.
fn faults(object: &Value) -> Vec<String> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let kind = format!("{} {}", text("apiVersion"), text("kind"));
    let check = match &*kind {
        "v1 Namespace" => typed::<Namespace>,
        "v1 ServiceAccount" => typed::<ServiceAccount>,
        "v1 ConfigMap" => typed::<ConfigMap>,
        "v1 Service" => typed::<Service>,
        "apps/v1 Deployment" => typed::<Deployment>,
        "policy/v1 PodDisruptionBudget" => typed::<PodDisruptionBudget>,
        "networking.k8s.io/v1 NetworkPolicy" => typed::<NetworkPolicy>,
        "scheduling.k8s.io/v1 PriorityClass" => typed::<PriorityClass>,
        "rbac.authorization.k8s.io/v1 ClusterRole" => typed::<ClusterRole>,
        "rbac.authorization.k8s.io/v1 ClusterRoleBinding" => typed::<ClusterRoleBinding>,
        "rbac.authorization.k8s.io/v1 Role" => typed::<Role>,
        "rbac.authorization.k8s.io/v1 RoleBinding" => typed::<RoleBinding>,
        "flowcontrol.apiserver.k8s.io/v1 FlowSchema" => typed::<FlowSchema>,
        "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration" => {
            typed::<PriorityLevelConfiguration>
        }
        "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration" => {
            typed::<ValidatingWebhookConfiguration>
        }
        "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration" => {
            typed::<MutatingWebhookConfiguration>
        }
        "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy" => {
            typed::<ValidatingAdmissionPolicy>
        }
        "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding" => {
            typed::<ValidatingAdmissionPolicyBinding>
        }
        "apiextensions.k8s.io/v1 CustomResourceDefinition" => typed::<CustomResourceDefinition>,
        _ => foreign,
    };
    let name = &object["metadata"]["name"];
    let found = check(object).into_iter();
    found
        .map(|fault| format!("{kind} {name}: {fault}"))
        .collect()
}

/// Compares an object with its round trip through its type, which drops unknown members.
fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    let read: Result<T, _> = serde_json::from_value(object.clone());
    let again = read.and_then(|read| serde_json::to_value(read));
    let mut lost = Vec::new();
    match again {
        Ok(again) => compare("", object, &again, &mut lost),
        Err(error) => lost.push(error.to_string()),
    }
    lost
}

fn compare(path: &str, written: &Value, again: &Value, lost: &mut Vec<String>) {
    match (written, again) {
        (Value::Object(members), Value::Object(known)) => {
            for (key, value) in members {
                match known.get(key) {
                    Some(known) => compare(&format!("{path}.{key}"), value, known, lost),
                    None => lost.push(format!("{path}.{key} is no member")),
                }
            }
        }
        (Value::Array(list), Value::Array(known)) if list.len() == known.len() => {
            for (index, (value, known)) in list.iter().zip(known).enumerate() {
                compare(&format!("{path}[{index}]"), value, known, lost);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if written == again => {}
        _ => lost.push(format!("{path} is {written}, and read as {again}")),
    }
}

fn foreign(object: &Value) -> Vec<String> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let kind = format!("{} {}", text("apiVersion"), text("kind"));
    let Some((_, known)) = FOREIGN.iter().find(|(name, _)| *name == kind) else {
        return vec!["unknown kind".to_owned()];
    };
    let mut found = Vec::new();
    members("", &object["spec"], known, &mut found);
    found
}

fn members(path: &str, value: &Value, known: &[&str], found: &mut Vec<String>) {
    if known.contains(&path) {
        return;
    }
    match value.as_object() {
        Some(inner) if !inner.is_empty() => {
            for (key, value) in inner {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                members(&path, value, known, found);
            }
        }
        _ => found.push(format!(".spec.{path} is no member")),
    }
}

/// The check itself finds what kubectl's validation would find: a misspelled or misplaced member.
fn find_mistakes() -> TestResult {
    let all = of_folder("base")?;
    let deployment = super::objects::one(&all, "Deployment")?;
    let changes: [(&str, &str); 3] = [
        ("/spec/template/spec/securityContext", "runAsNonroot"),
        ("/spec/template/spec/containers/0", "readynessProbe"),
        ("/spec", "serviceAccountName"),
    ];
    for (place, member) in changes {
        let mut object = deployment.clone();
        let inner = object.pointer_mut(place).ok_or("no such place")?;
        inner[member] = Value::from("x");
        if !faults(&object).iter().any(|fault| fault.contains(member)) {
            return Err(format!("{member} in {place} is not found").into());
        }
    }
    Ok(())
}
