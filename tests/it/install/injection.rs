//! The time of injection, in the settings and in the webhook for new pods.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{InstallCluster, ended, warns};
use crate::support::{TestResult, same, shows};

pub(super) fn tests() -> Vec<Trial> {
    tests!["install"; the_webhook_for_new_pods_follows_the_time_of_injection]
}

/// Returns true if new pods are sent only if they name an address.
fn leaves_out_pods(cluster: &InstallCluster) -> Result<bool, Failed> {
    let kind = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
    let found = cluster.one(kind, "", "nadmit")?;
    let conditions = found["webhooks"][0]["matchConditions"].as_array().cloned();
    let is_it = |condition: &Value| condition["name"] == "names-addresses";
    Ok(conditions.iter().flatten().any(is_it))
}

fn set(cluster: &InstallCluster, settings: &str) -> TestResult {
    let mut config = cluster.one("configmaps", "nadmit", "nadmit-config")?;
    config["data"]["nadmit.yaml"] = settings.into();
    cluster.server.put(config);
    Ok(())
}

fn the_webhook_for_new_pods_follows_the_time_of_injection() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let installs = |options: &[&str], summary: &str| {
        let end = cluster.installs(options, InstallCluster::replicas_are_ready)?;
        ended(&end, true, &[summary])
    };
    installs(&[], "")?;
    same(&leaves_out_pods(&cluster)?, &true)?;
    installs(&["--injection=create"], "injection: create")?;
    shows(&cluster.settings()?, &["injection: create"])?;
    same(&leaves_out_pods(&cluster)?, &false)?;
    // Another installation keeps it.
    installs(&["--mode=deny"], "injection: create")?;
    same(&leaves_out_pods(&cluster)?, &false)?;

    // An administrator changes the setting alone.
    set(&cluster, "mode: deny\n")?;
    installs(&[], "")?;
    same(&leaves_out_pods(&cluster)?, &true)?;
    set(&cluster, "mode: deny\ninjection: create\n")?;
    let status = cluster.run(&["status"])?;
    shows(&status.printed, &["leaves out those that name no address"])?;
    installs(&[], "injection: create")?;
    same(&leaves_out_pods(&cluster)?, &false)?;
    let status = cluster.run(&["status"])?;
    same(&status.printed.contains("leaves out those"), &false)
}
