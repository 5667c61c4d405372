//! The real curl, which sends requests and reports the responses.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};

use crate::case::Sending;

/// The time limit of a request, in seconds.
const MAX_TIME: &str = "20";
/// The format of curl's output for each response.
const WRITE_OUT: &str = "%{http_code} %{http_version} %{num_connects}\\n";

/// The curl of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Curl {
    features: Vec<String>,
    arguments: Vec<String>,
}

/// The server to send requests to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The prefix of each URL.
    pub(crate) url: String,
    /// The CA certificate to trust; those of this machine if absent.
    pub(crate) ca: Option<PathBuf>,
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct CurlOutcome {
    /// curl's exit code: 0 if there was a response.
    pub(crate) exit: i32,
    /// curl's error message.
    pub(crate) complaint: String,
    /// The responses in order.
    pub(crate) answers: Vec<HttpAnswer>,
    /// The number of connections that were opened.
    pub(crate) connections: u32,
}

/// One response.
#[derive(Debug, Default)]
pub(crate) struct HttpAnswer {
    /// The status.
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    /// The headers, their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Curl {
    /// Returns the curl of this machine, if there is one.
    pub(crate) fn find() -> Option<Self> {
        let output = Command::new("curl").arg("--version").output().ok()?;
        let statistics = String::from_utf8_lossy(&output.stdout).into_owned();
        let features = statistics
            .lines()
            .find_map(|line| line.strip_prefix("Features: "))?
            .split_whitespace();
        let arguments = std::env::var("NADMIT_CURL_ARGS").unwrap_or_default();
        Some(Self {
            features: features.map(str::to_owned).collect(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Returns true if this curl can send such a request.
    pub(crate) fn can(&self, sending: &Sending) -> bool {
        let http2 = sending.curl.iter().any(|option| option == "--http2");
        !http2 || self.features.iter().any(|feature| feature == "HTTP2")
    }

    /// Sends a request the specified number of times.
    pub(crate) fn send(
        &self,
        endpoint: &Endpoint,
        sending: &Sending,
        body: Option<&[u8]>,
    ) -> Result<CurlOutcome> {
        let scratch = tempfile::tempdir()?;
        let heads = scratch.path().join("heads");
        let mut command = Command::new("curl");
        // The first option: ignores the user's configuration.
        command.args(["--disable", "--silent", "--show-error", "--globoff"]);
        command.args(["--noproxy", "*", "--max-time", MAX_TIME]);
        command.args(["--write-out", WRITE_OUT, "--request", &sending.method]);
        command.arg("--dump-header").arg(&heads);
        if let Some(ca) = &endpoint.ca {
            command.arg("--cacert").arg(ca);
        }
        command.args(&self.arguments).args(&sending.curl);
        if body.is_some() {
            command.args(["--data-binary", "@-"]);
        }
        for (name, value) in headers(sending, body.is_some()) {
            command.arg("--header").arg(match value {
                Some(value) => format!("{name}: {value}"),
                None => format!("{name}:"),
            });
        }
        let part = |number: usize| scratch.path().join(format!("body-{number}"));
        for number in 0..sending.times {
            command.arg("--output").arg(part(number));
            command.arg(format!("{}{}", endpoint.url, sending.path));
        }
        let mut exchange = run(command, body.unwrap_or_default())?;
        let mut heads = read_heads(&heads)?;
        ensure!(
            heads.len() <= exchange.answers.len(),
            "a head without an answer"
        );
        heads.reverse();
        for (number, answer) in exchange.answers.iter_mut().enumerate() {
            answer.headers = heads.pop().unwrap_or_default();
            answer.body = fs::read(part(number)).unwrap_or_default();
        }
        Ok(exchange)
    }
}

/// Returns the headers to send: JSON has its content type, unless the case says otherwise.
fn headers(sending: &Sending, with_body: bool) -> Vec<(String, Option<String>)> {
    let mut headers: Vec<_> = sending.headers.clone().into_iter().collect();
    let typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if with_body && !typed {
        headers.push((
            "content-type".to_owned(),
            Some("application/json".to_owned()),
        ));
    }
    headers
}

fn run(mut command: Command, body: &[u8]) -> Result<CurlOutcome> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("curl does not start")?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A curl that cannot connect does not read its input.
            let _ = stdin.map(|mut stdin| stdin.write_all(body));
        });
        child.wait_with_output()
    })?;
    let mut exchange = CurlOutcome {
        exit: output.status.code().unwrap_or(-1),
        complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        answers: Vec::new(),
        connections: 0,
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [status, version, connections] = words[..] else {
            anyhow::bail!("curl printed {line:?}");
        };
        exchange.connections += connections.parse::<u32>()?;
        exchange.answers.push(HttpAnswer {
            status: status.parse()?,
            version: version.to_owned(),
            ..HttpAnswer::default()
        });
    }
    Ok(exchange)
}

/// Returns the headers of the responses, without those of informational ones.
fn read_heads(file: &Path) -> Result<Vec<Vec<(String, String)>>> {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let last = |block: &&str| {
        let status = block.split(' ').nth(1);
        !status.is_some_and(|status| status.starts_with('1'))
    };
    let head = |block: &str| -> Vec<(String, String)> {
        let lines = block.lines().skip(1);
        let pairs = lines.filter_map(|line| line.split_once(':'));
        pairs
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect()
    };
    Ok(blocks.filter(last).map(head).collect())
}

/// Sends a plain GET, to wait for a server: returns the status, or 0 without a response.
pub(crate) fn status_of(url: impl AsRef<OsStr>) -> u16 {
    let output = Command::new("curl")
        .args(["--disable", "--silent", "--noproxy", "*", "--max-time", "2"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
        .arg(url)
        .output();
    let statistics = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    statistics
        .ok()
        .and_then(|statistics| statistics.parse().ok())
        .unwrap_or(0)
}
