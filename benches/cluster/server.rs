//! `nadmit serve --cluster` as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

/// A server that ends when this is dropped.
pub(crate) struct NadmitServer {
    process: Child,
    folder: TempDir,
    /// `https://address:port`
    pub(crate) url: String,
}

impl NadmitServer {
    /// Starts it, and waits until it prints its address.
    pub(crate) fn start(kubeconfig: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_nadmit"))
            .current_dir(folder.path())
            .args(["serve", "--cluster", "--namespace", "default"])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let url = lines.find_map(|line| {
            let line = line.ok()?;
            let at = line.find("https://")?;
            line.starts_with("webhooks").then(|| {
                line[at..]
                    .split("/validate")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
        });
        let nadmit = Self {
            process,
            folder,
            url: url.context("nadmit did not say where it listens")?,
        };
        // The rest of its output has to be read, too.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(nadmit)
    }

    /// Returns its process ID.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the CA of its certificate, in PEM.
    pub(crate) fn ca(&self) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.folder.path().join("certs/ca.crt"))?)
    }
}

impl Drop for NadmitServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
