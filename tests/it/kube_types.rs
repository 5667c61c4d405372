//! nadmit's responses, parsed by kube's types, which mirror the API server's.

use json_patch::{AddOperation, Patch, PatchOperation};
use kube::core::{DynamicObject, admission::AdmissionReview};
use libtest_mimic::Trial;
use nadmit::{
    admission::{AdmissionResponse, Review},
    catalog::Catalog,
    rules::Policy,
};
use serde_json::{Value, json};

use crate::support;
use crate::support::TestResult;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["kube_types";
        a_denial_is_read,
        a_patch_is_base64_and_applies,
    ]
}

fn pod() -> Value {
    json!({"metadata": {"name": "p", "namespace": "db",
           "annotations": {"k8s.v1.cni.cncf.io/networks": "nowhere"}}})
}

fn a_denial_is_read() -> TestResult {
    let answer = support::answer(
        &support::create(&pod()),
        &Catalog::default(),
        &Policy::default(),
    )?;
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(&answer.to_json("u-1"))?;
    let response = review.response.ok_or("no response")?;
    assert_eq!((&*response.uid, response.allowed), ("u-1", false));
    assert_eq!(
        (response.result.code, &*response.result.reason),
        (422, "Invalid")
    );
    let details = response.result.details.ok_or("no details")?;
    assert_eq!((&*details.name, &*details.kind), ("p", "Pod"));
    assert_eq!(details.causes[0].reason, "unknown-network");
    assert!(details.causes[0].field.starts_with("metadata.annotations["));
    assert_eq!(response.audit_annotations["decision"], "deny");
    Ok(())
}

fn a_patch_is_base64_and_applies() -> TestResult {
    let body = support::create(&pod());
    let review = Review::parse(&body)?;
    let add = AddOperation {
        path: "/metadata/labels".parse()?,
        value: json!({"a": "b"}),
    };
    let patch = Patch(vec![PatchOperation::Add(add)]);
    let answer = AdmissionResponse::allow(&review.request).with_patch(patch.clone());
    let json: Value = serde_json::from_slice(&answer.to_json("u-1"))?;
    assert_eq!(json["response"]["patchType"], "JSONPatch");
    let encoded = json["response"]["patch"].as_str().ok_or("no patch")?;
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)?;
    assert_eq!(serde_json::from_slice::<Patch>(&decoded)?, patch);
    let empty = AdmissionResponse::allow(&review.request).with_patch(Patch(Vec::new()));
    let json: Value = serde_json::from_slice(&empty.to_json("u-1"))?;
    assert_eq!(
        json["response"].get("patchType"),
        None,
        "an empty patch is not a patch"
    );
    Ok(())
}
