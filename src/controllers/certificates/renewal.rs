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

use super::contents::{Contents, Held, Served};
use crate::pki::{Certificate, later};

/// How many CAs are kept in a bundle at most.
const MOST_AUTHORITIES: usize = 8;

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateLifetimes {
    /// A server's certificate.
    pub server: SignedDuration,
    /// A CA; several times as long.
    pub authority: SignedDuration,
    /// How long before its making a certificate is good: so far the clock of an API server may lag.
    pub backdated: SignedDuration,
}

impl Default for CertificateLifetimes {
    /// 90 days and two years, from a day before.
    fn default() -> Self {
        Self {
            server: SignedDuration::from_hours(24 * 90),
            authority: SignedDuration::from_hours(24 * 730),
            backdated: SignedDuration::from_hours(24),
        }
    }
}

/// What a replica served last, and whom its callers trusted then.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// What it shows.
    pub(super) served: Served,
    /// The CAs beside it.
    pub(super) authorities: Vec<Certificate>,
    /// Whether somebody else kept it.
    pub(super) foreign: bool,
}

/// What is known besides the Secret.
pub(super) struct Situation<'a> {
    /// What this replica serves, if anything.
    pub(super) remembered: Option<&'a Remembered>,
    /// The names that the certificate has to be for; at least one.
    pub(super) names: &'a [String],
    /// The time by which callers judge: the API server's.
    pub(super) now: Timestamp,
    /// The CAs that callers trust at the moment.
    pub(super) in_force: &'a [Certificate],
    /// Whether all callers have trusted this CA for long enough.
    pub(super) is_trusted: &'a dyn Fn(&Certificate) -> bool,
    /// How long things last.
    pub(super) lives: CertificateLifetimes,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing: it is as it should be for now.
    Keep,
    /// Nothing: somebody else keeps it.
    Foreign,
    /// Write it anew.
    Write(Plan),
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Plan {
    /// Why.
    pub(super) why: Why,
    /// Whether a new CA is made. If not, that of the Secret stays.
    pub(super) new_authority: bool,
    /// What is to be served.
    pub(super) server: Server,
    /// The CAs that stay, beside a new one.
    pub(super) authorities: Vec<Certificate>,
}

/// What a Secret is to serve.
#[derive(Debug)]
pub(super) enum Server {
    /// This.
    Same(Box<Served>),
    /// A new certificate for these names, of the CA whose key the Secret holds so far.
    OfOld(Vec<String>),
    /// A new certificate for these names, of the new CA.
    OfNew(Vec<String>),
}

/// Why a Secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
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

/// Judges. What is then written is judged [`Verdict::Keep`] in the same situation.
pub(super) fn judge(contents: &Contents, held: &Held, situation: &Situation<'_>) -> Verdict {
    let remembered = situation.remembered;
    let absent = *contents == Contents::default();
    // Who keeps it may be about to write it anew.
    let was_foreign = absent && remembered.is_some_and(|before| before.foreign);
    if contents.is_foreign() || was_foreign {
        return Verdict::Foreign;
    }
    Judge {
        held,
        situation,
        absent,
    }
    .verdict()
}

struct Judge<'a> {
    held: &'a Held,
    situation: &'a Situation<'a>,
    absent: bool,
}

