//! Records are written only by nadmit, not by other users with permission to write them.

use cel::parser::Parser;
use libtest_mimic::Trial;
use nadmit::rules::Policy;
use serde_json::{Value, json};

use super::objects::{of_file, one};
use crate::match_conditions::evaluate;
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    tests!["deploy"; records_are_nadmit_s_alone]
}

fn records_are_nadmit_s_alone() -> TestResult {
    let objects = of_file("base/protection.yaml")?;
    let policy = one(&objects, "ValidatingAdmissionPolicy")?;
    let rule = &policy["spec"]["matchConstraints"]["resourceRules"];
    assert_eq!(
        *rule,
        json!([{
            "apiGroups": ["nadmit.io"], "apiVersions": ["*"], "scope": "Cluster",
            "resources": ["addressallocations", "addressslices"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
        }])
    );
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    let binding = one(&objects, "ValidatingAdmissionPolicyBinding")?;
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    let validation = &policy["spec"]["validations"][0];
    let text = validation["expression"].as_str().unwrap_or_default();
    let expression = Parser::new().parse(text).map_err(|e| e.to_string())?;
    let may = |user: &str| {
        let request = json!({"userInfo": {"username": user}, "object": Value::Null, "oldObject": Value::Null});
        evaluate(&expression, &request)
    };
    for user in Policy::default().own_users {
        assert!(may(&user)?, "{user}");
    }
    for user in [
        "kubernetes-admin",
        "system:serviceaccount:nadmit:default",
        "system:serviceaccount:kube-system:generic-garbage-collector",
    ] {
        assert!(!may(user)?, "{user}");
    }
    // The message says what a refused user can do instead.
    let message = validation["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("--as=system:serviceaccount:nadmit:nadmit"),
        "{message}"
    );
    Ok(())
}
