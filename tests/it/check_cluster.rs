//! `nadmit check --cluster`: against a fake API server, and a real one if there is one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::AtomicUsize,
};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, ListFault, SeedObjects, kubeconfig};
use crate::support::TestResult;
use crate::support::{same, shows};

/// The variable whose kubeconfig is used for reads only.
const REAL: &str = "KUBECONFIG";

pub(crate) fn tests() -> Vec<Trial> {
    let real = std::env::var_os(REAL).is_some();
    tests!["check_cluster";
        a_cluster_is_checked,
        other_forms_have_objects_for_places,
        a_healthy_cluster_has_no_finding,
        two_pods_with_one_address_are_reported,
        a_namespace_limits_the_check,
        files_are_checked_in_a_cluster,
        files_take_the_place_of_objects,
        lists_are_read_to_their_end,
        an_expired_continue_token_restarts_the_list,
        a_missing_kind_has_no_objects,
        forbidden_kinds_are_named,
        the_settings_of_the_cluster_apply,
        settings_that_may_not_be_read_are_warned_of,
        a_pod_that_has_its_node_needs_no_injection,
        multus_s_setting_decides_about_other_namespaces,
        an_unreachable_server_is_named,
        a_real_cluster_is_checked.with_ignored_flag(!real),
    ]
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cluster")
}

/// Runs `nadmit check --cluster` with these arguments.
fn nadmit(kubeconfig: &Path, arguments: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["check", "--cluster", "--kubeconfig"])
        .arg(kubeconfig)
        .args(arguments)
        .env_remove("NADMIT_CONFIG")
        .env_remove("NADMIT_NAMESPACE")
        .output()?)
}

/// Runs it against a server; returns the exit code and the output on both streams.
fn against(server: &ApiServer, arguments: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    server.kubeconfig(&file)?;
    let output = nadmit(&file, arguments)?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).replace(&server.url(), "SERVER");
    Ok((output.status.code(), printed))
}

fn fixture(faults: Vec<ListFault>) -> Result<ApiServer, Failed> {
    Ok(ApiServer::start(
        SeedObjects::of_folder(&fixtures())?,
        2,
        faults,
    )?)
}

/// Compares the output with its snapshot; `NADMIT_UPDATE=1` rewrites it.
fn a_cluster_is_checked() -> TestResult {
    let (code, printed) = against(&fixture(vec![])?, &[])?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/cluster.human");
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, &printed)?;
    }
    same(&printed, &fs::read_to_string(&path).unwrap_or_default())?;
    same(&code, &Some(1))
}

fn other_forms_have_objects_for_places() -> TestResult {
    let server = fixture(vec![])?;
    let (_, printed) = against(&server, &["--format", "json"])?;
    let json: Value = serde_json::from_str(&printed)?;
    let first = &json["findings"][0];
    same(&first.get("line"), &None)?;
    let summed = |key: &str| {
        let counts = json["counts"].as_array().into_iter().flatten();
        counts.filter_map(|count| count[key].as_u64()).sum::<u64>()
    };
    same(
        &Some(summed("denials")),
        &json["summary"]["denials"].as_u64(),
    )?;
    same(
        &Some(summed("warnings")),
        &json["summary"]["warnings"].as_u64(),
    )?;
    let (_, printed) = against(&server, &["--format", "sarif"])?;
    let log: Value = serde_json::from_str(&printed)?;
    let place = &log["runs"][0]["results"][0]["locations"][0];
    if place["logicalLocations"][0]["fullyQualifiedName"].is_null() {
        return Err(format!("no logical location: {place}").into());
    }
    let (_, printed) = against(&server, &["--format", "github"])?;
    shows(
        &printed,
        &["::error title=[nadmit unknown-network]::pod db/mistaken metadata.annotations["],
    )
}

/// The correct objects of the fixtures: injected addresses are not findings.
fn a_healthy_cluster_has_no_finding() -> TestResult {
    let wrong = ["thief", "mistaken", "front-net"];
    let mut kept = Vec::new();
    for name in ["networks.yaml", "pods.yaml"] {
        let text = fs::read_to_string(fixtures().join(name))?;
        let objects = text.split("---\n").filter(|object| {
            let of_db = object.contains("namespace: db") || object.contains("kind: AddressPool");
            of_db
                && !wrong
                    .iter()
                    .any(|wrong| object.contains(&format!("name: {wrong}")))
        });
        kept.extend(objects.map(str::to_owned));
    }
    kept.push("apiVersion: v1\nkind: Namespace\nmetadata: {name: db}\n".to_owned());
    let server = ApiServer::start(SeedObjects::of_text(&kept.join("---\n"))?, 500, vec![])?;
    let (code, printed) = against(&server, &[])?;
    shows(&printed, &["no finding"])?;
    same(&code, &Some(0))?;
    // One more pod has an address that no network-status shows.
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: NAME\n  namespace: db\n  annotations: \
               {k8s.v1.cni.cncf.io/networks: '[{\"name\": \"pooled-net\", \"ips\": [\"ADDRESS/29\"]}]'}\n";
    let folder = tempfile::tempdir()?;
    for (address, code, expected) in [
        ("198.51.100.5", 0, "no finding"),
        ("198.51.100.2", 1, "address-in-use"),
    ] {
        let file = folder.path().join("pod.yaml");
        fs::write(
            &file,
            pod.replace("NAME", "new").replace("ADDRESS", address),
        )?;
        let (found, printed) = against(&server, &[&file.display().to_string()])?;
        shows(&printed, &[expected])?;
        same(&found, &Some(code))?;
    }
    Ok(())
}

