//! Networks' own configurations: known verdicts, and properties of generated ones.
//!
//! - [`verdicts`]: those of nadmit's sources (specification, plugins, Whereabouts executed).
//! - [`models`]: what is built from the plugins' documentation is never denied.
//! - [`mistakes`]: each single mistake put into a model is found by the rule that is meant for it.
//! - [`anything`]: nothing breaks on anything else, and nothing takes long.

mod anything;
mod mistakes;
mod models;
mod verdicts;

pub(crate) use self::verdicts::{Case, cases};
use libtest_mimic::Trial;
use nadmit::{admission::Answer, catalog::Catalog, network::Network, rules::Policy};

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    let all = [
        verdicts::trials(),
        models::trials(),
        anything::trials(),
        mistakes::trials(),
    ];
    all.into_iter().flatten().collect()
}

/// The answer to the creation of this network.
pub(crate) fn judged(name: &str, config: &str) -> Result<Answer, String> {
    let body = support::create_network(&Network::new("db", name, Some(config)), Some(config));
    support::answer(&body, &Catalog::default(), &Policy::default())
}
