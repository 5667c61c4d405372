//! A StatefulSet whose pods get their addresses from nadmit: on their interfaces, not only in their
//! annotations.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Failed;

use super::{
    NamedTest,
    cluster::{RealCluster, installed},
    steps::{namespace, pool, stateful_set},
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![a_statefulset_gets_addresses_on_its_interfaces];

const NAMESPACE: &str = "db";
const SET: &str = "statefulset/db";

/// Addresses by pod.
pub(super) type AddressesByPod = BTreeMap<String, Vec<String>>;

fn a_statefulset_gets_addresses_on_its_interfaces() -> TestResult {
    let cluster = installed()?;
    cluster.apply(&[
        namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")]),
        pool("db", &["198.51.100.0/27", "2001:db8:1::/120"]),
        cluster.network(NAMESPACE, "db"),
    ])?;
    cluster.until_ready("db")?;
    cluster.apply(&[stateful_set(NAMESPACE, "db", 3, "storage")])?;
    let first = cluster.until_pods(NAMESPACE, 3)?;
    let given = agreed(&cluster, NAMESPACE, first.keys())?;
    if given.values().any(|addresses| addresses.len() != 2) {
        return Err(format!("not one address of each family: {given:?}").into());
    }

    // A recreated replica has the address of its predecessor.
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "db-1"], "")?;
    cluster.soon("db-1 is not recreated", || {
        let pods = cluster.until_pods(NAMESPACE, 3)?;
        Ok((pods["db-1"] != first["db-1"]).then_some(()))
    })?;
    same(
        &given,
        &agreed(&cluster, NAMESPACE, first.keys())?,
        "recreated",
    )?;

    // So do the replicas of a set that was scaled to 0.
    scale(&cluster, 0)?;
    cluster.until_pods(NAMESPACE, 0)?;
    scale(&cluster, 3)?;
    cluster.until_pods(NAMESPACE, 3)?;
    same(
        &given,
        &agreed(&cluster, NAMESPACE, first.keys())?,
        "scaled to 0 and back",
    )?;

    // Nothing blocks the deletion of a namespace, and after the quarantine nothing of it is left.
    cluster.done(
        &["delete", "namespace", NAMESPACE, "--timeout=100s", "--wait"],
        "",
    )?;
    cluster.until_free(NAMESPACE)?;
    cluster.done(&["delete", "addresspool", "db", "--timeout=60s"], "")?;
    cluster.is_content()
}

fn scale(cluster: &RealCluster, replicas: u32) -> TestResult {
    let replicas = format!("--replicas={replicas}");
    cluster
        .done(&["scale", "-n", NAMESPACE, SET, &replicas], "")
        .map(drop)
}

/// Returns the addresses of the pods once interfaces, records, `nadmit allocations` and Multus
/// agree; checks that no address appears twice.
pub(super) fn agreed<'p>(
    cluster: &RealCluster,
    namespace: &str,
    pods: impl Iterator<Item = &'p String>,
) -> Result<AddressesByPod, Failed> {
    let recorded = cluster.recorded(namespace)?;
    let listed = cluster.nadmit(&["allocations", "--cluster", "-n", namespace])?;
    let mut all = AddressesByPod::new();
    for pod in pods {
        let on_interface = cluster.addresses(namespace, pod, "net1")?;
        let plain: BTreeSet<String> = on_interface
            .iter()
            .filter_map(|address| Some(address.split('/').next()?.to_owned()))
            .collect();
        let of_multus = cluster.reported(namespace, pod, "net1")?;
        let of_record = recorded.get(pod).cloned().unwrap_or_default();
        if plain != of_multus.iter().cloned().collect()
            || plain != of_record.iter().cloned().collect()
        {
            return Err(format!(
                "{pod} has {on_interface:?}, Multus says {of_multus:?}, recorded is {of_record:?}"
            )
            .into());
        }
        if let Some(missing) = plain.iter().find(|address| !listed.out.contains(*address)) {
            return Err(format!(
                "nadmit allocations leaves out {missing}:\n{}",
                listed.output()
            )
            .into());
        }
        all.insert(pod.clone(), plain.into_iter().collect());
    }
    let count: usize = all.values().map(Vec::len).sum();
    let different: BTreeSet<&String> = all.values().flatten().collect();
    match different.len() == count {
        true => Ok(all),
        false => Err(format!("an address is there twice: {all:?}").into()),
    }
}

fn same(before: &AddressesByPod, after: &AddressesByPod, when: &str) -> TestResult {
    match before == after {
        true => Ok(()),
        false => Err(format!("{when}, the pods have {after:?}, and had {before:?}").into()),
    }
}
