//! `nadmit certs`: creates a certificate authority and a server certificate in a folder.

use std::path::PathBuf;

use clap::Args;

use super::output;
use crate::server::{
    CertificateSource,
    tls::{Issuance, self_signed},
};

/// Arguments of `nadmit certs`.
#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// Folder of the certificates and keys
    #[arg(
        long,
        env = "NADMIT_CERT_DIR",
        default_value = "certs",
        value_name = "DIR"
    )]
    cert_dir: PathBuf,
    /// Host name or IP address [default: localhost, 127.0.0.1 and ::1]
    ///
    /// The certificate is valid for these names. Repeat the option for more than one.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

/// Creates the files that are missing, and prints what it did.
///
/// # Errors
/// When the folder cannot be written, or holds foreign files that cannot be used.
pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let names = if args.names.is_empty() {
        CertificateSource::local_names()
    } else {
        args.names.clone()
    };
    let folder = args.cert_dir.display();
    match self_signed::ensure(&args.cert_dir, &names, super::clock().now())? {
        Issuance::Nothing => output::print_line(format_args!(
            "{folder}: nothing to do, the certificate is valid already"
        )),
        Issuance::Certificate => {
            output::print_line(format_args!(
                "{folder}: created tls.crt and tls.key for {}",
                names.join(", ")
            ));
        }
        Issuance::Authority => output::print_line(format_args!(
            "{folder}: created ca.crt and ca.key, tls.crt and tls.key for {}",
            names.join(", ")
        )),
    }
    Ok(())
}
