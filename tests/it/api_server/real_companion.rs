//! Programs that run next to a real API server, in its folder and until it ends.

use std::{io, path::Path};

use super::RealServer;

impl RealServer {
    /// Starts another program of the folder of programs; it ends before those that were started
    /// earlier.
    pub(crate) fn run(&mut self, name: &'static str, arguments: Vec<String>) -> io::Result<()> {
        self.arguments.insert(name, arguments);
        let process = self.spawn(name)?;
        self.processes.push(process);
        Ok(())
    }

    /// Returns the folder of its files and logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
