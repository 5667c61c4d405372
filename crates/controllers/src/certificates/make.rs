//! Carries out a decision: creates keys and certificates, and the content of the Secret.

use jiff::{SignedDuration, Timestamp};

use super::{
    contents::{ParsedSecret, SecretContents, ServingCertificate},
    error::RenewalError,
    renewal::{
        RenewalContext, RenewalDecision, RenewalPlan, RenewalReason, ServerCertificate, decide,
    },
};
use nadmit_pki::{
    self as pki, Certificate, IssuedCertificate, PrivateKey, Signer, TlsPair, saturating_add,
};

/// Returns the new content of the Secret and the reason for it; `None` if it stays.
///
/// # Errors
/// If the cryptography fails, or its result would not be trusted.
pub(super) fn renew(
    contents: &SecretContents,
    parsed: &mut ParsedSecret,
    context: &RenewalContext<'_>,
) -> Result<Option<(SecretContents, RenewalReason)>, RenewalError> {
    let RenewalDecision::Write(plan) = decide(contents, parsed, context) else {
        return Ok(None);
    };
    match build(&plan, contents, parsed, context) {
        Ok(made) => Ok(Some((made, plan.reason))),
        // The CA was put there by somebody else, and its certificates may be invalid for these names.
        Err(_) if parsed.signer.take().is_some() => renew(contents, parsed, context),
        Err(error) => Err(error),
    }
}

/// Builds the planned content, with all new keys and certificates.
fn build(
    plan: &RenewalPlan,
    contents: &SecretContents,
    parsed: &ParsedSecret,
    context: &RenewalContext<'_>,
) -> Result<SecretContents, RenewalError> {
    let made = match plan.new_authority {
        true => Some(new_authority(context)?),
        false => None,
    };
    let (first, authority_key) = match &made {
        Some((signer, key)) => (Some(&signer.certificate), Some(key.clone())),
        None => (None, contents.authority_key.clone()),
    };
    let authorities: Vec<&Certificate> = first.into_iter().chain(&plan.authorities).collect();
    let served = match &plan.server {
        ServerCertificate::Unchanged(served) => ServingCertificate::clone(served),
        ServerCertificate::SignedByCurrent(names) => {
            server(names, parsed.signer.as_ref(), context)?
        }
        ServerCertificate::SignedByNew(names) => {
            server(names, made.as_ref().map(|made| &made.0), context)?
        }
    };
    let (names, now) = (context.names, context.now);
    if !served.is_trusted_by(authorities.iter().copied(), names, now) {
        return Err(RenewalError::Untrusted);
    }
    Ok(SecretContents {
        cert: Some(served.pair.cert.clone()),
        key: Some(served.pair.key.clone()),
        authorities: Some(bundle(authorities)),
        authority_key,
    })
}

/// Returns the CAs as one PEM text.
pub(super) fn bundle<'a>(authorities: impl IntoIterator<Item = &'a Certificate>) -> Vec<u8> {
    let all: String = authorities.into_iter().map(Certificate::pem).collect();
    all.into_bytes()
}

fn new_authority(context: &RenewalContext<'_>) -> Result<(Signer, PrivateKey), RenewalError> {
    let (begin, end) = time(context, context.lifetimes.authority);
    // A unique name, so that no verifier has to try which of two CAs signed.
    let second = Timestamp::from_second(context.now.as_second()).unwrap_or(context.now);
    let IssuedCertificate { cert, key } =
        pki::issue_ca(&format!("nadmit CA {second}"), begin, end)?;
    let (read, _) = Certificate::parse_pem(cert.as_bytes());
    let signer = Signer::for_key(&read, &key).ok_or(RenewalError::UnreadableCa)?;
    Ok((signer, key))
}

fn server(
    names: &[String],
    signer: Option<&Signer>,
    context: &RenewalContext<'_>,
) -> Result<ServingCertificate, RenewalError> {
    let signer = signer.ok_or(RenewalError::NoSigner)?;
    let (begin, end) = time(context, context.lifetimes.server);
    let IssuedCertificate { cert, key } = pki::issue_server(names, signer, begin, end)?;
    let cert = cert.into_bytes();
    ServingCertificate::of(TlsPair { cert, key }).ok_or(RenewalError::UnreadableCertificate)
}

fn time(context: &RenewalContext<'_>, life: SignedDuration) -> (Timestamp, Timestamp) {
    let now = context.now;
    (
        saturating_add(now, -context.lifetimes.backdate),
        saturating_add(now, life),
    )
}
