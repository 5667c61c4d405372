//! A real API server with an etcd of its own, from the folder that `KUBEBUILDER_ASSETS` names, or
//! else from what `tests/real/build.sh kubernetes etcd` has built.

use std::{
    collections::BTreeMap,
    fs,
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kube::{Client, Config};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::components;

const TOKEN: &str = "the-token-of-a-test";
/// The token of nadmit's ServiceAccount, which has the permissions that `deploy/` grants once that
/// is applied.
pub(super) const NADMIT_TOKEN: &str = "the-token-of-nadmit";

/// The reason shown for tests on a real API server that are ignored.
pub(crate) const IGNORE_REASON: &str =
    "needs KUBEBUILDER_ASSETS, or tests/real/build.sh kubernetes etcd";

/// The time limit for a start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The options of a server.
pub(crate) struct RealServerOptions {
    /// The folder of the programs; by default that of `KUBEBUILDER_ASSETS`.
    pub(crate) assets: Option<PathBuf>,
    /// The address to listen on.
    pub(crate) address: IpAddr,
    /// Additional arguments of kube-apiserver.
    pub(crate) further: Vec<String>,
}

impl Default for RealServerOptions {
    fn default() -> Self {
        Self {
            assets: None,
            address: Ipv4Addr::LOCALHOST.into(),
            // No controller runs that would create the accounts that this plugin requires.
            further: vec!["--disable-admission-plugins=ServiceAccount".to_owned()],
        }
    }
}

/// Runs until it is dropped.
pub(crate) struct RealServer {
    /// etcd and kube-apiserver, in this order, then the programs started after them.
    pub(super) processes: Vec<Child>,
    pub(super) arguments: BTreeMap<&'static str, Vec<String>>,
    assets: PathBuf,
    address: IpAddr,
    pub(super) port: u16,
    pub(super) folder: TempDir,
}

impl RealServer {
    /// Returns true if there are programs to start.
    pub(crate) fn is_there() -> bool {
        assets().is_ok_and(|folder| {
            folder.join("etcd").is_file() && folder.join("kube-apiserver").is_file()
        })
    }

    /// Starts both with default options, and waits until the server is ready.
    pub(crate) async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        Self::start_as(RealServerOptions::default()).await
    }

    /// Starts both with these options, and waits until the server is ready.
    pub(crate) async fn start_as(
        shape: RealServerOptions,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let [clients, peers, port] = [free_port()?, free_port()?, free_port()?];
        let mut server = Self {
            processes: Vec::new(),
            arguments: BTreeMap::new(),
            assets: shape.assets.clone().map_or_else(assets, Ok)?,
            address: shape.address,
            port,
            folder,
        };
        let arguments = etcd(server.folder.path(), clients, peers);
        server.arguments.insert("etcd", arguments);
        let arguments = api_server(server.folder.path(), clients, port, shape)?;
        server.arguments.insert("kube-apiserver", arguments);
        for name in ["etcd", "kube-apiserver"] {
            let process = server.spawn(name)?;
            server.processes.push(process);
        }
        server.until_ready().await?;
        Ok(server)
    }

    /// Waits until the server is ready.
    pub(super) async fn until_ready(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let client = Client::try_from(self.config()?)?;
        let until = Instant::now() + START_TIMEOUT;
        while !answers(&client).await {
            if Instant::now() > until || self.has_ended()? {
                return Err(format!("it does not become ready: {}", self.logs()).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    fn has_ended(&mut self) -> io::Result<bool> {
        for process in &mut self.processes {
            if process.try_wait()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the configuration of a client that may do everything.
    pub(crate) fn config(&self) -> Result<Config, Box<dyn std::error::Error>> {
        let mut config = Config::new(self.url().parse()?);
        // The server's certificate is self-signed.
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(TOKEN.to_owned().into());
        Ok(config)
    }

    fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.port)
    }

    /// Writes the configuration of a client that may do everything as a kubeconfig, for kubectl and
    /// nadmit.
    pub(crate) fn kubeconfig(&self) -> io::Result<PathBuf> {
        self.kubeconfig_with("kubeconfig", TOKEN)
    }

    pub(super) fn kubeconfig_with(&self, name: &str, token: &str) -> io::Result<PathBuf> {
        let file = self.folder.path().join(name);
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url(),
                "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(&file, text.to_string())?;
        Ok(file)
    }

    /// Starts a program with its arguments.
    pub(super) fn spawn(&self, name: &str) -> io::Result<Child> {
        let printed = File::create(self.folder.path().join(format!("{name}.log")))?;
        let arguments = self.arguments.get(name).into_iter().flatten();
        let program = self.assets.join(name);
        Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.display())))
    }

    /// Returns the end of the programs' logs.
    pub(crate) fn logs(&self) -> String {
        let logs = self.arguments.keys().map(|name| format!("{name}.log"));
        let printed = logs.map(|log| fs::read_to_string(self.folder.path().join(log)));
        let ends = printed.map(|printed| {
            let printed = printed.unwrap_or_default();
            let lines: Vec<&str> = printed.lines().rev().take(5).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        });
        ends.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // The API server ends first: without etcd it would log errors.
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn assets() -> io::Result<PathBuf> {
    components::assets().ok_or_else(|| io::Error::other(IGNORE_REASON))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn etcd(folder: &Path, clients: u16, peers: u16) -> Vec<String> {
    let clients = format!("http://127.0.0.1:{clients}");
    let peers = format!("http://127.0.0.1:{peers}");
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
    ]
}

fn api_server(
    folder: &Path,
    etcd: u16,
    port: u16,
    shape: RealServerOptions,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let key = folder.join("service-accounts.key");
    let pair = rcgen::KeyPair::generate()?;
    fs::write(&key, pair.serialize_pem())?;
    // The public key is needed because the private key's format is not accepted for checking
    // tokens.
    let public = folder.join("service-accounts.pub");
    fs::write(&public, pair.public_key_pem())?;
    let tokens = folder.join("tokens.csv");
    let groups = "system:serviceaccounts,system:serviceaccounts:nadmit";
    let nadmit =
        format!("{NADMIT_TOKEN},system:serviceaccount:nadmit:nadmit,nadmit,\"{groups}\"\n");
    fs::write(
        &tokens,
        format!("{TOKEN},admin,admin,\"system:masters\"\n{nadmit}"),
    )?;
    let address = shape.address;
    let own = [
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        // Since 1.37 a loopback address is refused for the endpoints of the server.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.join("certificates").display()),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", public.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        format!("--token-auth-file={}", tokens.display()),
        "--authorization-mode=RBAC".to_owned(),
    ];
    Ok(own.into_iter().chain(shape.further).collect())
}

async fn answers(client: &Client) -> bool {
    let request = http::Request::get("/readyz").body(kube::client::Body::empty());
    let Ok(request) = request else {
        return false;
    };
    client
        .send(request)
        .await
        .is_ok_and(|answer| answer.status().is_success())
}
