//! Rules on address pools: what one says by itself, beside the others, and when it changes.

pub mod in_use;
pub mod invalid;
pub mod mac_overlap;
pub mod overlap;
pub mod unknown_key;
pub mod whereabouts;

use std::sync::Arc;

use crate::{
    allocation::{Address, Holder, ParsedSpec, Pool, SpecError, UnknownKey, spec::PoolSpec},
    catalog::{Catalog, most_similar},
};

use super::finding::FieldRef;

pub use self::whereabouts::{WhereaboutsOverlap, whereabouts_overlaps};

/// A longer key is none that there is, misspelt or not.
const MAX_KEY_LENGTH: usize = 40;

/// A pool as it is to be.
#[derive(Debug)]
pub struct PoolSubject<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is written.
    pub parsed: &'a ParsedSpec<PoolSpec>,
    /// What that means, or what is wrong with it.
    pub pool: Result<Pool, Vec<SpecError>>,
    /// The pools there are; this one may be among them, as it was.
    pub catalog: &'a Catalog,
}

/// A pool that changes or goes while addresses of it may be held.
#[derive(Debug)]
pub struct PoolChangeSubject<'a> {
    /// Its name.
    pub name: &'a str,
    /// The pool as it was; `None` if it made no sense.
    pub before: Option<&'a Pool>,
    /// As it is to be; `None` when it is deleted.
    pub after: Option<&'a Pool>,
    /// What is held from it.
    pub holdings: &'a PoolHoldings,
}

/// What is held from a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolHoldings {
    /// How many addresses and MACs are held.
    pub count: u64,
    /// How many of them the pool would not give as it is to be.
    pub outside: u64,
    /// The first of those, up to ten.
    pub some_outside: Vec<HeldAddress>,
}

/// An address that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddress {
    /// The address.
    pub address: Address,
    /// Who holds it.
    pub holder: Holder,
}

impl<'a> PoolSubject<'a> {
    /// The pool of these words.
    pub fn new(name: &'a str, parsed: &'a ParsedSpec<PoolSpec>, catalog: &'a Catalog) -> Self {
        Self {
            name,
            parsed,
            pool: parsed.pool(name),
            catalog,
        }
    }

    /// The other pools that make sense, by name.
    pub fn others(&self) -> impl Iterator<Item = &'a Arc<Pool>> {
        let own = self.name;
        let pools = self.catalog.pool_config().pools.values();
        pools.filter(move |pool| &*pool.name != own)
    }
}

/// A place under `spec`.
pub(super) fn spec_field(path: &str) -> FieldRef<'static> {
    let dot = if path.is_empty() { "" } else { "." };
    FieldRef {
        field: format!("spec{dot}{path}"),
        source: None,
    }
}

/// What is wrong, and what to write instead. A reason that begins with a verb gets its subject.
pub(super) fn fault_message(fault: &SpecError) -> (String, String) {
    let (what, instead) = match fault.reason.rsplit_once("; ") {
        Some((what, instead)) => (what, instead),
        None => (&*fault.reason, "correct or remove it"),
    };
    let verb = ["is ", "needs ", "has "]
        .iter()
        .any(|verb| what.starts_with(verb));
    let member = fault.path.rsplit('.').next().unwrap_or_default();
    let what = match (verb, member) {
        (true, "") => format!("spec {what}"),
        (true, member) => format!("{member} {what}"),
        (false, _) => what.to_owned(),
    };
    (what, instead.to_owned())
}

/// What to write instead of a key that means nothing.
pub(super) fn unknown_key_help(unknown: &UnknownKey) -> String {
    let similar = (unknown.key.len() <= MAX_KEY_LENGTH)
        .then(|| most_similar(&unknown.key, unknown.known.iter().copied()))
        .flatten();
    match similar {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => format!("remove it; the keys here are {}", unknown.known.join(", ")),
    }
}
