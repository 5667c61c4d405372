//! The plugin of kubectl: the real binary under the plugin's names, against a fake API server.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::{
    operate::fixture::{OperatorFixture, replica},
    support::{TestResult, same},
};

pub(crate) fn tests() -> Vec<Trial> {
    tests!["kubectl";
        the_plugin_asks_the_cluster,
        namespaces_are_those_of_kubectl,
        pods_are_selected_by_labels,
        every_format_has_the_same_content,
        arguments_are_completed,
        the_krew_manifest_is_complete,
    ]
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs the program under a name, in the folder of a cluster.
fn run(fixture: &OperatorFixture, name: &str, arguments: &[&str]) -> Result<Output, Failed> {
    let program = fixture.place.path(name);
    if !program.exists() {
        symlink(env!("CARGO_BIN_EXE_nadmit"), &program)?;
    }
    let output = Command::new(&program)
        .args(arguments)
        .env("KUBECONFIG", fixture.place.path("kubeconfig"))
        .env("NO_COLOR", "1")
        .output()?;
    Ok(output)
}

/// Returns what the plugin prints; it has to succeed.
fn printed(fixture: &OperatorFixture, arguments: &[&str]) -> Result<String, Failed> {
    let output = run(fixture, "kubectl-nadmit", arguments)?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn fixture() -> Result<OperatorFixture, Failed> {
    let fixture = OperatorFixture::new()?;
    fixture.record("192.0.2.197", replica("db-0"));
    Ok(fixture)
}

fn the_plugin_asks_the_cluster() -> TestResult {
    let fixture = fixture()?;
    for arguments in [
        &["pools"][..],
        &["pools", "storage", "--map"],
        &["whois", "192.0.2.197"],
    ] {
        same(&printed(&fixture, arguments)?, &fixture.run(arguments)?)?;
    }
    let explained = printed(&fixture, &["explain", "unknown-network"])?;
    same(
        &explained,
        &fixture.place.run(&["explain", "unknown-network"])?,
    )
}

/// Without a flag the namespace is that of the context, which is `default` here.
fn namespaces_are_those_of_kubectl() -> TestResult {
    let fixture = fixture()?;
    same(
        &*printed(&fixture, &["allocations"])?,
        "no allocations match\n",
    )?;
    let all = fixture.run(&["allocations"])?;
    let in_db = fixture.run(&["allocations", "--namespace", "db"])?;
    same(&printed(&fixture, &["allocations", "-A"])?, &all)?;
    same(&printed(&fixture, &["allocations", "-n", "db"])?, &in_db)?;
    // A name with a namespace needs no flag.
    let of_pod = fixture.run(&["allocations", "--pod", "db/db-0"])?;
    same(
        &printed(&fixture, &["allocations", "--pod", "db/db-0"])?,
        &of_pod,
    )?;
    let described = fixture.run(&["describe", "pod", "db/db-0"])?;
    same(
        &printed(&fixture, &["describe", "pod", "db-0", "-n", "db"])?,
        &described,
    )?;
    let both = ["describe", "pod", "db/db-0", "-n", "web"];
    let refused = run(&fixture, "kubectl-nadmit", &both)?;
    let error = String::from_utf8(refused.stderr)?;
    same(refused.status.success(), false)?;
    same(error.contains("omit one of them"), true)
}

fn pods_are_selected_by_labels() -> TestResult {
    let fixture = fixture()?;
    fixture.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "db", "labels": {"app": "db"}},
        "spec": {"containers": []},
    }));
    let of_app = |app: &str| {
        printed(
            &fixture,
            &["allocations", "-A", "-l", &format!("app={app}")],
        )
    };
    same(of_app("db")?.contains("192.0.2.197"), true)?;
    same(&*of_app("web")?, "no allocations match\n")
}

fn every_format_has_the_same_content() -> TestResult {
    let fixture = fixture()?;
    for arguments in [
        &["pools"][..],
        &["allocations", "-A"],
        &["whois", "192.0.2.197"],
        &["describe", "pod", "db-0", "-n", "db"],
    ] {
        let with = |format: &str| printed(&fixture, &[arguments, &["-o", format]].concat());
        let json: Value = serde_json::from_str(&with("json")?)?;
        let yaml: Value = serde_saphyr::from_str(&with("yaml")?)?;
        same(&yaml, &json)?;
        let (table, wide) = (with("table")?, with("wide")?);
        let is_list = ["pools", "allocations"].contains(&arguments[0]);
        same(wide.len() > table.len(), is_list)?;
    }
    let wide = printed(&fixture, &["allocations", "-A", "-o", "wide"])?;
    same(
        wide.contains("example-net-common-5ef15fa086aaa63f.192.0.2.197"),
        true,
    )
}

fn arguments_are_completed() -> TestResult {
    let fixture = fixture()?;
    let output = run(&fixture, "kubectl_complete-nadmit", &["po"])?;
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.lines().collect();
    same(lines.len(), 2)?;
    same(
        lines
            .first()
            .is_some_and(|line| line.starts_with("pools\t")),
        true,
    )?;
    same(lines.last().copied(), Some(":4"))
}

/// The template is a manifest once krew-release-bot has filled it in.
fn the_krew_manifest_is_complete() -> TestResult {
    let template = fs::read_to_string(Path::new(ROOT).join("deploy/krew/nadmit.yaml"))?;
    let lines = template.lines().map(|line| match line.trim_start() {
        word if word.starts_with("{{addURIAndSha ") => {
            "    uri: https://releases.example/a.tar.gz\n    sha256: \"0\"".to_owned()
        }
        _ => line.replace("{{ .TagName }}", "v0.1.0"),
    });
    let text: Vec<String> = lines.collect();
    let manifest: Value = serde_saphyr::from_str(&text.join("\n"))?;
    same(&manifest["kind"], &json!("Plugin"))?;
    same(&manifest["metadata"]["name"], &json!("nadmit"))?;
    let platforms = manifest["spec"]["platforms"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    same(platforms.len(), 2)?;
    for platform in platforms {
        for key in ["selector", "uri", "sha256", "bin", "files"] {
            same(platform[key].is_null(), false)?;
        }
    }
    // krew shows one line of at most 50 characters.
    let short = manifest["spec"]["shortDescription"]
        .as_str()
        .unwrap_or_default();
    same((1..=50).contains(&short.len()), true)
}
