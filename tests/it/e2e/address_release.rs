//! Allocation, release and quarantine, and the webhook calls that they cost.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::{E2eCluster, pod, soon},
    shared::{self, installed},
};
use crate::api_server::RealServer;
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![
    records_equal_the_annotations_of_bound_pods,
    a_deleted_pods_address_is_free_after_its_quarantine,
    an_evicted_pods_address_is_free,
    a_namespace_is_deleted_unhindered,
    three_calls_for_a_pod_and_none_for_its_record,
];

/// Creates pods with the network and binds them.
fn make(cluster: &E2eCluster, namespace: &str, names: &[&str]) -> TestResult {
    for name in names {
        cluster.done(&["create", "-f", "-"], &pod(name, namespace, "storage"))?;
        cluster.bind(namespace, name)?;
    }
    Ok(())
}

fn records_equal_the_annotations_of_bound_pods() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("bound", "192.0.2.112/28", &[])?;
    cluster.until_ready("bound")?;
    make(cluster, "bound", &["a", "b"])?;
    let expected = ["192.0.2.113 a", "192.0.2.114 b"];
    let recorded = cluster.recorded("bound")?;
    if recorded != expected {
        return Err(format!("{recorded:?} is recorded").into());
    }
    for line in expected {
        let (address, name) = line.split_once(' ').ok_or("no name")?;
        let given = cluster.addresses("bound", name)?;
        if given != [address] {
            return Err(format!("{name} is given {given:?}").into());
        }
    }
    Ok(())
}

fn a_deleted_pods_address_is_free_after_its_quarantine() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("deleted", "192.0.2.128/28", &[])?;
    cluster.until_ready("deleted")?;
    make(cluster, "deleted", &["a"])?;
    let before = Instant::now();
    cluster.done(&["delete", "pod", "-n", "deleted", "a"], "")?;
    // No other holder gets an address in quarantine.
    make(cluster, "deleted", &["b"])?;
    let at_once = before.elapsed() < Duration::from_secs(1);
    let next = cluster.addresses("deleted", "b")?;
    if at_once && next != ["192.0.2.130"] {
        return Err(format!("in quarantine {next:?} is given").into());
    }
    soon("the address is not free", || {
        let recorded = cluster.recorded("deleted")?;
        Ok((!recorded.iter().any(|line| line.ends_with(" a"))).then_some(()))
    })?;
    // The quarantine is 2 s, in whole seconds.
    if before.elapsed() < Duration::from_secs(1) {
        return Err("it is free before its quarantine has ended".into());
    }
    make(cluster, "deleted", &["c"])?;
    let given = cluster.addresses("deleted", "c")?;
    match given == ["192.0.2.129"] || !at_once {
        true => Ok(()),
        false => Err(format!("afterwards {given:?} is given").into()),
    }
}

fn an_evicted_pods_address_is_free() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("evicted", "192.0.2.144/28", &[])?;
    cluster.until_ready("evicted")?;
    make(cluster, "evicted", &["a"])?;
    let newer = RealServer::minor().is_some_and(|minor| minor >= 22);
    let eviction = json!({
        "apiVersion": if newer { "policy/v1" } else { "policy/v1beta1" }, "kind": "Eviction",
        "metadata": {"name": "a", "namespace": "evicted"},
        "deleteOptions": {"gracePeriodSeconds": 0},
    });
    let path = "/api/v1/namespaces/evicted/pods/a/eviction";
    cluster.done(&["create", "--raw", path, "-f", "-"], &eviction.to_string())?;
    cluster.until_free("evicted")
}

/// No namespace controller runs here: this test does its work under its identity, networks first.
fn a_namespace_is_deleted_unhindered() -> TestResult {
    let installed = installed()?;
    let cluster = &installed.cluster;
    cluster.create_namespace_with_pool("ended", "192.0.2.160/28", &[])?;
    cluster.until_ready("ended")?;
    cluster.create(&json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressReservation",
        "metadata": {"name": "a", "namespace": "ended"},
        "spec": {"network": "storage", "holder": {"pod": "a"}, "ips": ["192.0.2.170/28"]},
    }))?;
    make(cluster, "ended", &["a"])?;
    cluster.done(&["delete", "namespace", "ended", "--wait=false"], "")?;
    let who = "--as=system:serviceaccount:kube-system:namespace-controller";
    for kind in [
        "network-attachment-definitions",
        "addressreservations",
        "pods",
    ] {
        cluster.done(
            &[who, "delete", kind, "--all", "-n", "ended", "--wait=false"],
            "",
        )?;
    }
    let text = cluster.done(&["get", "namespace", "ended", "-o=json"], "")?;
    let mut object: Value = serde_json::from_str(&text)?;
    object["spec"]["finalizers"] = json!([]);
    let path = "/api/v1/namespaces/ended/finalize";
    cluster.done(
        &[who, "replace", "--raw", path, "-f", "-"],
        &object.to_string(),
    )?;
    if cluster.kubectl(&["get", "namespace", "ended"], "")?.well {
        return Err("it is still there".into());
    }
    cluster.until_free("ended")
}

/// Runs on a server of its own, because other tests' calls would count.
fn three_calls_for_a_pod_and_none_for_its_record() -> TestResult {
    let installed = shared::Installed::new()?;
    let (cluster, nadmit) = (&installed.cluster, &installed.nadmit);
    cluster.create_namespace_with_pool("calls", "192.0.2.0/24", &[])?;
    cluster.until_ready("calls")?;
    let count = || -> Result<[f64; 2], Failed> {
        Ok([
            nadmit.metric("nadmit_reviews_total", &[])?,
            asked(&cluster.done(&["get", "--raw", "/metrics"], "")?)?,
        ])
    };
    let before = count()?;
    let names: Vec<String> = (0..5).map(|number| format!("web-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    make(cluster, "calls", &names)?;
    if cluster.recorded("calls")?.len() != names.len() {
        return Err("not every pod has a record".into());
    }
    // Validating at creation, mutating and validating at binding.
    let expected = before.map(|count| count + 3.0 * names.len() as f64);
    let made = count()?;
    if made != expected {
        return Err(format!("from {before:?} to {made:?}, not {expected:?}").into());
    }
    cluster.done(&["delete", "pods", "--all", "-n", "calls"], "")?;
    cluster.until_free("calls")?;
    let released = count()?;
    match released == expected {
        true => Ok(()),
        false => Err(format!("from {made:?} to {released:?} by releasing").into()),
    }
}

/// Returns the number of webhook calls, from the API server's metrics.
fn asked(metrics: &str) -> Result<f64, Failed> {
    let mut sum = 0.0;
    for line in metrics.lines() {
        if line.starts_with("apiserver_admission_webhook_admission_duration_seconds_count{") {
            let (_, count) = line.rsplit_once(' ').ok_or("no count")?;
            sum += count.parse::<f64>()?;
        }
    }
    Ok(sum)
}
