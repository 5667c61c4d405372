//! Networks of Whereabouts that nadmit ceases to serve: the plugin gets its records back, running pods keep
//! their addresses, and nothing is left behind when they end.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    page_shell::holds,
    served::{HOME, entries, network, serving_cluster, until_entries},
    steps::{NETWORKS, namespace, stateful_set, text},
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![
    what_is_not_served_any_more_is_left_to_whereabouts,
    an_uninstallation_leaves_nothing_in_whereabouts
];

/// The label by which nadmit serves a namespace.
const LABEL: (&str, &str) = ("nadmit.io/injection", "enabled");

/// A namespace with a network `storage` and a StatefulSet `db` on it, of whose two replicas the second is
/// scaled down: its address is held.
struct Tenant {
    namespace: &'static str,
    ipam: Value,
    pool: &'static str,
}

impl Tenant {
    fn all() -> [Self; 4] {
        let of = |namespace, ipam, pool| Self {
            namespace,
            ipam,
            pool,
        };
        [
            of(
                "opt-out",
                json!({"range": "198.51.100.0/28"}),
                "198.51.100.0-28",
            ),
            of(
                "unlabelled",
                json!({"range": "192.0.2.0/28", "network_name": "alone", "enable_overlapping_ranges": false}),
                "alone-192.0.2.0-28",
            ),
            of(
                "deleted",
                json!({"range": "203.0.113.0/28", "network_name": "shared"}),
                "shared-203.0.113.0-28",
            ),
            of(
                "settings",
                json!({"ipRanges": [{"range": "198.51.100.128/28"}, {"range": "2001:db8:1::/120"}]}),
                "198.51.100.128-28",
            ),
        ]
    }

    fn objects(&self, cluster: &RealCluster) -> Result<Vec<Value>, Failed> {
        Ok(vec![
            namespace(self.namespace, &[LABEL]),
            network(cluster, self.namespace, "storage", &self.ipam)?,
            stateful_set(self.namespace, "db", 2, "storage"),
        ])
    }

    /// Checks that the plugin has the entry of the running replica, and nothing else is left.
    fn is_left(&self, cluster: &RealCluster, addresses: &[String]) -> TestResult {
        let pod = format!("{}/db-0", self.namespace);
        until_entries(cluster, self.pool, "left to the plugin", |entries| {
            let [(found, id)] = &entries.values().collect::<Vec<_>>()[..] else {
                return false;
            };
            *found == pod && !id.is_empty() && !id.starts_with("nadmit:")
        })?;
        cluster.soon("a record is left", || {
            let records = cluster.recorded(self.namespace)?;
            Ok(records.is_empty().then_some(()))
        })?;
        same(
            &cluster.reported(self.namespace, "db-0", "net1")?,
            &addresses.to_vec(),
        )?;
        let on_interface = cluster.addresses(self.namespace, "db-0", "net1")?;
        same(&on_interface.len(), &addresses.len())
    }

    /// Ends the pods, and checks that the plugin's DEL frees everything.
    fn ends(&self, cluster: &RealCluster) -> TestResult {
        let set = ["delete", "statefulset", "-n", self.namespace, "db"];
        cluster.done(&set, "")?;
        cluster.until_pods(self.namespace, 0)?;
        until_entries(cluster, self.pool, "empty", BTreeMap::is_empty)
    }
}

/// Returns what names nadmit in Whereabouts's records.
fn marks(cluster: &RealCluster) -> Result<Vec<String>, Failed> {
    let kinds = [
        "ippools.whereabouts.cni.cncf.io",
        "overlappingrangeipreservations.whereabouts.cni.cncf.io",
    ];
    let mut found = Vec::new();
    for kind in kinds {
        let list = cluster.get(&[kind, "-A"])?;
        let items = list["items"].as_array().into_iter().flatten();
        let marked = items.filter(|one| {
            let finalizers = one["metadata"]["finalizers"].to_string();
            let spec = one["spec"].to_string();
            finalizers.contains("nadmit") || spec.contains("nadmit:")
        });
        found.extend(marked.map(ToString::to_string));
    }
    Ok(found)
}

/// Returns the names of the reservations.
pub(super) fn reservations(cluster: &RealCluster) -> Result<Vec<String>, Failed> {
    let kind = "overlappingrangeipreservations.whereabouts.cni.cncf.io";
    let list = cluster.get(&[kind, "-n", HOME])?;
    let items = list["items"].as_array().into_iter().flatten();
    Ok(items.map(|one| text(&one["metadata"]["name"])).collect())
}

fn pod(namespace: &str, name: &str, networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": {NETWORKS: networks}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "app"}],
        },
    })
}

