//! A network that several namespaces have copies of, which change from Whereabouts to an inline pool one
//! after the other, and back: no address is ever given twice.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster},
    served::{HOME, entries, network, serving_cluster, until_entries},
    statefulset::agreed,
    steps::{namespace, stateful_set},
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![copies_of_a_network_change_one_after_the_other];

const POOL: &str = "common-198.51.100.0-27";
const RESERVATIONS: &str = "overlappingrangeipreservations.whereabouts.cni.cncf.io";
const LABEL: &str = "nadmit.io/injection=enabled";
/// The namespaces; that of the last one has no label at first.
const TENANTS: [&str; 3] = ["one", "two", "three"];

/// The addresses of the pods, by namespace and pod.
type Addresses = BTreeMap<String, Vec<String>>;

/// The IPAM type of a copy.
#[derive(Debug, Clone, Copy)]
enum Ipam {
    Whereabouts,
    Static,
}

/// Writes the copy of a namespace.
fn write_copy(cluster: &RealCluster, tenant: &str, ipam: Ipam) -> TestResult {
    let range = json!({"range": "198.51.100.0/27", "network_name": "common"});
    let mut copy = network(cluster, tenant, "storage", &range)?;
    if let Ipam::Static = ipam {
        let config = copy["spec"]["config"].as_str().unwrap_or_default();
        copy["spec"]["config"] = config.replace(r#""whereabouts""#, r#""static""#).into();
    }
    cluster.apply(&[copy])
}

/// Returns the addresses of all pods, each on its interface, and of one pod.
fn addresses(cluster: &RealCluster, replicas: [usize; 3]) -> Result<Addresses, Failed> {
    let mut found = Addresses::new();
    for (tenant, replicas) in TENANTS.into_iter().zip(replicas) {
        for pod in cluster.until_pods(tenant, replicas)?.keys() {
            let address = cluster.reported(tenant, pod, "net1")?;
            let on_interface = cluster.addresses(tenant, pod, "net1")?;
            same(&on_interface.len(), &1)?;
            found.insert(format!("{tenant}/{pod}"), address);
        }
    }
    let distinct: BTreeSet<&Vec<String>> = found.values().collect();
    match distinct.len() == found.len() {
        true => Ok(found),
        false => Err(format!("one address is given twice: {found:?}").into()),
    }
}

fn scale(cluster: &RealCluster, tenant: &str, replicas: usize) -> TestResult {
    let replicas = format!("--replicas={replicas}");
    let arguments = ["scale", "-n", tenant, "statefulset/db", &replicas];
    cluster.done(&arguments, "").map(drop)
}

/// Deletes the pods of a namespace, and checks that their successors have the same addresses.
fn restart(cluster: &RealCluster, tenant: &str, replicas: usize) -> TestResult {
    let of = |pods: &[String]| -> Result<Vec<Vec<String>>, Failed> {
        let pods = pods.iter();
        pods.map(|pod| cluster.reported(tenant, pod, "net1"))
            .collect()
    };
    let pods: Vec<String> = cluster.until_pods(tenant, replicas)?.into_keys().collect();
    let before = of(&pods)?;
    for pod in &pods {
        cluster.done(&["delete", "pod", "-n", tenant, pod], "")?;
    }
    let pods: Vec<String> = cluster.until_pods(tenant, replicas)?.into_keys().collect();
    let recorded = agreed(cluster, tenant, pods.iter())?;
    same(&of(&pods)?, &before)?;
    same(&recorded.into_values().collect::<Vec<_>>(), &before)
}

/// Waits until nadmit has recorded the addresses of a namespace's pods.
fn until_recorded(cluster: &RealCluster, tenant: &str, count: usize) -> TestResult {
    cluster.soon(&format!("the pods of {tenant} are not recorded"), || {
        let recorded = cluster.recorded(tenant)?;
        Ok((recorded.len() == count).then_some(()))
    })
}

fn reservations(cluster: &RealCluster) -> Result<usize, Failed> {
    let listed: Value = cluster.get(&[RESERVATIONS, "-n", HOME])?;
    Ok(listed["items"].as_array().map_or(0, Vec::len))
}

fn copies_of_a_network_change_one_after_the_other() -> TestResult {
    let cluster = serving_cluster()?;
    let both = ["--whereabouts", "serve", "--inline-pools", "enabled"];
    cluster.nadmit_does(&[&["install", "--image", IMAGE][..], &both].concat())?;
    let [one, two, three] = TENANTS;
    cluster.apply(&[
        namespace(one, &[("nadmit.io/injection", "enabled")]),
        namespace(two, &[("nadmit.io/injection", "enabled")]),
        namespace(three, &[]),
    ])?;
    for tenant in TENANTS {
        write_copy(&cluster, tenant, Ipam::Whereabouts)?;
        cluster.apply(&[stateful_set(tenant, "db", 2, "storage")])?;
    }
    addresses(&cluster, [2, 2, 2])?;

    // The second changes. Its pods are adopted, and the plugin does not get their addresses.
    write_copy(&cluster, two, Ipam::Static)?;
    until_recorded(&cluster, two, 2)?;
    restart(&cluster, two, 2)?;
    scale(&cluster, two, 3)?;
    addresses(&cluster, [2, 3, 2])?;
    until_entries(&cluster, POOL, "complete", |entries| entries.len() == 7)?;
    scale(&cluster, three, 4)?;
    scale(&cluster, one, 3)?;
    addresses(&cluster, [3, 3, 4])?;

    // The others follow: Whereabouts's records are empty in the end.
    write_copy(&cluster, one, Ipam::Static)?;
    until_recorded(&cluster, one, 3)?;
    restart(&cluster, one, 3)?;
    cluster.done(&["label", "namespace", three, LABEL], "")?;
    write_copy(&cluster, three, Ipam::Static)?;
    until_recorded(&cluster, three, 4)?;
    restart(&cluster, three, 4)?;
    until_entries(&cluster, POOL, "empty", BTreeMap::is_empty)?;
    cluster.soon("a reservation is left", || {
        Ok((reservations(&cluster)? == 0).then_some(()))
    })?;
    let migrated = addresses(&cluster, [3, 3, 4])?;

    // And back, in another order.
    write_copy(&cluster, three, Ipam::Whereabouts)?;
    until_entries(&cluster, POOL, "complete", |entries| entries.len() == 10)?;
    restart(&cluster, three, 4)?;
    write_copy(&cluster, one, Ipam::Whereabouts)?;
    write_copy(&cluster, two, Ipam::Whereabouts)?;
    for (tenant, replicas) in TENANTS.into_iter().zip([3, 3, 4]) {
        until_recorded(&cluster, tenant, replicas)?;
        restart(&cluster, tenant, replicas)?;
    }
    same(&addresses(&cluster, [3, 3, 4])?, &migrated)?;
    same(&entries(&cluster, POOL)?.len(), &10)?;
    cluster.is_content()
}