fn two_pods_with_one_address_are_reported() -> TestResult {
    let (_, printed) = against(&fixture(vec![])?, &["--namespace", "db"])?;
    shows(
        &printed,
        &["deny: [nadmit address-in-use] 198.51.100.2 is in use by"],
    )?;
    same(
        &printed.matches("deny: [nadmit address-in-use]").count(),
        &1,
    )
}

fn a_namespace_limits_the_check() -> TestResult {
    let server = fixture(vec![])?;
    let (code, printed) = against(&server, &["--namespace", "web"])?;
    same(&code, &Some(1))?;
    shows(&printed, &["front-net", "in namespace web of SERVER"])?;
    if printed.contains("db/mistaken") || printed.contains("network \"db/storage-net\" does not") {
        return Err(printed.into());
    }
    let asked = server.request_paths();
    let templates = asked.iter().find(|path| path.contains("/cronjobs"));
    let templates = templates.ok_or("no cronjobs")?;
    shows(templates, &["/apis/batch/v1/namespaces/web/cronjobs?"])?;
    let (code, printed) = against(&server, &["--namespace", "nowhere"])?;
    same(&code, &Some(2))?;
    shows(&printed, &["namespace \"nowhere\" does not exist"])
}

fn pod(network: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: new\n  namespace: db\n  annotations:\n    \
         k8s.v1.cni.cncf.io/networks: {network}\n"
    )
}

/// Checks one manifest in the cluster of the fixtures.
fn manifest(text: &str) -> Result<(Option<i32>, String), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.yaml");
    fs::write(&file, text)?;
    against(&fixture(vec![])?, &[&file.display().to_string()])
}

fn files_are_checked_in_a_cluster() -> TestResult {
    // Findings of the cluster itself are not reported.
    let (code, printed) = manifest(&asking())?;
    shows(&printed, &["no finding"])?;
    same(&code, &Some(0))?;
    // This namespace is known to have no network.
    let elsewhere = pod("back-net").replace("namespace: db", "namespace: lonely");
    let (code, printed) = manifest(&elsewhere)?;
    shows(&printed, &["deny: [nadmit unknown-network]", "a.yaml:7:34"])?;
    same(&code, &Some(1))
}

