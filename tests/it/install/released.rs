//! The release of what nadmit keeps in Whereabouts's records: by `nadmit whereabouts release`, by `nadmit
//! uninstall`, and before `nadmit install --whereabouts observe` takes nadmit's rights away.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{ended, warns, whereabouts::rights};
use crate::api_server::{FaultAction, FaultRule, InjectedFailure};
use crate::install::cluster::InstallCluster;
use crate::support::{TestResult, same, shows};

const POOLS: &str = "ippools.whereabouts.cni.cncf.io";
const RESERVATIONS: &str = "overlappingrangeipreservations.whereabouts.cni.cncf.io";
const RELEASE: [&str; 3] = ["whereabouts", "release", "--all"];

pub(super) fn tests() -> Vec<Trial> {
    tests!["install::released";
        records_are_given_back_without_a_server,
        a_pod_that_is_being_deleted_gets_its_entry_back,
        a_release_needs_all,
        a_release_waits_for_the_end_of_serving,
        a_release_without_rights_says_what_is_left,
        an_uninstallation_gives_the_records_back,
        rights_are_taken_away_when_nothing_is_kept,
    ]
}

fn pod(cluster: &InstallCluster, name: &str) {
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "db", "uid": format!("u-{name}"),
            "annotations": {"k8s.v1.cni.cncf.io/networks": "storage"},
        },
        "spec": {"nodeName": "node-1", "containers": []}, "status": {"phase": "Running"},
    }));
}

fn reservation(cluster: &InstallCluster, address: &str, pod: &str, finalizers: &[&str]) {
    cluster.server.put(json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "OverlappingRangeIPReservation",
        "metadata": {"name": address, "namespace": "kube-system", "finalizers": finalizers},
        "spec": {"podref": pod, "ifname": if pod.is_empty() { "" } else { "net1" }},
    }));
}

/// Puts an `IPPool` with a running pod, a pod before its ADD, a hold, a pod that is gone, and an entry of
/// the plugin's; with the reservations of some.
fn kept(cluster: &InstallCluster) {
    const KEPT: &[&str] = &["nadmit.io/whereabouts"];
    cluster.server.namespace("db", &[]);
    let entry = |id: &str, pod: &str| json!({"id": id, "podref": pod, "ifname": if pod.is_empty() { "" } else { "net1" }});
    cluster.server.put(json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
        "metadata": {"name": "192.0.2.0-24", "namespace": "kube-system"},
        "spec": {"range": "192.0.2.0/24", "allocations": {
            "1": entry("nadmit:c0ffee", "db/runs"),
            "2": entry("nadmit:", "db/begins"),
            "3": entry("nadmit:dead", ""),
            "4": entry("nadmit:dead", "db/gone"),
            "5": entry("abc", "db/other"),
        }},
    }));
    for name in ["runs", "begins", "other"] {
        pod(cluster, name);
    }
    reservation(cluster, "192.0.2.1", "db/runs", KEPT);
    reservation(cluster, "192.0.2.3", "", KEPT);
    reservation(cluster, "192.0.2.5", "db/other", &[]);
    reservation(cluster, "192.0.2.9", "db/gone", KEPT);
}

fn entries(cluster: &InstallCluster) -> Value {
    let pool = cluster
        .server
        .stored(POOLS, "kube-system", "192.0.2.0-24")
        .unwrap_or_default();
    pool["spec"]["allocations"].clone()
}

/// Checks that only what the plugin keeps is left.
fn is_given_back(cluster: &InstallCluster) -> TestResult {
    let entry = |id: &str, pod: &str| json!({"id": id, "podref": pod, "ifname": "net1"});
    let expected = json!({
        "1": entry("c0ffee", "db/runs"),
        "2": entry("", "db/begins"),
        "5": entry("abc", "db/other"),
    });
    same(&entries(cluster), &expected)?;
    let left = cluster.server.all(RESERVATIONS);
    let named = left.iter().map(|one| {
        let finalizers = one["metadata"]["finalizers"].as_array();
        let count = finalizers.map(Vec::len).unwrap_or_default();
        (one["metadata"]["name"].to_string(), count)
    });
    let expected = ["192.0.2.1", "192.0.2.5"].map(|name| (format!("{name:?}"), 0));
    same(&named.collect::<Vec<_>>(), &expected.to_vec())
}

fn records_are_given_back_without_a_server() -> TestResult {
    let cluster = InstallCluster::new()?;
    kept(&cluster);
    let end = cluster.run(&RELEASE)?;
    ended(
        &end,
        true,
        &[
            "left     192.0.2.1 to pod db/runs in IPPool kube-system/192.0.2.0-24",
            "left     192.0.2.2 to pod db/begins",
            "freed    192.0.2.3 in IPPool",
            "freed    192.0.2.4 in IPPool",
            "freed    192.0.2.9 in OverlappingRangeIPReservation kube-system/192.0.2.9",
            "nothing of Whereabouts names nadmit",
        ],
    )?;
    is_given_back(&cluster)?;
    let again = cluster.run(&RELEASE)?;
    same(
        &again.printed,
        &"nothing of Whereabouts names nadmit\n".to_owned(),
    )
}

