//! Rules that compare a network with the others, among very many of them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use nadmit::{admission::Verdict, catalog::Catalog, network::Network, rules::Policy};

use crate::support;

/// Longer than a debug build needs on a slow machine, and shorter than any scan by text.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("networks::ten_thousand_apart", || {
            let range = |i: usize| format!("10.{}.{}.0/24", i / 256, i % 256);
            compare(range, "10.7.7.0/24", 1)
        }),
        Trial::test("networks::ten_thousand_in_one_range", || {
            compare(|_| "10.0.0.0/8".to_owned(), "10.7.7.0/24", 10)
        }),
    ]
}

/// Checks a network of another name against ten thousand others; `denied` is how many of them it
/// is refused for.
fn compare(range: fn(usize) -> String, own: &str, denied: usize) -> Result<(), Failed> {
    let config = |range: &str, name: &str| {
        format!(
            r#"{{"type": "macvlan", "master": "eth1", "ipam": {{"type": "whereabouts",
                "range": "{range}", "network_name": "{name}"}}}}"#
        )
    };
    let network = |i| {
        Arc::new(Network::new(
            "db",
            &format!("net-{i}"),
            Some(&config(&range(i), "shared")),
        ))
    };
    let catalog = Catalog::new([], (0..10_000).map(network), []);
    let config = config(own, "mine");
    let network = Network::new("web", "mine", Some(&config));
    let body = support::create_network(&network, Some(&config));
    for round in ["first", "second"] {
        let begun = Instant::now();
        let answer = support::answer(&body, &catalog, &Policy::default())?;
        let elapsed = begun.elapsed();
        println!("{round} look: {elapsed:?}");
        let found = answer.findings().iter();
        let found = found.filter(|f| f.code == "overlapping-ranges").count();
        if (answer.verdict(), found) != (Verdict::Deny, denied) || elapsed > PATIENCE {
            return Err(format!("{found} in {elapsed:?}\n{}", support::lines(&answer)).into());
        }
    }
    Ok(())
}
