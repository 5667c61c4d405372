//! The content of the Secret, as bytes and parsed.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use nadmit_pki::{Certificate, PrivateKey, Signer, TlsPair, verify};

/// The entry with the server's certificate.
const TLS_CERT: &str = "tls.crt";
/// The entry with the key of the server's certificate.
const TLS_KEY: &str = "tls.key";
/// The entry with the CAs that callers are to trust: those that may have signed a certificate in use.
const CA_CERT: &str = "ca.crt";
/// The entry with the key of the signing CA.
const CA_KEY: &str = "ca.key";

/// The four entries of the Secret; empty ones count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SecretContents {
    /// `tls.crt`
    pub(super) cert: Option<Vec<u8>>,
    /// `tls.key`
    pub(super) key: Option<PrivateKey>,
    /// `ca.crt`
    pub(super) authorities: Option<Vec<u8>>,
    /// `ca.key`
    pub(super) authority_key: Option<PrivateKey>,
}

/// The usable parts of the Secret.
#[derive(Debug, Default)]
pub(super) struct ParsedSecret {
    /// The certificate with its key, if both can be parsed and match.
    pub(super) served: Option<ServingCertificate>,
    /// The CAs of `ca.crt`.
    pub(super) authorities: Vec<Certificate>,
    /// True if `ca.crt` contains nothing else.
    pub(super) clean: bool,
    /// The CA whose key is in the Secret.
    pub(super) signer: Option<Signer>,
}

/// A certificate that can be served.
#[derive(Debug, Clone)]
pub(super) struct ServingCertificate {
    /// The chain and key as the server loads them.
    pub(super) pair: Arc<TlsPair>,
    /// The leaf, first in the chain.
    pub(super) certificate: Certificate,
    chain: Vec<CertificateDer<'static>>,
}

impl SecretContents {
    /// Returns the entries of a Secret.
    pub(super) fn of(secret: &Value) -> Self {
        let entry = |name: &str| {
            let text = secret["data"][name].as_str()?;
            let bytes = STANDARD.decode(text).ok()?;
            (!bytes.is_empty()).then_some(bytes)
        };
        Self {
            cert: entry(TLS_CERT),
            key: entry(TLS_KEY).map(PrivateKey::new),
            authorities: entry(CA_CERT),
            authority_key: entry(CA_KEY).map(PrivateKey::new),
        }
    }

    /// Writes the entries into a Secret. Other entries stay.
    pub(super) fn write(&self, secret: &mut Value) {
        if !secret["data"].is_object() {
            secret["data"] = json!({});
        }
        let entries = [
            (TLS_CERT, self.cert.as_deref()),
            (TLS_KEY, self.key.as_ref().map(PrivateKey::expose)),
            (CA_CERT, self.authorities.as_deref()),
            (CA_KEY, self.authority_key.as_ref().map(PrivateKey::expose)),
        ];
        for (name, bytes) in entries {
            secret["data"][name] = Value::from(STANDARD.encode(bytes.unwrap_or_default()));
        }
    }

    /// Returns true if another component manages the Secret: it has a certificate or a key, but no CA
    /// key, which nadmit always writes.
    pub(super) fn is_foreign(&self) -> bool {
        self.authority_key.is_none() && (self.cert.is_some() || self.key.is_some())
    }
}

impl ParsedSecret {
    /// Parses the entries.
    pub(super) fn of(contents: &SecretContents) -> Self {
        let pem = contents.authorities.as_deref().unwrap_or_default();
        let (mut authorities, mut clean) = Certificate::parse_pem(pem);
        let all = authorities.len();
        authorities.retain(|one| one.is_authority);
        clean &= authorities.len() == all;
        let key = contents.authority_key.as_ref();
        Self {
            served: contents
                .cert
                .clone()
                .zip(contents.key.clone())
                .and_then(|(cert, key)| ServingCertificate::of(TlsPair { cert, key })),
            signer: key.and_then(|key| Signer::for_key(&authorities, key)),
            authorities,
            clean,
        }
    }
}

impl ServingCertificate {
    /// Parses a chain with its key; `None` if they are invalid or do not match.
    pub(super) fn of(pair: TlsPair) -> Option<Self> {
        let chain = pair.identity().ok()?.cert;
        Some(Self {
            certificate: Certificate::from_der(chain.first()?)?,
            pair: Arc::new(pair),
            chain,
        })
    }

    /// Returns true if a caller that trusts these CAs accepts the certificate at this time under each
    /// of the names.
    pub(super) fn is_trusted_by<'a>(
        &self,
        authorities: impl IntoIterator<Item = &'a Certificate>,
        names: &[String],
        now: Timestamp,
    ) -> bool {
        verify(&self.chain, authorities, names, now)
    }

    /// Returns true if this CA signed the certificate, for whichever names.
    pub(super) fn is_signed_by(&self, authority: &Certificate, now: Timestamp) -> bool {
        self.is_trusted_by([authority], &self.certificate.dns_names, now)
    }
}
