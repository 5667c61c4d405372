//! The webhooks' settings: only requests that need nadmit wait for it, and none forever.

use libtest_mimic::Trial;
use nadmit::{network::annotations, rules::Policy};
use serde_json::{Value, json};

use super::{
    objects::{of_file, of_folder, one},
    registered::{hooks, list},
    registration::{asked, request},
};
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    tests!["deploy::webhooks";
        nadmit_does_not_call_itself,
        some_namespaces_are_left_alone,
        each_has_a_failure_policy,
        the_service_is_nadmit_s,
    ]
}

/// nadmit's own writes are not reviewed by it.
fn nadmit_does_not_call_itself() -> TestResult {
    let hooks = hooks()?;
    for hook in &hooks {
        for rule in list(&hook.config["rules"]) {
            let written = [
                "addressallocations",
                "addressslices",
                "leases",
                "events",
                "secrets",
            ];
            let wide = |entry: &Value| {
                let entry = entry.as_str().unwrap_or_default();
                entry.contains('*') || written.iter().any(|one| entry.starts_with(one))
            };
            let own_status = rule["apiGroups"][0] == "nadmit.io"
                && list(&rule["resources"])
                    .iter()
                    .any(|r| r.to_string().contains('/'));
            if list(&rule["resources"]).iter().any(wide)
                || list(&rule["apiGroups"]).contains(&json!("*"))
                || own_status
            {
                return Err(format!("{} matches what nadmit writes: {rule}", hook.name()).into());
            }
        }
    }
    // It patches pods, too.
    let before = json!({"metadata": {"name": "a", "namespace": "db"}});
    let mut patched = request("Pod", "", "pods", "UPDATE", &before);
    patched["object"]["metadata"]["annotations"] = json!({annotations::NETWORKS: "a"});
    assert_eq!(asked(&hooks, &patched)?.len(), 2);
    let own = Policy::default().own_users;
    assert!(!own.is_empty());
    for user in own {
        patched["userInfo"]["username"] = json!(user);
        assert_eq!(asked(&hooks, &patched)?, [""; 0]);
    }
    Ok(())
}

fn some_namespaces_are_left_alone() -> TestResult {
    let hooks = hooks()?;
    let networks = r#"[{"name": "a", "ips": ["192.0.2.1/24"]}]"#;
    let pod = json!({"metadata": {"name": "a", "annotations": {annotations::NETWORKS: networks}}});
    let mut bound = request(
        "Binding",
        "",
        "pods",
        "CREATE",
        &json!({"metadata": {"name": "a"}}),
    );
    bound["subResource"] = json!("binding");
    for mut request in [request("Pod", "", "pods", "CREATE", &pod), bound.clone()] {
        assert_eq!(asked(&hooks, &request)?.len(), 2);
        for namespace in ["nadmit", "kube-system"] {
            request["namespace"] = json!(namespace);
            assert_eq!(asked(&hooks, &request)?, [""; 0], "{namespace}");
        }
    }
    // An unavailable nadmit blocks no scheduling in namespaces that did not opt in.
    for hook in &hooks {
        let labels = json!({"kubernetes.io/metadata.name": "db"});
        assert!(!hook.is_asked(&bound, &labels)?, "{}", hook.name());
    }
    for hook in &hooks {
        let rules = list(&hook.config["rules"]);
        let everywhere = rules.iter().all(|rule| rule["scope"] == "Cluster");
        let selector = list(&hook.config["namespaceSelector"]["matchExpressions"]);
        let spares = json!({
            "key": "kubernetes.io/metadata.name", "operator": "NotIn",
            "values": ["nadmit", "kube-system"],
        });
        assert!(everywhere || selector.contains(&spares), "{}", hook.name());
    }
    Ok(())
}

/// Nothing fails closed except nadmit's own kinds and, if configured, pods with networks.
fn each_has_a_failure_policy() -> TestResult {
    let patch = of_file("components/fail-closed/webhooks.yaml")?;
    let patch: json_patch::Patch = serde_json::from_value(patch[0].clone())?;
    let base = of_folder("base")?;
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        let mut configuration = one(&base, kind)?.clone();
        let before = configuration.clone();
        json_patch::patch(&mut configuration, &patch)?;
        let both = list(&before["webhooks"])
            .iter()
            .zip(list(&configuration["webhooks"]));
        for (open, closed) in both {
            let name = open["name"].as_str().unwrap_or_default();
            let expected = match name {
                "pods.nadmit.io" => ["Ignore", "Fail"],
                "own.nadmit.io" => ["Fail", "Fail"],
                _ => ["Ignore", "Ignore"],
            };
            assert_eq!(
                [&open["failurePolicy"], &closed["failurePolicy"]],
                expected,
                "{name}"
            );
            let seconds = open["timeoutSeconds"].as_u64().unwrap_or(99);
            assert!((1..=10).contains(&seconds), "{name} waits for {seconds} s");
            // A webhook with side effects declares NoneOnDryRun only if a dry run records nothing.
            let records = ["pods.nadmit.io", "bindings.nadmit.io"].contains(&name);
            let effects = if records { "NoneOnDryRun" } else { "None" };
            assert_eq!(open["sideEffects"], effects, "{name}");
            assert_eq!(open["matchPolicy"], "Equivalent", "{name}");
        }
    }
    Ok(())
}

fn the_service_is_nadmit_s() -> TestResult {
    let base = of_folder("base")?;
    let (service, deployment) = (one(&base, "Service")?, one(&base, "Deployment")?);
    let template = &deployment["spec"]["template"];
    assert_eq!(service["spec"]["selector"], template["metadata"]["labels"]);
    let container = &template["spec"]["containers"][0];
    for port in list(&service["spec"]["ports"]) {
        let named = |one: &&Value| one["name"] == port["targetPort"];
        assert!(
            list(&container["ports"]).iter().any(|one| named(&one)),
            "{port}"
        );
    }
    for hook in hooks()? {
        let path = if hook.mutating {
            "/mutate"
        } else {
            "/validate"
        };
        let wanted = json!({"namespace": service["metadata"]["namespace"],
            "name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"], "path": path});
        assert_eq!(hook.config["clientConfig"]["service"], wanted);
    }
    Ok(())
}
