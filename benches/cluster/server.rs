//! `nadmit serve --cluster` as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::registration::WebhookServer;

/// The time that it has for its end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server that ends when this is dropped.
pub(crate) struct NadmitServer {
    process: Child,
    folder: TempDir,
    /// `https://address:port`
    url: String,
    /// `http://address:port` of health and metrics.
    pub(crate) admin: String,
}

impl NadmitServer {
    /// Starts it with these settings, and waits until it prints its addresses.
    pub(crate) fn start(kubeconfig: &Path, settings: &str) -> anyhow::Result<Self> {
        Self::start_replica("nadmit", kubeconfig, settings)
    }

    /// Starts a replica of this name.
    pub(crate) fn start_replica(
        name: &str,
        kubeconfig: &Path,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("nadmit.yaml"), settings)?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_nadmit"))
            .current_dir(folder.path())
            .args(["serve", "--cluster", "--namespace", "default"])
            .args(["--replica", name])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--config", "nadmit.yaml", "--drain-grace", "0"])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let mut address = |line_of: &str, scheme: &str| {
            lines.find_map(|line| {
                let line = line.ok()?;
                let at = line.starts_with(line_of).then(|| line.find(scheme))??;
                let end = at + scheme.len() + line[at + scheme.len()..].find('/')?;
                Some(line[at..end].to_owned())
            })
        };
        let url = address("webhooks", "https://");
        let admin = address("admin", "http://");
        let nadmit = Self {
            process,
            folder,
            url: url.context("nadmit did not say where it listens")?,
            admin: admin.context("nadmit did not say where its metrics are")?,
        };
        // The rest of its output has to be read, too.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(nadmit)
    }

    /// Returns its process ID.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the address and the CA that webhooks are registered with.
    pub(crate) fn webhooks(&self) -> anyhow::Result<WebhookServer> {
        Ok(WebhookServer {
            url: self.url.clone(),
            ca: fs::read(self.folder.path().join("certs/ca.crt"))?,
        })
    }
}

impl Drop for NadmitServer {
    fn drop(&mut self) {
        // A leader that ends by itself releases its Lease.
        if let Some(process) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ = kill_process(process, Signal::TERM);
        }
        let until = Instant::now() + END_TIMEOUT;
        while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            sleep(POLL_INTERVAL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
