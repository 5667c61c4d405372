//! Installations on clusters with Whereabouts.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{InstallCluster, ended, warns};
use crate::support::{TestResult, same, shows};

pub(super) fn tests() -> Vec<Trial> {
    tests!["install";
        rights_on_whereabouts_follow_its_records,
        status_tells_what_is_observed_of_whereabouts,
        networks_of_an_old_whereabouts_are_not_served,
    ]
}

/// The kinds of Whereabouts's rights.
const RIGHTS: [&str; 2] = [
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
];

/// Returns the namespaces of nadmit's Roles and RoleBindings for Whereabouts's records.
pub(super) fn rights(cluster: &InstallCluster) -> Vec<String> {
    let all = RIGHTS.into_iter().flat_map(|kind| cluster.server.all(kind));
    let own = all.filter(|one| one["metadata"]["name"] == "nadmit-whereabouts");
    let places = own.map(|one| one["metadata"]["namespace"].as_str().map(str::to_owned));
    places.flatten().collect()
}

fn rights_on_whereabouts_follow_its_records() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let options = ["--whereabouts=serve", "--inline-pools=enabled"];
    let end = cluster.installs(&options, InstallCluster::replicas_are_ready)?;
    let summary = "networks of Whereabouts are served, inline pools";
    ended(&end, true, &[summary])?;
    let settings = ["whereabouts: serve", "inlinePools: enabled"];
    shows(&cluster.settings()?, &settings)?;
    same(&rights(&cluster), &vec!["kube-system".to_owned(); 2])?;

    // Another installation keeps the setting and the rights.
    let end = cluster.installs(&["--mode=deny"], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &["networks of Whereabouts are served"])?;
    shows(&cluster.settings()?, &settings)?;
    same(&rights(&cluster), &vec!["kube-system".to_owned(); 2])?;

    // Its records are in another namespace by now.
    cluster.server.namespace("ipam", &[]);
    cluster.server.put(json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
        "metadata": {"name": "192.0.2.0-24", "namespace": "ipam"},
        "spec": {"range": "192.0.2.0/24", "allocations": {}},
    }));
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &["applied  Role ipam/nadmit-whereabouts"])?;
    ended(&cluster.run(&["uninstall"])?, true, &[])?;
    same(&rights(&cluster), &Vec::new())
}

/// Returns the CRD of IPPools whose entries have these properties.
fn ip_pool_crd(entry: &Value) -> Value {
    let allocations = json!({"additionalProperties": {"properties": entry}});
    let spec = json!({"properties": {"allocations": allocations}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ippools.whereabouts.cni.cncf.io"},
        "spec": {
            "group": "whereabouts.cni.cncf.io", "scope": "Namespaced",
            "names": {"kind": "IPPool", "plural": "ippools"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
        },
    })
}

/// Returns the properties of an entry, as before v0.8 and since.
fn entries() -> [(Value, bool); 2] {
    [
        (json!({"id": {}, "podref": {}}), false),
        (json!({"id": {}, "podref": {}, "ifname": {}}), true),
    ]
}

fn status_tells_what_is_observed_of_whereabouts() -> TestResult {
    let cluster = InstallCluster::new()?;
    warns(&cluster);
    let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
    ended(&end, true, &[])?;
    let status = || -> Result<Value, Failed> {
        let end = cluster.run(&["status", "--output", "json"])?;
        let status: Value = serde_json::from_str(&end.printed)?;
        Ok(status["whereabouts"].clone())
    };
    for (entry, has_interfaces) in entries() {
        cluster.server.put(ip_pool_crd(&entry));
        if status()?["hasInterfaces"] != json!(has_interfaces) {
            return Err(status()?.to_string().into());
        }
        let printed = cluster.run(&["status"])?.printed;
        shows(&printed, &["observe: unknown number of IPPools"])?;
        let old = "observed only: its CRD has no ifname (Whereabouts before v0.8)";
        if printed.contains(old) == has_interfaces {
            return Err(printed.into());
        }
    }
    Ok(())
}

fn networks_of_an_old_whereabouts_are_not_served() -> TestResult {
    for (entry, has_interfaces) in entries() {
        let cluster = InstallCluster::new()?;
        warns(&cluster);
        cluster.server.put(ip_pool_crd(&entry));
        let serve = ["--whereabouts=serve"];
        let end = cluster.installs(&serve, InstallCluster::replicas_are_ready)?;
        let expected: &[&str] = match has_interfaces {
            true => &["networks of Whereabouts are served"],
            false => &[
                "has no ifname",
                "upgrade Whereabouts",
                "--whereabouts observe",
            ],
        };
        ended(&end, has_interfaces, expected)?;
        same(&rights(&cluster).is_empty(), &!has_interfaces)?;
        let end = cluster.installs(&[], InstallCluster::replicas_are_ready)?;
        ended(&end, true, &[])?;
    }
    Ok(())
}