impl Judge<'_> {
    fn verdict(&self) -> Verdict {
        let now = self.situation.now;
        let signer = self.held.signer.as_ref().map(|signer| &signer.certificate);
        match signer.filter(|signer| signer.is_good_at(now)) {
            None => Verdict::Write(self.new_authority(None)),
            Some(signer) if now >= signer.two_thirds() => {
                Verdict::Write(self.new_authority(Some(signer)))
            }
            Some(signer) => self.certificate(signer),
        }
    }

    /// A new CA, beside the old one if that can still sign.
    fn new_authority(&self, old: Option<&Certificate>) -> Plan {
        let now = self.situation.now;
        let why = match old {
            Some(_) => Why::AuthorityDue,
            None if self.absent => Why::Absent,
            None => Why::NoAuthority,
        };
        let plan = |server, authorities| Plan {
            why,
            new_authority: true,
            server,
            authorities,
        };
        if let Some(found) = self.found() {
            let authorities = self.limited(self.living(&self.held.authorities), found, None);
            return match old {
                // It has to last until all callers trust the new one.
                Some(old) if found.is_of(old, now) => {
                    plan(Server::OfOld(self.all_names(found)), authorities)
                }
                _ => plan(Server::Same(Box::new(found.clone())), authorities),
            };
        }
        if let Some(before) = self.before() {
            let authorities = self.with_those_of(before, None);
            return plan(Server::Same(Box::new(before.served.clone())), authorities);
        }
        // Another replica may serve something that callers trust at the moment.
        let others = self.living(self.situation.in_force);
        let others = limit(others, MOST_AUTHORITIES - 1, |_| false);
        plan(Server::OfNew(self.situation.names.to_vec()), others)
    }

    /// The CA is as it should be: is the certificate?
    fn certificate(&self, signer: &Certificate) -> Verdict {
        let now = self.situation.now;
        let plan = |why, server, authorities| {
            Verdict::Write(Plan {
                why,
                new_authority: false,
                server,
                authorities,
            })
        };
        let names = self.situation.names.to_vec();
        let Some(found) = self.found() else {
            return match self.before() {
                Some(before) if !before.served.is_of(signer, now) => {
                    let authorities = self.with_those_of(before, Some(signer));
                    let same = Server::Same(Box::new(before.served.clone()));
                    plan(Why::NoCertificate, same, authorities)
                }
                _ => {
                    let broken = self.held.served.as_ref();
                    let names = broken.map_or(names, |broken| self.all_names(broken));
                    let authorities = self.bundle(signer, None);
                    plan(Why::NoCertificate, Server::OfOld(names), authorities)
                }
            };
        };
        let of_signer = found.is_of(signer, now);
        let authorities = self.bundle(signer, Some(found));
        if !of_signer && (self.situation.is_trusted)(signer) {
            plan(Why::AuthorityTrusted, Server::OfOld(names), authorities)
        } else if of_signer && now >= found.certificate.two_thirds() {
            plan(Why::CertificateDue, Server::OfOld(names), authorities)
        } else if !self.held.clean || authorities != self.held.authorities {
            let same = Server::Same(Box::new(found.clone()));
            plan(Why::Bundle, same, authorities)
        } else {
            Verdict::Keep
        }
    }

    /// The certificate of the Secret, if callers that trust its CAs believe it.
    fn found(&self) -> Option<&Served> {
        let situation = self.situation;
        let served = self.held.served.as_ref()?;
        let authorities = &self.held.authorities;
        let good = served.is_believed(authorities, situation.names, situation.now);
        good.then_some(served)
    }

    /// What was served before, if callers that trusted the CAs of then believe it still.
    fn before(&self) -> Option<&Remembered> {
        let situation = self.situation;
        let before = situation.remembered?;
        let served = &before.served;
        let good = served.is_believed(&before.authorities, situation.names, situation.now);
        good.then_some(before)
    }

    /// Which CAs callers are to trust: the one that signs, those of what is served, and, for as long
    /// as a certificate of theirs may be good or shown by a replica, those before.
    fn bundle(&self, signer: &Certificate, found: Option<&Served>) -> Vec<Certificate> {
        let situation = self.situation;
        let (now, backdated) = (situation.now, situation.lives.backdated);
        // None of theirs was made after the signer.
        let last_expires = later(later(signer.begin, backdated), situation.lives.server);
        let everybody_shows = |found: &Served| now >= later(found.certificate.begin, backdated * 2);
        let over = now >= last_expires && found.is_some_and(everybody_shows);
        let needed = |one: &Certificate| {
            one == signer || !over || found.is_some_and(|found| found.is_of(one, now))
        };
        let mut all = self.living(&self.held.authorities);
        all.retain(needed);
        match found {
            Some(found) => self.limited(all, found, Some(signer)),
            None => limit(all, MOST_AUTHORITIES, |one| one == signer),
        }
    }

    /// The Secret's CAs and those of what was served before.
    fn with_those_of(&self, before: &Remembered, signer: Option<&Certificate>) -> Vec<Certificate> {
        let mut all = self.living(&self.held.authorities);
        for one in self.living(&before.authorities) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        self.limited(all, &before.served, signer)
    }

    /// As many as there may be, with the signer; without one, as many as leave room for it.
    fn limited(
        &self,
        all: Vec<Certificate>,
        served: &Served,
        signer: Option<&Certificate>,
    ) -> Vec<Certificate> {
        let now = self.situation.now;
        let most = MOST_AUTHORITIES - usize::from(signer.is_none());
        let needed = |one: &Certificate| Some(one) == signer || served.is_of(one, now);
        limit(all, most, needed)
    }

    fn living(&self, all: &[Certificate]) -> Vec<Certificate> {
        let living = all.iter().filter(|one| self.situation.now < one.end);
        living.cloned().collect()
    }

    /// The names that are asked for, with those that another replica may have asked for: two that do
    /// not agree on the name of their Service then do not take turns.
    fn all_names(&self, other: &Served) -> Vec<String> {
        let now = self.situation.now;
        let mut names = self.situation.names.to_vec();
        let authorities = &self.held.authorities;
        if authorities.iter().any(|one| other.is_of(one, now)) {
            let more = other.certificate.names.iter();
            names.extend(
                more.filter(|name| !self.situation.names.contains(name))
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
