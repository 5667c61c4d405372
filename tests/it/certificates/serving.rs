//! The binary as a process, and its callers.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use libtest_mimic::Failed;
use nadmit::pki::Certificate;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::TlsConnector;

use super::fixture::{TestResult, certificates, holds};
use crate::api_server::ApiServer;

/// The time limit of any wait on a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// The name by which the API server calls the replicas.
pub(super) const SERVICE_NAME: &str = "nadmit.nadmit.svc";

/// A serving process; it ends with the test.
pub(super) struct ServingReplica {
    process: Child,
    pub(super) webhooks: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) log: PathBuf,
}

impl ServingReplica {
    pub(super) fn start(folder: &TempDir, server: &ApiServer, name: &str) -> Result<Self, Failed> {
        let (config, log) = (folder.path().join("kubeconfig"), folder.path().join(name));
        server.kubeconfig(&config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("NADMIT_") {
                command.env_remove(key);
            }
        }
        let mut process = command
            .args([
                "serve",
                "--cluster",
                "--namespace",
                "nadmit",
                "--replica",
                name,
            ])
            .arg("--kubeconfig")
            .arg(&config)
            .args(["--tls-secret", "nadmit-tls", "--service", "nadmit"])
            .args([
                "--webhooks",
                "nadmit",
                "--tls-settle",
                "3",
                "--drain-grace",
                "0",
            ])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log", "trace"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut serving = Self {
            process,
            webhooks: ([127, 0, 0, 1], 0).into(),
            admin: ([127, 0, 0, 1], 0).into(),
            log,
        };
        serving.webhooks = address(&lines, "webhooks")?;
        serving.admin = address(&lines, "admin")?;
        Ok(serving)
    }

    /// Returns the admin listener's response, with its status at the end.
    pub(super) fn get(&self, path: &str) -> Result<String, Failed> {
        let url = format!("http://{}{path}", self.admin);
        curl(&["--write-out", "%{http_code}", &url])
    }

    pub(super) async fn is_ready(&self) -> TestResult {
        let until = Instant::now() + TIMEOUT;
        loop {
            let printed = self.get("/readyz")?;
            if printed.ends_with("200") {
                return Ok(());
            }
            holds(Instant::now() < until, printed)?;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for ServingReplica {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the address in the next line with this beginning.
fn address(lines: &Receiver<String>, start: &str) -> Result<SocketAddr, Failed> {
    loop {
        let line = lines.recv_timeout(TIMEOUT)?;
        if let Some((_, behind)) = line.split_once("://").filter(|_| line.starts_with(start)) {
            return Ok(behind.split('/').next().unwrap_or_default().parse()?);
        }
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

/// An API server's connection that trusts this bundle.
pub(super) struct WebhookConnection {
    sender: SendRequest<Full<Bytes>>,
    pub(super) shown: Certificate,
}

impl WebhookConnection {
    pub(super) async fn open(address: SocketAddr, bundle: &str) -> Result<Self, Failed> {
        let mut roots = RootCertStore::empty();
        for one in certificates(bundle) {
            roots.add(one.der)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await?;
        let tls = TlsConnector::from(Arc::new(config));
        let tls = tls
            .connect(ServerName::try_from(SERVICE_NAME)?, tcp)
            .await?;
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown
            .and_then(Certificate::from_der)
            .ok_or("no certificate")?;
        let (sender, connection) = handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, shown })
    }

    pub(super) async fn review(&mut self) -> TestResult {
        self.sender.ready().await?;
        let request = Request::post("/validate?timeout=10s")
            .header(header::HOST, SERVICE_NAME)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(review()))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let allowed = String::from_utf8_lossy(&body).contains("\"allowed\":true");
        holds(status == 200 && allowed, (status, body))
    }
}

pub(super) fn review() -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE", "namespace": "default", "name": "a",
            "object": {"metadata": {"name": "a"}},
        },
    })
    .to_string()
}
