//! The real binary as a process: how it starts, what it prints, how it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn trials() -> Vec<Trial> {
    let no_shell = !works("sh", &["-c", "exit 0"]) || !works("curl", &["--version"]);
    let no_kill = !works("kill", &["-l"]);
    vec![
        Trial::test("process::mistakes_name_the_flag", mistakes),
        Trial::test("process::among_json_log_lines_is_no_other", json_lines),
        Trial::test("process::explain_and_certs_work", small_commands),
        Trial::test("process::the_demo_shows_every_kind_of_answer", demo),
        Trial::test(
            "process::the_printed_curl_line_works_as_printed",
            printed_line,
        )
        .with_ignored_flag(no_shell),
        Trial::test("process::changes_in_folder_and_settings_count", live)
            .with_ignored_flag(no_shell),
        Trial::test("process::sigterm_drains_and_exits_with_0", sigterm).with_ignored_flag(no_kill),
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
    // What the caller's shell says is not the test's matter.
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("NADMIT_") {
            command.env_remove(key);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A server that ends with the test.
struct Serving {
    process: Child,
    lines: Receiver<String>,
    folder: TempDir,
}

impl Serving {
    /// Serves a folder with one network, with these further flags.
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
            .args(["--admin-listen", "127.0.0.1:0", "--drain-grace", "0"])
            .args(["--config", "nadmit.yaml", "--data-dir", "data"])
            .args(flags)
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
        Ok(Self {
            process,
            lines,
            folder,
        })
    }

    /// The next line that begins with `start`.
    fn line(&self, start: &str) -> Result<String, Failed> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE)?;
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    /// Runs a shell's line where the server was started.
    fn shell(&self, line: &str) -> Result<String, Failed> {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Serving {
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

fn printed_line() -> Result<(), Failed> {
    let serving = Serving::start(&[])?;
    let answer = serving.shell(&serving.line("curl ")?)?;
    contains(&answer, "did you mean \\\"macvlan-conf\\\"?")
}

fn live() -> Result<(), Failed> {
    let serving = Serving::start(&[])?;
    let curl = serving.line("curl ")?;
    contains(&serving.shell(&curl)?, "unknown-network")?;
    // A network written a moment ago is found: it is looked for before the denial.
    write_network(&serving.folder.path().join("manifests"), "macvlan-cnf")?;
    contains(&serving.shell(&curl)?, "\"allowed\":true")?;
    fs::remove_file(serving.folder.path().join("manifests/macvlan-cnf.yaml"))?;
    // Changes that nobody asks about count within two seconds or so.
    until(|| Ok(serving.shell(&curl)?.contains("\"allowed\":false")))?;
    let settings = serving.folder.path().join("nadmit.yaml");
    fs::write(&settings, "rules: {unknown-network: warn}\n")?;
    until(|| Ok(serving.shell(&curl)?.contains("\"warnings\"")))?;
    // A mistake keeps what was.
    fs::write(&settings, "rules: {unknown-network: wran}\n")?;
    thread::sleep(Duration::from_secs(3));
    contains(&serving.shell(&curl)?, "\"warnings\"")
}

fn sigterm() -> Result<(), Failed> {
    let mut serving = Serving::start(&[])?;
    serving.line("curl ")?;
    let id = serving.process.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = serving.process.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            return Err("it did not end".into());
        }
        thread::sleep(Duration::from_millis(20));
    };
    if status.code() == Some(0) {
        Ok(())
    } else {
        Err(format!("ended with {status}").into())
    }
}

fn json_lines() -> Result<(), Failed> {
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

fn mistakes() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(folder.path().join("m"))?;
    fs::write(
        folder.path().join("bad.yaml"),
        "profle: strict\nrules: {unknown-netwrok: deny}\n",
    )?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let (missing, m, bad, certs) = (path("missing"), path("m"), path("bad.yaml"), path("c"));
    let cases: &[(&[&str], &[&str])] = &[
        (&["serve"], &["--manifests"]),
        (
            &["serve", "--manifests", &missing],
            &["--manifests", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--listen", "nowhere"],
            &["--listen"],
        ),
        (
            &[
                "serve",
                "--manifests",
                &m,
                "--listen",
                &taken,
                "--cert-dir",
                &certs,
            ],
            &["--listen", &taken],
        ),
        (
            &["serve", "--manifests", &m, "--config", &missing],
            &["--config", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--config", &bad],
            &[
                "bad.yaml:1:1",
                "profile",
                "bad.yaml:2",
                "did you mean \"unknown-network\"?",
            ],
        ),
        (
            &["serve", "--manifests", &m, "--tls-cert", &missing],
            &["--tls-key"],
        ),
        (
            &[
                "serve",
                "--manifests",
                &m,
                "--tls-cert",
                &missing,
                "--tls-key",
                &missing,
            ],
            &["--tls-cert", &missing],
        ),
        (
            &["serve", "--manifests", &m, "--data-dir", "/dev/null/x"],
            &["--data-dir"],
        ),
        (&["serve", "--manifests", &m, "--log", "a=b=c"], &["--log"]),
        (
            &["explain", "unknown-netwrok"],
            &["did you mean \"unknown-network\"?"],
        ),
    ];
    for (arguments, says) in cases {
        let output = nadmit()
            .args(*arguments)
            .current_dir(folder.path())
            .output()?;
        let said = both(&output);
        if output.status.success() {
            return Err(format!("{arguments:?} went well:\n{said}").into());
        }
        for expected in *says {
            contains(&said, expected)
                .map_err(|_| format!("{arguments:?}: no {expected} in\n{said}"))?;
        }
    }
    Ok(())
}

fn small_commands() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let certs = folder.path().join("certs").display().to_string();
    let run = |arguments: &[&str]| -> Result<String, Failed> {
        let output = nadmit().args(arguments).output()?;
        if output.status.success() {
            Ok(both(&output))
        } else {
            Err(both(&output).into())
        }
    };
    contains(&run(&["explain", "--list"])?, "attachments-changed")?;
    contains(&run(&["explain", "unknown-network"])?, "macvlan-cnf")?;
    contains(
        &run(&["certs", "--cert-dir", &certs, "--name", "nadmit.example"])?,
        "made ca.crt",
    )?;
    contains(
        &run(&["certs", "--cert-dir", &certs, "--name", "nadmit.example"])?,
        "already",
    )?;
    for shell in ["bash", "zsh", "fish"] {
        contains(&run(&["completions", shell])?, "nadmit")?;
    }
    Ok(())
}

fn demo() -> Result<(), Failed> {
    let output = nadmit()
        .args(["demo", "--once", "--listen", "127.0.0.1:0"])
        .output()?;
    let said = both(&output);
    for expected in [
        "  allowed\n",
        "  denied\n",
        "with a warning",
        "did you mean \"macvlan-conf\"?",
    ] {
        contains(&said, expected)?;
    }
    if output.status.success() {
        Ok(())
    } else {
        Err(said.into())
    }
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn contains(text: &str, expected: &str) -> Result<(), Failed> {
    if text.contains(expected) {
        Ok(())
    } else {
        Err(format!("no {expected:?} in\n{text}").into())
    }
}

/// Waits for something to become true.
fn until(mut is_so: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > PATIENCE {
            return Err("it did not come to pass".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
