//! The metrics that deploy/monitoring names are those that the binary exports.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use kube::Client;
use libtest_mimic::Failed;
use nadmit::{
    cli::{Replica, ReplicaOptions},
    clock::{Clock, RandomSource},
    rules::Policy,
};
use prometheus_client::encoding::text::encode;
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::server::WorkFolder;
use crate::{api_server::ApiServer, support::TestResult};

const FILES: [&str; 3] = ["alerts.yaml", "rules.yaml", "dashboard.json"];

fn read(name: &str) -> Result<String, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
    Ok(fs::read_to_string(folder.join(name))?)
}

fn parsed(name: &str) -> Result<Value, Failed> {
    let text = read(name)?;
    Ok(match name.ends_with(".json") {
        true => serde_json::from_str(&text)?,
        false => serde_saphyr::from_str(&text)?,
    })
}

/// Returns the words with the prefix of nadmit's metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("nadmit_")).collect()
}

pub(super) fn both_forms_of_the_alerts_are_one() -> TestResult {
    let (operator, plain) = (parsed("alerts.yaml")?, parsed("rules.yaml")?);
    if operator["spec"] != plain {
        return Err("alerts.yaml and rules.yaml say different things".into());
    }
    for rule in plain["groups"][0]["rules"].as_array().into_iter().flatten() {
        for member in ["alert", "expr", "labels", "annotations"] {
            if rule[member].is_null() {
                return Err(format!("{rule} has no {member}").into());
            }
        }
    }
    Ok(())
}

/// Returns the metrics of a server of a folder that has answered reviews. It needs curl.
pub(crate) fn metrics_of_a_folder_server() -> Result<String, Failed> {
    const WARNED: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: warned, labels: {nadmit.io/mode: warn}}}";
    let place = WorkFolder::new()?;
    fs::write(place.path("manifests/warned.yaml"), WARNED)?;
    let serving = place.serve()?;
    // One of each labelled metric: an allocation, a finding, one that would deny, a rejection.
    serving.create_replica(0)?;
    for namespace in ["db", "warned"] {
        let pod = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": namespace,
            "name": "a",
            "object": {"metadata": {"name": "a",
                "annotations": {"k8s.v1.cni.cncf.io/networks": "no-such-net"}}},
        }});
        serving.post("/validate", &pod.to_string())?;
    }
    serving.post("/validate", "no review")?;
    let page = serving.metrics()?;
    serving.stop()?;
    Ok(page)
}

pub(super) fn monitoring_names_exported_metrics() -> TestResult {
    let page = metrics_of_a_folder_server()?;
    let of_cluster = metrics_of_a_replica()?;
    let mut exported = named(&page);
    exported.extend(named(&of_cluster));
    for file in FILES {
        parsed(file)?;
        let text = read(file)?;
        let missing: Vec<&str> = named(&text).difference(&exported).copied().collect();
        if !missing.is_empty() {
            return Err(format!("{file} names {missing:?}, which is not among\n{page}").into());
        }
    }
    every_help_text_ends_in_a_full_stop(&page)
}

/// Returns the metrics of a replica in a cluster with an IPPool.
pub(crate) fn metrics_of_a_replica() -> Result<String, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let options = ReplicaOptions {
            server: "the fake API server".to_owned(),
            namespace: "nadmit".to_owned(),
            writer: "replica".to_owned(),
            policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
            schedule: watch::Sender::new(None).subscribe(),
            is_leader: None,
            clock: Clock::new(jiff::Timestamp::now),
            random: RandomSource::new(|| 1),
        };
        let server = ApiServer::new();
        server.put(json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
            "metadata": {"name": "10.0.0.0-24", "namespace": "kube-system"},
            "spec": {"range": "10.0.0.0/24", "allocations": {}},
        }));
        let replica = Replica::new(Client::new(server.named("replica"), "default"), options);
        let stop = CancellationToken::new();
        let tasks = tokio::spawn(replica.tasks.run(stop.child_token()));
        sleep(Duration::from_secs(10)).await;
        stop.cancel();
        tasks.await?;
        let mut text = String::new();
        encode(&mut text, &replica.state.registry)?;
        Ok(text)
    })
}

pub(super) fn help_texts_of_a_replica_end_in_a_full_stop() -> TestResult {
    let text = metrics_of_a_replica()?;
    for name in [
        "leader",
        "watch_events",
        "ledger_requests",
        "notices",
        "full_comparisons",
    ] {
        if !text.contains(&format!("# HELP nadmit_{name} ")) {
            return Err(format!("no {name} in\n{text}").into());
        }
    }
    every_help_text_ends_in_a_full_stop(&text)
}

fn every_help_text_ends_in_a_full_stop(text: &str) -> TestResult {
    let mut help = text.lines().filter(|line| line.starts_with("# HELP "));
    match help.find(|line| !line.ends_with('.') || line.ends_with("..")) {
        Some(line) => Err(line.into()),
        None => Ok(()),
    }
}
