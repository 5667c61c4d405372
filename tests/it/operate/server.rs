//! A server on the fixtures, and the commands that are run against it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use crate::support::TestResult;
use libtest_mimic::Failed;
use serde_json::json;
use tempfile::TempDir;

/// The time limit of any wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn has_curl() -> bool {
    let output = Command::new("curl").arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

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

/// A folder with the fixtures' manifests and a data directory.
pub(crate) struct WorkFolder {
    folder: TempDir,
}

impl WorkFolder {
    pub(super) fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("manifests"))?;
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/operate/world.yaml");
        fs::copy(fixture, folder.path().join("manifests/world.yaml"))?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command, which has to succeed, and returns its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, Failed> {
        let output = self.raw_output(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Runs a command, which has to fail, and returns its standard error.
    pub(super) fn refused(&self, arguments: &[&str]) -> Result<String, Failed> {
        let output = self.raw_output(arguments)?;
        if output.status.success() {
            return Err(format!("{arguments:?} went well").into());
        }
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Runs a command, which has to succeed, and returns its output on both streams.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<String, Failed> {
        let printed = self.try_run(arguments)?;
        printed.map_err(|error| format!("{arguments:?}: {error}").into())
    }

    /// Runs a command; returns its output, or its standard error on a failure.
    pub(super) fn try_run(&self, arguments: &[&str]) -> Result<Result<String, String>, Failed> {
        let output = self.raw_output(arguments)?;
        let [out, complaint] = [&output.stdout, &output.stderr]
            .map(|printed| String::from_utf8_lossy(printed).into_owned());
        Ok(match output.status.success() {
            true => Ok(complaint + &out),
            false => Err(complaint),
        })
    }

    fn raw_output(&self, arguments: &[&str]) -> Result<Output, Failed> {
        let mut command = nadmit();
        command.current_dir(self.folder.path()).args(arguments);
        Ok(command.output()?)
    }

    /// Starts a server on the folder.
    pub(super) fn serve(&self) -> Result<RunningServer<'_>, Failed> {
        self.serve_with(&[])
    }

    /// Starts a server on the folder, with additional flags.
    pub(super) fn serve_with(&self, flags: &[&str]) -> Result<RunningServer<'_>, Failed> {
        self.start(&[&["--manifests", "manifests"], flags].concat())
    }

    /// Starts a replica of the cluster of the folder's kubeconfig, with an admin socket, and waits until
    /// its list of pools has this text.
    pub(super) fn serve_cluster(&self, text: &str) -> Result<RunningServer<'_>, Failed> {
        fs::create_dir_all(self.path("data"))?;
        let cluster = ["--cluster", "--kubeconfig", "kubeconfig"];
        let serving = self.start(&[&cluster[..], &["--data-dir", "data"]].concat())?;
        let begin = Instant::now();
        while !self
            .try_run(&["pools"])?
            .is_ok_and(|printed| printed.contains(text))
        {
            if begin.elapsed() > TIMEOUT {
                return Err("it does not get ready".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(serving)
    }

    fn start(&self, flags: &[&str]) -> Result<RunningServer<'_>, Failed> {
        let mut process = nadmit()
            .current_dir(self.folder.path())
            .args(["serve", "--drain-grace", "0"])
            .args(flags)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut serving = RunningServer {
            place: self,
            process,
            webhooks: String::new(),
            admin: String::new(),
        };
        serving.webhooks = url(&lines, "https://")?;
        serving.admin = url(&lines, "http://")?;
        Ok(serving)
    }
}

/// Returns the next printed URL with this scheme, without its path.
fn url(lines: &Receiver<String>, scheme: &str) -> Result<String, Failed> {
    loop {
        let line = lines.recv_timeout(TIMEOUT)?;
        if let Some((_, behind)) = line.split_once(scheme) {
            let address = behind.split('/').next().unwrap_or_default();
            return Ok(format!("{scheme}{address}"));
        }
    }
}

/// A server that ends with the test.
pub(super) struct RunningServer<'p> {
    place: &'p WorkFolder,
    process: Child,
    webhooks: String,
    admin: String,
}

impl RunningServer<'_> {
    /// Calls `/mutate` for a replica of the StatefulSet `db`, as the API server does.
    pub(super) fn create_replica(&self, ordinal: u32) -> Result<String, Failed> {
        let name = format!("db-{ordinal}");
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u",
            "controller": true});
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE",
                "namespace": "db",
                "name": name,
                "object": {"metadata": {"name": name, "ownerReferences": [set],
                    "annotations": {"k8s.v1.cni.cncf.io/networks": "storage-net"}}},
            },
        });
        self.post("/mutate", &review.to_string())
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Result<String, Failed> {
        let ca = self.place.path("certs/ca.crt").display().to_string();
        let url = format!("{}{path}", self.webhooks);
        let json = "Content-Type: application/json";
        curl(&["--cacert", &ca, &url, "--header", json, "--data", body])
    }

    pub(super) fn metrics(&self) -> Result<String, Failed> {
        curl(&[&format!("{}/metrics", self.admin)])
    }

    /// Returns the response of `/readyz`.
    pub(super) fn ready(&self) -> Result<String, Failed> {
        curl(&[&format!("{}/readyz", self.admin)])
    }

    /// Ends the server with SIGTERM, and waits.
    pub(super) fn stop(mut self) -> TestResult {
        let id = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.process.wait()?;
        Ok(())
    }

    /// Kills the server.
    pub(super) fn kill(mut self) -> TestResult {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for RunningServer<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn curl(arguments: &[&str]) -> Result<String, Failed> {
    let output = Command::new("curl")
        .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
        .args(["--max-time", "20"])
        .args(arguments)
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("curl: {}", String::from_utf8_lossy(&output.stderr)).into())
}
