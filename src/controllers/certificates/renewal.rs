//! What to do with this Secret at this time: a pure function of what it holds, of what was served
//! before, and of which CAs the callers trust.
//!
//! It knows no state of its own. Where a change of CAs stands is seen from the Secret alone, so
//! whoever comes next goes on from there:
//!
//! | the Secret holds | what is written next |
//! |---|---|
//! | a CA before two thirds of its life, and a certificate of it | at two thirds of the certificate's life, another |
//! | a CA after two thirds of its life | a new CA before the old one in `ca.crt`; a fresh certificate of the **old** one, whose key is at hand for the last time |
//! | a CA, and a certificate of the one before it | when all callers have trusted the new CA for a while, a certificate of it |
//! | CAs that nothing of before needs any more | `ca.crt` without them |
//!
//! What is served is never given up for a certificate that callers may not trust yet; only where
//! there is nothing good to serve there is nothing to lose.

use jiff::{SignedDuration, Timestamp};

use super::contents::{ParsedSecret, SecretContents, ServingCertificate};
use crate::pki::{Certificate, later};

/// How many CAs are kept in a bundle at most.
const MAX_AUTHORITIES: usize = 8;

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateLifetimes {
    /// A server's certificate.
    pub server: SignedDuration,
    /// A CA; several times as long.
    pub authority: SignedDuration,
    /// How long before its making a certificate is good: so far the clock of an API server may lag.
    pub backdate: SignedDuration,
}

impl Default for CertificateLifetimes {
    /// 90 days and two years, from a day before.
    fn default() -> Self {
        Self {
            server: SignedDuration::from_hours(24 * 90),
            authority: SignedDuration::from_hours(24 * 730),
            backdate: SignedDuration::from_hours(24),
        }
    }
}

/// What a replica served last, and whom its callers trusted then.
#[derive(Debug, Clone)]
pub(super) struct LastServed {
    /// What it shows.
    pub(super) served: ServingCertificate,
    /// The CAs beside it.
    pub(super) authorities: Vec<Certificate>,
    /// Whether somebody else kept it.
    pub(super) foreign: bool,
}

/// What is known besides the Secret.
pub(super) struct RenewalContext<'a> {
    /// What this replica serves, if anything.
    pub(super) last_served: Option<&'a LastServed>,
    /// The names that the certificate has to be for; at least one.
    pub(super) names: &'a [String],
    /// The time by which callers judge: the API server's.
    pub(super) now: Timestamp,
    /// The CAs that callers trust at the moment.
    pub(super) trusted_cas: &'a [Certificate],
    /// Whether all callers have trusted this CA for long enough.
    pub(super) is_propagated: &'a dyn Fn(&Certificate) -> bool,
    /// How long things last.
    pub(super) lifetimes: CertificateLifetimes,
}

/// What to do.
#[derive(Debug)]
pub(super) enum RenewalDecision {
    /// Nothing: it is as it should be for now.
    Keep,
    /// Nothing: somebody else keeps it.
    Foreign,
    /// Write it anew.
    Write(RenewalPlan),
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct RenewalPlan {
    /// Why.
    pub(super) reason: RenewalReason,
    /// Whether a new CA is made. If not, that of the Secret stays.
    pub(super) new_authority: bool,
    /// What is to be served.
    pub(super) server: ServerCertificate,
    /// The CAs that stay, beside a new one.
    pub(super) authorities: Vec<Certificate>,
}

/// What a Secret is to serve.
#[derive(Debug)]
pub(super) enum ServerCertificate {
    /// This.
    Unchanged(Box<ServingCertificate>),
    /// A new certificate for these names, of the CA whose key the Secret holds so far.
    SignedByCurrent(Vec<String>),
    /// A new certificate for these names, of the new CA.
    SignedByNew(Vec<String>),
}

/// Why a Secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RenewalReason {
    /// It is not there, or empty.
    #[error("there was none")]
    Absent,
    /// Without a CA nothing can be renewed.
    #[error("ca.crt and ca.key were no CA that can sign now")]
    NoAuthority,
    /// It is time for another.
    #[error("two thirds of the CA's life are over; the old one stays trusted beside the new one")]
    AuthorityDue,
    /// The second half of a change of CAs.
    #[error("the new CA is in every caBundle")]
    AuthorityTrusted,
    /// Broken, expired, not valid yet, for other names, or of a CA that is not there.
    #[error("tls.crt and tls.key could not be served")]
    NoCertificate,
    /// It is time for another.
    #[error("two thirds of its life are over")]
    CertificateDue,
    /// Old CAs, or none.
    #[error("ca.crt held more than is needed")]
    Bundle,
}