fn a_pod_that_is_being_deleted_gets_its_entry_back() -> TestResult {
    let cluster = InstallCluster::new()?;
    kept(&cluster);
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "ends", "namespace": "db", "uid": "u-ends", "finalizers": ["example.com/wait"],
            "deletionTimestamp": "2026-11-01T00:00:00Z",
            "annotations": {"k8s.v1.cni.cncf.io/networks": "storage"},
        },
        "spec": {"nodeName": "node-1", "containers": []}, "status": {"phase": "Running"},
    }));
    cluster.server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": "192.0.2.3"},
        "spec": {
            "address": "192.0.2.3", "networkName": "", "pool": "whereabouts/192.0.2.0-24",
            "network": {"namespace": "db", "name": "storage"}, "interface": "net1",
            "holder": {"pod": {"namespace": "db", "name": "ends"}},
            "pod": {"name": "ends", "uid": "u-ends", "node": "node-1"},
            "since": "2026-10-31T00:00:00Z",
        },
    }));
    let end = cluster.run(&RELEASE)?;
    ended(&end, true, &["left     192.0.2.3 to pod db/ends"])?;
    let expected = json!({"id": "dead", "podref": "db/ends", "ifname": "net1"});
    same(&entries(&cluster)["3"], &expected)
}

fn a_release_needs_all() -> TestResult {
    let cluster = InstallCluster::new()?;
    kept(&cluster);
    let end = cluster.run(&["whereabouts", "release"])?;
    ended(&end, false, &["--all is missing", "nadmit release ADDRESS"])?;
    same(&end.code, &Some(2))?;
    same(&cluster.server.written().len(), &0)
}

fn a_release_waits_for_the_end_of_serving() -> TestResult {
    let cluster = InstallCluster::new()?;
    kept(&cluster);
    cluster.server.namespace("nadmit", &[]);
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "nadmit-config", "namespace": "nadmit"},
        "data": {"nadmit.yaml": "whereabouts: serve\n"},
    }));
    cluster.server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "nadmit-0", "namespace": "nadmit",
            "labels": {"app.kubernetes.io/name": "nadmit"},
        },
        "spec": {"containers": []}, "status": {"phase": "Running"},
    }));
    let end = cluster.run(&RELEASE)?;
    let words = [
        "nothing is released: ConfigMap nadmit/nadmit-config says whereabouts: serve",
        "nadmit install --whereabouts observe",
        "--force",
    ];
    ended(&end, false, &words)?;
    same(&end.code, &Some(1))?;
    same(&cluster.server.written().len(), &0)?;
    ended(
        &cluster.run(&[&RELEASE[..], &["--force"]].concat())?,
        true,
        &[],
    )?;
    is_given_back(&cluster)
}

/// Refuses a verb on a resource.
fn forbids(cluster: &InstallCluster, verb: &str, resource: &str) {
    let forbidden = FaultAction::from(InjectedFailure::Forbidden);
    cluster
        .server
        .fault(FaultRule::of(verb, resource, forbidden));
}

fn a_release_without_rights_says_what_is_left() -> TestResult {
    let cluster = InstallCluster::new()?;
    kept(&cluster);
    forbids(&cluster, "patch", "ippools");
    let end = cluster.run(&RELEASE)?;
    let words = "nadmit still keeps 192.0.2.4 in IPPool kube-system/192.0.2.0-24: Whereabouts's records cannot";
    ended(&end, false, &[words])?;
    same(&end.code, &Some(1))?;
    forbids(&cluster, "list", "ippools");
    let end = cluster.run(&RELEASE)?;
    ended(
        &end,
        false,
        &["the addresses of Whereabouts are not known", "ippools"],
    )?;
    same(&end.code, &Some(2))
}

/// Installs nadmit, which serves networks of Whereabouts.
fn serving() -> Result<InstallCluster, Failed> {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let end = cluster.installs(&["--whereabouts=serve"], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &[])?;
    kept(&cluster);
    Ok(cluster)
}

fn an_uninstallation_gives_the_records_back() -> TestResult {
    let cluster = serving()?;
    let end = cluster.run(&["uninstall"])?;
    ended(
        &end,
        true,
        &["left     192.0.2.1 to pod db/runs", "freed    192.0.2.3"],
    )?;
    is_given_back(&cluster)?;

    let cluster = serving()?;
    let end = cluster.run(&["uninstall", "--no-wait"])?;
    let later = "run nadmit whereabouts release --all when the replicas are gone";
    ended(&end, true, &[later])?;

    let cluster = serving()?;
    forbids(&cluster, "list", "overlappingrangeipreservations");
    let end = cluster.run(&["uninstall"])?;
    let later =
        "run nadmit whereabouts release --all with the permission to list and write ippools";
    ended(&end, true, &["deleted  Deployment nadmit/nadmit", later])
}

fn rights_are_taken_away_when_nothing_is_kept() -> TestResult {
    let cluster = serving()?;
    let observe = ["--whereabouts=observe", "--timeout=4"];
    let end = cluster.installs(&observe, InstallCluster::replicas_are_ready)?;
    ended(
        &end,
        false,
        &[
            "the replicas have not released the addresses of Whereabouts after 4 s: 4 entries of IPPools and 3 \
             OverlappingRangeIPReservations name nadmit",
            "nadmit whereabouts release --all",
        ],
    )?;
    same(&rights(&cluster).len(), &2)?;
    shows(&cluster.settings()?, &["whereabouts: observe"])?;
    ended(&cluster.run(&RELEASE)?, true, &[])?;
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    ended(
        &end,
        true,
        &[
            "waiting for replicas to release the addresses of Whereabouts",
            "deleted  Role kube-system/nadmit-whereabouts",
        ],
    )?;
    same(&rights(&cluster), &Vec::new())
}
