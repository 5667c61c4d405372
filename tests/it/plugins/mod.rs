//! Networks' configurations, good and bad, through the real CNI plugins: a rule denies what a
//! plugin rejects, and allows what it accepts; exceptions are listed with their reasons.
//!
//! Needs root, `ip`, and Debian's containernetworking-plugins (1.1.1); otherwise each test is
//! ignored, by name, and so are configurations that this kernel or this version does not support,
//! with the reason. `plugins::pinned::` runs the same tests with the release that
//! `tests/real/build.sh plugins` builds. Everything happens in a network namespace and on a veth
//! pair of the test's own.

pub(crate) mod host;
mod injected;

use std::sync::{Arc, OnceLock};

use libtest_mimic::{Failed, Trial};
use nadmit::{admission::Verdict, catalog::Catalog, network::Network, rules::Policy};
use serde::Deserialize;
use serde_json::Value;

use self::host::{MASTER_MAC, PluginHost, PluginRelease, parse_version};
use crate::support;
use crate::support::TestResult;

const CASES: &str = include_str!("../../fixtures/cases/plugins.json");

/// Deliberate differences between nadmit and the plugins.
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
struct PluginCase {
    id: String,
    /// The configuration, in which `MASTER`, its address `MASTERMAC`, and `BRIDGE` stand for the
    /// test's own interfaces.
    config: Value,
    /// The first version of the plugins that behaves as the rule says.
    #[serde(default)]
    since: Option<String>,
    /// The first version of the plugins that rejects it; older ones accept it, and nadmit warns.
    #[serde(default)]
    refused_since: Option<String>,
    /// The kind of interface that the kernel has to support for a meaningful result.
    #[serde(default)]
    needs: Option<String>,
    /// The project of a plugin that is not in the package: its verdict follows from its source.
    #[serde(default)]
    absent: Option<String>,
    /// nadmit's verdict, where not every machine can run the plugin: this is checked everywhere.
    #[serde(default)]
    expected: Option<String>,
}

/// Plugins that have rules, but cannot be run here, and the reasons.
const NOT_TRIED: &[(&str, &str)] = &[("dhcp", "needs its daemon and a server")];

pub(crate) fn tests() -> Vec<Trial> {
    let cases: Vec<PluginCase> =
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
    let absent = NOT_TRIED.iter().map(|(kind, why)| {
        Trial::test(format!("plugins::{kind}"), || Ok(()))
            .with_kind(*why)
            .with_ignored_flag(true)
    });
    let packaged = of_release("plugins", Some(PluginRelease::packaged()), &cases);
    let pinned = of_release("plugins::pinned", PluginRelease::pinned(), &cases);
    packaged
        .into_iter()
        .chain(pinned)
        .chain(absent)
        .chain(stated)
        .collect()
}

/// Returns a test for each configuration with one release of the plugins.
fn of_release(group: &str, plugins: Option<PluginRelease>, cases: &[PluginCase]) -> Vec<Trial> {
    let plugins = plugins.filter(PluginRelease::can_run);
    let host: SharedHost = Arc::default();
    let tests = cases.iter().map(|case| {
        let why = why_not(case, plugins.as_ref());
        let (case, host, plugins) = (case.clone(), Arc::clone(&host), plugins.clone());
        let test = Trial::test(format!("{group}::{}", case.id), move || {
            run(&case, &plugins.ok_or("no plugins")?, &host)
        });
        match why {
            Some(why) => test.with_kind(why).with_ignored_flag(true),
            None => test,
        }
    });
    let injected = injected::test(group, plugins.clone(), Arc::clone(&host));
    tests.chain([injected]).collect()
}

/// Returns the reason why a configuration is not run.
fn why_not(case: &PluginCase, plugins: Option<&PluginRelease>) -> Option<String> {
    if let Some(project) = &case.absent {
        return Some(format!("{project} is not in the package"));
    }
    let Some(plugins) = plugins else {
        return Some("without root, ip or the plugins".to_owned());
    };
    let later = case.since.as_deref().filter(|since| {
        let version = parse_version(since);
        version.is_none_or(|since| since > plugins.version)
    });
    match (later, case.needs.as_deref()) {
        (Some(since), _) => Some(format!("since {since}")),
        (_, Some(link)) if !PluginHost::knows(link) => Some(format!("the kernel has no {link}")),
        _ => None,
    }
}

/// Created once, by the first test that needs it.
type SharedHost = Arc<OnceLock<Result<PluginHost, String>>>;

fn made<'h>(host: &'h SharedHost, plugins: &PluginRelease) -> Result<&'h PluginHost, Failed> {
    let host =
        host.get_or_init(|| PluginHost::new(plugins.clone()).map_err(|error| format!("{error:?}")));
    Ok(host.as_ref().map_err(|error| error.clone())?)
}

fn run(case: &PluginCase, release: &PluginRelease, host: &SharedHost) -> TestResult {
    let host = made(host, release)?;
    let text = case
        .config
        .to_string()
        .replace("MASTERMAC", MASTER_MAC)
        .replace("MASTER", &host.master)
        .replace("BRIDGE", &host.bridge);
    let plugins = host.add(&case.id, &text)?;
    if let Err(printed) = &plugins
        && printed.contains("operation not supported")
    {
        return Err(format!("it is the kernel that refuses: write \"needs\": {printed}").into());
    }
    let (verdict, printed) = judged(&text)?;
    let refuses = verdict == Verdict::Deny;
    let stricter = STRICTER.iter().any(|(id, _)| *id == case.id);
    let refused_since = case.refused_since.as_deref().and_then(parse_version);
    let agree = match (&plugins, refused_since) {
        (_, Some(since)) => {
            verdict == Verdict::Warn && plugins.is_err() == (release.version >= since)
        }
        // A configuration that a newer release rejects as well is stricter only with an older one.
        (Ok(()), None) => refuses == stricter,
        (Err(_), None) => refuses,
    };
    if agree {
        return Ok(());
    }
    Err(format!(
        "the plugins say {plugins:?}, nadmit {}\n{printed}{text}",
        verdict.name()
    )
    .into())
}

fn stated(case: &PluginCase) -> TestResult {
    let (verdict, printed) = judged(&case.config.to_string())?;
    if case.expected.as_deref() == Some(verdict.name()) {
        return Ok(());
    }
    Err(format!(
        "expected {:?}, got {}\n{printed}",
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
