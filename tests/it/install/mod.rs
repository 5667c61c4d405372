//! `nadmit install | uninstall | status`: the real binary against a fake API server.

mod cluster;
mod injection;
mod manifests;
mod released;
mod whereabouts;

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use self::cluster::{CommandOutput, InstallCluster};
use crate::api_server::{FaultAction, FaultRule, InjectedFailure, Webhook};
use crate::support::TestResult;
use crate::support::shows;

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = tests!["install";
        webhooks_are_registered_when_replicas_are_ready,
        replicas_that_do_not_start_leave_no_webhook,
        installing_again_keeps_earlier_options,
        an_option_is_turned_off_by_false_only,
        a_rollout_that_fails_is_named_at_once,
        a_namespace_that_is_being_deleted_is_named,
        a_release_of_helm_is_left_to_helm_unless_asked_for,
        configured_isolation_stays,
        unknown_isolation_is_reported,
        detected_isolation_is_refreshed,
        a_webhook_that_is_not_reached_is_noticed,
        a_cluster_that_is_too_old_is_not_touched,
        uninstalling_takes_webhooks_first_and_keeps_records,
        a_purge_lists_losses_and_asks_for_confirmation,
        status_reports_the_installation,
        status_fails_when_nothing_serves,
        status_reports_within_seconds,
        status_without_an_installation_says_so,
    ];
    tests.extend(manifests::tests());
    tests.extend(released::tests());
    tests.extend(injection::tests());
    tests.extend(whereabouts::tests());
    tests
}

fn ended(ended: &CommandOutput, well: bool, parts: &[&str]) -> TestResult {
    if ended.well != well {
        return Err(format!("it ended {}:\n{}", ended.well, ended.printed).into());
    }
    shows(&ended.printed, parts)
}

fn registrations(cluster: &InstallCluster) -> usize {
    let kinds = ["mutating", "validating"];
    let found = kinds.map(|kind| {
        let resource = format!("{kind}webhookconfigurations.admissionregistration.k8s.io");
        cluster.server.all(&resource).len()
    });
    found.iter().sum()
}

/// Warns about every networks annotation, as nadmit does about a missing network.
fn warns(cluster: &InstallCluster) {
    let webhook = Webhook::validating("pods.nadmit.io", |review: Value| async move {
        let request = &review["request"];
        let asks = &request["object"]["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"];
        let warnings = asks
            .as_str()
            .map(|name| format!("network {name} is not there"));
        Ok(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {
                "uid": request["uid"], "allowed": true,
                "warnings": warnings.into_iter().collect::<Vec<_>>(),
            },
        }))
    });
    cluster.server.webhook(webhook.on(&["CREATE"], &["pods"]));
}

fn webhooks_are_registered_when_replicas_are_ready() -> TestResult {
    let cluster = InstallCluster::new()?;
    cluster.multus(&json!({
        "socketDir": "/host/run/multus/", "namespaceIsolation": true, "globalNamespaces": "default,shared",
    }));
    warns(&cluster);
    let mut before = None;
    let end = cluster.installs(&["--image", "registry.example/nadmit:1"], |cluster| {
        before = Some(registrations(cluster));
        cluster.replicas_are_ready()
    })?;
    ended(
        &end,
        true,
        &[
            "applied  Namespace nadmit",
            "applied  CustomResourceDefinition addresspools.nadmit.io",
            "applied  Deployment nadmit/nadmit",
            "applied  MutatingWebhookConfiguration nadmit",
            "namespaceIsolation is true, as for Multus in ConfigMap kube-system/multus-daemon-config",
            "tested: a pod with an unknown network gets a warning",
            "certificates self-managed, image registry.example/nadmit:1",
            "it is unknown whether the replicas use them yet (no pod of nadmit is running)",
            "nadmit is installed, mode warn",
        ],
    )?;
    if before != Some(0) {
        return Err(format!("registered before replicas were ready: {before:?}").into());
    }
    let deployment = cluster.one("deployments.apps", "nadmit", "nadmit")?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    if image != "registry.example/nadmit:1" {
        return Err(format!("the image is {image}").into());
    }
    shows(
        &cluster.settings()?,
        &[
            "mode: warn",
            "namespaceIsolation: true",
            "globalNamespaces: [\"default\", \"shared\"]",
        ],
    )
}

