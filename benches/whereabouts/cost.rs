//! The CPU time that a pod costs, by process.

use std::{fmt, fs};

use anyhow::Context as _;

use super::{cpu, real::RealServer, server::NadmitServer};

/// CPU seconds of each process.
#[derive(Clone, Copy)]
pub(crate) struct Cost([(&'static str, f64); 5]);

impl Cost {
    /// Reads the values since each process started.
    pub(crate) fn read(
        cluster: &RealServer,
        nadmit: Option<&NadmitServer>,
    ) -> anyhow::Result<Self> {
        let mut servers = [0.0; 2];
        for (process, seconds) in cluster.processes.iter().zip(&mut servers) {
            *seconds = cpu::seconds(process.id())?;
        }
        let [etcd, api_server] = servers;
        let nadmit = nadmit.map(|nadmit| cpu::seconds(nadmit.id())).transpose()?;
        let own = std::process::id();
        Ok(Self([
            ("kube-apiserver", api_server),
            ("etcd", etcd),
            ("nadmit", nadmit.unwrap_or_default()),
            ("plugins", ended_children()?),
            ("client", cpu::seconds(own)?),
        ]))
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

/// Returns the CPU time of the children that have ended, which are plugins while nadmit runs.
fn ended_children() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in parentheses.
    let fields = stat.rsplit_once(')').context("/proc/self/stat")?.1;
    let ticks = fields.split_whitespace().skip(13).take(2);
    let ticks = ticks.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    Ok(ticks.iter().sum::<f64>() / cpu::TICKS)
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, seconds) in self.0 {
            write!(f, "{name} {:.1}, ", seconds * 1000.0)?;
        }
        let all: f64 = self.0.iter().map(|(_, seconds)| seconds).sum();
        write!(f, "together {:.1} ms", all * 1000.0)
    }
}