/// Returns a pod without findings in the cluster of the fixtures.
fn asking() -> String {
    pod(r#"'[{"name": "storage-net", "ips": ["203.0.113.5/24"]}]'"#)
}

fn files_take_the_place_of_objects() -> TestResult {
    let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                   metadata: {name: storage-net, namespace: db}\nspec: {config: '{'}\n";
    let (code, printed) = manifest(&format!("{network}---\n{}", asking()))?;
    same(&code, &Some(1))?;
    shows(
        &printed,
        &[
            "deny: [nadmit invalid-network-config]",
            "deny: [nadmit broken-network]",
        ],
    )?;
    // Replacing an object is not a duplicate definition.
    if printed.contains("duplicate-object") {
        return Err(printed.into());
    }
    Ok(())
}

fn lists_are_read_to_their_end() -> TestResult {
    let server = fixture(vec![])?;
    against(&server, &[])?;
    let pods = server.request_paths();
    let pods = pods.iter().filter(|path| path.contains("/v1/pods"));
    let pods: Vec<&String> = pods.collect();
    // Seven pods, two a page.
    same(&pods.len(), &4)?;
    shows(pods[0], &["limit=500"])?;
    // The token needs escaping.
    shows(pods[1], &["&continue=", "%3D%3D"])
}

fn an_expired_continue_token_restarts_the_list() -> TestResult {
    let whole = against(&fixture(vec![])?, &[])?;
    let once = fixture(vec![ListFault::Expires("pods", AtomicUsize::new(2))])?;
    same(&against(&once, &[])?, &whole)?;
    let always = fixture(vec![ListFault::Expires("pods", AtomicUsize::new(99))])?;
    let (code, printed) = against(&always, &[])?;
    same(&code, &Some(2))?;
    shows(&printed, &["returned no valid list of pods", "too old"])
}

fn a_missing_kind_has_no_objects() -> TestResult {
    let mut store = SeedObjects::of_folder(&fixtures())?;
    for resource in [
        "addresspools",
        "addressreservations",
        "nodeslicepools",
        "networks",
        "virtualmachines",
    ] {
        store = store.without(resource);
    }
    let (code, printed) = against(&ApiServer::start(store, 500, vec![])?, &[])?;
    same(&code, &Some(1))?;
    // The pool does not exist, and the network names it.
    shows(&printed, &["unknown-pool", "unknown-network"])
}

fn forbidden_kinds_are_named() -> TestResult {
    let server = fixture(vec![ListFault::Forbidden("network-attachment-definitions")])?;
    let (code, printed) = against(&server, &[])?;
    same(&code, &Some(2))?;
    let expected = [
        "may not list network-attachment-definitions.k8s.cni.cncf.io in the whole cluster (403)",
        "ClusterRole nadmit-check",
    ];
    shows(&printed, &expected)?;
    // Without permission to read templates it continues, and reports that.
    let server = fixture(vec![ListFault::Forbidden("cronjobs")])?;
    let (code, printed) = against(&server, &[])?;
    same(&code, &Some(1))?;
    shows(
        &printed,
        &[
            "warning:",
            "cronjobs are not checked: may not list cronjobs.batch",
        ],
    )
}

/// Returns the cluster of the fixtures with nadmit's ConfigMap, which has this data.
fn with_settings(data: &Value, faults: Vec<ListFault>) -> Result<ApiServer, Failed> {
    let server = fixture(faults)?;
    server.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "nadmit-config", "namespace": "nadmit"}, "data": data,
    }));
    Ok(server)
}

fn the_settings_of_the_cluster_apply() -> TestResult {
    let lenient = json!({
        "nadmit.yaml": "rules: {unknown-network: warn}\n",
        "reconciler_cron_expression": "@daily",
    });
    let server = with_settings(&lenient, vec![])?;
    let (_, printed) = against(&server, &[])?;
    shows(
        &printed,
        &[
            "warn: [nadmit unknown-network]",
            "[nadmit invalid-reconciler-schedule]",
        ],
    )?;
    shows(&printed, &["configmap nadmit/nadmit-config", "@daily"])?;
    if printed.contains("deny: [nadmit unknown-network]") {
        return Err(printed.into());
    }
    // They apply to files, too, and are not checked with them.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pod.yaml");
    fs::write(&file, pod("nowhere-net"))?;
    let file = file.display().to_string();
    let (code, printed) = against(&server, &[&file])?;
    shows(&printed, &["warn: [nadmit unknown-network]"])?;
    same(&(code, printed.contains("@daily")), &(Some(0), false))?;
    // Explicit settings replace the cluster's, which are not read.
    let config = folder.path().join("nadmit.yaml");
    fs::write(&config, "profile: default\n")?;
    let config = config.display().to_string();
    for others in [["--config", &config], ["--profile", "default"]] {
        let before = server.request_paths().len();
        let (code, printed) = against(&server, &[&file, others[0], others[1]])?;
        shows(&printed, &["deny: [nadmit unknown-network]"])?;
        same(&code, &Some(1))?;
        let seen = server.request_paths().split_off(before);
        same(
            &seen.iter().any(|path| path.contains("nadmit-config")),
            &false,
        )?;
    }
    let (code, _) = against(&server, &[&file, "--nadmit-namespace", "elsewhere"])?;
    same(&code, &Some(1))?;
    let mistaken = json!({"nadmit.yaml": "profile: default\nruls: {}\n"});
    let (code, printed) = against(&with_settings(&mistaken, vec![])?, &[&file])?;
    same(&code, &Some(2))?;
    let place = "ConfigMap nadmit/nadmit-config, key nadmit.yaml";
    shows(&printed, &[place, ":2:1: ", "--config"])
}

fn settings_that_may_not_be_read_are_warned_of() -> TestResult {
    let server = with_settings(&json!({}), vec![ListFault::Forbidden("configmaps")])?;
    let (code, printed) = against(&server, &[])?;
    same(&code, &Some(1))?;
    let expected = [
        "warning:",
        "the settings in ConfigMap nadmit/nadmit-config are not known, so the defaults apply: may not \
         list configmaps in namespace nadmit (403)",
        "deny: [nadmit unknown-network]",
    ];
    shows(&printed, &expected)
}

