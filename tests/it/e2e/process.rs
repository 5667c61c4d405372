//! nadmit as a process: with the settings of its ConfigMap, and as its ServiceAccount.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use libtest_mimic::Failed;
use tempfile::TempDir;

use super::cluster::{E2eCluster, printed};
use crate::support::TestResult;

/// Returns the binary's command without the caller's environment.
pub(super) fn nadmit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("NADMIT_") {
            command.env_remove(key);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Creates certificates in a folder of their own.
pub(super) fn certificates(folder: &Path) -> TestResult {
    let status = nadmit()
        .arg("certs")
        .arg("--cert-dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("nadmit certs fails".into()),
    }
}

/// Returns a port that is not in use.
pub(super) fn free_port() -> Result<u16, Failed> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The settings and certificates that replicas share.
pub(super) struct ReplicaConfig {
    folder: TempDir,
}

impl ReplicaConfig {
    /// Uses the shipped settings, with mode deny and these further lines.
    pub(super) fn new(settings: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let home = Self { folder };
        certificates(&home.path("certs"))?;
        fs::create_dir(home.path("config"))?;
        for object in printed(&["--mode", "deny"])? {
            if object["kind"] == "ConfigMap" && object["metadata"]["name"] == "nadmit-config" {
                for (name, text) in object["data"].as_object().into_iter().flatten() {
                    let mut text = text.as_str().unwrap_or_default().to_owned();
                    if name == "nadmit.yaml" {
                        text += settings;
                    }
                    fs::write(home.path("config").join(name), text)?;
                }
            }
        }
        Ok(home)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the CA of its certificates, in PEM.
    pub(super) fn ca(&self) -> Result<String, Failed> {
        Ok(fs::read_to_string(self.path("certs/ca.crt"))?)
    }

    /// Starts a replica with the applicable arguments of the Deployment.
    pub(super) fn serve(
        &self,
        cluster: &E2eCluster,
        name: &str,
        port: u16,
    ) -> Result<NadmitProcess, Failed> {
        let shown = fs::File::create(self.path(&format!("{name}.log")))?;
        let mut process = nadmit()
            .current_dir(self.folder.path())
            .args([
                "serve",
                "--cluster",
                "--config-dir=config",
                "--namespace=nadmit",
            ])
            .args(["--tls-cert=certs/tls.crt", "--tls-key=certs/tls.key"])
            .args(["--replica", name, "--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen=127.0.0.1:0", "--drain-grace=0"])
            .arg("--kubeconfig")
            .arg(cluster.server.kubeconfig_of_nadmit()?)
            .stdout(Stdio::piped())
            .stderr(shown)
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let mut url = None;
        let admin = lines.find_map(|line| {
            let line = line.ok()?;
            let mut words = line.split_whitespace();
            match (words.next()?, words.next()?) {
                ("webhooks", place) => {
                    url = place.strip_suffix("/validate").map(str::to_owned);
                    None
                }
                ("admin", place) => Some(
                    place
                        .trim_start_matches("http://")
                        .split('/')
                        .next()?
                        .to_owned(),
                ),
                _ => None,
            }
        });
        let nadmit = NadmitProcess {
            process,
            admin: admin.ok_or("nadmit does not say where it listens")?,
            url: url.ok_or("nadmit does not say where its webhooks are")?,
        };
        // The rest of its output has to be read, too.
        thread::spawn(move || lines.for_each(drop));
        Ok(nadmit)
    }
}

/// A replica that ends when this is dropped.
pub(super) struct NadmitProcess {
    process: Child,
    admin: String,
    /// `https://address:port`
    pub(super) url: String,
}

impl NadmitProcess {
    fn get(&self, path: &str) -> Result<String, Failed> {
        let mut stream = TcpStream::connect(&self.admin)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: nadmit\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Returns true if the replica is ready.
    pub(super) fn is_ready(&self) -> Result<bool, Failed> {
        Ok(self.get("/readyz")?.starts_with("HTTP/1.1 200"))
    }

    /// Returns the sum of a metric's values over the series with all of these labels.
    pub(super) fn metric(&self, name: &str, labels: &[&str]) -> Result<f64, Failed> {
        let text = self.get("/metrics")?;
        let mut sum = 0.0;
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let named = series.split('{').next() == Some(name);
            if named && labels.iter().all(|label| series.contains(label)) {
                sum += value.parse::<f64>()?;
            }
        }
        Ok(sum)
    }

    /// Kills the process without a shutdown.
    pub(super) fn kill(&mut self) -> TestResult {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for NadmitProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
