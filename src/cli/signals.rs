//! The meaning of signals to a server: none of them ends it with work in progress.
//!
//! - SIGTERM, SIGINT, SIGQUIT, and the warnings SIGXCPU and SIGPWR drain; the second of them ends at once.
//! - SIGHUP reads certificates and settings again at once.
//! - Others that would end the process by default are ignored, and logged. SIGPIPE is ignored by Rust.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
};
use tracing::info;

use crate::server::Shutdown;

/// The signals that would end the process and mean nothing to a server.
const IGNORED: &[(Signal, &str)] = &[
    (Signal::ALARM, "SIGALRM"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    // A file that may not grow is an error of the one who writes it.
    (Signal::XFSZ, "SIGXFSZ"),
    #[cfg(target_os = "linux")]
    (Signal::IO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (Signal::STKFLT, "SIGSTKFLT"),
];

/// The signals that end a server in good order.
const TERMINATING: &[(Signal, &str)] = &[
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::XCPU, "SIGXCPU"),
    #[cfg(target_os = "linux")]
    (Signal::POWER, "SIGPWR"),
];

/// Catches the signals that may not end the process; SIGHUP wakes these.
///
/// # Errors
/// When the system does not let them be caught.
pub(super) fn handle_nonfatal(reload: Vec<Arc<Notify>>) -> anyhow::Result<()> {
    let mut ignored = receive(IGNORED)?;
    tokio::spawn(async move {
        while let Some(name) = ignored.recv().await {
            info!("{name} means nothing to nadmit, and is ignored");
        }
    });
    let mut hangup = receive(&[(Signal::HUP, "SIGHUP")])?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            info!("SIGHUP: certificates and settings are read again");
            for one in &reload {
                one.notify_one();
            }
        }
    });
    Ok(())
}

/// Ends a server on signals: the first drains, the second ends at once.
///
/// # Errors
/// When the system does not let them be caught.
pub(super) fn shut_down_on_signal(shutdown: Shutdown) -> anyhow::Result<()> {
    let mut ending = receive(TERMINATING)?;
    tokio::spawn(async move {
        let mut asked = false;
        while let Some(name) = ending.recv().await {
            match asked {
                false => {
                    info!("{name}: ending");
                    shutdown.drain();
                }
                // It comes each second.
                true if name == "SIGXCPU" => {}
                true => {
                    info!("{name}: ending at once");
                    shutdown.abort();
                }
            }
            asked = true;
        }
    });
    Ok(())
}

/// Returns the names of these signals as they come.
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
