//! Helpers of several tests: a review of a pod, and the decision on it.

use std::fmt::Debug;

use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{AdmissionResponse, Decision, Review, ReviewContext, Webhook, decide},
    allocation::SharedIndex,
    catalog::Catalog,
    network::Network,
    rules::Policy,
};
use serde_json::{Value, json};

/// The result of a test.
pub(crate) type TestResult = Result<(), Failed>;

/// A test without parameters.
pub(crate) type TestFn = fn() -> TestResult;

/// A test with its name.
pub(crate) type NamedTest = (&'static str, TestFn);

/// Checks that two values are equal.
pub(crate) fn same<T: PartialEq + Debug>(found: T, expected: T) -> TestResult {
    if found == expected {
        return Ok(());
    }
    Err(format!("found    {found:#?}\nexpected {expected:#?}").into())
}

/// Checks a condition, which the words describe.
pub(crate) fn holds(condition: bool, words: impl Debug) -> TestResult {
    if condition {
        return Ok(());
    }
    Err(format!("{words:?}").into())
}

/// Checks that an output contains all of these parts.
pub(crate) fn shows(printed: &str, parts: &[&str]) -> TestResult {
    match parts.iter().find(|part| !printed.contains(**part)) {
        Some(part) => Err(format!("{part:?} is not in:\n{printed}").into()),
        None => Ok(()),
    }
}

/// Returns a test that is run in paused time.
pub(crate) fn paused<F>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = TestResult>,
{
    Trial::test(name, move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?
            .block_on(run())
    })
}

/// A test named after its function: `trial!["group"; function]`, or `trial!["group"; with run;
/// function]` for a function that `run(name, function)`, or `run(first)` as `run(first, name,
/// function)`, makes a test of. `with` alone leaves the group to `run`.
macro_rules! trial {
    (@name $name:ident) => {
        stringify!($name)
    };
    (@name $module:ident :: $($name:ident)::+) => {
        trial!(@name $($name)::+)
    };
    ($group:literal; with $run:ident($($first:expr),+); $($name:ident)::+) => {
        $run($($first,)+ concat!($group, "::", trial!(@name $($name)::+)), $($name)::+)
    };
    ($group:literal; with $run:expr; $($name:ident)::+) => {
        $run(concat!($group, "::", trial!(@name $($name)::+)), $($name)::+)
    };
    (with $run:expr; $($name:ident)::+) => {
        $run(trial!(@name $($name)::+), $($name)::+)
    };
    ($group:literal; $($name:ident)::+) => {
        trial![$group; with libtest_mimic::Trial::test; $($name)::+]
    };
}

/// A list of tests, each named after its function as by `trial!`, with the settings that follow it:
/// `tests!["group"; with run; function, function.with_ignored_flag(true)]`.
macro_rules! tests {
    ($group:literal; with $run:expr; $($($name:ident)::+ $(.$set:ident($value:expr))*),+ $(,)?) => {
        Vec::from([$(trial![$group; with $run; $($name)::+] $(.$set($value))*),+])
    };
    (with $run:expr; $($($name:ident)::+ $(.$set:ident($value:expr))*),+ $(,)?) => {
        Vec::from([$(trial![with $run; $($name)::+] $(.$set($value))*),+])
    };
    ($group:literal; $($list:tt)+) => {
        tests![$group; with libtest_mimic::Trial::test; $($list)+]
    };
}

/// A list of [`NamedTest`]s, each named after its function.
macro_rules! named {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), $name)),+]
    };
}

/// Returns the AdmissionReview for the creation of `pod`.
pub(crate) fn create(pod: &Value) -> Vec<u8> {
    review(json!({"operation": "CREATE", "object": pod}), pod)
}

/// Returns the AdmissionReview for an update of a pod.
pub(crate) fn update(before: &Value, after: &Value) -> Vec<u8> {
    review(
        json!({"operation": "UPDATE", "object": after, "oldObject": before}),
        after,
    )
}