fn replicas_that_do_not_start_leave_no_webhook() -> TestResult {
    let cluster = InstallCluster::new()?;
    let end = cluster.run(&["install", "--timeout", "1"])?;
    ended(
        &end,
        false,
        &[
            "the replicas are not ready after 1 s",
            "kubectl get pods -n nadmit",
        ],
    )?;
    match registrations(&cluster) {
        0 => Ok(()),
        count => Err(format!("{count} registrations").into()),
    }
}

fn installing_again_keeps_earlier_options() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let options = [
        "--image=registry.example/nadmit:1",
        "--replicas=3",
        "--fail-closed",
    ];
    let first = cluster.installs(&options, InstallCluster::replicas_are_ready)?;
    ended(&first, true, &["mode warn"])?;
    let mut config = cluster.one("configmaps", "nadmit", "nadmit-config")?;
    config["data"]["nadmit.yaml"] = json!("profile: strict\nmode: warn\n");
    config["data"]["reconciler_cron_expression"] = json!("*/5 * * * *");
    cluster.server.put(config);
    let second = cluster.installs(&["--mode", "deny"], InstallCluster::replicas_are_ready)?;
    ended(
        &second,
        true,
        &[
            "mode deny",
            "stay as they are",
            "certificates self-managed, image registry.example/nadmit:1, 3 replicas, fail-closed",
            "the image stays registry.example/nadmit:1",
        ],
    )?;
    shows(&cluster.settings()?, &["profile: strict", "mode: deny"])?;
    let config = cluster.one("configmaps", "nadmit", "nadmit-config")?;
    let schedule = &config["data"]["reconciler_cron_expression"];
    if schedule != "*/5 * * * *" {
        return Err(format!("the schedule is {schedule}").into());
    }
    let found = options_of(&cluster)?;
    let expected = ("registry.example/nadmit:1".to_owned(), 3, "Fail".to_owned());
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?}").into()),
    }
}

/// Returns the image, the replicas, and the failurePolicy of the webhook on pods.
fn options_of(cluster: &InstallCluster) -> Result<(String, u64, String), Failed> {
    let deployment = cluster.one("deployments.apps", "nadmit", "nadmit")?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    let resource = "validatingwebhookconfigurations.admissionregistration.k8s.io";
    let hooks = cluster.one(resource, "", "nadmit")?;
    let mut hooks = hooks["webhooks"].as_array().into_iter().flatten();
    let pods = hooks.find(|hook| hook["name"] == "pods.nadmit.io");
    let policy = pods.ok_or("no webhook on pods")?["failurePolicy"].clone();
    Ok((
        image.as_str().unwrap_or_default().to_owned(),
        deployment["spec"]["replicas"].as_u64().unwrap_or_default(),
        policy.as_str().unwrap_or_default().to_owned(),
    ))
}

fn an_option_is_turned_off_by_false_only() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    for (options, expected) in [
        (&["--fail-closed", "--replicas=1"][..], "Fail"),
        (&["--fail-closed=false"], "Ignore"),
    ] {
        let end = cluster.installs(options, InstallCluster::replicas_are_ready)?;
        ended(&end, true, &["1 replicas"])?;
        let (_, replicas, policy) = options_of(&cluster)?;
        if (replicas, &*policy) != (1, expected) {
            return Err(format!("{replicas} replicas, {policy}").into());
        }
    }
    Ok(())
}

/// Creates a pod of nadmit that waits for its image.
fn waits_for_its_image(cluster: &InstallCluster, image: &str) {
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "nadmit-1", "namespace": "nadmit", "labels": {"app.kubernetes.io/name": "nadmit"},
        },
        "spec": {"containers": [{"name": "nadmit", "image": image}]},
        "status": {"phase": "Pending", "containerStatuses": [{
            "name": "nadmit",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
        }]},
    }));
}

fn a_rollout_that_fails_is_named_at_once() -> TestResult {
    const IMAGE: &str = "registry.example/absent:1";
    let cluster = InstallCluster::new()?;
    let end = cluster.installs(&["--image", IMAGE], |cluster| {
        waits_for_its_image(cluster, IMAGE);
        Ok(())
    })?;
    ended(
        &end,
        false,
        &[
            "the rollout of Deployment nadmit/nadmit fails: Pod nadmit/nadmit-1 with image \
             registry.example/absent:1: ImagePullBackOff: Back-off pulling image",
            "no webhook is registered",
            "nadmit install --image",
        ],
    )
}

