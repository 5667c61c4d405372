//! `nadmit install | uninstall | status`: the real binary against a stand-in for the API server.

mod cluster;
mod manifests;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use self::cluster::{Cluster, Ended};
use crate::api_server::Webhook;

type Told = Result<(), Failed>;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn() -> Told| Trial::test(format!("install::{name}"), run);
    let mut trials = vec![
        trial("webhooks_are_registered_when_replicas_are_ready", installed),
        trial("replicas_that_do_not_start_leave_no_webhook", stuck),
        trial("installing_again_keeps_what_was_set", again),
        trial("a_webhook_that_is_not_reached_is_noticed", unreached),
        trial("a_cluster_that_is_too_old_is_not_touched", old),
        trial(
            "uninstalling_takes_webhooks_first_and_keeps_records",
            uninstalled,
        ),
        trial("a_purge_names_what_is_lost_and_asks", purged),
        trial("status_says_how_it_is", status),
        trial("status_of_nothing_says_so", nothing),
    ];
    trials.extend(manifests::trials());
    trials
}

fn holds(said: &str, parts: &[&str]) -> Told {
    match parts.iter().find(|part| !said.contains(**part)) {
        Some(part) => Err(format!("{part:?} is not in:\n{said}").into()),
        None => Ok(()),
    }
}

fn ended(ended: &Ended, well: bool, parts: &[&str]) -> Told {
    if ended.well != well {
        return Err(format!("it ended {}:\n{}", ended.well, ended.said).into());
    }
    holds(&ended.said, parts)
}

fn registrations(cluster: &Cluster) -> usize {
    let kinds = ["mutating", "validating"];
    let found = kinds.map(|kind| {
        let resource = format!("{kind}webhookconfigurations.admissionregistration.k8s.io");
        cluster.server.all(&resource).len()
    });
    found.iter().sum()
}

/// Whoever asks for a network that is not there is warned, as nadmit does it.
fn warns(cluster: &Cluster) {
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

fn installed() -> Told {
    let cluster = Cluster::new()?;
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "multus-daemon-config", "namespace": "kube-system"},
        "data": {"daemon-config.json": json!({
            "socketDir": "/host/run/multus/", "namespaceIsolation": true, "globalNamespaces": "default,shared",
        }).to_string()},
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
            "namespaceIsolation is true, as Multus is set in ConfigMap kube-system/multus-daemon-config",
            "tested: a pod with an unknown network is warned of",
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
    holds(
        &cluster.settings()?,
        &[
            "mode: warn",
            "namespaceIsolation: true",
            "globalNamespaces: [\"default\", \"shared\"]",
        ],
    )
}

fn stuck() -> Told {
    let cluster = Cluster::new()?;
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

fn again() -> Told {
    let cluster = Cluster::new()?;
    warns(&cluster);
    let first = cluster.installs(&[], Cluster::replicas_are_ready)?;
    ended(&first, true, &["mode warn"])?;
    let mut config = cluster.one("configmaps", "nadmit", "nadmit-config")?;
    config["data"]["nadmit.yaml"] = json!("profile: strict\nmode: warn\n");
    config["data"]["reconciler_cron_expression"] = json!("*/5 * * * *");
    cluster.server.put(config);
    let second = cluster.installs(&["--mode", "deny"], Cluster::replicas_are_ready)?;
    ended(&second, true, &["mode deny", "stay as they are"])?;
    holds(&cluster.settings()?, &["profile: strict", "mode: deny"])?;
    let config = cluster.one("configmaps", "nadmit", "nadmit-config")?;
    let schedule = &config["data"]["reconciler_cron_expression"];
    if schedule != "*/5 * * * *" {
        return Err(format!("the schedule is {schedule}").into());
    }
    Ok(())
}

fn unreached() -> Told {
    let cluster = Cluster::new()?;
    let end = cluster.installs(&[], Cluster::replicas_are_ready)?;
    ended(&end, false, &["passed in silence", "nadmit status"])
}

fn old() -> Told {
    let cluster = Cluster::of_minor(27)?;
    let end = cluster.run(&["install"])?;
    ended(&end, false, &["Kubernetes 1.27", "1.30 or newer"])?;
    match cluster.server.written().is_empty() {
        true => Ok(()),
        false => Err(format!("{:?}", cluster.server.written()).into()),
    }
}

fn uninstalled() -> Told {
    let cluster = Cluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], Cluster::replicas_are_ready)?,
        true,
        &[],
    )?;
    let end = cluster.run(&["uninstall"])?;
    ended(&end, true, &["deleted  Deployment nadmit/nadmit", "kept "])?;
    let deleted: Vec<&str> = end
        .said
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
        return Err(format!("{definitions} definitions left\n{}", end.said).into());
    }
    let end = cluster.run(&["uninstall"])?;
    ended(&end, true, &["kept "])
}

fn purged() -> Told {
    let cluster = Cluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], Cluster::replicas_are_ready)?,
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

fn status() -> Told {
    let cluster = Cluster::new()?;
    warns(&cluster);
    ended(
        &cluster.installs(&[], Cluster::replicas_are_ready)?,
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
    let status: Value = serde_json::from_str(&end.said)?;
    match status["replicas"]["ready"] == 2 {
        true => Ok(()),
        false => Err(end.said.into()),
    }
}

fn nothing() -> Told {
    let cluster = Cluster::new()?;
    let end = cluster.run(&["status"])?;
    ended(&end, false, &["nadmit is not installed", "nadmit install"])
}
