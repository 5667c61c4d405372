//! What nadmit is started with in a cluster, it knows.

use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nadmit::{config::Config, rules::schedule::Schedule};
use serde_json::Value;

use super::{
    objects::{WAYS, kustomized, missing, of_file, of_folder, one},
    registered::list,
    unless,
};

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("deploy::settings::base", || {
        let base = of_folder("base")?;
        settings(&base)?;
        hardened(&base)
    })];
    trials.extend(WAYS.into_iter().map(|(overlay, _)| {
        unless(missing(false), &format!("settings::{overlay}"), move || {
            let all = kustomized(&[&format!("overlays/{overlay}")], &[])?;
            settings(&all)?;
            arguments(&all)?;
            hardened(&all)
        })
    }));
    trials.push(Trial::test(
        "deploy::settings::the_crds_are_apart",
        crds_apart,
    ));
    trials
}

/// nadmit.yaml is one, denies nothing yet, and the schedule is one.
fn settings(all: &[Value]) -> Result<(), Failed> {
    let config = all
        .iter()
        .find(|object| object["metadata"]["name"] == "nadmit-config");
    let data = &config.ok_or("no nadmit-config")?["data"];
    let text = data["nadmit.yaml"].as_str().unwrap_or_default();
    Config::parse(text, "nadmit.yaml").map_err(|error| error.to_string())?;
    assert!(text.lines().any(|line| line == "mode: warn"), "{text}");
    let schedule = data["reconciler_cron_expression"].as_str();
    let schedule = Schedule::parse(schedule.unwrap_or_default());
    schedule
        .map(drop)
        .map_err(|error| format!("{error:?}").into())
}

/// Each argument and variable is one of `nadmit serve`.
fn arguments(all: &[Value]) -> Result<(), Failed> {
    let help = Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["serve", "--help"])
        .output()?;
    let help = String::from_utf8(help.stdout)?;
    let container = &one(all, "Deployment")?["spec"]["template"]["spec"]["containers"][0];
    let known = |word: &str| {
        help.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
            .any(|one| one == word)
    };
    for argument in list(&container["args"]) {
        let argument = argument.as_str().unwrap_or_default();
        let flag = argument.split('=').next().unwrap_or_default();
        if argument != "serve" && !known(flag) {
            return Err(format!("nadmit serve knows no {flag}").into());
        }
    }
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        if !known(name) {
            return Err(format!("nadmit serve reads no {name}").into());
        }
    }
    Ok(())
}

/// The pod fits the strictest standard, which the namespace enforces.
fn hardened(all: &[Value]) -> Result<(), Failed> {
    let labels = &one(all, "Namespace")?["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let pod = &one(all, "Deployment")?["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    for container in list(&pod["containers"]) {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert!(context["capabilities"]["add"].is_null());
    }
    for volume in list(&pod["volumes"]) {
        let sort = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| &**key);
        let fits = ["configMap", "emptyDir", "secret", "name"];
        assert!(sort.into_iter().all(|key| fits.contains(&key)), "{volume}");
    }
    Ok(())
}

/// Who deletes an overlay deletes no allocation.
fn crds_apart() -> Result<(), Failed> {
    for folder in [
        "base",
        "overlays/self-managed",
        "overlays/cert-manager",
        "overlays/openshift",
    ] {
        for kustomization in of_file(&format!("{folder}/kustomization.yaml"))? {
            let resources = list(&kustomization["resources"]).iter();
            let mut names = resources.filter_map(Value::as_str);
            assert!(names.all(|name| !name.contains("crds")), "{folder}");
        }
    }
    Ok(())
}
