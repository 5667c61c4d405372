//! The image's root, built without Docker: the binary alone in it serves, as the image's user.
//!
//! Needs root (for chroot) and a static binary: that of the environment variable NADMIT_STATIC, or
//! the one that `.ci/run` builds for the demo.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};

use super::{objects::ROOT, unless};
use crate::support::TestResult;

/// The time limit of any wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The user of the image.
const USER: &str = "--userspec=65532:65532";

pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial!["image"; with unless(missing()); serves_alone_in_its_root],
        trial!["deploy::image"; has_no_other_user],
    ]
}

fn missing() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output();
    if !id.is_ok_and(|id| id.stdout == b"0\n") {
        return Some("needs root");
    }
    let built = binary();
    built.is_none().then_some("no static binary: see .ci/run")
}

/// Returns the path of the static binary.
fn binary() -> Option<PathBuf> {
    let named = std::env::var_os("NADMIT_STATIC").map(PathBuf::from);
    let host = format!(
        "target/{}-unknown-linux-gnu/release/nadmit",
        std::env::consts::ARCH
    );
    let built = Path::new(ROOT).join(host);
    named.or_else(|| built.is_file().then_some(built))
}

/// A root that is removed after the test, and the process in it.
struct ImageRoot {
    folder: tempfile::TempDir,
    running: Option<Child>,
}

impl ImageRoot {
    fn build() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let binary = binary().ok_or("no static binary")?;
        let script = Path::new(ROOT).join("deploy/build-root.sh");
        let built = Command::new(script)
            .arg(folder.path())
            .arg(binary)
            .status()?;
        if !built.success() {
            return Err("deploy/build-root.sh failed".into());
        }
        // mkdtemp makes a folder private to its owner, and the image's root is not.
        Command::new("chmod")
            .arg("0755")
            .arg(folder.path())
            .status()?;
        Ok(Self {
            folder,
            running: None,
        })
    }

    /// Returns the command of the binary in it, as the image starts it, with these variables only.
    fn nadmit(&self, variables: &[(&str, String)]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(USER).arg(self.folder.path()).arg("/nadmit");
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path);
        command.envs(variables.iter().map(|(key, value)| (*key, value)));
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for ImageRoot {
    fn drop(&mut self) {
        if let Some(mut process) = self.running.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn serves_alone_in_its_root() -> TestResult {
    let mut root = ImageRoot::build()?;
    let version = root.nadmit(&[]).arg("--version").output()?;
    let version = String::from_utf8(version.stdout)?;
    assert_eq!(
        version.trim(),
        format!("nadmit {}", env!("CARGO_PKG_VERSION"))
    );

    let [webhooks, admin] = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
    let mut variables = of_dockerfile("ENV ")?;
    variables.retain(|(key, _)| !key.ends_with("LISTEN"));
    let mut variables: Vec<(&str, String)> = variables
        .iter()
        .map(|(key, value)| (&**key, value.clone()))
        .collect();
    variables.push(("NADMIT_LISTEN", webhooks.clone()));
    variables.push(("NADMIT_ADMIN_LISTEN", admin.clone()));
    let log = fs::File::create(root.folder.path().join("log"))?;
    let mut command = root.nadmit(&variables);
    command.args(["serve", "--manifests", "/manifests", "--cert-dir", "/certs"]);
    let process = command.stdout(log.try_clone()?).stderr(log).spawn()?;
    root.running = Some(process);

    let deadline = Instant::now() + TIMEOUT;
    for path in ["/livez", "/readyz", "/metrics"] {
        loop {
            match get(&admin, path) {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => break,
                printed if Instant::now() > deadline => {
                    let log = fs::read_to_string(root.folder.path().join("log"))?;
                    return Err(format!("{path}: {printed:?}\n{log}").into());
                }
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
    // It listens on the webhooks' port, with a self-signed certificate.
    TcpStream::connect(&webhooks)?;
    assert!(root.folder.path().join("certs/tls.crt").is_file());
    let data = fs::read_dir(root.folder.path().join("var/lib/nadmit"))?;
    assert_ne!(data.count(), 0, "what it keeps is where the volume is");
    Ok(())
}

fn free_port() -> Result<u16, Failed> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn get(address: &str, path: &str) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Returns the key-value pairs of a line of the Dockerfile.
fn of_dockerfile(line: &str) -> Result<Vec<(String, String)>, Failed> {
    let text = fs::read_to_string(Path::new(ROOT).join("Dockerfile"))?;
    let found = text.lines().find_map(|one| one.strip_prefix(line));
    let pairs = found.ok_or_else(|| format!("no {line}in the Dockerfile"))?;
    let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// Dockerfile, Deployment and this test name the same user.
fn has_no_other_user() -> TestResult {
    let text = fs::read_to_string(Path::new(ROOT).join("Dockerfile"))?;
    let user = text.lines().find_map(|line| line.strip_prefix("USER "));
    assert_eq!(
        user.map(|user| format!("--userspec={user}")).as_deref(),
        Some(USER)
    );
    let base = super::objects::of_folder("base")?;
    let pod = &super::objects::one(&base, "Deployment")?["spec"]["template"]["spec"];
    let context = &pod["securityContext"];
    let one = format!(
        "--userspec={}:{}",
        context["runAsUser"], context["runAsGroup"]
    );
    assert_eq!(one, USER);
    let image = pod["containers"][0]["image"].as_str();
    let expected = format!("nadmit:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(image, Some(&*expected), "the manifests name this release");
    Ok(())
}
