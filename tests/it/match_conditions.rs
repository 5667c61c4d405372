//! Match conditions of webhook configurations: CEL expressions with which the API server skips
//! reviews that nadmit would only allow. Evaluated on captured reviews, each has to agree with the
//! rules: a condition that skips more is a security hole, one that skips less only costs time.

use std::{fs, path::Path};

use cel::{Context, Value as CelValue, parser::Parser};
use libtest_mimic::{Failed, Trial};
use nadmit::{admission::Verdict, catalog::Catalog, network::annotations, rules::Policy};
use serde_json::{Value, json};

use crate::support;
use crate::support::TestResult;

/// A condition, and the operations that it applies to.
struct NamedCondition {
    name: &'static str,
    cel: &'static str,
    operations: &'static [&'static str],
    annotations: &'static [&'static str],
}

const CONDITIONS: &[NamedCondition] = &[
    NamedCondition {
        name: "has-networks",
        cel: r#"(request.operation == "DELETE" ? oldObject : object).metadata.?annotations[?"k8s.v1.cni.cncf.io/networks"].orValue("") != """#,
        operations: &["CREATE"],
        annotations: &[annotations::NETWORKS],
    },
    NamedCondition {
        name: "networks-changed",
        cel: r#"request.operation != "UPDATE" || object.metadata.?annotations[?"k8s.v1.cni.cncf.io/networks"].orValue("") != oldObject.metadata.?annotations[?"k8s.v1.cni.cncf.io/networks"].orValue("")"#,
        operations: &["UPDATE"],
        annotations: &[annotations::NETWORKS],
    },
    NamedCondition {
        name: "something-to-check",
        cel: r#"["k8s.v1.cni.cncf.io/networks","v1.multus-cni.io/default-network"].exists(k, request.operation == "DELETE" ? false : request.operation == "UPDATE" ? object.metadata.?annotations[?k].orValue("") != oldObject.metadata.?annotations[?k].orValue("") : object.metadata.?annotations[?k].orValue("") != "")"#,
        operations: &["CREATE", "UPDATE", "DELETE"],
        annotations: &[annotations::NETWORKS, annotations::DEFAULT_NETWORK],
    },
];

pub(crate) fn tests() -> Vec<Trial> {
    CONDITIONS
        .iter()
        .map(|condition| {
            Trial::test(format!("match_conditions::{}", condition.name), move || {
                check(condition)
            })
        })
        .collect()
}

fn check(condition: &NamedCondition) -> TestResult {
    let parser = Parser::new().enable_optional_syntax(true);
    let expression = parser
        .parse(condition.cel)
        .map_err(|error| error.to_string())?;
    let (mut called, mut skipped) = (0, 0);
    for (name, captured) in pods()? {
        let operation = captured["request"]["operation"]
            .as_str()
            .unwrap_or_default();
        if !condition.operations.contains(&operation) {
            continue;
        }
        for review in variants(&captured, condition.annotations) {
            let condition_says = evaluate(&expression, &review["request"])?;
            let rules_say = looked_at(&review)?;
            let deleted = !review["request"]["object"]["metadata"]["deletionTimestamp"].is_null();
            // For a pod that is being deleted only authority rules apply, which need pools, and
            // here are none.
            let allowed_to_ask = deleted && condition_says;
            if condition_says != rules_say && !allowed_to_ask {
                let words = ["passed over", "looked at"];
                return Err(format!(
                    "{name}: {} by the condition, {} by the rules\n{review:#}",
                    words[usize::from(condition_says)],
                    words[usize::from(rules_say)]
                )
                .into());
            }
            *if condition_says {
                &mut called
            } else {
                &mut skipped
            } += 1;
        }
    }
    if called > 0 && skipped > 0 {
        return Ok(());
    }
    Err(format!("{called} called and {skipped} skipped: nothing was compared").into())
}

/// Returns the captured reviews of pods and of their status.
pub(crate) fn pods() -> Result<Vec<(String, Value)>, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reviews");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let review: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let request = &review["request"];
        let subresource = request["subResource"].as_str().unwrap_or_default();
        if request["resource"]["resource"] == "pods" && ["", "status"].contains(&subresource) {
            found.push((path.display().to_string(), review));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Returns the review and variants of it, as users might change it.
pub(crate) fn variants(captured: &Value, keys: &[&str]) -> Vec<Value> {
    let mut variants = vec![captured.clone()];
    let mut vary = |change: &dyn Fn(&mut Value)| {
        let mut review = captured.clone();
        if review["request"]["object"].is_object() {
            change(&mut review["request"]["object"]["metadata"]);
            variants.push(review);
        }
    };
    for key in keys {
        vary(&|metadata| metadata["annotations"][*key] = json!("another-network"));
    }
    vary(&|metadata| {
        for key in keys {
            if let Some(annotations) = metadata["annotations"].as_object_mut() {
                annotations.remove(*key);
            }
        }
    });
    vary(&|metadata| {
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("annotations");
        }
    });
    vary(&|metadata| metadata["annotations"] = json!({"example.com/other": "x"}));
    if captured["request"]["operation"] == "UPDATE" {
        vary(&|metadata| {
            metadata["deletionTimestamp"] = json!("2026-11-21T22:02:06Z");
            metadata["annotations"][annotations::NETWORKS] = json!("another-network");
        });
    }
    variants
}

pub(crate) fn evaluate(
    expression: &cel::parser::Expression,
    request: &Value,
) -> Result<bool, Failed> {
    let mut context = Context::default();
    for (name, value) in [
        ("request", request),
        ("object", &request["object"]),
        ("oldObject", &request["oldObject"]),
    ] {
        let value = cel::to_value(value).map_err(|error| error.to_string())?;
        context.add_variable_from_value(name, value);
    }
    match context.resolve(expression) {
        Ok(CelValue::Bool(answer)) => Ok(answer),
        Ok(other) => Err(format!("not a boolean: {other:?}").into()),
        Err(error) => Err(format!("{error}\n{request:#}").into()),
    }
}

/// Returns true if the rules judge the review: without any network, every judgement has a finding.
pub(crate) fn looked_at(review: &Value) -> Result<bool, Failed> {
    let body = review.to_string();
    let answer = support::answer(body.as_bytes(), &Catalog::default(), &Policy::default())?;
    Ok(answer.verdict() != Verdict::Allow)
}
