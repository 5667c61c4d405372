//! A cluster: the control plane, nodes without containers, kubectl, and the commands of nadmit.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use kube::Client;
use libtest_mimic::Failed;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    control_plane::ControlPlane,
    node::{NodeConfig, RunningNodes, Wire, end_processes, ip},
    parts::Programs,
};
use crate::support::TestResult;
use crate::{api_server::network_definition, command, shared::SharedValue};

/// The time limit of any wait on a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The time limit of a command, in seconds, as an argument of `timeout`.
const COMMAND_TIMEOUT: &str = "240";
/// nadmit's image; it is never pulled.
pub(super) const IMAGE: &str = "nadmit:test";

/// A cluster that ends when this is dropped.
pub(super) struct RealCluster {
    runtime: Runtime,
    parts: Programs,
    kubeconfig: PathBuf,
    nodes: Option<RunningNodes>,
    control_plane: ControlPlane,
    wire: Arc<Wire>,
}

/// The exit status of a command and its output on both streams.
#[derive(Debug)]
pub(super) struct CommandResult {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) errors: String,
}

impl CommandResult {
    /// Returns true if the command succeeded.
    pub(super) fn is_well(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns its output on both streams.
    pub(super) fn output(&self) -> String {
        format!("{}{}", self.out, self.errors)
    }
}

impl RealCluster {
    /// Starts a cluster with this number of nodes and the NetworkAttachmentDefinition kind.
    pub(super) fn start(nodes: usize) -> Result<Self, Failed> {
        let parts = Programs::find()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let to_failed = |error: Box<dyn std::error::Error>| Failed::from(error.to_string());
        let wire = Arc::new(Wire::new()?);
        let address = wire.address.into();
        let control_plane = runtime.block_on(ControlPlane::start(&parts, address));
        let control_plane = control_plane.map_err(to_failed)?;
        let kubeconfig = control_plane.server.kubeconfig()?;
        let client = {
            let _inside = runtime.enter();
            Client::try_from(control_plane.server.config().map_err(to_failed)?)?
        };
        let config = NodeConfig {
            parts: parts.clone(),
            client,
            kubeconfig: kubeconfig.clone(),
            api_server: (address, control_plane.server.port()),
            names: (1..=nodes).map(|number| format!("node-{number}")).collect(),
            image: "nadmit:",
        };
        let nodes = runtime.block_on(RunningNodes::start(config, Arc::clone(&wire)));
        let nodes = nodes.map_err(to_failed)?;
        println!("pods are attached by {}", nodes.attacher());
        let cluster = Self {
            runtime,
            parts,
            kubeconfig,
            nodes: Some(nodes),
            control_plane,
            wire,
        };
        cluster.done(&["apply", "-f", "-"], &network_definition().to_string())?;
        let kind = "crd/network-attachment-definitions.k8s.cni.cncf.io";
        cluster.done(
            &["wait", "--for=condition=Established", "--timeout=60s", kind],
            "",
        )?;
        Ok(cluster)
    }

    /// Returns the interface of the host on which networks are made.
    pub(super) fn master(&self) -> &str {
        &self.wire.master
    }

    /// Runs a command to completion.
    pub(super) fn run_command(mut command: Command, input: &str) -> Result<CommandResult, Failed> {
        let output = command::run(&mut command, input)?;
        Ok(CommandResult {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            errors: String::from_utf8(output.stderr)?,
        })
    }

    /// Returns the command of a program that uses this cluster.
    pub(super) fn command(&self, program: &std::ffi::OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(COMMAND_TIMEOUT).arg(program).args(arguments);
        command.env("KUBECONFIG", &self.kubeconfig);
        // kubectl's cache belongs in the server's folder.
        command.env("HOME", self.control_plane.server.folder());
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("NADMIT_") {
                command.env_remove(key);
            }
        }
        command
    }

    /// Returns the configuration of a client that may do everything.
    pub(super) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// Returns the path of kubectl.
    pub(super) fn kubectl_program(&self) -> &std::path::Path {
        &self.parts.kubectl
    }

    /// Returns the folder that contains the containers' roots.
    pub(super) fn roots(&self) -> Result<PathBuf, Failed> {
        Ok(self.nodes.as_ref().ok_or("no node")?.roots())
    }

    /// Runs kubectl with this input.
    pub(super) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<CommandResult, Failed> {
        Self::run_command(
            self.command(self.parts.kubectl.as_os_str(), arguments),
            input,
        )
    }

    /// Runs kubectl, which has to succeed, and returns its output.
    pub(super) fn done(&self, arguments: &[&str], input: &str) -> Result<String, Failed> {
        let result = self.kubectl(arguments, input)?;
        match result.is_well() {
            true => Ok(result.out),
            false => Err(format!("kubectl {}: {}", arguments.join(" "), result.output()).into()),
        }
    }

    /// Runs a command of nadmit.
    pub(super) fn nadmit(&self, arguments: &[&str]) -> Result<CommandResult, Failed> {
        Self::run_command(
            self.command(env!("CARGO_BIN_EXE_nadmit").as_ref(), arguments),
            "",
        )
    }

