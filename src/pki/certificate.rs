//! A certificate that was read.

use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    parse_x509_certificate,
    prelude::{GeneralName, X509Certificate},
};

/// A certificate, and what it says of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its bytes, by which certificates are told apart.
    pub der: CertificateDer<'static>,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// The host names that it is for.
    pub dns_names: Vec<String>,
    /// The public key with its algorithm, in DER.
    pub public_key: Vec<u8>,
    subject: String,
}

impl Certificate {
    /// Reads a certificate; `None` if these bytes are none.
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

    /// Those of a PEM text, each once, and whether there is nothing else in it that claims to be one.
    pub fn parse_pem(pem: &[u8]) -> (Vec<Self>, bool) {
        let (mut found, mut clean) = (Vec::new(), true);
        for der in CertificateDer::pem_slice_iter(pem) {
            // A section that is broken ends neither the text nor this.
            let read = der.ok().and_then(|der| Self::from_der(&der));
            match read.filter(|one| !found.contains(one)) {
                Some(one) => found.push(one),
                None => clean = false,
            }
        }
        (found, clean)
    }

    /// Whether `now` lies in its time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// When two thirds of its time are over.
    pub fn renewal_time(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        super::saturating_add(self.not_before, life / 3 * 2)
    }

    /// In PEM.
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
