//! The real binary as a process: start, output, and exit.

mod commands;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;

/// The time limit of any wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn tests() -> Vec<Trial> {
    let no_shell = !works("sh", &["-c", "exit 0"]) || !works("curl", &["--version"]);
    let no_kill = !works("kill", &["-l"]);
    tests!["process";
        commands::mistakes_name_the_flag,
        every_log_line_is_json,
        commands::explain_and_certs_work,
        commands::the_demo_shows_every_kind_of_answer,
        the_printed_curl_line_works_as_printed.with_ignored_flag(no_shell),
        changes_in_folder_and_settings_apply.with_ignored_flag(no_shell),
        sigterm_drains_and_exits_with_0.with_ignored_flag(no_kill),
        no_signal_ends_it_undrained.with_ignored_flag(no_kill || no_shell),
        a_closed_standard_error_ends_nothing.with_ignored_flag(no_shell),
        configured_tls_versions_are_enforced.with_ignored_flag(no_shell),
        unfinished_bodies_stay_within_the_memory
            .with_ignored_flag(!Path::new("/proc/self/status").exists() || no_shell),
    ]
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn nadmit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
    // The caller's environment must not affect the test.
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("NADMIT_") {
            command.env_remove(key);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A server that ends with the test.
struct ServerProcess {
    process: Child,
    lines: Receiver<String>,
    folder: TempDir,
}

impl ServerProcess {
    /// Serves a folder with one network, with these additional flags.
    fn start(flags: &[&str]) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        write_network(&manifests, "macvlan-conf")?;
        fs::write(folder.path().join("nadmit.yaml"), "profile: default\n")?;
        let mut process = nadmit()
            .current_dir(folder.path())
            .args([
                "serve",
                "--manifests",
                "manifests",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(match flags.first() {
                Some(&"--drain-grace") => &[][..],
                _ => &["--drain-grace", "0"],
            })
            .args(["--config", "nadmit.yaml", "--data-dir", "data"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        Ok(Self::of(process, output, folder))
    }

    /// Wraps a running process.
    fn of(process: Child, output: ChildStdout, folder: TempDir) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            process,
            lines,
            folder,
        }
    }

    fn signal(&self, name: &str) -> TestResult {
        let id = self.process.id().to_string();
        Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status()?;
        Ok(())
    }

    /// Waits for the exit, which has to be successful.
    fn ends_well(&mut self) -> TestResult {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if begun.elapsed() > TIMEOUT {
                return Err("it did not end".into());
            }
            thread::sleep(Duration::from_millis(20));
        };
        match status.code() {
            Some(0) => Ok(()),
            _ => Err(format!("ended with {status}").into()),
        }
    }

    /// Returns the next line with this beginning.
    fn line(&self, start: &str) -> Result<String, Failed> {
        loop {
            let line = self.lines.recv_timeout(TIMEOUT)?;
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    /// Runs a shell command in the server's folder.
    fn shell(&self, line: &str) -> Result<String, Failed> {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_network(folder: &Path, name: &str) -> std::io::Result<()> {
    let text = format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata: {{name: {name}, namespace: db}}\nspec: {{config: '{{\"type\": \"macvlan\"}}'}}\n"
    );
    fs::write(folder.join(format!("{name}.yaml")), text)
}

fn the_printed_curl_line_works_as_printed() -> TestResult {
    let serving = ServerProcess::start(&[])?;
    let answer = serving.shell(&serving.line("curl ")?)?;
    contains(&answer, "did you mean \\\"macvlan-conf\\\"?")
}

fn changes_in_folder_and_settings_apply() -> TestResult {
    let serving = ServerProcess::start(&[])?;
    let curl = serving.line("curl ")?;
    contains(&serving.shell(&curl)?, "unknown-network")?;
    // A network that was just written is found: it is read live before the denial.
    write_network(&serving.folder.path().join("manifests"), "macvlan-cnf")?;
    contains(&serving.shell(&curl)?, "\"allowed\":true")?;
    fs::remove_file(serving.folder.path().join("manifests/macvlan-cnf.yaml"))?;
    // Changes are noticed within about two seconds even without a review.
    until(|| Ok(serving.shell(&curl)?.contains("\"allowed\":false")))?;
    let settings = serving.folder.path().join("nadmit.yaml");
    fs::write(&settings, "rules: {unknown-network: warn}\n")?;
    until(|| Ok(serving.shell(&curl)?.contains("\"warnings\"")))?;
    // A mistake keeps the previous settings.
    fs::write(&settings, "rules: {unknown-network: wran}\n")?;
    thread::sleep(Duration::from_secs(3));
    contains(&serving.shell(&curl)?, "\"warnings\"")
}

fn sigterm_drains_and_exits_with_0() -> TestResult {
    let mut serving = ServerProcess::start(&[])?;
    serving.line("curl ")?;
    serving.signal("TERM")?;
    serving.ends_well()
}

/// Signals whose default action is to terminate or dump core and that can be caught, except those
/// of faults.
fn no_signal_ends_it_undrained() -> TestResult {
    let mut serving = ServerProcess::start(&["--drain-grace", "1"])?;
    let curl = serving.line("curl ")?;
    let sanitize = [
        "HUP", "USR1", "USR2", "PIPE", "ALRM", "VTALRM", "PROF", "XFSZ", "IO", "STKFLT",
    ];
    for name in sanitize {
        serving.signal(name)?;
    }
    contains(&serving.shell(&curl)?, "unknown-network")?;
    serving.signal("QUIT")?;
    thread::sleep(Duration::from_millis(200));
    // Also while it drains: it still serves, and ends in its own time.
    for name in sanitize {
        serving.signal(name)?;
    }
    contains(&serving.shell(&curl)?, "unknown-network")?;
    serving.ends_well()?;
    for name in ["INT", "XCPU", "PWR"] {
        let mut serving = ServerProcess::start(&[])?;
        serving.line("curl ")?;
        serving.signal(name)?;
        serving
            .ends_well()
            .map_err(|_| format!("SIG{name} ended it badly"))?;
    }
    Ok(())
}

/// A closed standard error, as with `nadmit serve 2>&1 | head -1`.
fn a_closed_standard_error_ends_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("m"))?;
    let mut process = nadmit()
        .current_dir(folder.path())
        .args(["serve", "--manifests", "m", "--listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0", "--log", "debug"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let log = process.stderr.take().ok_or("no standard error")?;
    BufReader::new(log).lines().next().ok_or("no log")??;
    let output = process.stdout.take().ok_or("no standard output")?;
    let serving = ServerProcess::of(process, output, folder);
    let curl = serving.line("curl ")?;
    contains(&serving.shell(&curl)?, "unknown-network")
}

fn configured_tls_versions_are_enforced() -> TestResult {
    let suites = "ECDHE-ECDSA-AES256-GCM-SHA384,DHE-RSA-AES128-GCM-SHA256";
    for (flags, old, new) in [
        (&["--tls-min-version", "VersionTLS13"][..], false, true),
        (
            &[
                "--tls-min-version=VersionTLS10",
                "--tls-cipher-suites",
                suites,
            ],
            true,
            true,
        ),
    ] {
        let serving = ServerProcess::start(flags)?;
        let curl = serving.line("curl ")?;
        for (more, served) in [("--tls-max 1.2", old), ("--tlsv1.3", new)] {
            let shown = serving.shell(&curl.replacen("curl ", &format!("curl {more} "), 1))?;
            if shown.contains("unknown-network") != served {
                return Err(format!("{flags:?} {more}: {shown}").into());
            }
        }
        // Of TLS 1.2 one suite is left.
        let other = "curl --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256 ";
        let shown = serving.shell(&curl.replacen("curl ", other, 1))?;
        if shown.contains("unknown-network") {
            return Err(format!("{flags:?}: {shown}").into());
        }
    }
    Ok(())
}

/// 200 bodies of 8 MiB whose last byte never arrives, against the limit of
/// `deploy/base/deployment.yaml`.
fn unfinished_bodies_stay_within_the_memory() -> TestResult {
    const LIMIT: u64 = 512 << 20;
    const BODY: usize = 8 << 20;
    let serving = ServerProcess::start(&[])?;
    let curl = serving.line("curl ")?;
    let address = curl
        .split("https://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let address = address.ok_or("no address")?.to_owned();
    let ca = CertificateDer::from_pem_file(serving.folder.path().join("certs/ca.crt"))?;
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let senders: Vec<_> = (0..200)
        .map(|_| {
            let (address, config) = (address.clone(), config.clone());
            thread::spawn(move || -> Result<_, std::io::Error> {
                let stream = TcpStream::connect(address)?;
                stream.set_write_timeout(Some(Duration::from_secs(2)))?;
                let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
                let session = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
                let mut stream = StreamOwned::new(session, stream);
                let head = format!(
                    "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                     content-length: {BODY}\r\n\r\n"
                );
                stream.write_all(head.as_bytes())?;
                // A body without room is not read, or ends the connection.
                let _ = stream.write_all(&vec![b' '; BODY - 1]);
                Ok(stream)
            })
        })
        .collect();
    // No other request waits for them.
    thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    contains(&serving.shell(&curl)?, "unknown-network")?;
    if begun.elapsed() > Duration::from_secs(10) {
        return Err(format!("a small review took {:?}", begun.elapsed()).into());
    }
    let open: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
    let status = fs::read_to_string(format!("/proc/{}/status", serving.process.id()))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let peak = peak.ok_or("no peak")?.trim().parse::<u64>()? << 10;
    drop(open);
    match peak < LIMIT {
        true => Ok(()),
        false => Err(format!("{} MiB at the peak", peak >> 20).into()),
    }
}

fn every_log_line_is_json() -> TestResult {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("manifests"))?;
    let mut process = nadmit()
        .current_dir(folder.path())
        .args(["serve", "--manifests", "manifests", "--log-format", "json"])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let errors = process.stderr.take().ok_or("no standard error")?;
    let (mut lines, mut is_serving) = (Vec::new(), false);
    for line in BufReader::new(errors).lines() {
        let line = line?;
        is_serving = line.contains("\"message\":\"serving\"");
        lines.push(line);
        if is_serving {
            break;
        }
    }
    process.kill()?;
    let printed = process.wait_with_output()?.stdout;
    let is_json = |line: &String| serde_json::from_str::<serde_json::Value>(line).is_ok();
    match is_serving && printed.is_empty() && lines.iter().all(is_json) {
        true => Ok(()),
        false => Err(format!("{lines:#?}\n{}", String::from_utf8_lossy(&printed)).into()),
    }
}

fn contains(text: &str, expected: &str) -> TestResult {
    if text.contains(expected) {
        Ok(())
    } else {
        Err(format!("no {expected:?} in\n{text}").into())
    }
}

/// Waits until a condition holds.
fn until(mut is_so: impl FnMut() -> Result<bool, Failed>) -> TestResult {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > TIMEOUT {
            return Err("it did not come to pass".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
