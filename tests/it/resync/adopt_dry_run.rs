//! `nadmit adopt --dry-run`, tested against a fake API server over HTTP.

use std::{fs, process::Command};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::support::{TestResult, holds, same};
use crate::api_server::{ApiServer, ListFault, SeedObjects};

pub(super) fn tests() -> Vec<Trial> {
    tests!["resync";
        a_dry_run_shows_blockers,
        with_manifests_it_shows_the_result,
        records_and_duplicates_are_shown,
        without_a_dry_run_it_refuses_with_a_message,
        forbidden_reads_are_named,
        it_takes_the_settings_of_the_cluster,
    ]
}

/// A cluster in which Whereabouts allocated the addresses.
const CLUSTER: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: db}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.0/28"}}'}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec: {ranges: [{range: 192.0.2.0/24}], namespaceSelector: {}}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: reports, namespace: db}
spec: {network: storage-net, holder: {pod: reports}, ips: [192.0.2.200/24]}
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/networks: storage-net
    k8s.v1.cni.cncf.io/network-status: '[{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.1"]}]'
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata:
  name: db-1
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/networks: storage-net
    k8s.v1.cni.cncf.io/network-status: '[{"name": "db/storage-net", "interface": "net1", "ips": ["192.0.2.2"]}]'
spec: {containers: []}
"#;

/// The network after the migration.
const CHANGED: &str = r#"apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
"#;

/// Runs `nadmit adopt` against a server; returns the exit code and the output on both streams.
fn adopt(server: &ApiServer, arguments: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    server.kubeconfig(&kubeconfig)?;
    let output = Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["adopt", "--kubeconfig"])
        .arg(&kubeconfig)
        .args(arguments)
        .env_remove("NADMIT_CONFIG")
        .env_remove("NADMIT_NAMESPACE")
        .output()?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&printed).into_owned(),
    ))
}

fn cluster(text: &str) -> Result<ApiServer, Failed> {
    Ok(ApiServer::start(
        SeedObjects::of_text(text)?,
        2,
        Vec::new(),
    )?)
}

fn expect_output(printed: &str, parts: &[&str]) -> TestResult {
    match parts.iter().find(|part| !printed.contains(**part)) {
        Some(part) => Err(format!("{part:?} is not in:\n{printed}").into()),
        None => Ok(()),
    }
}

fn a_dry_run_shows_blockers() -> TestResult {
    let (code, printed) = adopt(&cluster(CLUSTER)?, &["--dry-run"])?;
    same(code, Some(1))?;
    let parts = [
        "pool storage in the unnamed address space, used by no network",
        "blocked: Whereabouts assigns addresses of this pool to pods on network db/storage-net (192.0.2.1 \
         to 192.0.2.14)",
        "0 to adopt, 0 to reserve, 0 recorded; 0 used by more than one; 1 of 1 pools would assign nothing",
    ];
    expect_output(&printed, &parts)
}

fn with_manifests_it_shows_the_result() -> TestResult {
    let server = cluster(CLUSTER)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("network.yaml");
    fs::write(&file, CHANGED)?;
    let file = file.display().to_string();
    let (code, printed) = adopt(&server, &["--dry-run", &file])?;
    same(
        (code, &*printed),
        (
            Some(0),
            "\
pool storage in the unnamed address space for db/storage-net
  192.0.2.1    pod db/db-0             db/storage-net  adopt
  192.0.2.2    pod db/db-1             db/storage-net  adopt
  192.0.2.200  reservation db/reports  db/storage-net  reserve

2 to adopt, 1 to reserve, 0 recorded; 0 used by more than one; 0 of 1 pools would assign nothing
",
        ),
    )?;
    let (code, printed) = adopt(&server, &["--dry-run", "--output", "json", &file])?;
    same(code, Some(0))?;
    let json: Value = serde_json::from_str(&printed)?;
    let first = &json["pools"][0]["addresses"][0];
    let expected = json!({
        "address": "192.0.2.1", "holder": "pod db/db-0", "network": "db/storage-net",
        "state": "adopt",
    });
    same(first, &expected)?;
    // Nothing was written.
    let verbs: Vec<String> = server
        .request_counts()
        .into_keys()
        .map(|(verb, _)| verb)
        .collect();
    holds(verbs.iter().all(|verb| verb == "list"), verbs)?;
    // An unreadable manifest is reported.
    fs::write(&file, "kind: [")?;
    let (code, printed) = adopt(&server, &["--dry-run", &file])?;
    same(code, Some(2))?;
    expect_output(&printed, &["error:", "network.yaml"])
}

