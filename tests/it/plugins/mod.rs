//! Networks' configurations, good and bad, through the real CNI plugins: what a plugin refuses a rule
//! refuses, and what it takes is taken; the exceptions are listed with their reasons.
//!
//! Needs root, `ip`, and Debian's containernetworking-plugins (1.1.1); else each trial shows as
//! ignored, by name. Everything happens in a network namespace and on a veth pair of the test's own.

mod host;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use nadmit::{admission::Verdict, catalog::Catalog, network::Network, rules::Policy};
use serde::Deserialize;
use serde_json::Value;

use self::host::Host;
use crate::support;

const CASES: &str = include_str!("../../fixtures/cases/plugins.json");

/// Where nadmit says otherwise than the plugins, on purpose.
const STRICTER: &[(&str, &str)] = &[(
    "static-gateway-outside",
    "the plugin does not look; the route would lead nowhere",
)];

/// One configuration.
#[derive(Deserialize, Clone)]
struct Case {
    id: String,
    /// The configuration; `MASTER` and `BRIDGE` in it are the test's own interfaces.
    config: Value,
    /// The version of the plugins from which on they behave as the rule says.
    #[serde(default)]
    since: Option<String>,
}

/// The version of the plugins that the tests run.
const INSTALLED: &str = "1.1.1";

pub(crate) fn trials() -> Vec<Trial> {
    let cases: Vec<Case> =
        serde_json::from_str(CASES).unwrap_or_else(|error| panic!("plugins.json: {error}"));
    for (id, _) in STRICTER {
        assert!(cases.iter().any(|case| case.id == *id), "no case {id}");
    }
    let missing = !Host::is_possible();
    let host = Arc::new(std::sync::OnceLock::new());
    cases
        .into_iter()
        .map(|case| {
            let later = case.since.as_deref().is_some_and(|since| since > INSTALLED);
            let host = host.clone();
            Trial::test(format!("plugins::{}", case.id), move || run(&case, &host))
                .with_ignored_flag(missing || later)
        })
        .collect()
}

fn run(case: &Case, host: &std::sync::OnceLock<Result<Host, String>>) -> Result<(), Failed> {
    let host = host.get_or_init(|| Host::new().map_err(|error| format!("{error:?}")));
    let host = host.as_ref().map_err(|error| error.clone())?;
    let text = case
        .config
        .to_string()
        .replace("MASTER", &host.master)
        .replace("BRIDGE", &host.bridge);
    let plugins = host.add(&case.id, &text)?;
    let (verdict, said) = judged(&text)?;
    let refuses = verdict == Verdict::Deny;
    let stricter = STRICTER.iter().any(|(id, _)| *id == case.id);
    let agree = match &plugins {
        Ok(()) => refuses == stricter,
        Err(_) => refuses && !stricter,
    };
    if agree {
        return Ok(());
    }
    Err(format!(
        "the plugins say {plugins:?}, nadmit {}\n{said}{text}",
        verdict.name()
    )
    .into())
}

fn judged(config: &str) -> Result<(Verdict, String), Failed> {
    let network = Network::new("db", "net", Some(config));
    let body = support::create_network(&network, Some(config));
    let answer = support::answer(&body, &Catalog::default(), &Policy::default())?;
    Ok((answer.verdict(), support::lines(&answer)))
}
