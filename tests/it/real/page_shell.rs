//! A shell that follows a documentation page in a cluster.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use libtest_mimic::Failed;
use tempfile::TempDir;

use super::cluster::{CommandResult, RealCluster};
use crate::{
    deploy::objects::tool,
    docs::console::{self, Step},
    support::TestResult,
};

/// The beginnings of commands that wait for the cluster and may be repeated.
const REPEATED: &[&str] = &[
    "kubectl get",
    "kubectl wait",
    "kubectl delete addresspool",
    "kubectl describe pod",
    "kubectl run typo -n db --image app --dry-run",
    "nadmit whois",
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
pub(super) struct PageShell<'c> {
    cluster: &'c RealCluster,
    folder: TempDir,
}

impl<'c> PageShell<'c> {
    pub(super) fn new(cluster: &'c RealCluster) -> Result<Self, Failed> {
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

    /// Follows a section: saves its files, and runs its commands and compares their output.
    pub(super) fn follow(&self, page: &str, heading: &str) -> TestResult {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let section =
            section(&text, heading).ok_or_else(|| format!("{page} has no {heading:?}"))?;
        for step in console::steps(section) {
            match &step {
                Step::File { name, text } => {
                    fs::write(self.folder.path().join(name), self.replaced(text))?;
                }
                Step::Command { .. } => self.run_command(&step)?,
            }
        }
        Ok(())
    }

    /// Runs a command, and compares its output with that of the page. Commands that wait for the
    /// cluster are repeated, as a reader would.
    pub(super) fn run_command(&self, step: &Step) -> TestResult {
        let Step::Command { command, expected } = step else {
            return Err("not a command".into());
        };
        let with_errors = format!("{command} 2>&1");
        let is_repeated = REPEATED
            .iter()
            .any(|beginning| command.starts_with(beginning));
        let mut printed = String::new();
        let agreed = self.cluster.soon(command, || {
            printed = self.bash(&with_errors)?.output();
            let agrees = console::agrees(expected, &printed);
            Ok((agrees || !is_repeated).then_some(agrees))
        });
        println!("$ {command}\n{printed}");
        match agreed? {
            true => Ok(()),
            false => Err(format!(
                "{command} prints\n{printed}\nthe page shows\n{expected}\n{}",
                self.cluster.logs()
            )
            .into()),
        }
    }

    /// Runs the shell block that contains a line with this beginning.
    pub(super) fn run_block(&self, page: &str, beginning: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let found = blocks(&text).find(|block| {
            block.language == "sh" && block.text.lines().any(|l| l.starts_with(beginning))
        });
        let block = found.ok_or_else(|| format!("{page} has no {beginning:?}"))?;
        self.well(&block.text)
    }

    /// Writes the files that the page on Whereabouts names.
    pub(super) fn write_manifests(&self, page: &str) -> TestResult {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let yaml: Vec<PageBlock> = blocks(&text)
            .filter(|block| block.language == "yaml")
            .collect();
        let holding = |words: &str| {
            let found = yaml.iter().find(|block| block.text.contains(words));
            found.ok_or_else(|| format!("{page} has no block with {words:?}"))
        };
        let before = self.with_plugin_files(&holding("\"type\": \"whereabouts\"")?.text)?;
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

    /// Returns a network of Whereabouts with the files that its plugin reads: on a node they have fixed
    /// paths.
    fn with_plugin_files(&self, network: &str) -> Result<String, Failed> {
        const TYPE: &str = "\"type\": \"whereabouts\"";
        let settings = self.folder.path().join("whereabouts.conf");
        fs::write(&settings, "{}")?;
        let files = format!(
            "{TYPE}, \"kubernetes\": {{\"kubeconfig\": \"{}\"}}, \"configuration_path\": \"{}\"",
            self.cluster.kubeconfig().display(),
            settings.display()
        );
        Ok(network.replace(TYPE, &files))
    }

    /// Applies the YAML block that contains this line.
    pub(super) fn apply_block(&self, page: &str, line: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(Path::new(ROOT).join(page))?;
        let found = blocks(&text)
            .find(|block| block.language == "yaml" && block.text.lines().any(|l| l == line));
        let block = found.ok_or_else(|| format!("{page} has no {line:?}"))?;
        self.apply(&block.text)
    }

    fn apply(&self, yaml: &str) -> Result<String, Failed> {
        let yaml = self.with_plugin_files(&self.replaced(yaml))?;
        self.cluster.done(&["apply", "-f", "-"], &yaml)
    }

    fn replaced(&self, text: &str) -> String {
        text.replace("eth1", self.cluster.master())
    }

    /// Runs commands that have to succeed, and returns their output.
    pub(super) fn well(&self, commands: &str) -> Result<String, Failed> {
        let result = self.bash(commands)?;
        println!("$ {commands}\n{}", result.output());
        match result.is_well() {
            true => Ok(result.output()),
            false => {
                Err(format!("{commands}\n{}\n{}", result.output(), self.cluster.logs()).into())
            }
        }
    }

    pub(super) fn bash(&self, commands: &str) -> Result<CommandResult, Failed> {
        let script = format!("set -e\n{commands}\n");
        let mut command = self
            .cluster
            .command("bash".as_ref(), &["-c", &self.replaced(&script)]);
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        command.env("PATH", path).current_dir(self.folder.path());
        RealCluster::run_command(command, "")
    }
}

/// Returns the first command of a page with this beginning.
pub(super) fn first_command(page: &str, beginning: &str) -> Result<Step, Failed> {
    let text = fs::read_to_string(Path::new(ROOT).join(page))?;
    let found = console::steps(&text).into_iter().find(
        |step| matches!(step, Step::Command { command, .. } if command.starts_with(beginning)),
    );
    found.ok_or_else(|| format!("{page} has no {beginning:?}").into())
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

pub(super) fn holds(printed: &str, words: &str) -> TestResult {
    match printed.contains(words) {
        true => Ok(()),
        false => Err(format!("it does not say {words:?}:\n{printed}").into()),
    }
}
