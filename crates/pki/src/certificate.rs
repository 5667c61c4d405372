//! Parsed X.509 certificates.

use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    parse_x509_certificate,
    prelude::{GeneralName, X509Certificate},
};

/// A parsed certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DER encoding; identifies the certificate.
    pub der: CertificateDer<'static>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity, exclusive.
    pub not_after: Timestamp,
    /// CA flag of the basic constraints.
    pub is_authority: bool,
    /// DNS names of the subject alternative name.
    pub dns_names: Vec<String>,
    /// Public key with its algorithm (SubjectPublicKeyInfo), in DER.
    pub public_key: Vec<u8>,
    subject: String,
}

impl Certificate {
    /// Parses a certificate; `None` if `der` is not a valid one.
    pub fn from_der(der: &CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let moment = |seconds| Timestamp::from_second(seconds).ok();
        Some(Self {
            not_before: moment(parsed.validity().not_before.timestamp())?,
            not_after: moment(parsed.validity().not_after.timestamp())?,
            is_authority: parsed.is_ca(),
            dns_names: names(&parsed),
            public_key: parsed.public_key().raw.to_vec(),
            subject: parsed.subject().to_string(),
            der: der.clone().into_owned(),
        })
    }

    /// Parses the certificates of a PEM text without duplicates. The flag is false if the text
    /// contains duplicate or unreadable sections.
    pub fn parse_pem(pem: &[u8]) -> (Vec<Self>, bool) {
        let (mut found, mut clean) = (Vec::new(), true);
        for der in CertificateDer::pem_slice_iter(pem) {
            // A broken section does not end the iteration.
            let read = der.ok().and_then(|der| Self::from_der(&der));
            match read.filter(|one| !found.contains(one)) {
                Some(one) => found.push(one),
                None => clean = false,
            }
        }
        (found, clean)
    }

    /// Returns true if `now` is within the validity period.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Returns the time at which the certificate is due for renewal: after two thirds of its
    /// validity.
    pub fn renewal_time(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        super::saturating_add(self.not_before, life / 3 * 2)
    }

    /// Encodes the certificate as PEM.
    pub fn pem(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let text = STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|&byte| char::from(byte)));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let extension = parsed.subject_alternative_name().ok().flatten();
    let all = extension.map(|extension| extension.value.general_names.as_slice());
    let names = all
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
    names.collect()
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}..{}",
            self.subject, self.not_before, self.not_after
        )
    }
}