fn a_namespace_that_is_being_deleted_is_named() -> TestResult {
    let cluster = InstallCluster::new()?;
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "nadmit", "deletionTimestamp": "2026-11-01T00:00:00Z", "finalizers": ["a.example/b"]},
        "status": {"phase": "Terminating", "conditions": [{
            "type": "NamespaceFinalizersRemaining", "status": "True",
            "message": "Some content in the namespace has finalizers remaining: a.example/b",
        }]},
    }));
    let end = cluster.run(&["install", "--no-wait"])?;
    ended(&end, false, &["namespace nadmit is being deleted"])?;
    let end = cluster.run(&["install", "--timeout", "1"])?;
    ended(
        &end,
        false,
        &[
            "Namespace nadmit is not deleted after 1 s",
            "finalizers remaining: a.example/b",
        ],
    )
}

fn a_release_of_helm_is_left_to_helm_unless_asked_for() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    cluster.server.namespace("nadmit", &[]);
    cluster.server.put(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "nadmit", "namespace": "nadmit",
            "annotations": {"meta.helm.sh/release-name": "net", "meta.helm.sh/release-namespace": "nadmit"},
        },
        "spec": {"replicas": 2},
    }));
    let end = cluster.run(&["install", "--mode", "deny"])?;
    ended(
        &end,
        false,
        &[
            "Helm release net in namespace nadmit manages nadmit",
            "helm upgrade net -n nadmit",
            "--take-over",
        ],
    )?;
    let end = cluster.run(&["uninstall"])?;
    ended(&end, false, &["helm uninstall net -n nadmit"])?;
    if !cluster.server.written().is_empty() {
        return Err(format!("{:?}", cluster.server.written()).into());
    }
    let end = cluster.installs(&["--take-over"], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &["owner=helm,name=net"])?;
    let again = cluster.installs(&["--mode", "deny"], InstallCluster::replicas_are_ready)?;
    ended(&again, true, &["mode deny"])
}

fn configured_isolation_stays() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    cluster.multus(&json!({"namespaceIsolation": true}));
    cluster.server.namespace("nadmit", &[]);
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "nadmit-config", "namespace": "nadmit"},
        "data": {"nadmit.yaml": "mode: warn\nnamespaceIsolation: false\n"},
    }));
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    let expected = "namespaceIsolation stays false as set in ConfigMap nadmit-config";
    ended(&end, true, &[expected, "Multus has true"])?;
    shows(&cluster.settings()?, &["namespaceIsolation: false\n"])?;
    let status = cluster.run(&["status"])?;
    shows(
        &status.printed,
        &["namespaceIsolation is false, but true in ConfigMap kube-system/multus-daemon-config"],
    )
}

fn unknown_isolation_is_reported() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    let expected = [
        "namespaceIsolation is not set",
        "no DaemonSet of Multus was found",
        "only warns",
    ];
    ended(&end, true, &expected)?;
    if cluster.settings()?.contains("namespaceIsolation") {
        return Err(cluster.settings()?.into());
    }
    shows(&cluster.run(&["status"])?.printed, &expected)
}

fn detected_isolation_is_refreshed() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    for isolates in [true, false] {
        cluster.multus(&json!({"namespaceIsolation": isolates}));
        let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
        ended(&end, true, &[])?;
        let written = format!(
            "namespaceIsolation: {isolates}  # read from Multus: ConfigMap kube-system/multus-daemon-config"
        );
        shows(&cluster.settings()?, &[&written])?;
    }
    Ok(())
}

fn a_webhook_that_is_not_reached_is_noticed() -> TestResult {
    let cluster = InstallCluster::new()?;
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    ended(&end, false, &["got no finding", "nadmit status"])
}

fn a_cluster_that_is_too_old_is_not_touched() -> TestResult {
    let cluster = InstallCluster::of_minor(27)?;
    let end = cluster.run(&["install"])?;
    ended(&end, false, &["Kubernetes 1.27", "1.30 or newer"])?;
    match cluster.server.written().is_empty() {
        true => Ok(()),
        false => Err(format!("{:?}", cluster.server.written()).into()),
    }
}

