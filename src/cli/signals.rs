//! Signal handling of a server: no signal ends it while requests are in progress.
//!
//! - SIGTERM, SIGINT, SIGQUIT, SIGXCPU and SIGPWR drain; the second of them ends the process immediately.
//! - SIGHUP reloads certificates and settings.
//! - Other signals that would end the process by default are ignored and logged. Rust ignores SIGPIPE.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
};
use tracing::info;

use crate::server::Shutdown;

/// Signals that would end the process by default and are ignored.
const IGNORED: &[(Signal, &str)] = &[
    (Signal::ALARM, "SIGALRM"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    // A file size limit surfaces as an error of the write.
    (Signal::XFSZ, "SIGXFSZ"),
    #[cfg(target_os = "linux")]
    (Signal::IO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (Signal::STKFLT, "SIGSTKFLT"),
];

/// Signals that shut the server down.
const TERMINATING: &[(Signal, &str)] = &[
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::XCPU, "SIGXCPU"),
    #[cfg(target_os = "linux")]
    (Signal::POWER, "SIGPWR"),
];

/// Installs handlers for ignored signals and for SIGHUP, which notifies `reload`.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn handle_nonfatal(reload: Vec<Arc<Notify>>) -> anyhow::Result<()> {
    let mut ignored = receive(IGNORED)?;
    tokio::spawn(async move {
        while let Some(name) = ignored.recv().await {
            info!(signal = name, "ignoring signal");
        }
    });
    let mut hangup = receive(&[(Signal::HUP, "SIGHUP")])?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            info!(signal = "SIGHUP", "reloading certificates and settings");
            for one in &reload {
                one.notify_one();
            }
        }
    });
    Ok(())
}

/// Shuts a server down on signals: the first drains, the second aborts.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn shut_down_on_signal(shutdown: Shutdown) -> anyhow::Result<()> {
    let mut ending = receive(TERMINATING)?;
    tokio::spawn(async move {
        let mut draining = false;
        while let Some(name) = ending.recv().await {
            match draining {
                false => {
                    info!(signal = name, "shutting down");
                    shutdown.drain();
                }
                // SIGXCPU repeats every second.
                true if name == "SIGXCPU" => {}
                true => {
                    info!(signal = name, "aborting shutdown");
                    shutdown.abort();
                }
            }
            draining = true;
        }
    });
    Ok(())
}

/// Returns a channel that receives the names of these signals.
fn receive(
    signals: &[(Signal, &'static str)],
) -> anyhow::Result<mpsc::UnboundedReceiver<&'static str>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for &(kind, name) in signals {
        let mut stream = signal(SignalKind::from_raw(kind.as_raw()))?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while stream.recv().await.is_some() && sender.send(name).is_ok() {} },
        );
    }
    Ok(receiver)
}
