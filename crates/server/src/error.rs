//! Errors at server start. Each names the flag or file to fix.

use std::{io, net::SocketAddr};

use thiserror::Error;

use super::tls::CertificateError;

/// Error returned when the server cannot start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be bound.
    #[error(
        "{flag} {address}: {}; choose another address with {flag}",
        describe_io_error(source)
    )]
    Listen {
        /// Flag that sets the address.
        flag: &'static str,
        /// Address to bind.
        address: SocketAddr,
        /// The underlying error.
        source: io::Error,
    },
    /// The clock is before 1970, which HTTP dates cannot express.
    #[error("the clock of this machine says {now}, before 1970: set it, and start nadmit again")]
    Clock {
        /// Current time of the clock.
        now: jiff::Timestamp,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

fn describe_io_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface has this address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted to use this port".to_owned(),
        _ => error.to_string(),
    }
}
