//! A container as the kubelet runs it: restarted when it ends, probed, and kept up to date.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use tokio::time::{Instant, sleep};

use super::{
    NodeContext,
    container::{self, ContainerPlan, ContainerProcess},
    env, now,
    probe::{HttpProbe, ProbeVerdict},
    sandbox::Sandbox,
    status::ContainerState,
    volumes,
};

/// The delay before the first restart of a container; it doubles with each restart.
const BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(16);

/// One container; only those of nadmit's image are really run.
pub(super) struct ContainerRunner {
    pub(super) spec: Container,
    pub(super) state: ContainerState,
    runs: Option<RunState>,
}

struct RunState {
    root: PathBuf,
    log: PathBuf,
    process: Option<ContainerProcess>,
    readiness: Option<HttpProbe>,
    liveness: Option<HttpProbe>,
    /// The time of the next restart.
    again: Instant,
    back_off: Duration,
}

impl ContainerRunner {
    /// Prepares a container, and starts it if it is of nadmit's image.
    ///
    /// # Errors If something is still missing.
    pub(super) async fn start(
        node: &Arc<NodeContext>,
        pod: &Pod,
        sandbox: &Sandbox,
        spec: &Container,
    ) -> Result<Self, String> {
        let image = spec.image.clone().unwrap_or_default();
        let mut contained = Self {
            spec: spec.clone(),
            state: ContainerState {
                name: spec.name.clone(),
                ready: true,
                restarts: 0,
                started: Some(now()),
                image,
            },
            runs: None,
        };
        let name = contained.state.image.rsplit('/').next().unwrap_or_default();
        if !name.starts_with(node.image) {
            return Ok(contained);
        }
        let uid = pod.uid().unwrap_or_default();
        let root = node
            .folder
            .path()
            .join("roots")
            .join(format!("{uid}.{}", spec.name));
        if !root.exists() {
            let addresses = &sandbox.place().addresses;
            container::make_root(&root, &pod.name_any(), addresses)
                .map_err(|error| error.to_string())?;
        }
        let logs = node.folder.path().join("logs");
        contained.runs = Some(RunState {
            log: container::log(&logs, &pod.name_any(), &spec.name),
            root,
            process: None,
            readiness: None,
            liveness: None,
            again: Instant::now(),
            back_off: BACK_OFF,
        });
        contained.state.ready = false;
        contained.state.started = None;
        contained.update(node, pod).await?;
        contained.run(node, pod, sandbox)?;
        Ok(contained)
    }

    /// Updates the volumes.
    pub(super) async fn update(&self, node: &NodeContext, pod: &Pod) -> Result<(), String> {
        match &self.runs {
            Some(runs) => volumes::lay(&node.client, pod, &self.spec, &runs.root).await,
            None => Ok(()),
        }
    }

    fn run(&mut self, node: &NodeContext, pod: &Pod, sandbox: &Sandbox) -> Result<(), String> {
        let Some(runs) = &mut self.runs else {
            return Ok(());
        };
        let addresses = &sandbox.place().addresses;
        let plan = ContainerPlan {
            pod,
            container: &self.spec,
            namespace: sandbox.namespace().ok_or("it is of the host's network")?,
            variables: env::variables(pod, &self.spec, addresses, node.api_server)?,
            root: &runs.root,
            log: &runs.log,
        };
        let probed = |probe: Option<&_>| {
            probe
                .map(|probe| HttpProbe::new(&self.spec, probe))
                .transpose()
        };
        runs.readiness = probed(self.spec.readiness_probe.as_ref())?;
        runs.liveness = probed(self.spec.liveness_probe.as_ref())?;
        runs.process = Some(ContainerProcess::start(&plan).map_err(|error| error.to_string())?);
        self.state.ready = runs.readiness.is_none();
        self.state.started = Some(now());
        Ok(())
    }

    /// Checks the process and runs its probes.
    pub(super) async fn poll(&mut self, node: &Arc<NodeContext>, pod: &Pod, sandbox: &Sandbox) {
        let Some(runs) = &mut self.runs else {
            return;
        };
        let Some(process) = &mut runs.process else {
            if Instant::now() >= runs.again {
                self.state.restarts += 1;
                if let Err(why) = self.run(node, pod, sandbox) {
                    node.complain(format!("{}: {why}", pod.name_any()));
                }
            }
            return;
        };
        if let Some(how) = process.ended() {
            node.complain(format!("{} {} has ended: {how}", now(), pod.name_any()));
            self.wait_to_run_anew();
            return;
        }
        let address = sandbox.place().addresses.first().cloned();
        let address = address.unwrap_or_default();
        if let Some(readiness) = &mut runs.readiness {
            match readiness.ask(&address).await {
                ProbeVerdict::Success => self.state.ready = true,
                ProbeVerdict::Failure => self.state.ready = false,
                ProbeVerdict::Unchanged => {}
            }
        }
        if let Some(liveness) = &mut runs.liveness
            && liveness.ask(&address).await == ProbeVerdict::Failure
        {
            node.complain(format!(
                "{} {} is not alive: {}",
                now(),
                pod.name_any(),
                liveness.complaint
            ));
            let grace = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.termination_grace_period_seconds);
            self.end(grace.unwrap_or(30)).await;
            self.wait_to_run_anew();
        }
    }

    fn wait_to_run_anew(&mut self) {
        self.state.ready = false;
        self.state.started = None;
        if let Some(runs) = &mut self.runs {
            runs.process = None;
            runs.again = Instant::now() + runs.back_off;
            runs.back_off = (runs.back_off * 2).min(MAX_BACK_OFF);
        }
    }

    /// Terminates the process, and kills it after the grace period, in seconds.
    pub(super) async fn end(&mut self, grace: i64) {
        let Some(runs) = &mut self.runs else {
            return;
        };
        if let Some(process) = &mut runs.process {
            process.terminate();
            let grace = Duration::from_secs(grace.try_into().unwrap_or_default());
            let end = Instant::now() + grace;
            while process.ended().is_none() && Instant::now() < end {
                sleep(Duration::from_millis(50)).await;
            }
        }
        runs.process = None;
    }

    /// Removes its files.
    pub(super) fn remove(&self) {
        if let Some(runs) = &self.runs {
            // The folder is removed with the node's in any case.
            let _ = std::fs::remove_dir_all(&runs.root);
        }
    }

    /// Returns true if the container has a process.
    pub(super) fn is_run(&self) -> bool {
        self.runs.is_some()
    }
}
