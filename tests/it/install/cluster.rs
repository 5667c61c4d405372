//! A cluster in which nadmit is installed: the fake API server, with the kinds that an installation needs.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_server::{ApiServer, ResourceKind, SeedObjects};
use crate::support::TestResult;

/// The time limit of an installation on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The fake API server, and a kubeconfig for it.
pub(super) struct InstallCluster {
    pub(super) server: ApiServer,
    folder: TempDir,
}

/// The exit code of a command, and its output on both streams.
pub(super) struct CommandOutput {
    pub(super) well: bool,
    pub(super) code: Option<i32>,
    pub(super) printed: String,
}

impl InstallCluster {
    pub(super) fn new() -> Result<Self, Failed> {
        let server = ApiServer::start(SeedObjects::of_text("")?, 500, Vec::new())?;
        for (version, kind, plural, namespaced) in KINDS {
            server.register(ResourceKind::custom(version, kind, plural, *namespaced));
        }
        // The fake API server always serves nadmit's kinds, as if their definitions were already
        // installed.
        for name in [
            "addresspools",
            "addressreservations",
            "addressallocations",
            "addressslices",
        ] {
            server.put(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{name}.nadmit.io")},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            }));
        }
        for namespace in ["default", "kube-system"] {
            server.namespace(namespace, &[]);
        }
        let folder = tempfile::tempdir()?;
        server.kubeconfig(&folder.path().join("kubeconfig"))?;
        Ok(Self { server, folder })
    }

    /// Returns a cluster of this minor version.
    pub(super) fn of_minor(minor: u32) -> Result<Self, Failed> {
        let cluster = Self::new()?;
        cluster.server.be_of_minor(minor);
        Ok(cluster)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env_remove("NADMIT_IMAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Runs a command to completion.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<CommandOutput, Failed> {
        let output = self.command(arguments).output()?;
        Ok(CommandOutput {
            well: output.status.success(),
            code: output.status.code(),
            printed: String::from_utf8([output.stdout, output.stderr].concat())?,
        })
    }

    /// Runs `nadmit install`; when it waits for replicas, runs `then` and creates the certificate
    /// as its issuer would.
    pub(super) fn installs(
        &self,
        arguments: &[&str],
        then: impl FnOnce(&Self) -> TestResult,
    ) -> Result<CommandOutput, Failed> {
        let is_timeout = |argument: &&str| argument.starts_with("--timeout");
        let timeout = match arguments.iter().any(is_timeout) {
            true => &["install"][..],
            false => &["install", "--timeout=20"],
        };
        let mut process = self.command(&[timeout, arguments].concat()).spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let mut printed = String::new();
        let mut then = Some(then);
        let result = thread::scope(|scope| {
            let mut trusted = None;
            for line in lines.by_ref() {
                let line = line?;
                printed.push_str(&line);
                printed.push('\n');
                if line.contains("waiting for replicas")
                    && let Some(then) = then.take()
                {
                    then(self)?;
                }
                if line.contains("waiting for the webhooks") && trusted.is_none() {
                    trusted = Some(scope.spawn(|| self.webhooks_are_trusted()));
                }
            }
            trusted.map_or(Ok(()), |done| {
                done.join().unwrap_or_else(|_| Err("a panic".into()))
            })
        });
        let status = process.wait()?;
        if let Some(mut errors) = process.stderr.take() {
            errors.read_to_string(&mut printed)?;
        }
        result?;
        Ok(CommandOutput {
            well: status.success(),
            code: status.code(),
            printed,
        })
    }

    /// Sets the status that the Deployment's controller and the kubelets would set.
    pub(super) fn replicas_are_ready(&self) -> TestResult {
        let mut deployment = self.one("deployments.apps", "nadmit", "nadmit")?;
        let replicas = deployment["spec"]["replicas"].clone();
        deployment["status"] = json!({
            "observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": replicas, "availableReplicas": replicas, "readyReplicas": replicas,
        });
        self.server.put(deployment);
        Ok(())
    }

    fn webhooks_are_trusted(&self) -> TestResult {
        for kind in ["mutating", "validating"] {
            let resource = format!("{kind}webhookconfigurations.admissionregistration.k8s.io");
            let mut hooks = self.one(&resource, "", "nadmit")?;
            for hook in hooks["webhooks"].as_array_mut().into_iter().flatten() {
                hook["clientConfig"]["caBundle"] = json!("bm9uZQ==");
            }
            self.server.put(hooks);
        }
        Ok(())
    }

    /// Polls until an object exists, and returns it.
    pub(super) fn one(&self, resource: &str, namespace: &str, name: &str) -> Result<Value, Failed> {
        let end = Instant::now() + TIMEOUT;
        loop {
            match self.server.stored(resource, namespace, name) {
                Some(found) => return Ok(found),
                None if Instant::now() > end => return Err(format!("no {resource} {name}").into()),
                None => thread::sleep(POLL_INTERVAL),
            }
        }
    }

    /// Installs Multus's thick plugin, with this configuration of its daemon.
    pub(super) fn multus(&self, config: &Value) {
        self.server.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "multus-daemon-config", "namespace": "kube-system"},
            "data": {"daemon-config.json": config.to_string()},
        }));
        let items = json!([{"key": "daemon-config.json", "path": "daemon-config.json"}]);
        self.server.put(json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "kube-multus-ds", "namespace": "kube-system"},
            "spec": {"template": {"spec": {
                "containers": [{
                    "name": "kube-multus", "image": "ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot-thick",
                    "command": ["/usr/src/multus-cni/bin/multus-daemon"],
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/cni/net.d/multus.d"}],
                }],
                "volumes": [{"name": "config", "configMap": {"name": "multus-daemon-config", "items": items}}],
            }}},
        }));
    }

    /// Returns the settings in the ConfigMap.
    pub(super) fn settings(&self) -> Result<String, Failed> {
        let config = self.one("configmaps", "nadmit", "nadmit-config")?;
        let text = config["data"]["nadmit.yaml"].as_str();
        Ok(text.ok_or("no settings")?.to_owned())
    }
}

/// The kinds of a cluster besides those that the fake API server always serves.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("v1", "Service", "services", true),
    (
        "scheduling.k8s.io/v1",
        "PriorityClass",
        "priorityclasses",
        false,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "clusterroles",
        false,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "rolebindings",
        true,
    ),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        true,
    ),
    (
        "policy/v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        true,
    ),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        "FlowSchema",
        "flowschemas",
        false,
    ),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
];
