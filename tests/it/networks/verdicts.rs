//! Configurations with known verdicts.

use libtest_mimic::Trial;
use serde::Deserialize;

use super::judged;
use crate::support;
use crate::support::TestResult;

const CASES: &str = include_str!("../../fixtures/cases/networks.json");

/// Cases in which a rule differs from the source, each with the reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "whereabouts-non-whereabouts-ipam",
        "allow",
        "another IPAM is valid for the network, only not for Whereabouts",
    ),
    (
        "whereabouts-no-ipam-key",
        "allow",
        "Whereabouts is not called at all without ipam",
    ),
    (
        "whereabouts-dash-syntax-overrides-range-start-range-end",
        "warn",
        "invalid-whereabouts-range: says that the bounds are passed over",
    ),
    (
        "whereabouts-kubeconfig-missing-everywhere",
        "allow",
        "the kubeconfig may stand in a file on the node, which is the usual way",
    ),
    (
        "whereabouts-32-accepted-at-load",
        "deny",
        "invalid-whereabouts-range: it loads, and then fails each pod (net mask is too short)",
    ),
];

#[derive(Deserialize, Clone)]
pub(crate) struct VerdictCase {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) config: String,
    expected: String,
}

pub(crate) fn cases() -> Vec<VerdictCase> {
    serde_json::from_str(CASES).unwrap_or_else(|error| panic!("networks.json: {error}"))
}

pub(super) fn tests() -> Vec<Trial> {
    let cases = cases();
    for (id, ..) in DIFFERENCES {
        assert!(cases.iter().any(|case| case.id == *id), "no case {id}");
    }
    let known = cases.into_iter();
    known
        .map(|case| Trial::test(format!("networks::{}", case.id), move || verdict(&case)))
        .collect()
}

fn verdict(case: &VerdictCase) -> TestResult {
    let known = DIFFERENCES.iter().find(|(id, ..)| *id == case.id);
    let expected = known.map_or(&*case.expected, |(_, ours, _)| ours);
    let answer = judged(&case.name, &case.config)?;
    let verdict = answer.verdict();
    if verdict.name() == expected {
        return Ok(());
    }
    let findings = support::lines(&answer);
    Err(format!("expected {expected}, got {}\n{findings}", verdict.name()).into())
}
