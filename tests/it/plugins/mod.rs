//! Networks' configurations, good and bad, through the real CNI plugins: what a plugin refuses a rule
//! refuses, and what it takes is taken; the exceptions are listed with their reasons.
//!
//! Needs root, `ip`, and Debian's containernetworking-plugins (1.1.1); else each trial shows as
//! ignored, by name, and so do those of what this kernel or this version does not know, with the
//! reason. Everything happens in a network namespace and on a veth pair of the test's own.

pub(crate) mod host;
mod injected;

use std::sync::{Arc, OnceLock};

use libtest_mimic::{Failed, Trial};
use nadmit::{admission::Verdict, catalog::Catalog, network::Network, rules::Policy};
use serde::Deserialize;
use serde_json::Value;

use self::host::{Host, MASTER_MAC};
use crate::support;

const CASES: &str = include_str!("../../fixtures/cases/plugins.json");

/// Where nadmit says otherwise than the plugins, on purpose.
const STRICTER: &[(&str, &str)] = &[
    (
        "tuning-mac-eight-bytes",
        "the plugin takes it, but Linux only the first six bytes of it",
    ),
    (
        "tuning-mac-twenty-bytes",
        "the plugin takes it, but Linux only the first six bytes of it",
    ),
    (
        "host-local-start-at-broadcast",
        "the plugin gives the broadcast address, and nothing after it",
    ),
];

/// One configuration.
#[derive(Deserialize, Clone)]
struct Case {
    id: String,
    /// The configuration; `MASTER`, its address `MASTERMAC`, and `BRIDGE` in it are the test's own
    /// interfaces.
    config: Value,
    /// The version of the plugins from which on they behave as the rule says.
    #[serde(default)]
    since: Option<String>,
    /// The kind of interface that the kernel has to know before the plugin says anything of use.
    #[serde(default)]
    needs: Option<String>,
    /// The project of a plugin that is not in the package: it is judged as its source says.
    #[serde(default)]
    absent: Option<String>,
    /// What nadmit answers, where not every machine can ask the plugin: this is tried everywhere.
    #[serde(default)]
    expected: Option<String>,
}

/// What is judged, but cannot be tried here, and why.
const NOT_TRIED: &[(&str, &str)] = &[
    ("dhcp", "needs its daemon and a server"),
    ("whereabouts", "not in the package"),
];

/// The version of the plugins that the tests run.
const INSTALLED: &str = "1.1.1";

pub(crate) fn trials() -> Vec<Trial> {
    let cases: Vec<Case> =
        serde_json::from_str(CASES).unwrap_or_else(|error| panic!("plugins.json: {error}"));
    for (id, _) in STRICTER {
        assert!(cases.iter().any(|case| case.id == *id), "no case {id}");
    }
    let rare = cases
        .iter()
        .filter(|c| c.since.is_some() || c.needs.is_some() || c.absent.is_some());
    let stated: Vec<Trial> = rare
        .map(|case| {
            let case = case.clone();
            Trial::test(format!("plugins::stated::{}", case.id), move || {
                stated(&case)
            })
        })
        .collect();
    let missing = !Host::is_possible();
    let host: SharedHost = Arc::default();
    let shared = Arc::clone(&host);
    let trials = cases.into_iter().map(|case| {
        let why = match (&case.since, &case.needs) {
            _ if case.absent.is_some() => {
                let project = case.absent.as_deref().unwrap_or_default();
                Some(format!("{project} is not in the package"))
            }
            _ if missing => Some("without root, ip or the plugins".to_owned()),
            (Some(since), _) if &**since > INSTALLED => Some(format!("since {since}")),
            (_, Some(link)) if !Host::knows(link) => Some(format!("the kernel has no {link}")),
            _ => None,
        };
        let host = Arc::clone(&shared);
        let trial = Trial::test(format!("plugins::{}", case.id), move || run(&case, &host));
        let ignored = trial.with_ignored_flag(why.is_some());
        match why {
            Some(why) => ignored.with_kind(why),
            None => ignored,
        }
    });
    let absent = NOT_TRIED.iter().map(|(kind, why)| {
        Trial::test(format!("plugins::{kind}"), || Ok(()))
            .with_kind(*why)
            .with_ignored_flag(true)
    });
    let injected = injected::trial(missing, Arc::clone(&host));
    let mut all: Vec<Trial> = trials.chain(absent).chain(stated).collect();
    all.push(injected);
    all
}

/// Made once, by the first trial that needs it.
type SharedHost = Arc<OnceLock<Result<Host, String>>>;

fn made(host: &SharedHost) -> Result<&Host, Failed> {
    let host = host.get_or_init(|| Host::new().map_err(|error| format!("{error:?}")));
    Ok(host.as_ref().map_err(|error| error.clone())?)
}

fn run(case: &Case, host: &SharedHost) -> Result<(), Failed> {
    let host = made(host)?;
    let text = case
        .config
        .to_string()
        .replace("MASTERMAC", MASTER_MAC)
        .replace("MASTER", &host.master)
        .replace("BRIDGE", &host.bridge);
    let plugins = host.add(&case.id, &text)?;
    if let Err(said) = &plugins
        && said.contains("operation not supported")
    {
        return Err(format!("it is the kernel that refuses: write \"needs\": {said}").into());
    }
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

fn stated(case: &Case) -> Result<(), Failed> {
    let (verdict, said) = judged(&case.config.to_string())?;
    if case.expected.as_deref() == Some(verdict.name()) {
        return Ok(());
    }
    Err(format!(
        "expected {:?}, got {}\n{said}",
        case.expected,
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
