//! The CPU time that a pod costs, by process.

use std::fmt;

use super::{cpu, real::RealServer, server::NadmitServer};

/// CPU seconds of each process, including the benchmark's client.
pub(crate) struct Cost([(&'static str, f64); 4]);

impl Cost {
    /// Reads the values since each process started.
    pub(crate) fn read(cluster: &RealServer, nadmit: &NadmitServer) -> anyhow::Result<Self> {
        let mut servers = [0.0; 2];
        for (process, seconds) in cluster.processes.iter().zip(&mut servers) {
            *seconds = cpu::seconds(process.id())?;
        }
        let [etcd, api_server] = servers;
        Ok(Self([
            ("kube-apiserver", api_server),
            ("etcd", etcd),
            ("nadmit", cpu::seconds(nadmit.id())?),
            ("client", cpu::seconds(std::process::id())?),
        ]))
    }

    /// Returns the seconds of the API server.
    pub(crate) fn of_api_server(&self) -> f64 {
        let [(_, seconds), ..] = self.0;
        seconds
    }

    /// Returns the difference, per pod.
    pub(crate) fn since(&self, before: &Self, pods: usize) -> Self {
        let mut grown = self.0;
        for (after, before) in grown.iter_mut().zip(before.0) {
            after.1 = (after.1 - before.1) / pods as f64;
        }
        Self(grown)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, seconds) in self.0 {
            write!(f, "{name} {:.2}, ", seconds * 1000.0)?;
        }
        let all: f64 = self.0.iter().map(|(_, seconds)| seconds).sum();
        write!(f, "together {:.2} ms", all * 1000.0)
    }
}