/// nadmit in a cluster allocates addresses when pods are bound, unless its settings say otherwise.
fn a_pod_that_has_its_node_needs_no_injection() -> TestResult {
    let server = with_settings(&json!({}), vec![])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pod.yaml");
    let pooled = pod("pooled-net");
    for (text, code, expected) in [
        (pooled.clone(), 1, "deny: [nadmit injection-not-enabled]"),
        (
            format!("{pooled}spec: {{nodeName: node-a}}\n"),
            0,
            "no finding",
        ),
    ] {
        fs::write(&file, text)?;
        let (found, printed) = against(&server, &[&file.display().to_string()])?;
        shows(&printed, &[expected])?;
        same(&found, &Some(code))?;
    }
    let (_, printed) = against(&fixture(vec![])?, &[&file.display().to_string()])?;
    shows(&printed, &["no finding"])
}

fn multus_s_setting_decides_about_other_namespaces() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pod.yaml");
    fs::write(
        &file,
        pod("'[{\"namespace\": \"db\", \"name\": \"storage-net\", \"ips\": [\"192.0.2.9/24\"]}]'")
            .replacen("namespace: db", "namespace: web", 1),
    )?;
    let file = file.display().to_string();
    let daemon_set = |arguments: &[&str]| {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "kube-multus-ds", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"containers": [{
                "name": "kube-multus", "image": "ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot",
                "command": ["/thin_entrypoint"], "args": arguments,
            }]}}},
        })
    };
    let isolates = json!({"nadmit.yaml": "namespaceIsolation: true\n"});
    for (arguments, settings, expected, absent) in [
        (
            None,
            None,
            "warn: [nadmit cross-namespace-network]",
            "deny: [",
        ),
        (Some(&[][..]), None, "no finding", "cross-namespace-network"),
        (
            Some(&["--namespace-isolation=true"][..]),
            None,
            "deny: [nadmit cross-namespace-network]",
            "warn: [",
        ),
        (
            Some(&["--namespace-isolation=true", "--global-namespaces=db"][..]),
            None,
            "no finding",
            "cross-namespace-network",
        ),
        // nadmit's settings take precedence, because its server uses them.
        (
            Some(&[][..]),
            Some(&isolates),
            "deny: [nadmit cross-namespace-network]",
            "warn: [",
        ),
    ] {
        let server = match settings {
            None => fixture(vec![])?,
            Some(settings) => with_settings(settings, vec![])?,
        };
        if let Some(arguments) = arguments {
            server.put(daemon_set(arguments));
        }
        let (_, printed) = against(&server, &[&file])?;
        shows(&printed, &[expected])?;
        if printed.contains(absent) {
            return Err(format!("{arguments:?}: {printed}").into());
        }
    }
    Ok(())
}

fn an_unreachable_server_is_named() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let run = |text: &str, arguments: &[&str], expected: &[&str]| {
        fs::write(&file, text)?;
        let output = nadmit(&file, arguments)?;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        same(&output.status.code(), &Some(2))?;
        shows(&printed, expected)
    };
    let refused = [
        "cannot reach the API server",
        "onnection refused",
        "--context",
    ];
    run(&kubeconfig(&format!("http://{closed}")), &[], &refused)?;
    let plain = fixture(vec![])?;
    let tls = plain.url().replace("http://", "https://");
    run(
        &kubeconfig(&tls),
        &[],
        &["error:", "the API server https://127.0.0.1"],
    )?;
    run("clusters: [", &[], &["kubeconfig", "--kubeconfig FILE"])?;
    let other = ["--context", "other"];
    run(
        &kubeconfig(&tls),
        &other,
        &["has no context \"other\"", "it has test"],
    )?;
    let unknown = fixture(vec![ListFault::Unauthorized])?;
    let both = [
        "(401)",
        "with a kubeconfig, log in again",
        "in a pod, check",
    ];
    run(&kubeconfig(&unknown.url()), &[], &both)?;
    in_a_pod(folder.path())?;
    let output = nadmit(&folder.path().join("none"), &[])?;
    same(&output.status.code(), &Some(2))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    shows(&printed, &["none", "No such file", "--kubeconfig FILE"])
}

/// Without a kubeconfig, in a pod whose token is not mounted: the error does not mention a
/// kubeconfig.
fn in_a_pod(home: &Path) -> TestResult {
    let output = Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["check", "--cluster"])
        .env_clear()
        .env("HOME", home)
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "1")
        .output()?;
    same(&output.status.code(), &Some(2))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let expected = [
        "this pod cannot log in to its cluster",
        "automountServiceAccountToken",
    ];
    shows(&printed, &expected)
}

/// Reads a real cluster to the end, whatever it contains.
fn a_real_cluster_is_checked() -> TestResult {
    let file = std::env::var_os(REAL).ok_or("KUBECONFIG is not set")?;
    let output = nadmit(Path::new(&file), &["--format", "json"])?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let parsed: Value = serde_json::from_slice(&output.stdout)?;
    same(&parsed["summary"]["objects"].is_u64(), &true)
}
