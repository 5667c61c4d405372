//! Decides what to do with the Secret: a pure function of its content, the time, the certificate served
//! before, and the CAs that the callers trust.
//!
//! It has no state. The progress of a change of CAs follows from the Secret alone, so any replica can
//! continue it:
//!
//! | the Secret contains | next write |
//! |---|---|
//! | a CA before two thirds of its lifetime, and a certificate signed by it | at two thirds of the certificate's lifetime, a new one |
//! | a CA after two thirds of its lifetime | a new CA in `ca.crt` before the old one; a fresh certificate signed by the **old** one, whose key is available for the last time |
//! | a CA, and a certificate signed by its predecessor | once all callers have trusted the new CA for the propagation time, a certificate signed by it |
//! | CAs that no certificate needs any more | `ca.crt` without them |
//!
//! The served certificate is never replaced by one that callers may not trust yet, unless it is invalid
//! itself.

use jiff::{SignedDuration, Timestamp};

use super::contents::{ParsedSecret, SecretContents, ServingCertificate};
use nadmit_pki::{Certificate, saturating_add};

/// The maximum number of CAs in a bundle.
const MAX_AUTHORITIES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateLifetimes {
    /// The lifetime of a server certificate.
    pub server: SignedDuration,
    /// The lifetime of a CA; several times as long.
    pub authority: SignedDuration,
    /// The time by which certificates are backdated, for API servers whose clocks are behind.
    pub backdate: SignedDuration,
}

impl Default for CertificateLifetimes {
    /// 90 days and two years, backdated by a day.
    fn default() -> Self {
        Self {
            server: SignedDuration::from_hours(24 * 90),
            authority: SignedDuration::from_hours(24 * 730),
            backdate: SignedDuration::from_hours(24),
        }
    }
}

/// The certificate a replica served last, with the CAs its callers trusted then.
#[derive(Debug, Clone)]
pub(super) struct LastServed {
    pub(super) served: ServingCertificate,
    /// The CAs of the same Secret.
    pub(super) authorities: Vec<Certificate>,
    /// True if another component managed that Secret.
    pub(super) foreign: bool,
}

/// The inputs of a decision besides the Secret.
pub(super) struct RenewalContext<'a> {
    /// The certificate this replica serves, if any.
    pub(super) last_served: Option<&'a LastServed>,
    /// The names the certificate has to be valid for; at least one.
    pub(super) names: &'a [String],
    /// The API server's time, because it verifies the certificate.
    pub(super) now: Timestamp,
    /// The CAs that callers trust at present.
    pub(super) trusted_cas: &'a [Certificate],
    /// Returns true if all callers have trusted the CA for the propagation time.
    pub(super) is_propagated: &'a dyn Fn(&Certificate) -> bool,
    /// The lifetimes of new certificates.
    pub(super) lifetimes: CertificateLifetimes,
}

#[derive(Debug)]
pub(super) enum RenewalDecision {
    /// Nothing to do at present.
    Keep,
    /// Nothing to do: another component manages the Secret.
    Foreign,
    /// The Secret has to be written.
    Write(RenewalPlan),
}

/// The planned content of the Secret.
#[derive(Debug)]
pub(super) struct RenewalPlan {
    /// The reason for the write.
    pub(super) reason: RenewalReason,
    /// True to create a new CA instead of keeping that of the Secret.
    pub(super) new_authority: bool,
    /// The certificate to serve.
    pub(super) server: ServerCertificate,
    /// The CAs to keep, in addition to a new one.
    pub(super) authorities: Vec<Certificate>,
}

/// The planned server certificate.
#[derive(Debug)]
pub(super) enum ServerCertificate {
    /// An existing certificate.
    Unchanged(Box<ServingCertificate>),
    /// A new certificate for these names, signed by the CA whose key the Secret contains so far.
    SignedByCurrent(Vec<String>),
    /// A new certificate for these names, signed by the new CA.
    SignedByNew(Vec<String>),
}

/// The reason for a write of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RenewalReason {
    /// The Secret does not exist, or is empty.
    #[error("the Secret was missing or empty")]
    Absent,
    /// No usable CA exists to renew with.
    #[error("ca.crt and ca.key contained no CA that can sign")]
    NoAuthority,
    /// The CA is due for renewal.
    #[error("two thirds of the CA's lifetime have passed; the old CA stays trusted as well")]
    AuthorityDue,
    /// The second half of a change of CAs.
    #[error("the new CA is in every caBundle")]
    AuthorityTrusted,
    /// The certificate is malformed, expired, not valid yet, for other names, or not signed by a CA of
    /// the Secret.
    #[error("tls.crt and tls.key contained no usable certificate")]
    NoCertificate,
    /// The certificate is due for renewal.
    #[error("two thirds of the certificate's lifetime have passed")]
    CertificateDue,
    /// `ca.crt` contains old CAs, or other data.
    #[error("ca.crt contained more than is needed")]
    Bundle,
}

