//! Outages of a real API server, and nadmit's identity there, for end-to-end tests.

use std::{
    io,
    path::PathBuf,
    process::{Child, Command},
};

use super::{RealServer, real::NADMIT_TOKEN};
use crate::components;

impl RealServer {
    /// Writes a kubeconfig that authenticates as nadmit's ServiceAccount.
    pub(crate) fn kubeconfig_of_nadmit(&self) -> io::Result<PathBuf> {
        self.kubeconfig_with("kubeconfig-of-nadmit", NADMIT_TOKEN)
    }

    /// Returns the minor version of Kubernetes that the program prints.
    pub(crate) fn minor() -> Option<u32> {
        let program = components::assets()?.join("kube-apiserver");
        let output = Command::new(program).arg("--version").output().ok()?;
        // `Kubernetes v1.37.2`
        let printed = String::from_utf8(output.stdout).ok()?;
        printed.split('.').nth(1)?.parse().ok()
    }

    /// Kills the API server and starts it again on the same etcd.
    pub(crate) async fn restart(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let mut ended = self.processes.pop().ok_or("no API server")?;
        ended.kill()?;
        ended.wait()?;
        let process = self.spawn("kube-apiserver")?;
        self.processes.push(process);
        self.until_ready().await
    }

    /// Stops etcd with SIGSTOP.
    pub(crate) fn pause_etcd(&self) -> io::Result<()> {
        signal(self.processes.first(), "-STOP")
    }

    /// Continues etcd with SIGCONT.
    pub(crate) fn resume_etcd(&self) -> io::Result<()> {
        signal(self.processes.first(), "-CONT")
    }
}

fn signal(process: Option<&Child>, signal: &str) -> io::Result<()> {
    let process = process.ok_or_else(|| io::Error::other("no etcd"))?;
    let status = Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("kill {signal}: {status}"))),
    }
}
