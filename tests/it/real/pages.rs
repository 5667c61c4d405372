//! The commands of documentation pages, word for word and in order, in clusters of their own.
//!
//! A block of shell goes to bash line by line; a block of YAML is applied, or becomes the file that
//! the page names. The output of a command in a block of `console` is compared with the block, see
//! `docs::console`. `eth1` is replaced by the interface of the nodes.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use serde_json::json;

use super::{
    NamedTest,
    cluster::{IMAGE, RealCluster},
    page_shell::{PageShell, first_command, holds},
    steps::stateful_set,
};
use crate::support::{TestResult, same};
use crate::{api_server::ForeignKind, whereabouts::KINDS as WHEREABOUTS};

pub(super) const TESTS: &[NamedTest] = named![
    page_readme,
    page_first_pool,
    page_full_pool,
    page_statefulsets,
    page_install
];

/// Tests that also need Whereabouts's plugin.
pub(super) const TESTS_WITH_WHEREABOUTS: &[NamedTest] =
    named![page_from_whereabouts, page_serve_whereabouts];

/// The kinds of cert-manager that its overlay has objects of.
const CERT_MANAGER: [ForeignKind; 2] = [
    cert_manager("Issuer", "issuers"),
    cert_manager("Certificate", "certificates"),
];

const fn cert_manager(kind: &'static str, plural: &'static str) -> ForeignKind {
    ForeignKind {
        group: "cert-manager.io",
        version: "v1",
        kind,
        plural,
    }
}

/// Tests that also need helm.
pub(super) const TESTS_WITH_HELM: &[NamedTest] = named![page_install_by_helm];

/// Runs the commands for a cluster, and those that the page begins with.
fn page_readme() -> TestResult {
    const PAGE: &str = "README.md";
    let cluster = RealCluster::start(1)?;
    let shell = PageShell::new(&cluster)?;
    shell.follow(PAGE, "## Try it in a cluster")?;
    shell.run_command(&first_command("docs/how-to/deny.md", "nadmit status")?)?;
    // Replicas learn of the namespace's mode with a delay.
    let typo = "kubectl run typo -n db --image app --dry-run=server \
                --annotations k8s.v1.cni.cncf.io/networks=storage-nett";
    cluster.soon("the typo is not denied", || {
        Ok((!shell.bash(typo)?.is_well()).then_some(()))
    })?;
    shell.run_command(&first_command(PAGE, "kubectl run typo")?)
}

/// Follows the tutorial, whose last address is that of the README.
fn page_first_pool() -> TestResult {
    const PAGE: &str = "docs/tutorials/first-pool.md";
    let cluster = RealCluster::start(2)?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let shell = PageShell::new(&cluster)?;
    shell.follow(PAGE, "# Your first pool")?;
    let shown = |page| first_command(page, "kubectl get pod db-0");
    match (shown(PAGE)?, shown("README.md")?) {
        (tutorial, readme) if tutorial == readme => Ok(()),
        different => Err(format!("{different:?}").into()),
    }
}

/// Shows the events of a pod that waits for an address of a full pool.
fn page_full_pool() -> TestResult {
    const PAGE: &str = "docs/how-to/troubleshooting.md";
    const TUTORIAL: &str = "docs/tutorials/first-pool.md";
    let cluster = RealCluster::start(1)?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let shell = PageShell::new(&cluster)?;
    shell.well("kubectl create namespace db")?;
    shell.well("kubectl label namespace db nadmit.io/injection=enabled")?;
    let pool = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "storage"},
        "spec": {"ranges": [{"range": "192.0.2.0/30"}], "namespaceSelector": {}},
    });
    cluster.apply(&[pool])?;
    shell.well("kubectl wait addresspool/storage --for=condition=Ready --timeout=60s")?;
    shell.apply_block(TUTORIAL, "kind: NetworkAttachmentDefinition")?;
    cluster.apply(&[stateful_set("db", "db", 3, "storage-net")])?;
    shell.run_command(&first_command(PAGE, "kubectl describe pod")?)
}