/// Decides what to do with a Secret. Deciding again on the written content gives
/// [`RenewalDecision::Keep`].
pub(super) fn decide(
    contents: &SecretContents,
    parsed: &ParsedSecret,
    context: &RenewalContext<'_>,
) -> RenewalDecision {
    let last_served = context.last_served;
    let absent = *contents == SecretContents::default();
    // The component that manages it may be about to write it again.
    let was_foreign = absent && last_served.is_some_and(|previous| previous.foreign);
    if contents.is_foreign() || was_foreign {
        return RenewalDecision::Foreign;
    }
    Renewal {
        parsed,
        context,
        absent,
    }
    .verdict()
}

struct Renewal<'a> {
    parsed: &'a ParsedSecret,
    context: &'a RenewalContext<'a>,
    absent: bool,
}

impl Renewal<'_> {
    fn verdict(&self) -> RenewalDecision {
        let now = self.context.now;
        let signer = self
            .parsed
            .signer
            .as_ref()
            .map(|signer| &signer.certificate);
        match signer.filter(|signer| signer.is_valid_at(now)) {
            None => RenewalDecision::Write(self.new_authority(None)),
            Some(signer) if now >= signer.renewal_time() => {
                RenewalDecision::Write(self.new_authority(Some(signer)))
            }
            Some(signer) => self.certificate(signer),
        }
    }

    /// Plans a new CA, in addition to the old one if that can still sign.
    fn new_authority(&self, old: Option<&Certificate>) -> RenewalPlan {
        let now = self.context.now;
        let reason = match old {
            Some(_) => RenewalReason::AuthorityDue,
            None if self.absent => RenewalReason::Absent,
            None => RenewalReason::NoAuthority,
        };
        let plan = |server, authorities| RenewalPlan {
            reason,
            new_authority: true,
            server,
            authorities,
        };
        if let Some(current) = self.current() {
            let authorities = self.limited(self.unexpired(&self.parsed.authorities), current, None);
            return match old {
                // It has to last until all callers trust the new CA.
                Some(old) if current.is_signed_by(old, now) => plan(
                    ServerCertificate::SignedByCurrent(self.all_names(current)),
                    authorities,
                ),
                _ => plan(
                    ServerCertificate::Unchanged(Box::new(current.clone())),
                    authorities,
                ),
            };
        }
        if let Some(previous) = self.previous() {
            let authorities = self.with_those_of(previous, None);
            return plan(
                ServerCertificate::Unchanged(Box::new(previous.served.clone())),
                authorities,
            );
        }
        // Another replica may serve a certificate that callers trust at present.
        let others = self.unexpired(self.context.trusted_cas);
        let others = limit(others, MAX_AUTHORITIES - 1, |_| false);
        plan(
            ServerCertificate::SignedByNew(self.context.names.to_vec()),
            others,
        )
    }

    /// Decides on the certificate, given a valid CA.
    fn certificate(&self, signer: &Certificate) -> RenewalDecision {
        let now = self.context.now;
        let plan = |reason, server, authorities| {
            RenewalDecision::Write(RenewalPlan {
                reason,
                new_authority: false,
                server,
                authorities,
            })
        };
        let names = self.context.names.to_vec();
        let Some(current) = self.current() else {
            return match self.previous() {
                Some(previous) if !previous.served.is_signed_by(signer, now) => {
                    let authorities = self.with_those_of(previous, Some(signer));
                    let same = ServerCertificate::Unchanged(Box::new(previous.served.clone()));
                    plan(RenewalReason::NoCertificate, same, authorities)
                }
                _ => {
                    let broken = self.parsed.served.as_ref();
                    let names = broken.map_or(names, |broken| self.all_names(broken));
                    let authorities = self.bundle(signer, None);
                    plan(
                        RenewalReason::NoCertificate,
                        ServerCertificate::SignedByCurrent(names),
                        authorities,
                    )
                }
            };
        };
        let of_signer = current.is_signed_by(signer, now);
        let authorities = self.bundle(signer, Some(current));
        if !of_signer && (self.context.is_propagated)(signer) {
            plan(
                RenewalReason::AuthorityTrusted,
                ServerCertificate::SignedByCurrent(names),
                authorities,
            )
        } else if of_signer && now >= current.certificate.renewal_time() {
            plan(
                RenewalReason::CertificateDue,
                ServerCertificate::SignedByCurrent(names),
                authorities,
            )
        } else if !self.parsed.clean || authorities != self.parsed.authorities {
            let same = ServerCertificate::Unchanged(Box::new(current.clone()));
            plan(RenewalReason::Bundle, same, authorities)
        } else {
            RenewalDecision::Keep
        }
    }

    /// Returns the certificate of the Secret, if callers that trust its CAs accept it.
    fn current(&self) -> Option<&ServingCertificate> {
        let context = self.context;
        let served = self.parsed.served.as_ref()?;
        let authorities = &self.parsed.authorities;
        let good = served.is_trusted_by(authorities, context.names, context.now);
        good.then_some(served)
    }

    /// Returns the certificate served last, if callers that trust its CAs still accept it.
    fn previous(&self) -> Option<&LastServed> {
        let context = self.context;
        let previous = context.last_served?;
        let served = &previous.served;
        let good = served.is_trusted_by(&previous.authorities, context.names, context.now);
        good.then_some(previous)
    }

    /// Returns the CAs that callers are to trust: the signing one, those of the served certificate, and
    /// previous ones as long as a certificate of theirs may be valid or in use by a replica.
    fn bundle(
        &self,
        signer: &Certificate,
        current: Option<&ServingCertificate>,
    ) -> Vec<Certificate> {
        let context = self.context;
        let (now, backdate) = (context.now, context.lifetimes.backdate);
        // No certificate of a previous CA is newer than the signer.
        let last_expires = saturating_add(
            saturating_add(signer.not_before, backdate),
            context.lifetimes.server,
        );
        let everybody_shows = |current: &ServingCertificate| {
            now >= saturating_add(current.certificate.not_before, backdate * 2)
        };
        let over = now >= last_expires && current.is_some_and(everybody_shows);
        let needed = |one: &Certificate| {
            one == signer || !over || current.is_some_and(|current| current.is_signed_by(one, now))
        };
        let mut all = self.unexpired(&self.parsed.authorities);
        all.retain(needed);
        match current {
            Some(current) => self.limited(all, current, Some(signer)),
            None => limit(all, MAX_AUTHORITIES, |one| one == signer),
        }
    }

    /// Returns the CAs of the Secret and those of the certificate served last.
    fn with_those_of(
        &self,
        previous: &LastServed,
        signer: Option<&Certificate>,
    ) -> Vec<Certificate> {
        let mut all = self.unexpired(&self.parsed.authorities);
        for one in self.unexpired(&previous.authorities) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        self.limited(all, &previous.served, signer)
    }

    /// Limits the CAs to the maximum, leaving space for a new signer without one.
    fn limited(
        &self,
        all: Vec<Certificate>,
        served: &ServingCertificate,
        signer: Option<&Certificate>,
    ) -> Vec<Certificate> {
        let now = self.context.now;
        let most = MAX_AUTHORITIES - usize::from(signer.is_none());
        let needed = |one: &Certificate| Some(one) == signer || served.is_signed_by(one, now);
        limit(all, most, needed)
    }

    fn unexpired(&self, all: &[Certificate]) -> Vec<Certificate> {
        let unexpired = all.iter().filter(|one| self.context.now < one.not_after);
        unexpired.cloned().collect()
    }

    /// Returns the requested names and those of the other certificate, which another replica may have
    /// requested. This keeps two replicas that disagree on the Service from replacing each other's
    /// certificate.
    fn all_names(&self, other: &ServingCertificate) -> Vec<String> {
        let now = self.context.now;
        let mut names = self.context.names.to_vec();
        let authorities = &self.parsed.authorities;
        if authorities.iter().any(|one| other.is_signed_by(one, now)) {
            let more = other.certificate.dns_names.iter();
            names.extend(
                more.filter(|name| !self.context.names.contains(name))
                    .cloned(),
            );
        }
        names
    }
}

/// Limits the CAs to `most`, but keeps all that are needed. The order stays.
fn limit(
    all: Vec<Certificate>,
    most: usize,
    needed: impl Fn(&Certificate) -> bool,
) -> Vec<Certificate> {
    if all.len() <= most {
        return all;
    }
    let necessary = all.iter().filter(|one| needed(one)).count();
    let mut others = most.saturating_sub(necessary);
    let mut kept = all;
    kept.retain(|one| {
        let fits = others > 0;
        needed(one) || {
            others = others.saturating_sub(1);
            fits
        }
    });
    kept
}
