//! Rules on address pools: on their spec, their overlaps and their changes.

pub mod in_use;
pub mod invalid;
pub(crate) mod mac_overlap;
pub mod overlap;
pub(crate) mod settings_overlap;
pub(crate) mod unknown_key;
pub mod whereabouts;

use nadmit_allocation::{Address, Holder, ParsedSpec, Pool, SpecError, UnknownKey, spec::PoolSpec};
use nadmit_catalog::{Catalog, most_similar};

use super::finding::FieldRef;

pub use self::whereabouts::{WhereaboutsOverlap, whereabouts_overlaps};

/// The maximum length of a key for which a similar one is searched.
const MAX_KEY_LENGTH: usize = 40;

/// A pool to be created or changed.
#[derive(Debug)]
pub struct PoolSubject<'a> {
    /// The name of the pool.
    pub name: &'a str,
    /// The spec as parsed, with unknown keys and type errors.
    pub parsed: &'a ParsedSpec<PoolSpec>,
    /// The validated pool, or its faults.
    pub pool: Result<Pool, Vec<SpecError>>,
    /// The known pools and networks; this pool may be among them, as it was before an update.
    pub catalog: &'a Catalog,
}

/// The change or deletion of a pool with held addresses.
#[derive(Debug)]
pub struct PoolChangeSubject<'a> {
    /// The name of the pool.
    pub name: &'a str,
    /// The pool before the change; `None` if it was not valid.
    pub before: Option<&'a Pool>,
    /// The pool after the change; `None` if it is deleted.
    pub after: Option<&'a Pool>,
    /// The addresses that are held from the pool.
    pub holdings: &'a PoolHoldings,
}

/// A summary of the addresses that are held from a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolHoldings {
    /// The number of held addresses and MACs.
    pub count: u64,
    /// The number of held addresses and MACs that the changed pool would not assign.
    pub outside: u64,
    /// The first ten of these.
    pub some_outside: Vec<HeldAddress>,
}

/// An address and its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddress {
    /// The address or MAC.
    pub address: Address,
    /// The holder of the address.
    pub holder: Holder,
}

impl<'a> PoolSubject<'a> {
    /// Validates the spec of a pool.
    pub fn new(name: &'a str, parsed: &'a ParsedSpec<PoolSpec>, catalog: &'a Catalog) -> Self {
        Self {
            name,
            parsed,
            pool: parsed.pool(name),
            catalog,
        }
    }
}

/// Returns a reference to a field of `spec`.
pub(super) fn spec_field(path: &str) -> FieldRef<'static> {
    let dot = if path.is_empty() { "" } else { "." };
    FieldRef {
        field: format!("spec{dot}{path}"),
        source: None,
    }
}

/// Returns message and remedy for a fault. A reason that begins with a verb gets the field as its subject.
pub(super) fn fault_message(fault: &SpecError) -> (String, String) {
    let (what, instead) = match fault.reason.rsplit_once("; ") {
        Some((what, instead)) => (what, instead),
        None => (&*fault.reason, "correct or remove it"),
    };
    let verb = ["is ", "must be ", "needs ", "has "]
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

/// Returns the remedy for an unknown key.
pub(super) fn unknown_key_help(unknown: &UnknownKey) -> String {
    let similar = (unknown.key.len() <= MAX_KEY_LENGTH)
        .then(|| most_similar(&unknown.key, unknown.known_keys.iter().copied()))
        .flatten();
    match similar {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => format!(
            "remove it; the keys here are {}",
            unknown.known_keys.join(", ")
        ),
    }
}