fn page_statefulsets() -> TestResult {
    const PAGE: &str = "docs/how-to/lasting-addresses.md";
    let cluster = RealCluster::start(2)?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let shell = PageShell::new(&cluster)?;
    shell.well("kubectl create namespace db")?;
    shell.apply_block(PAGE, "kind: StatefulSet")?;
    let printed = shell.run_block(PAGE, "kubectl wait addresspool/storage")?;
    holds(&printed, "condition met")?;
    cluster.until_pods("db", 3)?;
    let printed = shell.run_block(PAGE, "kubectl wait addresspool/storage")?;
    for words in [
        "192.0.2.196",
        "192.0.2.198",
        "2001:db8::1",
        "02:5e:00:00:00:04",
    ] {
        holds(&printed, words)?;
    }
    on_the_wire(&cluster, "db-0", "192.0.2.196/27")?;
    // The page releases the addresses retained for a replica that is scaled away.
    shell.well("kubectl scale -n db statefulset/db --replicas=2")?;
    cluster.until_pods("db", 2)?;
    let printed = shell.run_block(PAGE, "nadmit allocations --cluster --namespace db")?;
    holds(&printed, "(retained)")?;
    on_the_wire(&cluster, "db-1", "192.0.2.197/27")?;
    // A replica gets the address that is reserved for it.
    shell.well("kubectl scale -n db statefulset/db --replicas=0")?;
    cluster.until_pods("db", 0)?;
    shell.well("kubectl exec -n nadmit deploy/nadmit -- /nadmit release 192.0.2.196 --yes")?;
    shell.apply_block(PAGE, "kind: AddressReservation")?;
    shell.well("kubectl scale -n db statefulset/db --replicas=1")?;
    cluster.until_pods("db", 1)?;
    on_the_wire(&cluster, "db-0", "192.0.2.205/27")
}

/// Creates the network of Whereabouts of a page, and a StatefulSet on it.
pub(super) fn serve_by_whereabouts(
    cluster: &RealCluster,
    shell: &PageShell<'_>,
    page: &str,
) -> TestResult {
    for kind in WHEREABOUTS {
        cluster.apply(&[kind.definition()])?;
    }
    shell.well("kubectl create namespace db")?;
    shell.write_manifests(page)?;
    shell.well("kubectl apply -f network-before.yaml")?;
    cluster.apply(&[stateful_set("db", "db", 3, "storage-net")])
}

/// Migrates from Whereabouts and back again, with the same three replicas.
fn page_from_whereabouts() -> TestResult {
    const PAGE: &str = "docs/how-to/migrate-from-whereabouts.md";
    let cluster = RealCluster::start(2)?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let shell = PageShell::new(&cluster)?;
    serve_by_whereabouts(&cluster, &shell, PAGE)?;
    let before = addresses(&cluster)?;

    shell.run_block(PAGE, "nadmit check --cluster --namespace db")?;
    shell.run_block(PAGE, "nadmit adopt --dry-run")?;
    shell.run_block(PAGE, "kubectl apply -f network.yaml")?;
    shell.run_block(PAGE, "kubectl apply -f pool.yaml")?;
    shell.run_block(PAGE, "nadmit status")?;
    let recorded = cluster.recorded("db")?;
    for (pod, addresses) in &before {
        let held = recorded.get(pod).cloned().unwrap_or_default();
        let plain = addresses.iter().filter_map(|one| one.split('/').next());
        if !plain.eq(held.iter().map(String::as_str)) {
            return Err(format!("{pod} has {addresses:?}, the records say {held:?}").into());
        }
    }
    shell.well("kubectl delete pod -n db db-0")?;
    let after = addresses(&cluster)?;
    if before != after {
        return Err(format!("before {before:?}, after {after:?}").into());
    }

    shell.run_block(PAGE, "nadmit export --cluster")?;
    shell.run_block(PAGE, "kubectl scale -n db statefulset/db --replicas=0")?;
    let printed = shell.run_block(
        PAGE,
        "kubectl exec -n nadmit deploy/nadmit -- /nadmit release",
    )?;
    holds(&printed, "(retained)")?;
    // The page releases one address; the others are released the same way.
    for address in ["192.0.2.196", "192.0.2.198"] {
        shell.well(&format!(
            "kubectl exec -n nadmit deploy/nadmit -- /nadmit release {address} --yes"
        ))?;
    }
    shell.run_block(PAGE, "kubectl apply -f network-before.yaml")?;
    shell.run_block(PAGE, "kubectl delete addresspool storage")?;
    shell.run_block(PAGE, "kubectl scale -n db statefulset/db --replicas=3")?;
    addresses(&cluster).map(drop)
}