/// Returns the AdmissionReview for a pod's binding, which sets the annotations of `carried`.
pub(crate) fn bind(pod: &Value, carried: Option<&Value>) -> Vec<u8> {
    let mut object = json!({
        "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
        "target": {"kind": "Node", "name": "node-1"},
    });
    if let Some(carried) = carried {
        object["metadata"]["annotations"] = carried["metadata"]["annotations"].clone();
    }
    let request = json!({
        "operation": "CREATE", "object": object, "kind": {"kind": "Binding"},
        "resource": {"group": "", "resource": "pods"}, "subResource": "binding",
    });
    wrap(request, &object)
}

/// Returns the AdmissionReview for the creation of a network.
pub(crate) fn create_network(network: &Network, config: Option<&str>) -> Vec<u8> {
    let object = network_object(network, config);
    network_review(json!({"operation": "CREATE", "object": object}), &object)
}

/// Returns the AdmissionReview for an update of a network.
pub(crate) fn update_network(
    network: &Network,
    before: Option<&str>,
    after: Option<&str>,
) -> Vec<u8> {
    let [before, object] = [before, after].map(|config| network_object(network, config));
    let request = json!({"operation": "UPDATE", "object": object, "oldObject": before});
    network_review(request, &object)
}

/// Returns the AdmissionReview for the deletion of a network.
pub(crate) fn delete_network(network: &Network, config: Option<&str>) -> Vec<u8> {
    let object = network_object(network, config);
    network_review(json!({"operation": "DELETE", "oldObject": object}), &object)
}

/// Returns the AdmissionReview for the creation of an object of another resource.
pub(crate) fn create_other(object: &Value, group: &str, resource: &str) -> Vec<u8> {
    let mut request = json!({"operation": "CREATE", "object": object});
    request["kind"] = json!({"group": group, "kind": object["kind"]});
    request["resource"] = json!({"group": group, "resource": resource});
    wrap(request, object)
}

fn network_object(network: &Network, config: Option<&str>) -> Value {
    let annotations = network.address_pool.as_ref();
    json!({
        "metadata": {
            "name": network.name,
            "namespace": network.namespace,
            "annotations": annotations.map(|pool| json!({"nadmit.io/address-pool": pool})),
        },
        "spec": {"config": config},
    })
}

fn network_review(mut request: Value, object: &Value) -> Vec<u8> {
    request["kind"] = json!({"kind": "NetworkAttachmentDefinition"});
    request["resource"] =
        json!({"group": "k8s.cni.cncf.io", "resource": "network-attachment-definitions"});
    wrap(request, object)
}

/// Returns the AdmissionReview for the creation of a Deployment.
pub(crate) fn create_deployment(object: &Value) -> Vec<u8> {
    let request = json!({
        "operation": "CREATE", "object": object, "kind": {"kind": "Deployment"},
        "resource": {"group": "apps", "resource": "deployments"},
    });
    wrap(request, object)
}

fn review(mut request: Value, pod: &Value) -> Vec<u8> {
    request["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    wrap(request, pod)
}

fn wrap(mut request: Value, object: &Value) -> Vec<u8> {
    request["uid"] = json!("test");
    request["name"] = object["metadata"]["name"].clone();
    request["namespace"] = object["metadata"]["namespace"].clone();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
    });
    review.to_string().into_bytes()
}

/// Returns the response of `/validate`, with everything confirmed.
pub(crate) fn answer(
    body: &[u8],
    catalog: &Catalog,
    policy: &Policy,
) -> Result<AdmissionResponse, String> {
    let review = Review::parse(body).map_err(|error| error.to_string())?;
    match decide(
        Webhook::Validate,
        &review.request,
        &ReviewContext::authoritative(catalog, policy, &SharedIndex::default()),
    ) {
        Decision::Respond(answer) => Ok(answer),
        other => Err(format!("no answer, but {other:?}")),
    }
}

/// Returns the findings of a response, one per line.
pub(crate) fn lines(answer: &AdmissionResponse) -> String {
    let line = |f: &nadmit::rules::Finding| {
        format!("{} {} {}: {}\n", f.level, f.code, f.field, f.sentence())
    };
    answer.findings().iter().map(line).collect()
}
