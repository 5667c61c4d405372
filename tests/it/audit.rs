//! `nadmit audit`: on files, and on a cluster of the fake API server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libtest_mimic::{Failed, Trial};
use nadmit::manifests;
use nadmit_audit::AuditCode;
use serde_json::Value;

use crate::api_server::{ApiServer, ListFault, SeedObjects};
use crate::support::TestResult;
use crate::support::{same, shows};

pub(crate) fn tests() -> Vec<Trial> {
    tests!["audit";
        files_are_compared,
        json_has_stable_keys,
        exit_codes_are_those_of_check,
        broken_files_are_findings,
        a_cluster_is_compared,
        findings_are_confirmed_by_a_second_reading,
        a_namespace_limits_what_is_shown,
        kinds_that_may_not_be_listed_are_notes,
        without_any_kind_nothing_is_compared,
        the_role_lists_every_kind,
        the_page_has_every_code,
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/audit")
}

fn nadmit(arguments: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .arg("audit")
        .args(arguments)
        .output()?)
}

/// Runs the command; returns the exit code and the output on both streams.
fn audit(arguments: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let output = nadmit(arguments)?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&printed).into(),
    ))
}

/// Starts a server with the objects of the fixtures.
fn server(faults: Vec<ListFault>) -> Result<ApiServer, Failed> {
    let server = ApiServer::start(SeedObjects::of_text("")?, 2, faults)?;
    for name in ["networks.yaml", "pods.yaml", "records.yaml"] {
        let text = fs::read_to_string(fixtures().join(name))?;
        for object in manifests::values(&text, name).objects {
            server.put(object);
        }
    }
    Ok(server)
}

/// Runs the command against a server.
fn against(server: &ApiServer, arguments: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    server.kubeconfig(&file)?;
    let file = file.display().to_string();
    let arguments = [&["--cluster", "--kubeconfig", &file][..], arguments].concat();
    let (code, printed) = audit(&arguments)?;
    Ok((code, printed.replace(&server.url(), "SERVER")))
}

/// Compares the output with its snapshot; `NADMIT_UPDATE=1` rewrites it.
fn is_as_in(name: &str, printed: &String) -> TestResult {
    let path = root().join("tests/it/snapshots").join(name);
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, printed)?;
    }
    same(printed, &fs::read_to_string(&path).unwrap_or_default())
}

fn files_are_compared() -> TestResult {
    let (code, printed) = audit(&["tests/fixtures/audit"])?;
    is_as_in("audit.human", &printed)?;
    same(&code, &Some(1))
}

fn json_has_stable_keys() -> TestResult {
    let (code, printed) = audit(&["--format", "json", "tests/fixtures/audit"])?;
    is_as_in("audit.json", &printed)?;
    same(&code, &Some(1))?;
    let json: Value = serde_json::from_str(&printed)?;
    let findings = json["findings"].as_array().map(Vec::len);
    let counted = ["denials", "warnings"].map(|key| json["summary"][key].as_u64());
    let counted: u64 = counted.into_iter().flatten().sum();
    same(&findings.map(|count| count as u64), &Some(counted))
}

fn exit_codes_are_those_of_check() -> TestResult {
    let networks = fixtures().join("networks.yaml").display().to_string();
    let folder = tempfile::tempdir()?;
    let pods = folder.path().join("pods.yaml");
    fs::write(&pods, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")?;
    let pods = pods.display().to_string();
    for (arguments, expected) in [
        (&[&*pods][..], 0),
        (&[&networks], 1),
        (&["/no/such/path"], 2),
        (&["--no-such-flag"], 2),
        (&[], 2),
        (&["--cluster", &pods], 2),
        (&["--confirm-after", "1", &pods], 2),
        (&["--context", "x", &pods], 2),
    ] {
        let (code, printed) = audit(arguments)?;
        if code != Some(expected) {
            return Err(format!("{arguments:?} ended with {code:?}:\n{printed}").into());
        }
    }
    Ok(())
}

fn broken_files_are_findings() -> TestResult {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("a.yaml"), "kind: A\n---\nkind: [\n")?;
    fs::write(folder.path().join("b.json"), "{")?;
    let (code, printed) = audit(&[&folder.path().display().to_string()])?;
    same(&code, &Some(0))?;
    same(
        &printed.matches("warn: [nadmit unreadable-record]").count(),
        &2,
    )?;
    shows(&printed, &["a.yaml:", "b.json:1:", "(nothing to compare)"])
}

