//! `nadmit audit` on the records of Whereabouts's own plugin, and its commands run by kubectl.

use serde_json::Value;

use super::{
    NamedTest,
    cluster::RealCluster,
    page_shell::{PageShell, holds},
    pages::serve_by_whereabouts,
};
use crate::support::TestResult;

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![leaks_of_whereabouts_are_found_and_fixed];

/// The page whose network of Whereabouts is used.
const PAGE: &str = "docs/how-to/migrate-from-whereabouts.md";
const AUDIT: &str = "nadmit audit --cluster --confirm-after 1";

/// Records of a pod that does not exist.
const LEAKS: &str = r#"
kubectl patch ippools.whereabouts.cni.cncf.io -n kube-system storage-192.0.2.192-27 --type=json -p \
  '[{"op":"add","path":"/spec/allocations/20","value":{"id":"x","podref":"db/gone","ifname":"net1"}}]'
echo '{"apiVersion":"whereabouts.cni.cncf.io/v1alpha1","kind":"OverlappingRangeIPReservation",
  "metadata":{"name":"storage-192.0.2.212","namespace":"kube-system"},"spec":{"podref":"db/gone"}}' | kubectl create -f -
"#;

fn leaks_of_whereabouts_are_found_and_fixed() -> TestResult {
    let cluster = RealCluster::start(2)?;
    let shell = PageShell::new(&cluster)?;
    serve_by_whereabouts(&cluster, &shell, PAGE)?;
    cluster.until_pods("db", 3)?;
    holds(&shell.well(AUDIT)?, "no finding")?;

    shell.well(LEAKS)?;
    let found = shell.bash(&format!("{AUDIT} --format json"))?;
    let json: Value = serde_json::from_str(&found.out)?;
    let findings = json["findings"].as_array().into_iter().flatten();
    let codes: Vec<&Value> = findings.clone().map(|one| &one["code"]).collect();
    if codes != ["leaked-entry", "orphaned-reservation"] || found.is_well() {
        return Err(found.output().into());
    }
    let commands = findings.flat_map(|one| one["fix"].as_array().into_iter().flatten());
    for command in commands.filter_map(Value::as_str) {
        shell.well(command)?;
    }
    holds(&shell.well(AUDIT)?, "no finding")
}
