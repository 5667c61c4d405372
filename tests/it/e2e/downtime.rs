//! nadmit scaled to no replicas, and back.

use super::{
    NamedTest,
    cluster::{E2eCluster, Registration, pod, soon},
    process::{ReplicaConfig, free_port},
};
use crate::support::TestResult;

pub(super) const TESTS: &[NamedTest] = named![without_nadmit_pods_start_and_it_heals_later];

fn without_nadmit_pods_start_and_it_heals_later() -> TestResult {
    let cluster = E2eCluster::start()?;
    let home = ReplicaConfig::new("")?;
    let port = free_port()?;
    let mut nadmit = home.serve(&cluster, "nadmit-0", port)?;
    cluster.install(&Registration {
        name: "nadmit",
        url: &nadmit.url,
        ca: &home.ca()?,
        flags: &["--mode", "deny"],
    })?;
    soon("nadmit is not ready", || {
        Ok(nadmit.is_ready()?.then_some(()))
    })?;
    cluster.create_namespace_with_pool("db", "192.0.2.0/28", &[])?;
    cluster.namespace("elsewhere", &[])?;
    cluster.until_ready("db")?;
    nadmit.kill()?;
    let plain = |name: &str, namespace: &str| {
        pod(name, namespace, "x")
            .replace("  annotations:\n    k8s.v1.cni.cncf.io/networks: x\n", "")
    };
    for (name, namespace, manifest) in [
        ("plain", "db", plain("plain", "db")),
        ("plain", "elsewhere", plain("plain", "elsewhere")),
        ("web", "db", pod("web", "db", "storage")),
        ("other", "db", pod("other", "db", "storage")),
    ] {
        cluster.done(&["create", "-f", "-"], &manifest)?;
        cluster.bind(namespace, name)?;
        if cluster.field(namespace, name, "{.spec.nodeName}")? != "node-1" {
            return Err(format!("{namespace}/{name} is not bound").into());
        }
    }
    if !cluster.recorded("db")?.is_empty() || !cluster.addresses("db", "web")?.is_empty() {
        return Err("no replica can have allocated addresses".into());
    }
    let nadmit = home.serve(&cluster, "nadmit-0", port)?;
    let mut expected = Vec::new();
    for name in ["web", "other"] {
        let address = soon("it has no address", || {
            Ok(cluster.addresses("db", name)?.pop())
        })?;
        expected.push(format!("{address} {name}"));
    }
    expected.sort();
    let recorded = cluster.recorded("db")?;
    if recorded != expected {
        return Err(format!("pods have {expected:?}, recorded is {recorded:?}").into());
    }
    let late = nadmit.metric("nadmit_reconciliations_total", &["injected-late"])?;
    match late >= 2.0 && cluster.addresses("elsewhere", "plain")?.is_empty() {
        true => Ok(()),
        false => Err(format!("{late} pods were healed").into()),
    }
}