/// Serves the networks of Whereabouts, and goes back. The page's look at the CRD is left out: here the
/// kinds have no schema.
fn page_serve_whereabouts() -> TestResult {
    const PAGE: &str = "docs/how-to/serve-whereabouts.md";
    let cluster = RealCluster::start(2)?;
    for kind in WHEREABOUTS {
        cluster.apply(&[kind.definition()])?;
    }
    let shell = PageShell::new(&cluster)?;
    shell.well("kubectl create namespace db")?;
    shell.run_block(PAGE, "nadmit audit --cluster")?;
    shell.run_block(PAGE, "nadmit install --image")?;
    shell.run_block(PAGE, "kubectl label namespace db")?;
    shell.apply_block(PAGE, "kind: StatefulSet")?;
    let before = addresses(&cluster)?;
    let printed = shell.run_block(PAGE, "nadmit pools --cluster")?;
    for words in ["whereabouts/192.0.2.192-27", "db-0", "nadmit:"] {
        holds(&printed, words)?;
    }
    shell.apply_block(PAGE, "  name: reports")?;
    cluster.until_pods("db", 4)?;
    on_the_wire(&cluster, "reports", "192.0.2.205/27")?;
    shell.well("kubectl delete pod -n db reports")?;
    shell.well("kubectl delete pod -n db db-1")?;
    same(&addresses(&cluster)?, &before)?;

    shell.run_block(PAGE, "nadmit install --whereabouts observe")?;
    // grep fails if it finds nothing.
    let search = "kubectl get ippools,overlappingrangeipreservations";
    cluster.soon("a record names nadmit", || {
        Ok(shell.run_block(PAGE, search).is_err().then_some(()))
    })?;
    same(&addresses(&cluster)?, &before)?;
    shell.run_block(PAGE, "nadmit audit --cluster").map(drop)
}

/// Returns the addresses on the interfaces of the three replicas once they are ready, and checks
/// that all differ.
fn addresses(cluster: &RealCluster) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    let pods = cluster.until_pods("db", 3)?;
    let mut found = BTreeMap::new();
    for pod in pods.into_keys() {
        let addresses = cluster.addresses("db", &pod, "net1")?;
        if addresses.is_empty() || found.values().any(|others| *others == addresses) {
            return Err(format!("{pod} has {addresses:?}, others {found:?}").into());
        }
        found.insert(pod, addresses);
    }
    Ok(found)
}

fn on_the_wire(cluster: &RealCluster, pod: &str, address: &str) -> TestResult {
    let addresses = cluster.addresses("db", pod, "net1")?;
    match addresses.iter().any(|one| one == address) {
        true => Ok(()),
        false => Err(format!("{pod} has {addresses:?}").into()),
    }
}

/// Runs the command and applies the manifests of the page, each followed by an uninstallation.
fn page_install() -> TestResult {
    const PAGE: &str = "docs/how-to/install.md";
    const REMOVAL: &str = "docs/how-to/uninstall.md";
    let cluster = RealCluster::start(1)?;
    let shell = PageShell::new(&cluster)?;
    let remove = || -> TestResult {
        shell.run_block(REMOVAL, "kubectl delete -k deploy/overlays/self-managed")?;
        shell.run_block(REMOVAL, "kubectl delete -k deploy/crds")?;
        shell.well("kubectl wait namespace/nadmit --for=delete --timeout=120s")?;
        Ok(())
    };
    shell.run_block(PAGE, "nadmit install --image")?;
    cluster.nadmit_does(&["status"])?;
    remove()?;
    shell.run_block(PAGE, "kubectl apply -k deploy/crds")?;
    cluster.nadmit_does(&["status"])?;
    // The issuers of the other overlays' certificates are not installed here, so their objects are
    // only validated.
    for kind in CERT_MANAGER {
        cluster.apply(&[kind.definition()])?;
    }
    for overlay in ["cert-manager", "openshift"] {
        let apply = format!("kubectl apply --dry-run=server -k deploy/overlays/{overlay}");
        shell.well(&apply)?;
    }
    remove()?;
    Ok(())
}

/// Installs the chart as the page describes.
fn page_install_by_helm() -> TestResult {
    let cluster = RealCluster::start(1)?;
    let shell = PageShell::new(&cluster)?;
    shell.run_block("docs/how-to/install.md", "helm install nadmit")?;
    shell.well("kubectl rollout status -n nadmit deployment/nadmit --timeout=120s")?;
    cluster.nadmit_does(&["status"]).map(drop)
}
