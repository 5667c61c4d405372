//! Making what was decided: keys, certificates, and the contents of the Secret.

use jiff::{SignedDuration, Timestamp};

use super::{
    contents::{Contents, Held, Served},
    renewal::{Plan, Server, Situation, Verdict, Why, judge},
};
use crate::pki::{self, Certificate, Issued, Pair, PrivateKey, Signer, later};

/// What the Secret is to hold, and why; `None` if it is to stay as it is.
///
/// # Errors
/// When the cryptography fails, or what comes of it would not be believed.
pub(super) fn renewed(
    contents: &Contents,
    held: &mut Held,
    situation: &Situation<'_>,
) -> Result<Option<(Contents, Why)>, String> {
    let Verdict::Write(plan) = judge(contents, held, situation) else {
        return Ok(None);
    };
    match carry_out(&plan, contents, held, situation) {
        Ok(made) => Ok(Some((made, plan.why))),
        // A CA that somebody put there may be one whose certificates nobody believes.
        Err(_) if held.signer.take().is_some() => renewed(contents, held, situation),
        Err(error) => Err(error),
    }
}

/// The plan as contents, with every key that it needs made.
fn carry_out(
    plan: &Plan,
    contents: &Contents,
    held: &Held,
    situation: &Situation<'_>,
) -> Result<Contents, String> {
    let made = match plan.new_authority {
        true => Some(new_authority(situation)?),
        false => None,
    };
    let (first, authority_key) = match &made {
        Some((signer, key)) => (Some(&signer.certificate), Some(key.clone())),
        None => (None, contents.authority_key.clone()),
    };
    let authorities: Vec<&Certificate> = first.into_iter().chain(&plan.authorities).collect();
    let served = match &plan.server {
        Server::Same(served) => Served::clone(served),
        Server::OfOld(names) => server(names, held.signer.as_ref(), situation)?,
        Server::OfNew(names) => server(names, made.as_ref().map(|made| &made.0), situation)?,
    };
    let (names, now) = (situation.names, situation.now);
    if !served.is_believed(authorities.iter().copied(), names, now) {
        return Err("the certificate that was made would not be believed".to_owned());
    }
    Ok(Contents {
        cert: Some(served.pair.cert.clone()),
        key: Some(served.pair.key.clone()),
        authorities: Some(bundle(authorities)),
        authority_key,
    })
}

/// CAs as one PEM text.
pub(super) fn bundle<'a>(authorities: impl IntoIterator<Item = &'a Certificate>) -> Vec<u8> {
    let all: String = authorities.into_iter().map(Certificate::pem).collect();
    all.into_bytes()
}

fn new_authority(situation: &Situation<'_>) -> Result<(Signer, PrivateKey), String> {
    let (begin, end) = time(situation, situation.lives.authority);
    // Unlike the name of any other, so that nobody has to try which of two signed.
    let second = Timestamp::from_second(situation.now.as_second()).unwrap_or(situation.now);
    let Issued { cert, key } =
        pki::authority(&format!("nadmit CA {second}"), begin, end).map_err(|e| e.to_string())?;
    let (read, _) = Certificate::all(cert.as_bytes());
    let signer = Signer::among(&read, &key).ok_or("a CA that was made cannot be read")?;
    Ok((signer, key))
}

fn server(
    names: &[String],
    signer: Option<&Signer>,
    situation: &Situation<'_>,
) -> Result<Served, String> {
    let signer = signer.ok_or("there is no CA that signs")?;
    let (begin, end) = time(situation, situation.lives.server);
    let Issued { cert, key } =
        pki::server(names, signer, begin, end).map_err(|error| error.to_string())?;
    let cert = cert.into_bytes();
    Ok(Served::of(Pair { cert, key }).ok_or("a certificate that was made cannot be read")?)
}

fn time(situation: &Situation<'_>, life: SignedDuration) -> (Timestamp, Timestamp) {
    let now = situation.now;
    (later(now, -situation.lives.backdated), later(now, life))
}
