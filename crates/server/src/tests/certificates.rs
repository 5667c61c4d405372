//! Certificates: reloaded while connections are open, broken, and requested from clients.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use nadmit_host::clock::Clock;

use super::support::*;

fn shown(client: &TlsConnection) -> Vec<u8> {
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn shown_to_new(server: &Running) -> Vec<u8> {
    shown(&server.connect(&[]).await)
}

/// Issues a new certificate from the server's own CA without nadmit's mark.
fn exchange(server: &Running) -> (String, String) {
    let read = |name| fs::read_to_string(server.certs(name)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(read("ca.key").as_bytes()).unwrap();
    let authority = CertificateDer::from_pem_slice(read("ca.crt").as_bytes()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&authority, KeyPair::try_from(&key).unwrap()).unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    (cert.pem(), key.serialize_pem())
}

#[tokio::test]
async fn keys_are_readable_by_their_owner_only() {
    let server = Setup::default().start().await;
    for (name, mode) in [("ca.key", 0o600), ("tls.key", 0o600), ("", 0o700)] {
        let permissions = fs::metadata(server.certs(name)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{name}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let server = Setup::default().start().await;
    let mut client = server.http1().await;
    assert_eq!(client.post_review("/validate").await.status, 200);
    let old = shown_to_new(&server).await;
    let expiry = "nadmit_certificate_expiry_timestamp_seconds";
    let before = server.metric(expiry).await;

    let (cert, key) = exchange(&server);
    fs::write(server.certs("tls.key"), key).unwrap();
    fs::write(server.certs("tls.crt"), &cert).unwrap();
    eventually(async || shown_to_new(&server).await != old).await;
    let new = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    assert_eq!(shown_to_new(&server).await, new.to_vec());
    assert_eq!(client.post_review("/validate").await.status, 200);
    assert!(server.metric(expiry).await > before);
}

#[tokio::test]
async fn a_broken_certificate_is_counted_and_the_old_one_stays() {
    let server = Setup::default().start().await;
    let old = shown_to_new(&server).await;
    let failures = "nadmit_certificate_reload_failures_total";
    let (cert, key) = exchange(&server);
    let broken: [&dyn Fn(); 4] = [
        // The key does not match.
        &|| fs::write(server.certs("tls.crt"), &cert).unwrap(),
        &|| fs::write(server.certs("tls.crt"), "no certificate").unwrap(),
        &|| fs::remove_file(server.certs("tls.crt")).unwrap(),
        &|| {
            let pipe = std::process::Command::new("mkfifo")
                .arg(server.certs("tls.crt"))
                .status();
            assert!(pipe.unwrap().success());
        },
    ];
    for break_it in broken {
        let before = server.metric(failures).await;
        break_it();
        eventually(async || server.metric(failures).await > before).await;
        assert_eq!(shown_to_new(&server).await, old);
    }
    fs::remove_file(server.certs("tls.crt")).unwrap();
    fs::write(server.certs("tls.key"), key).unwrap();
    fs::write(server.certs("tls.crt"), cert).unwrap();
    eventually(async || shown_to_new(&server).await != old).await;
}

#[tokio::test]
async fn certificates_are_read_again_at_once_when_that_is_asked_for() {
    let reload = std::sync::Arc::<tokio::sync::Notify>::default();
    let setup = Setup {
        reload: Some(reload.clone()),
        ..Setup::default()
    };
    let server = setup.start().await;
    // Twice, because the first check happens at the start.
    for _ in 0..2 {
        let old = shown_to_new(&server).await;
        let (cert, key) = exchange(&server);
        fs::write(server.certs("tls.key"), key).unwrap();
        fs::write(server.certs("tls.crt"), cert).unwrap();
        reload.notify_one();
        eventually(async || shown_to_new(&server).await != old).await;
    }
}

/// Current time of the servers in the next test.
static SECONDS: AtomicI64 = AtomicI64::new(0);

#[tokio::test]
async fn a_clock_that_is_set_before_1970_ends_no_handshake() {
    let setup = || Setup {
        clock: Clock::new(|| Timestamp::from_second(SECONDS.load(Ordering::Relaxed)).unwrap()),
        ..Setup::default()
    };
    for seconds in [-1, -40_000_000, -2_300_000_000] {
        // The certificate is created at a valid time, then the clock is set back.
        SECONDS.store(Timestamp::now().as_second(), Ordering::Relaxed);
        let server = setup().start().await;
        SECONDS.store(seconds, Ordering::Relaxed);
        // Twice, because TLS session resumption checks the age of the session.
        for _ in 0..2 {
            let mut client = server.connect(&[]).await;
            let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            client.write_all(request).await.unwrap();
            assert!(client.read_u8().await.is_ok(), "{seconds}");
        }
        // The response has no date, and the connection stays open.
        let mut client = server.http1().await;
        for _ in 0..2 {
            let reply = client.post_review("/").await;
            assert_eq!(reply.header("date"), "", "{seconds}");
        }
        SECONDS.store(784_111_777, Ordering::Relaxed);
        let reply = client.post_review("/").await;
        assert_eq!(reply.header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}

#[tokio::test]
async fn a_client_with_an_older_tls_version_is_refused() {
    let setup = Setup {
        tls: crate::TlsPolicy::new(crate::TlsVersion::Tls13, &[]).unwrap(),
        ..Setup::default()
    };
    let server = setup.start().await;
    let version = server.connect(&[]).await.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    let old = server
        .try_connect_by(&[], None, &[&rustls::version::TLS12])
        .await;
    assert!(old.is_err());
}

#[tokio::test]
async fn a_swap_of_the_kubelets_symlink_is_noticed() {
    let server = Setup::default().start().await;
    let old = shown_to_new(&server).await;
    let (cert, key) = exchange(&server);
    let data = server.certs("..data_new");
    fs::create_dir(&data).unwrap();
    for (name, pem) in [("tls.crt", cert), ("tls.key", key)] {
        fs::write(data.join(name), pem).unwrap();
        fs::remove_file(server.certs(name)).unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(name), server.certs(name)).unwrap();
    }
    std::os::unix::fs::symlink("..data_new", server.certs("..data")).unwrap();
    eventually(async || shown_to_new(&server).await != old).await;
}

/// Days by which the clock of the next test's server lags.
static DAYS_AGO: AtomicI64 = AtomicI64::new(350);

#[tokio::test]
async fn a_certificate_of_its_own_is_renewed_while_it_runs() {
    let clock = Clock::new(|| {
        let ago = SignedDuration::from_hours(24 * DAYS_AGO.load(Ordering::Relaxed));
        Timestamp::now() - ago
    });
    let server = Setup {
        clock,
        ..Setup::default()
    }
    .start()
    .await;
    let old = shown_to_new(&server).await;
    DAYS_AGO.store(0, Ordering::Relaxed);
    eventually(async || shown_to_new(&server).await != old).await;
}

struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    fn client(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (cert.der().clone(), key.into())
    }
}

/// Returns true if the server accepts the client's certificate. With TLS 1.3 a client learns of a
/// rejection when it reads.
async fn is_admitted(
    server: &Running,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> bool {
    let Ok(mut client) = server.try_connect(&[], identity).await else {
        return false;
    };
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.is_ok() && client.read_u8().await.is_ok()
}

#[tokio::test]
async fn client_certificates_must_be_signed_by_the_current_ca() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("client-ca.crt");
    let (first, second) = (Authority::new(), Authority::new());
    fs::write(&path, &first.1).unwrap();
    let setup = Setup {
        client_ca: Some(path.clone()),
        ..Setup::default()
    };
    let server = setup.start().await;
    assert!(!is_admitted(&server, None).await);
    assert!(is_admitted(&server, Some(first.client())).await);
    assert!(!is_admitted(&server, Some(second.client())).await);

    fs::write(&path, &second.1).unwrap();
    eventually(async || is_admitted(&server, Some(second.client())).await).await;
    assert!(!is_admitted(&server, Some(first.client())).await);
}
