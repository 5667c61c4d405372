//! Why the server cannot start. Each error names the flag or the file to mend.

use std::{io, net::SocketAddr};

use thiserror::Error;

use super::tls::CertificateError;

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "{flag} {address}: {}; choose another address with {flag}",
        describe_io_error(source)
    )]
    Listen {
        /// The flag that names the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The clock says a time before 1970, which HTTP cannot date answers by.
    #[error("the clock of this machine says {now}, before 1970: set it, and start nadmit again")]
    Clock {
        /// What it says.
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
