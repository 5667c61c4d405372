//! Networks' own configurations: known verdicts, and properties of generated ones.
//!
//! - [`verdicts`]: those of nadmit's sources (specification, plugins, Whereabouts executed).
//! - [`models`]: configurations built from the plugins' documentation are never denied.
//! - [`mistakes`]: each single mistake in a model is found by its rule.
//! - [`anything`]: nothing panics or takes long on any other input.

mod anything;
mod mistakes;
mod models;
mod verdicts;

pub(crate) use self::verdicts::{VerdictCase, cases};
use libtest_mimic::Trial;
use nadmit::{admission::AdmissionResponse, catalog::Catalog, network::Network, rules::Policy};

use crate::support;

pub(crate) fn tests() -> Vec<Trial> {
    let all = [
        verdicts::tests(),
        models::tests(),
        anything::tests(),
        mistakes::tests(),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the response to the creation of this network.
pub(crate) fn judged(name: &str, config: &str) -> Result<AdmissionResponse, String> {
    let body = support::create_network(&Network::new("db", name, Some(config)), Some(config));
    support::answer(&body, &Catalog::default(), &Policy::default())
}
