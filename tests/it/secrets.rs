//! A log at its finest level never contains secrets: pods' environment variables, callers' tokens,
//! nadmit's own keys. Text from callers cannot forge a line of the log.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Secrets that must not appear in a log.
const SECRETS: [&str; 4] = [
    "env-hunter2",
    "bearer-hunter2",
    "broken-hunter2",
    "token-hunter2",
];

pub(crate) fn tests() -> Vec<Trial> {
    let no_curl = Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err();
    let test = trial!["secrets"; logs_contain_no_secret_and_no_forged_line];
    vec![test.with_ignored_flag(no_curl)]
}

/// A server that ends with the test, and logs into a file.
struct LoggingServer {
    process: Child,
    url: String,
    folder: TempDir,
}

impl LoggingServer {
    fn start() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("manifests"))?;
        let log = folder.path().join("log");
        let process = Command::new(env!("CARGO_BIN_EXE_nadmit"))
            .current_dir(folder.path())
            .args([
                "serve",
                "--manifests",
                "manifests",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--admin-listen", "127.0.0.1:0", "--drain-grace", "0"])
            .args(["--log", "debug,nadmit=trace", "--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut serving = Self {
            process,
            url: String::new(),
            folder,
        };
        serving.url = format!("https://{}", listen_address(&log)?);
        Ok(serving)
    }

    fn post(&self, path: &str, body: &str) -> TestResult {
        let file = self.folder.path().join("body");
        fs::write(&file, body)?;
        let status = Command::new("curl")
            .args(["--silent", "--insecure", "--http1.1", "--output", "answer"])
            .args([
                "-H",
                "Content-Type: application/json",
                "-H",
                "Authorization: Bearer bearer-hunter2",
            ])
            .args(["--data-binary", "@body", &format!("{}{path}", self.url)])
            .current_dir(self.folder.path())
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("curl ended with {status}").into()),
        }
    }
}

/// Waits for the log line that names the address.
fn listen_address(log: &Path) -> Result<String, Failed> {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        for line in fs::read_to_string(log)?.lines() {
            // The last line may be incomplete.
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if line["message"] == "serving"
                && let Some(address) = line["listen"].as_str()
            {
                return Ok(address.to_owned());
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err("no line of the log names the address within 60 s".into())
}

impl Drop for LoggingServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn review(name: &str) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1\n{\"level\":\"ERROR\",\"message\":\"forged\"}", "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "db", "name": name,
            "object": {
                "metadata": {
                    "name": name, "namespace": "db",
                    "annotations": {
                        "k8s.v1.cni.cncf.io/networks": "nowhere",
                        "nadmit.io/holder-token": "token-hunter2",
                    },
                },
                "spec": {"containers": [{"name": "a", "env": [{"name": "PASSWORD", "value": "env-hunter2"}]}]},
            },
        },
    })
    .to_string()
}

fn logs_contain_no_secret_and_no_forged_line() -> TestResult {
    let serving = LoggingServer::start()?;
    for path in ["/validate", "/mutate"] {
        serving.post(path, &review("app"))?;
        serving.post(
            path,
            &review("app\n{\"level\":\"ERROR\",\"message\":\"forged\"}"),
        )?;
        serving.post(path, "{\"request\": {\"password\": \"broken-hunter2\", ")?;
    }
    let log = fs::read_to_string(serving.folder.path().join("log"))?;
    if log.lines().count() < 4 {
        return Err(format!("it hardly logs:\n{log}").into());
    }
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).map_err(|_| format!("no line of nadmit's: {line}"))?;
        if line["message"] == "forged" {
            return Err("a caller has forged a line".into());
        }
    }
    let keys =
        ["ca.key", "tls.key"].map(|key| key_of(&serving.folder.path().join("certs").join(key)));
    let mut secrets: Vec<String> = SECRETS.iter().map(|secret| (*secret).to_owned()).collect();
    for key in keys {
        secrets.push(key?);
    }
    match secrets.iter().find(|secret| log.contains(&***secret)) {
        Some(secret) => Err(format!("the log holds {secret}").into()),
        None => Ok(()),
    }
}

/// Returns the first line of a key's secret part.
fn key_of(file: &Path) -> Result<String, Failed> {
    let text = fs::read_to_string(file)?;
    let line = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .nth(1);
    Ok(line.ok_or("no key")?.to_owned())
}
