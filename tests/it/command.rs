//! Programs that run to completion with an input, such as CNI plugins.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The time limit of a plugin, as an argument of `timeout`.
const TIMEOUT_SECONDS: &str = "60";

/// Runs a command with this input, and collects its output.
pub(crate) fn run(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = process.stdin.take() {
        // A program may fail before it has read everything; its exit status shows that.
        let _ = pipe.write_all(input.as_bytes());
    }
    process.wait_with_output()
}

/// The call of a CNI plugin, as libcni makes it (CNI specification, section 2).
#[derive(Debug)]
pub(crate) struct CniCall<'c> {
    pub(crate) program: &'c Path,
    /// `ADD` or `DEL`.
    pub(crate) verb: &'c str,
    pub(crate) container: &'c str,
    /// The path of the network namespace.
    pub(crate) namespace: &'c Path,
    pub(crate) interface: &'c str,
    pub(crate) args: &'c str,
    /// The folder of the plugins.
    pub(crate) plugins: &'c Path,
}

impl CniCall<'_> {
    /// Runs the plugin with this configuration.
    pub(crate) fn run(&self, config: &Value) -> io::Result<Output> {
        run(&mut self.command(), &config.to_string())
    }

    /// Returns the command, whose input is the configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command
            .arg(TIMEOUT_SECONDS)
            .arg(self.program)
            .env("CNI_COMMAND", self.verb)
            .env("CNI_CONTAINERID", self.container)
            .env("CNI_NETNS", self.namespace)
            .env("CNI_IFNAME", self.interface)
            .env("CNI_ARGS", self.args)
            .env("CNI_PATH", self.plugins);
        command
    }
}