    /// Runs a command of nadmit, which has to succeed, and prints its output.
    pub(super) fn nadmit_does(&self, arguments: &[&str]) -> Result<CommandResult, Failed> {
        let begun = Instant::now();
        let result = self.nadmit(arguments)?;
        println!(
            "$ nadmit {} ({:.1} s)\n{}",
            arguments.join(" "),
            begun.elapsed().as_secs_f32(),
            result.output()
        );
        match result.is_well() {
            true => Ok(result),
            false => Err(format!(
                "nadmit {}: {}\n{}",
                arguments.join(" "),
                result.output(),
                self.logs()
            )
            .into()),
        }
    }

    /// Reads an object or a list.
    pub(super) fn get(&self, arguments: &[&str]) -> Result<Value, Failed> {
        let text = self.done(&[&["get", "-o=json"], arguments].concat(), "")?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns the addresses of a pod's interface from the kernel, without link-local ones.
    pub(super) fn addresses(
        &self,
        namespace: &str,
        pod: &str,
        interface: &str,
    ) -> Result<Vec<String>, Failed> {
        let nodes = self.nodes.as_ref().ok_or("no node")?;
        let place = nodes.place(namespace, pod);
        let place = place.ok_or_else(|| format!("{namespace}/{pod} has no network namespace"))?;
        let text = ip(&["-n", &place, "-j", "addr", "show", "dev", interface])?;
        let shown: Value = serde_json::from_str(&text)?;
        let all = shown[0]["addr_info"].as_array().into_iter().flatten();
        let given = all.filter(|one| one["scope"] != "link");
        let mut addresses: Vec<String> = given
            .map(|one| {
                format!(
                    "{}/{}",
                    one["local"].as_str().unwrap_or_default(),
                    one["prefixlen"]
                )
            })
            .collect();
        addresses.sort();
        Ok(addresses)
    }

    /// Kills the processes of a pod.
    pub(super) fn kill(&self, namespace: &str, pod: &str) -> TestResult {
        let nodes = self.nodes.as_ref().ok_or("no node")?;
        let place = nodes.place(namespace, pod);
        let place = place.ok_or_else(|| format!("{namespace}/{pod} has no network namespace"))?;
        end_processes(&place);
        Ok(())
    }

    /// Polls until there is a result; the error has everyone's last log lines.
    pub(super) fn soon<T>(
        &self,
        complaint: &str,
        look: impl FnMut() -> Result<Option<T>, Failed>,
    ) -> Result<T, Failed> {
        self.soon_within(TIMEOUT, complaint, look)
    }

    /// Polls as [`Self::soon`] does, for this time.
    pub(super) fn soon_within<T>(
        &self,
        timeout: Duration,
        complaint: &str,
        mut look: impl FnMut() -> Result<Option<T>, Failed>,
    ) -> Result<T, Failed> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() > end {
                let pods = self
                    .kubectl(&["get", "pods", "-A", "-o=wide"], "")?
                    .output();
                let events = self.kubectl(&["get", "events", "-A"], "")?.output();
                return Err(format!("{complaint}\n{pods}\n{events}\n{}", self.logs()).into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Checks that the nodes report no faults.
    pub(super) fn is_content(&self) -> TestResult {
        self.is_content_without(None)
    }

    /// Checks that the nodes report no faults but the end of a pod that the test has killed.
    pub(super) fn is_content_without(&self, killed: Option<&str>) -> TestResult {
        let complaints = self.nodes.as_ref().map(RunningNodes::complaints);
        let mut complaints = complaints.unwrap_or_default();
        complaints.retain(|one| killed.is_none_or(|pod| !one.contains(pod)));
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(complaints.join("\n").into()),
        }
    }

    /// Returns the last log lines of nodes and control plane.
    pub(super) fn logs(&self) -> String {
        let of_nodes = self.nodes.as_ref().map(RunningNodes::logs);
        format!(
            "{}\n{}",
            of_nodes.unwrap_or_default(),
            self.control_plane.logs()
        )
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        if let Some(nodes) = self.nodes.take() {
            self.runtime.block_on(nodes.end());
        }
    }
}

static SHARED: SharedValue<RealCluster> = SharedValue::new();
/// Held by a test while it runs: clusters are large, and a machine may be small.
static EXCLUSIVE: Mutex<()> = Mutex::new(());

/// Runs a test while no other one of this group runs.
pub(super) fn alone(test: impl FnOnce() -> TestResult) -> TestResult {
    let _turn = EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner);
    test()
}

/// Returns the cluster that tests share, with nadmit installed; the first caller starts it.
pub(super) fn installed() -> Result<Arc<RealCluster>, Failed> {
    SHARED.get(|| {
        let cluster = RealCluster::start(2)?;
        cluster.nadmit_does(&["install", "--image", IMAGE])?;
        Ok(cluster)
    })
}

/// Ends the shared cluster after the last test: nothing else would end its processes.
pub(crate) fn end() {
    SHARED.end();
}