fn what_is_not_served_any_more_is_left_to_whereabouts() -> TestResult {
    let cluster = serving_cluster()?;
    let tenants = Tenant::all();
    let mut objects = Vec::new();
    for tenant in &tenants {
        objects.extend(tenant.objects(&cluster)?);
    }
    cluster.apply(&objects)?;
    let mut addresses = Vec::new();
    for tenant in &tenants {
        cluster.until_pods(tenant.namespace, 2)?;
        addresses.push(cluster.reported(tenant.namespace, "db-0", "net1")?);
        let scale = ["scale", "-n", tenant.namespace, "statefulset/db"];
        cluster.done(&[&scale[..], &["--replicas=1"]].concat(), "")?;
    }
    for tenant in &tenants {
        cluster.until_pods(tenant.namespace, 1)?;
        until_entries(&cluster, tenant.pool, "taken over and held", |entries| {
            let held = entries.values().filter(|(pod, _)| pod.is_empty());
            let marked = entries.values().all(|(_, id)| id.starts_with("nadmit:"));
            entries.len() == 2 && held.count() == 1 && marked
        })?;
    }
    let [opt_out, unlabelled, deleted, settings] = &tenants;

    // A pod whose ADD has not run keeps the address that it was bound with.
    let mut missing = cluster.plain_network(opt_out.namespace, "broken");
    let working = missing.clone();
    let config = text(&missing["spec"]["config"]).replace(cluster.master(), "nowhere0");
    missing["spec"]["config"] = config.into();
    let late = pod(opt_out.namespace, "late", "broken,storage");
    cluster.apply(&[missing, late])?;
    let of_late = |entries: &BTreeMap<String, (String, String)>| {
        let mut all = entries.iter();
        let found = all.find(|(_, (pod, _))| pod.ends_with("/late"));
        found.map(|(offset, (_, id))| (offset.clone(), id.clone()))
    };
    until_entries(&cluster, opt_out.pool, "written for late", |entries| {
        of_late(entries).is_some_and(|(_, id)| id == "nadmit:")
    })?;
    let offset = of_late(&entries(&cluster, opt_out.pool)?).map(|(offset, _)| offset);
    let annotate = [
        "annotate",
        "net-attach-def",
        "-n",
        opt_out.namespace,
        "storage",
    ];
    cluster.done(&[&annotate[..], &["nadmit.io/serve=false"]].concat(), "")?;
    until_entries(&cluster, opt_out.pool, "left to late", |entries| {
        of_late(entries).is_some_and(|(_, id)| id.is_empty())
    })?;
    cluster.apply(&[working])?;
    cluster.until_pods(opt_out.namespace, 2)?;
    let of_late_now = cluster.reported(opt_out.namespace, "late", "net2")?;
    let expected = offset.map(|offset| format!("198.51.100.{offset}"));
    same(&of_late_now, &expected.into_iter().collect())?;
    cluster.done(&["delete", "pod", "-n", opt_out.namespace, "late"], "")?;
    opt_out.is_left(&cluster, &addresses[0])?;
    opt_out.ends(&cluster)?;

    // The network stays served elsewhere; pods of this namespace are the plugin's.
    let label = [
        "label",
        "namespace",
        unlabelled.namespace,
        "nadmit.io/injection-",
    ];
    cluster.done(&label, "")?;
    unlabelled.is_left(&cluster, &addresses[1])?;

    let net = [
        "delete",
        "net-attach-def",
        "-n",
        deleted.namespace,
        "storage",
    ];
    cluster.done(&net, "")?;
    deleted.is_left(&cluster, &addresses[2])?;

    cluster.nadmit_does(&["install", "--whereabouts", "observe"])?;
    settings.is_left(&cluster, &addresses[3])?;

    same(&marks(&cluster)?, &Vec::new())?;
    for tenant in [unlabelled, deleted, settings] {
        tenant.ends(&cluster)?;
    }
    same(&reservations(&cluster)?, &Vec::new())?;
    until_entries(&cluster, "2001-db8-1---120", "empty", BTreeMap::is_empty)?;
    cluster.is_content()
}

fn an_uninstallation_leaves_nothing_in_whereabouts() -> TestResult {
    let cluster = serving_cluster()?;
    let tenants = Tenant::all();
    let tenant = &tenants[3];
    cluster.apply(&tenant.objects(&cluster)?)?;
    cluster.until_pods(tenant.namespace, 2)?;
    let addresses = cluster.reported(tenant.namespace, "db-0", "net1")?;
    let scale = ["scale", "-n", tenant.namespace, "statefulset/db"];
    cluster.done(&[&scale[..], &["--replicas=1"]].concat(), "")?;
    until_entries(&cluster, tenant.pool, "held", |entries| {
        entries.values().filter(|(pod, _)| pod.is_empty()).count() == 1
    })?;

    let refused = cluster.nadmit(&["whereabouts", "release", "--all"])?;
    same(&refused.code, &Some(1))?;
    holds(&refused.output(), "nothing is released")?;
    let end = cluster.nadmit_does(&["uninstall"])?;
    holds(&end.output(), &format!("to pod {}/db-0", tenant.namespace))?;
    holds(&end.output(), "freed")?;
    same(&marks(&cluster)?, &Vec::new())?;
    same(
        &cluster.reported(tenant.namespace, "db-0", "net1")?,
        &addresses,
    )?;
    until_entries(&cluster, tenant.pool, "left", |entries| entries.len() == 1)?;
    tenant.ends(&cluster)?;
    same(&reservations(&cluster)?, &Vec::new())?;
    cluster.is_content()
}
