//! Client certificate verification with CAs that can change while the server runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    error::{CertificateError, CertificateProblem},
    pem_file::PemFile,
};
use nadmit_pki::provider;

/// Verifies client certificates against a fixed set of CAs.
#[derive(Debug)]
pub(super) struct ClientVerifier(Arc<dyn ClientCertVerifier>);

/// Verifies client certificates against the current CAs.
#[derive(Debug)]
pub(super) struct ClientAuthorities(ArcSwap<ClientVerifier>);

impl ClientVerifier {
    pub(super) fn new(
        source: &PemFile,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, CertificateError> {
        let unusable = |error: String| source.error(CertificateProblem::Certificate(error));
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|error| unusable(error.to_string()))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map(Self)
            .map_err(|error| unusable(error.to_string()))
    }
}

impl ClientAuthorities {
    pub(super) fn new(verifier: ClientVerifier) -> Self {
        Self(ArcSwap::from_pointee(verifier))
    }

    pub(super) fn replace(&self, verifier: ClientVerifier) {
        self.0.store(Arc::new(verifier));
    }
}

impl ClientCertVerifier for ClientAuthorities {
    /// Returns no hints: they could not follow changes of the CAs, and clients have only one
    /// certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = self.0.load();
        verifier
            .0
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().0.supported_verify_schemes()
    }
}
