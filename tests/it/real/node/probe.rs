//! A container's HTTP probes, sent from the host as the kubelet sends them.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Container, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A probe and its results so far.
pub(super) struct HttpProbe {
    path: String,
    port: u16,
    period: Duration,
    patience: Duration,
    failures_needed: i32,
    successes_needed: i32,
    next: Instant,
    /// Consecutive failures.
    failures: i32,
    /// Consecutive successes.
    successes: i32,
    /// The reason for the last failure.
    pub(super) complaint: String,
}

/// The result of consecutive probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeVerdict {
    Success,
    Failure,
    /// Below the threshold for a change.
    Unchanged,
}

impl HttpProbe {
    /// Parses a probe of a container that has just started.
    ///
    /// # Errors If its kind is not supported here.
    pub(super) fn new(container: &Container, probe: &Probe) -> Result<Self, String> {
        let action = probe.http_get.as_ref();
        let action = action.ok_or("a probe that is not by HTTP is not known here")?;
        if action
            .scheme
            .as_deref()
            .is_some_and(|scheme| scheme != "HTTP")
        {
            return Err("a probe by HTTPS is not known here".to_owned());
        }
        let seconds = |asked: Option<i32>, otherwise: u64| {
            let asked = asked.and_then(|asked| u64::try_from(asked).ok());
            Duration::from_secs(asked.filter(|asked| *asked > 0).unwrap_or(otherwise))
        };
        let delay = seconds(probe.initial_delay_seconds, 0);
        Ok(Self {
            path: action.path.clone().unwrap_or_else(|| "/".to_owned()),
            port: port(container, &action.port)?,
            period: seconds(probe.period_seconds, 10),
            patience: seconds(probe.timeout_seconds, 1),
            failures_needed: probe.failure_threshold.unwrap_or(3),
            successes_needed: probe.success_threshold.unwrap_or(1),
            next: Instant::now() + delay,
            failures: 0,
            successes: 0,
            complaint: String::new(),
        })
    }

    /// Sends a probe if it is due.
    pub(super) async fn ask(&mut self, address: &str) -> ProbeVerdict {
        if Instant::now() < self.next {
            return ProbeVerdict::Unchanged;
        }
        self.next = Instant::now() + self.period;
        let answer = timeout(self.patience, get(address, self.port, &self.path)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match answer {
            Ok(()) => {
                self.failures = 0;
                self.successes += 1;
            }
            Err(why) => {
                self.successes = 0;
                self.failures += 1;
                self.complaint = why;
            }
        }
        if self.successes >= self.successes_needed {
            ProbeVerdict::Success
        } else if self.failures >= self.failures_needed {
            ProbeVerdict::Failure
        } else {
            ProbeVerdict::Unchanged
        }
    }
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port)
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| format!("invalid port {port:?} of a probe"))
}

/// Sends a GET; any status from 200 to 399 is a success.
async fn get(address: &str, port: u16, path: &str) -> Result<(), String> {
    let describe = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((address, port))
        .await
        .map_err(describe)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: kube-probe/1.33\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(describe)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(describe)?;
    let status = text.split(' ').nth(1).unwrap_or_default().parse::<u16>();
    match status {
        Ok(200..=399) => Ok(()),
        _ => Err(format!(
            "statuscode: {}",
            text.lines().next().unwrap_or_default()
        )),
    }
}
