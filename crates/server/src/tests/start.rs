//! A failed start names the flag or file to fix.

use std::{fs, path::PathBuf, sync::Arc};

use super::support::*;
use crate::{CertificateSource, ServeOptions, Server};

async fn bind_error(options: ServeOptions) -> String {
    let state = state(Arc::new(FakeOrigin::Answers));
    match Server::bind(options, state).await {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_flag() {
    let server = Setup::default().start().await;
    let taken = server.address;
    let directory = server.directory.path();
    let listen = ServeOptions {
        listen: taken,
        ..options(directory)
    };
    assert_eq!(
        bind_error(listen).await,
        format!("--listen {taken}: address already in use; choose another address with --listen")
    );
    let admin_listen = ServeOptions {
        admin_listen: Some(taken),
        ..options(directory)
    };
    let message = bind_error(admin_listen).await;
    assert!(
        message.starts_with(&format!("--admin-listen {taken}: ")),
        "{message}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_with_its_flag() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    bind_error(options(directory.path())).await;
    fs::write(file("empty"), "").unwrap();
    let (cert, key) = (file("certs/tls.crt"), file("certs/tls.key"));
    let (ca_cert, absent, empty) = (file("certs/ca.crt"), file("absent"), file("empty"));
    let (folder, endless, pipe) = (file("certs"), PathBuf::from("/dev/zero"), file("pipe"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());

    let cases: [(&PathBuf, &PathBuf, Option<&PathBuf>, &str); 10] = [
        (
            &pipe,
            &key,
            None,
            "--tls-cert: DIR/pipe cannot be read (it is a named pipe, and not a regular file)",
        ),
        (
            &cert,
            &endless,
            None,
            "--tls-key: /dev/zero cannot be read (it is a device, and not a regular file)",
        ),
        (
            &folder,
            &key,
            None,
            "--tls-cert: DIR/certs cannot be read (it is a directory, and not a regular file)",
        ),
        (
            &cert,
            &key,
            Some(&pipe),
            "--client-ca: DIR/pipe cannot be read (it is a named pipe",
        ),
        (&cert, &key, None, "none"),
        (
            &absent,
            &key,
            None,
            "--tls-cert: DIR/absent cannot be read (No such file",
        ),
        (
            &cert,
            &empty,
            None,
            "--tls-key: DIR/empty contains no PEM private key",
        ),
        (
            &ca_cert,
            &key,
            None,
            "--tls-cert: DIR/certs/ca.crt does not match the key in DIR/certs/",
        ),
        (
            &cert,
            &key,
            Some(&empty),
            "--client-ca: DIR/empty contains no PEM certificate",
        ),
        (
            &cert,
            &key,
            Some(&absent),
            "--client-ca: DIR/absent cannot be read",
        ),
    ];
    for (cert, key, client_ca, expected) in cases {
        let mut options = options(directory.path());
        options.certificates.source = CertificateSource::Files {
            cert: cert.clone(),
            key: key.clone(),
        };
        options.certificates.client_ca = client_ca.cloned();
        let message = bind_error(options)
            .await
            .replace(directory.path().to_str().unwrap(), "DIR");
        assert!(message.starts_with(expected), "{message}");
    }
}

#[tokio::test]
async fn a_certificate_directory_of_pipes_and_devices_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join("certs");
    fs::create_dir(&certs).unwrap();
    for name in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        std::os::unix::fs::symlink("/dev/zero", certs.join(name)).unwrap();
    }
    let message = bind_error(options(directory.path())).await;
    assert!(
        message.contains("it is a device, and not a regular file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_clock_before_1970_is_said_to_be_wrong() {
    let directory = tempfile::tempdir().unwrap();
    for seconds in [-1, -2_300_000_000] {
        let wrong = ServeOptions {
            clock: nadmit_host::clock::Clock::new(move || {
                jiff::Timestamp::from_second(seconds).unwrap()
            }),
            ..options(directory.path())
        };
        let message = bind_error(wrong).await;
        assert!(message.contains("before 1970: set it"), "{message}");
    }
}