/// Judges. What is then written is judged [`RenewalDecision::Keep`] in the same situation.
pub(super) fn decide(
    contents: &SecretContents,
    parsed: &ParsedSecret,
    context: &RenewalContext<'_>,
) -> RenewalDecision {
    let last_served = context.last_served;
    let absent = *contents == SecretContents::default();
    // Who keeps it may be about to write it anew.
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
        match signer.filter(|signer| signer.is_good_at(now)) {
            None => RenewalDecision::Write(self.new_authority(None)),
            Some(signer) if now >= signer.two_thirds() => {
                RenewalDecision::Write(self.new_authority(Some(signer)))
            }
            Some(signer) => self.certificate(signer),
        }
    }

    /// A new CA, beside the old one if that can still sign.
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
                // It has to last until all callers trust the new one.
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
        // Another replica may serve something that callers trust at the moment.
        let others = self.unexpired(self.context.trusted_cas);
        let others = limit(others, MAX_AUTHORITIES - 1, |_| false);
        plan(
            ServerCertificate::SignedByNew(self.context.names.to_vec()),
            others,
        )
    }

    /// The CA is as it should be: is the certificate?
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
        } else if of_signer && now >= current.certificate.two_thirds() {
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

    /// The certificate of the Secret, if callers that trust its CAs believe it.
    fn current(&self) -> Option<&ServingCertificate> {
        let context = self.context;
        let served = self.parsed.served.as_ref()?;
        let authorities = &self.parsed.authorities;
        let good = served.is_trusted_by(authorities, context.names, context.now);
        good.then_some(served)
    }

    /// What was served before, if callers that trusted the CAs of then believe it still.
    fn previous(&self) -> Option<&LastServed> {
        let context = self.context;
        let previous = context.last_served?;
        let served = &previous.served;
        let good = served.is_trusted_by(&previous.authorities, context.names, context.now);
        good.then_some(previous)
    }

    /// Which CAs callers are to trust: the one that signs, those of what is served, and, for as long
    /// as a certificate of theirs may be good or shown by a replica, those before.
    fn bundle(
        &self,
        signer: &Certificate,
        current: Option<&ServingCertificate>,
    ) -> Vec<Certificate> {
        let context = self.context;
        let (now, backdate) = (context.now, context.lifetimes.backdate);
        // None of theirs was made after the signer.
        let last_expires = later(later(signer.begin, backdate), context.lifetimes.server);
        let everybody_shows =
            |current: &ServingCertificate| now >= later(current.certificate.begin, backdate * 2);
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

    /// The Secret's CAs and those of what was served before.
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

    /// As many as there may be, with the signer; without one, as many as leave room for it.
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
        let unexpired = all.iter().filter(|one| self.context.now < one.end);
        unexpired.cloned().collect()
    }

    /// The names that are asked for, with those that another replica may have asked for: two that do
    /// not agree on the name of their Service then do not take turns.
    fn all_names(&self, other: &ServingCertificate) -> Vec<String> {
        let now = self.context.now;
        let mut names = self.context.names.to_vec();
        let authorities = &self.parsed.authorities;
        if authorities.iter().any(|one| other.is_signed_by(one, now)) {
            let more = other.certificate.names.iter();
            names.extend(
                more.filter(|name| !self.context.names.contains(name))
                    .cloned(),
            );
        }
        names
    }
}

/// Not more than `most`, unless more are needed; the order stays.
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
