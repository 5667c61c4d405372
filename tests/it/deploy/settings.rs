//! The settings that nadmit is started with in a cluster are valid.

use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nadmit::{config::Config, rules::schedule::Schedule};
use serde_json::Value;

use super::{
    objects::{CERTIFICATE_SOURCES, kustomized, missing, of_file, of_folder, one},
    registered::list,
    unless,
};
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::test("deploy::settings::base", || settings(&of_folder("base")?)),
        trial!["deploy::settings"; the_crds_are_apart],
        Trial::test("deploy::settings::the_pod_is_hardened", || {
            hardened(&of_folder("base")?)
        }),
    ];
    for (overlay, _) in CERTIFICATE_SOURCES {
        let of = move || kustomized(&[&format!("overlays/{overlay}")], &[]);
        let no_kubectl = missing(false);
        tests.extend([
            unless(no_kubectl, &format!("settings::{overlay}"), move || {
                settings(&of()?)
            }),
            unless(
                no_kubectl,
                &format!("settings::{overlay}::arguments"),
                move || arguments(&of()?),
            ),
            unless(
                no_kubectl,
                &format!("settings::{overlay}::the_pod_is_hardened"),
                move || hardened(&of()?),
            ),
        ]);
    }
    tests
}

/// Returns the help of `nadmit serve`.
fn help() -> Result<String, Failed> {
    let help = Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["serve", "--help"])
        .output()?;
    Ok(String::from_utf8(help.stdout)?)
}

fn has_word(help: &str, word: &str) -> bool {
    let words = help.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
    words.into_iter().any(|one| one == word)
}

/// nadmit.yaml parses and denies nothing yet, and the schedule parses.
fn settings(all: &[Value]) -> TestResult {
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

/// Each argument and variable exists in `nadmit serve`.
fn arguments(all: &[Value]) -> TestResult {
    let help = help()?;
    let container = &one(all, "Deployment")?["spec"]["template"]["spec"]["containers"][0];
    for argument in list(&container["args"]) {
        let argument = argument.as_str().unwrap_or_default();
        let flag = argument.split('=').next().unwrap_or_default();
        if argument != "serve" && !has_word(&help, flag) {
            return Err(format!("nadmit serve knows no {flag}").into());
        }
    }
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        if !has_word(&help, name) {
            return Err(format!("nadmit serve reads no {name}").into());
        }
    }
    Ok(())
}

/// The pod fits the restricted Pod Security Standard, which the namespace enforces.
fn hardened(all: &[Value]) -> TestResult {
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

/// Deleting an overlay deletes no allocation.
fn the_crds_are_apart() -> TestResult {
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