fn a_cluster_is_compared() -> TestResult {
    let (code, printed) = against(&server(vec![])?, &["--confirm-after", "0"])?;
    same(&code, &Some(1))?;
    shows(
        &printed,
        &[
            "deny: [nadmit duplicate-address] 198.51.100.109 is on the interfaces of 2 pods",
            "deny: [nadmit missing-entry] 198.51.100.110",
            "deny: [nadmit leaked-entry] 198.51.100.112",
            "deny: [nadmit orphaned-reservation] the reservation kube-system/198.51.100.112",
            "warn: [nadmit unused-pool]",
            "note: the cluster does not have ipamclaims",
            "3 Pods, 2 NetworkAttachmentDefinitions, 2 IPPools, 2 OverlappingRangeIPReservations of SERVER)",
        ],
    )
}

fn findings_are_confirmed_by_a_second_reading() -> TestResult {
    let server = server(vec![])?;
    let once = against(&server, &["--confirm-after", "0"])?;
    let before = server.request_paths().len();
    let twice = against(&server, &["--confirm-after", "1"])?;
    same(&twice, &once)?;
    same(&(server.request_paths().len() - before), &(2 * before))
}

fn a_namespace_limits_what_is_shown() -> TestResult {
    let server = server(vec![])?;
    let (code, printed) = against(&server, &["--confirm-after", "0", "-n", "web"])?;
    same(&code, &Some(0))?;
    shows(&printed, &["no finding"])?;
    let (code, printed) = against(&server, &["--confirm-after", "0", "-n", "db"])?;
    same(&code, &Some(1))?;
    shows(&printed, &["leaked-entry", "duplicate-address"])?;
    same(&printed.contains("unused-pool"), &false)
}

fn kinds_that_may_not_be_listed_are_notes() -> TestResult {
    let server = server(vec![ListFault::Forbidden("pods")])?;
    let (code, printed) = against(&server, &["--confirm-after", "0"])?;
    same(&code, &Some(1))?;
    shows(
        &printed,
        &[
            "note: findings that need the pods of the cluster are left out: may not list pods",
            "ClusterRole nadmit-audit",
            "deny: [nadmit two-allocators]",
        ],
    )?;
    same(&printed.contains("leaked-entry"), &false)
}

fn without_any_kind_nothing_is_compared() -> TestResult {
    let server = server(vec![ListFault::Forbidden("*")])?;
    let (code, printed) = against(&server, &[])?;
    same(&code, &Some(2))?;
    shows(&printed, &["nothing can be compared: ", "may not list"])
}

fn the_role_lists_every_kind() -> TestResult {
    let text = fs::read_to_string(root().join("deploy/examples/audit-cluster.yaml"))?;
    let server = server(vec![])?;
    against(&server, &["--confirm-after", "0"])?;
    let paths = server.request_paths();
    let resources = paths
        .iter()
        .filter_map(|path| path.split('?').next()?.rsplit('/').next());
    let unnamed: Vec<&str> = resources
        .filter(|resource| !text.contains(resource))
        .collect();
    same(&unnamed, &Vec::new())
}

fn the_page_has_every_code() -> TestResult {
    let page = fs::read_to_string(root().join("docs/how-to/audit.md"))?;
    let codes = AuditCode::ALL.map(AuditCode::name);
    let missing: Vec<&str> = codes
        .into_iter()
        .filter(|code| !page.contains(&format!("| `{code}` |")))
        .collect();
    same(&missing, &Vec::new())
}
