//! The servers under test: the binary of this crate, started once for each folder of manifests, or
//! one that runs elsewhere.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::curl::{Endpoint, status_of};

/// The time limit until a server is ready.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The interval between checks of readiness.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// All servers of one run.
#[derive(Debug)]
pub(crate) struct Targets {
    elsewhere: Option<Endpoint>,
    started: Mutex<BTreeMap<PathBuf, Result<OwnServer, String>>>,
}

/// A server that was started by this process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnServer {
    child: Child,
    pub(crate) endpoint: Endpoint,
    /// The certificates and the log of the server.
    _directory: tempfile::TempDir,
    /// The allocations of the server, unless they are kept elsewhere.
    _data: Option<tempfile::TempDir>,
}

impl Targets {
    /// Returns targets without servers; none will be started if the environment names one.
    pub(crate) fn new() -> Arc<Self> {
        let elsewhere = std::env::var("NADMIT_URL").ok().map(|url| Endpoint {
            url: url.trim_end_matches('/').to_owned(),
            ca: std::env::var_os("NADMIT_CA").map(PathBuf::from),
        });
        Arc::new(Self {
            elsewhere,
            started: Mutex::default(),
        })
    }

    /// Returns true if the server runs elsewhere.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Returns the server of this folder, starting it if necessary.
    pub(crate) fn serving(&self, manifests: &Path) -> Result<Endpoint> {
        if let Some(elsewhere) = &self.elsewhere {
            return Ok(elsewhere.clone());
        }
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let server = started
            .entry(manifests.to_owned())
            .or_insert_with(|| OwnServer::start(manifests).map_err(|error| format!("{error:#}")));
        match server {
            Ok(server) => Ok(server.endpoint.clone()),
            Err(error) => Err(anyhow!("no server for {}: {error}", manifests.display())),
        }
    }

    /// Ends the servers that were started here.
    pub(crate) fn stop(&self) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.clear();
    }
}

impl OwnServer {
    fn start(manifests: &Path) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut server = Self::start_with(manifests, &data.path().join("data"))?;
        server._data = Some(data);
        Ok(server)
    }

    /// Starts a server of a folder of manifests that stores its allocations in another folder.
    pub(crate) fn start_with(manifests: &Path, data: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let certificates = directory.path().join("certs");
        let log = directory.path().join("log");
        fs::create_dir(&certificates)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_nadmit"))
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--manifests")
            .arg(manifests)
            .arg("--cert-dir")
            .arg(&certificates)
            .arg("--data-dir")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let printed = child.stdout.take();
        let mut server = Self {
            child,
            endpoint: Endpoint {
                url: String::new(),
                ca: None,
            },
            _directory: directory,
            _data: None,
        };
        let logged = || fs::read_to_string(&log).unwrap_or_default();
        let [webhook, admin] = addresses(printed.context("no stdout")?)
            .with_context(|| format!("it logged:\n{}", logged()))?;
        server
            .wait(&format!("{admin}/readyz"))
            .with_context(|| format!("it logged:\n{}", logged()))?;
        server.endpoint = Endpoint {
            url: webhook,
            ca: Some(authority(&certificates)?),
        };
        Ok(server)
    }

    /// Waits until the server is ready.
    fn wait(&mut self, readyz: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let status = status_of(readyz);
            if status == 200 {
                return Ok(());
            }
            if let Some(ended) = self.child.try_wait()? {
                bail!("it ended with {ended} before it was ready");
            }
            if begun.elapsed() > TIMEOUT {
                bail!("{readyz} still answers {status} after {TIMEOUT:?}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may have exited by itself; the tests notice that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the addresses of webhook and admin listener, as the server prints them.
fn addresses(printed: impl std::io::Read + Send + 'static) -> Result<[String; 2]> {
    let (sender, receiver) = mpsc::channel();
    // Reads to the end, so that the server never blocks on its output.
    thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let begun = Instant::now();
    let mut found = [None, None];
    let mut seen = Vec::new();
    loop {
        if let [Some(webhook), Some(admin)] = found {
            return Ok([webhook, admin]);
        }
        let left = TIMEOUT.saturating_sub(begun.elapsed());
        let Ok(line) = receiver.recv_timeout(left) else {
            bail!("it printed no addresses of webhook and admin listener, but {seen:?}");
        };
        for (address, scheme) in found.iter_mut().zip(["https", "http"]) {
            *address = address.take().or_else(|| local_url(&line, scheme));
        }
        seen.push(line);
    }
}

/// Returns the URL with this scheme and a local host in a line.
fn local_url(line: &str, scheme: &str) -> Option<String> {
    let begin = format!("{scheme}://127.0.0.1:");
    let behind = &line[line.find(&begin)? + begin.len()..];
    let port: String = behind.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("{begin}{port}"))
}

/// Returns the certificate to trust for the server's own one.
fn authority(certificates: &Path) -> Result<PathBuf> {
    let candidates = ["ca.crt", "tls.crt"].map(|name| certificates.join(name));
    let found = candidates.into_iter().find(|file| file.is_file());
    found.context("the server made no certificate in its --cert-dir")
}