fn uninstalling_takes_webhooks_first_and_keeps_records() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], InstallCluster::replicas_are_ready)?,
        true,
        &[],
    )?;
    let end = cluster.run(&["uninstall"])?;
    ended(&end, true, &["deleted  Deployment nadmit/nadmit", "kept "])?;
    let deleted: Vec<&str> = end
        .printed
        .lines()
        .filter(|line| line.starts_with("deleted"))
        .collect();
    let first_two = deleted
        .iter()
        .take(2)
        .all(|line| line.contains("WebhookConfiguration"));
    let definitions = cluster
        .server
        .all("customresourcedefinitions.apiextensions.k8s.io")
        .len();
    if !first_two || definitions != 4 || registrations(&cluster) != 0 {
        return Err(format!("{definitions} definitions left\n{}", end.printed).into());
    }
    let end = cluster.run(&["uninstall"])?;
    ended(&end, true, &["kept "])
}

fn a_purge_lists_losses_and_asks_for_confirmation() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], InstallCluster::replicas_are_ready)?,
        true,
        &[],
    )?;
    for address in ["192.0.2.1", "192.0.2.2"] {
        cluster.server.put(json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
            "metadata": {"name": address}, "spec": {"address": address},
        }));
    }
    let end = cluster.run(&["uninstall", "--purge"])?;
    ended(&end, false, &["2 allocations", "--yes"])?;
    if registrations(&cluster) == 0 {
        return Err("it began before anybody agreed".into());
    }
    let end = cluster.run(&["uninstall", "--purge", "--yes"])?;
    ended(
        &end,
        true,
        &["deleted  CustomResourceDefinition addressallocations.nadmit.io"],
    )
}

fn status_reports_the_installation() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], InstallCluster::replicas_are_ready)?,
        true,
        &[],
    )?;
    cluster.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": "192.0.2.0/24"}]},
        "status": {
            "allocated": 4, "free": 250,
            "conditions": [{"type": "Ready", "status": "False", "reason": "OverlapsWhereabouts",
                "message": "network db/old gives the same addresses"}],
        },
    }));
    cluster.server.put(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "sidecars"},
        "webhooks": [{"name": "inject.example", "rules": [
            {"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]},
        ]}],
    }));
    let end = cluster.run(&["status"])?;
    ended(
        &end,
        true,
        &[
            "2 of 2 ready",
            "warn",
            "pods.nadmit.io (Ignore)",
            "inject.example of sidecars",
            "storage: not ready (OverlapsWhereabouts: network db/old",
            "allocated 4, free 250",
        ],
    )?;
    let end = cluster.run(&["status", "--output", "json"])?;
    let status: Value = serde_json::from_str(&end.printed)?;
    match status["replicas"]["ready"] == 2 {
        true => Ok(()),
        false => Err(end.printed.into()),
    }
}

fn status_fails_when_nothing_serves() -> TestResult {
    const IMAGE: &str = "registry.example/nadmit:1";
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let end = cluster.installs(&["--image", IMAGE], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &[])?;
    let mut deployment = cluster.one("deployments.apps", "nadmit", "nadmit")?;
    deployment["status"]["readyReplicas"] = json!(0);
    cluster.server.put(deployment);
    waits_for_its_image(&cluster, IMAGE);
    ended(
        &cluster.run(&["status"])?,
        false,
        &[
            "0 of 2 ready",
            "fails: Pod nadmit/nadmit-1 with image registry.example/nadmit:1: ImagePullBackOff",
            "no replica of nadmit is ready",
        ],
    )
}

fn status_reports_within_seconds() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &[])?;
    for resource in ["leases", "addresspools"] {
        let silent = FaultAction::from(InjectedFailure::Silence);
        cluster.server.fault(FaultRule::of("*", resource, silent));
    }
    let begun = Instant::now();
    let end = cluster.run(&["status"])?;
    ended(
        &end,
        true,
        &[
            "2 of 2 ready",
            "cannot read Lease nadmit: no response within 5 s",
            "cannot list the address pools: no response within 5 s",
        ],
    )?;
    match begun.elapsed() < Duration::from_secs(30) {
        true => Ok(()),
        false => Err(format!("it took {:?}", begun.elapsed()).into()),
    }
}

fn status_without_an_installation_says_so() -> TestResult {
    let cluster = InstallCluster::new()?;
    let end = cluster.run(&["status"])?;
    ended(&end, false, &["nadmit is not installed", "nadmit install"])
}
