//! The commands of documentation pages, word for word and in order, in clusters of their own.
//!
//! A block of shell goes to bash line by line; a block of YAML is applied, or becomes the file that
//! the page names. `eth1` is replaced by the interface of the nodes. [`LEFT_OUT`] lists the
//! commands that are not run.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use libtest_mimic::Failed;
use tempfile::TempDir;

use super::{
    NamedTest,
    cluster::{CommandResult, IMAGE, RealCluster},
    steps::stateful_set,
};
use crate::support::TestResult;
use crate::{api_server::ForeignKind, deploy::objects::tool, whereabouts::KINDS as WHEREABOUTS};

pub(super) const TESTS: &[NamedTest] = named![page_readme, page_statefulsets, page_install];

/// Tests that also need Whereabouts's plugin.
pub(super) const TESTS_WITH_WHEREABOUTS: &[NamedTest] = named![page_from_whereabouts];

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

/// The beginnings of commands that are not run, with the reasons.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cargo install", "the binary of this build is there"),
    ("docker ", "the nodes pull no images"),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A wrapper of kubectl that runs `exec`, which the nodes do not serve, in the root and the network
/// namespace of a replica of nadmit.
const KUBECTL: &str = r#"#!/bin/sh
if [ "$1 $2 $3 $4 $5" = 'exec -n nadmit deploy/nadmit --' ]; then
  shift 5
  for pid in $(pgrep -f '^/nadmit serve'); do
    case $(readlink "/proc/$pid/root") in
    ROOTS/*)
      enter=$(command -v nsenter)
      # shellcheck disable=SC2046 # no variable of a container has white space
      exec env -i $(tr '\0' ' ' <"/proc/$pid/environ") \
        "$enter" --target "$pid" --mount --net --root --wd=/ "$@"
      ;;
    esac
  done
  echo 'no replica of nadmit runs' >&2
  exit 1
fi
exec KUBECTL "$@"
"#;

/// A block of a page.
#[derive(Debug)]
struct PageBlock {
    language: String,
    text: String,
}

/// A shell in a folder of its own, with access to a cluster.
struct PageShell<'c> {
    cluster: &'c RealCluster,
    folder: TempDir,
}

fn page_readme() -> TestResult {
    let cluster = RealCluster::start(1)?;
    let shell = PageShell::new(&cluster)?;
    let printed = shell.run_section("README.md", "## Try it in a cluster")?;
    holds(
        &printed,
        "network \"storage-nett\" does not exist in namespace \"try\"",
    )?;
    holds(&printed, "mode         warn")?;
    let typo = "kubectl run typo -n try --image app --dry-run=server \
                --annotations k8s.v1.cni.cncf.io/networks=storage-nett";
    let result = shell.bash(typo)?;
    match result.is_well() {
        true => Err(format!("nothing is denied: {}", result.output()).into()),
        false => holds(&result.output(), "is invalid: metadata.annotations"),
    }
}

fn page_statefulsets() -> TestResult {
    const PAGE: &str = "docs/statefulsets-and-vms.md";
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

/// Migrates from Whereabouts and back again, with the same three replicas.
fn page_from_whereabouts() -> TestResult {
    const PAGE: &str = "docs/from-whereabouts.md";
    let cluster = RealCluster::start(2)?;
    cluster.nadmit_does(&["install", "--image", IMAGE])?;
    let shell = PageShell::new(&cluster)?;
    for kind in WHEREABOUTS {
        cluster.apply(&[kind.definition()])?;
    }
    shell.well("kubectl create namespace db")?;
    shell.write_manifests(PAGE)?;
    shell.well("kubectl apply -f network-before.yaml")?;
    cluster.apply(&[stateful_set("db", "db", 3, "storage-net")])?;
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
    const PAGE: &str = "docs/install.md";
    let cluster = RealCluster::start(1)?;
    let shell = PageShell::new(&cluster)?;
    let remove = || -> TestResult {
        shell.run_block(PAGE, "kubectl delete -k deploy/overlays/self-managed")?;
        shell.run_block(PAGE, "kubectl delete -k deploy/crds")?;
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
    shell.run_block("docs/install.md", "helm install nadmit")?;
    shell.well("kubectl rollout status -n nadmit deployment/nadmit --timeout=120s")?;
    cluster.nadmit_does(&["status"]).map(drop)
}

impl<'c> PageShell<'c> {
    fn new(cluster: &'c RealCluster) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let bin = folder.path().join("bin");
        fs::create_dir(&bin)?;
        symlink(env!("CARGO_BIN_EXE_nadmit"), bin.join("nadmit"))?;
        let kubectl = bin.join("kubectl");
        let script = KUBECTL
            .replace("ROOTS", &cluster.roots()?.display().to_string())
            .replace("KUBECTL", &cluster.kubectl_program().display().to_string());
        fs::write(&kubectl, script)?;
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))?;
        if let Some(helm) = tool("helm") {
            symlink(helm, bin.join("helm"))?;
        }
        symlink(Path::new(ROOT).join("deploy"), folder.path().join("deploy"))?;
        Ok(Self { cluster, folder })
    }

    /// Runs all blocks of a section in order, and returns their output.
    fn run_section(&self, page: &str, heading: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let section =
            section(&text, heading).ok_or_else(|| format!("{page} has no {heading:?}"))?;
        let mut printed = String::new();
        for block in blocks(section) {
            printed += &match &*block.language {
                "sh" => self.well(&block.text)?,
                "yaml" => self.apply(&block.text)?,
                _ => continue,
            };
        }
        Ok(printed)
    }

    /// Runs the shell block that contains a line with this beginning.
    fn run_block(&self, page: &str, beginning: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let found = blocks(&text).find(|block| {
            block.language == "sh" && block.text.lines().any(|l| l.starts_with(beginning))
        });
        let block = found.ok_or_else(|| format!("{page} has no {beginning:?}"))?;
        self.well(&block.text)
    }

    /// Writes the files that the page on Whereabouts names.
    fn write_manifests(&self, page: &str) -> TestResult {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let yaml: Vec<PageBlock> = blocks(&text)
            .filter(|block| block.language == "yaml")
            .collect();
        let holding = |words: &str| {
            let found = yaml.iter().find(|block| block.text.contains(words));
            found.ok_or_else(|| format!("{page} has no block with {words:?}"))
        };
        let settings = self.folder.path().join("whereabouts.conf");
        fs::write(&settings, "{}")?;
        // On a node this is a file at a fixed path.
        let kind = format!(
            "\"type\": \"whereabouts\", \"kubernetes\": {{\"kubeconfig\": \"{}\"}}, \
             \"configuration_path\": \"{}\"",
            self.cluster.kubeconfig().display(),
            settings.display()
        );
        let before = &holding("\"type\": \"whereabouts\"")?.text;
        let before = before.replace("\"type\": \"whereabouts\"", &kind);
        let both = &holding("kind: AddressPool")?.text;
        let (network, pool) = both.split_once("---\n").ok_or("one object")?;
        for (name, text) in [
            ("network-before.yaml", &*before),
            ("network.yaml", network),
            ("pool.yaml", pool),
        ] {
            fs::write(self.folder.path().join(name), self.replaced(text))?;
        }
        Ok(())
    }

    /// Applies the YAML block that contains this line.
    fn apply_block(&self, page: &str, line: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let found = blocks(&text)
            .find(|block| block.language == "yaml" && block.text.lines().any(|l| l == line));
        let block = found.ok_or_else(|| format!("{page} has no {line:?}"))?;
        self.apply(&block.text)
    }

    fn apply(&self, yaml: &str) -> Result<String, Failed> {
        let yaml = self.replaced(yaml);
        self.cluster.done(&["apply", "-f", "-"], &yaml)
    }

    fn replaced(&self, text: &str) -> String {
        text.replace("eth1", self.cluster.master())
    }

    /// Runs commands that have to succeed, and returns their output.
    fn well(&self, commands: &str) -> Result<String, Failed> {
        let result = self.bash(commands)?;
        println!("$ {commands}\n{}", result.output());
        match result.is_well() {
            true => Ok(result.output()),
            false => {
                Err(format!("{commands}\n{}\n{}", result.output(), self.cluster.logs()).into())
            }
        }
    }

    fn bash(&self, commands: &str) -> Result<CommandResult, Failed> {
        let run = commands.lines().filter(|line| {
            let line = line.trim_start();
            LEFT_OUT
                .iter()
                .all(|(beginning, _)| !line.starts_with(beginning))
        });
        let script = format!("set -e\n{}\n", run.collect::<Vec<_>>().join("\n"));
        let mut command = self
            .cluster
            .command("bash".as_ref(), &["-c", &self.replaced(&script)]);
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        command.env("PATH", path).current_dir(self.folder.path());
        RealCluster::run_command(command, "")
    }
}

/// Returns the text below a heading, up to the next heading of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> Option<&'t str> {
    let start = text.find(&format!("{heading}\n"))? + heading.len();
    let level = heading.split(' ').next()?.len();
    let rest = &text[start..];
    let mut at = 0;
    let mut in_block = false;
    for line in rest.split_inclusive('\n') {
        in_block ^= line.starts_with("```");
        let depth = line.chars().take_while(|c| *c == '#').count();
        if !in_block && (1..=level).contains(&depth) {
            return Some(&rest[..at]);
        }
        at += line.len();
    }
    Some(rest)
}

/// Returns the code blocks of a text.
fn blocks(text: &str) -> impl Iterator<Item = PageBlock> {
    let mut all: Vec<PageBlock> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                all.push(PageBlock {
                    language: language.to_owned(),
                    text: String::new(),
                });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some(block) = all.last_mut() {
                    block.text += line;
                    block.text.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    all.into_iter()
}

fn holds(printed: &str, words: &str) -> TestResult {
    match printed.contains(words) {
        true => Ok(()),
        false => Err(format!("it does not say {words:?}:\n{printed}").into()),
    }
}