fn records_and_duplicates_are_shown() -> TestResult {
    let record = |last: u8, holder: &str| {
        format!(
            "---\napiVersion: nadmit.io/v1alpha1\nkind: AddressAllocation\nmetadata: {{name: 192.0.2.{last}}}\n\
             spec: {{address: 192.0.2.{last}, pool: storage, network: {{namespace: db, name: storage-net}}, \
             interface: net1, holder: {{pod: {{namespace: db, name: {holder}}}}}, since: '2026-03-01T12:00:00Z'}}\n"
        )
    };
    let (before, rest) = CLUSTER
        .split_once("---\napiVersion: k8s")
        .ok_or("no network")?;
    let (_, rest) = rest.split_once("---\n").ok_or("no pool")?;
    let faulty = "---\napiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: odd}\nspec: {ranges: [{range: x}]}\n";
    let text = format!(
        "{before}---\n{CHANGED}---\n{rest}{}{}{faulty}",
        record(1, "db-0"),
        record(2, "other")
    );
    let (code, printed) = adopt(&cluster(&text)?, &["--dry-run"])?;
    same(code, Some(1))?;
    let parts = [
        "192.0.2.1    pod db/db-0             db/storage-net  recorded\n",
        "used twice: 192.0.2.2 is used by pod db/other and by pod db/db-1\n",
        "pool odd in the unnamed address space, used by no network\n  blocked: ranges[0].range",
        "0 to adopt, 1 to reserve, 2 recorded; 1 used by more than one; 1 of 2 pools would assign nothing",
    ];
    expect_output(&printed, &parts)
}

fn without_a_dry_run_it_refuses_with_a_message() -> TestResult {
    let server = cluster(CLUSTER)?;
    let (code, printed) = adopt(&server, &[])?;
    same(code, Some(2))?;
    expect_output(
        &printed,
        &["--dry-run is missing", "nadmit adopt --dry-run"],
    )?;
    same(server.request_paths(), Vec::new())
}

fn forbidden_reads_are_named() -> TestResult {
    for (resource, part) in [
        (
            "addressallocations",
            "may not list addressallocations.nadmit.io in the whole cluster (403)",
        ),
        ("pods", "the addresses of running pods are not known"),
    ] {
        let store = SeedObjects::of_text(CLUSTER)?;
        let server = ApiServer::start(store, 2, vec![ListFault::Forbidden(resource)])?;
        let (code, printed) = adopt(&server, &["--dry-run"])?;
        same(code, Some(2))?;
        expect_output(&printed, &[part])?;
    }
    // While nadmit is not installed, nothing is recorded.
    let store = SeedObjects::of_text(CLUSTER)?.without("addressallocations");
    let (code, printed) = adopt(&ApiServer::start(store, 2, Vec::new())?, &["--dry-run"])?;
    same(code, Some(1))?;
    expect_output(&printed, &["0 recorded"])
}

fn it_takes_the_settings_of_the_cluster() -> TestResult {
    let text = |settings: &str| {
        format!(
            "{CLUSTER}---\napiVersion: v1\nkind: ConfigMap\n\
             metadata: {{name: nadmit-config, namespace: nadmit}}\ndata: {{nadmit.yaml: {settings:?}}}\n"
        )
    };
    let (code, printed) = adopt(&cluster(&text("ruls: {}"))?, &["--dry-run"])?;
    same(code, Some(2))?;
    let place = "ConfigMap nadmit/nadmit-config, key nadmit.yaml";
    expect_output(&printed, &[place, "has errors", "--config"])?;
    let store = SeedObjects::of_text(&text("profile: strict"))?;
    let server = ApiServer::start(store, 2, vec![ListFault::Forbidden("configmaps")])?;
    let (code, printed) = adopt(&server, &["--dry-run"])?;
    same(code, Some(1))?;
    expect_output(&printed, &["warning: the settings in", "0 to adopt"])
}
