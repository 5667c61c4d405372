//! A server as a process of its own: its address, and its resource usage.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child as Process, Command, Stdio},
};

use anyhow::Context as _;

use super::{
    cpu,
    part::{self, Part},
};

/// A server that ends when this is dropped.
pub(crate) struct ServerChild {
    process: Process,
    /// `https://address:port`
    pub(crate) url: String,
}

impl ServerChild {
    /// Starts `nadmit serve` on the folder's manifests.
    pub(crate) fn nadmit(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .arg("--manifests")
            .arg(folder.join("manifests"))
            .arg("--cert-dir")
            .arg(folder.join("certs"))
            .arg("--data-dir")
            .arg(folder.join("data"));
        Self::start(command)
    }

    /// Starts this program as a server that does a part of the work.
    pub(crate) fn part(folder: &Path, part: Part) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(part::FLAG).arg(folder).arg(part.word());
        Self::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let url = lines.find_map(|line| {
            let line = line.ok()?;
            let at = line.find("https://")?;
            let end = line[at..]
                .find(|c: char| c.is_whitespace())
                .map_or(line.len(), |n| at + n);
            Some(line[at..end].trim_end_matches("/validate").to_owned())
        });
        let mut child = Self {
            process,
            url: String::new(),
        };
        child.url = url.context("the server did not say where it listens")?;
        // The rest of its output has to be read, too.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(child)
    }

    /// Returns the CPU time so far, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu::seconds(self.process.id())
    }

    /// Returns the resident memory, in MiB.
    pub(crate) fn memory_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for ServerChild {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
