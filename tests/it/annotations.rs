//! Annotations with known verdicts: what Multus v4.3.0 does with them when executed, and what an
//! admission check should report. Each case is a test with its own isolation settings.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use nadmit::{
    catalog::Catalog,
    network::{Network, annotations},
    rules::{NamespaceIsolation, Policy, Profile},
};
use serde::Deserialize;
use serde_json::json;

use crate::support;
use crate::support::TestResult;

const CASES: &str = include_str!("../fixtures/cases/annotations.json");

/// Cases in which a rule differs from the expectation, each with the reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "multus-default-route",
        "warn",
        "default-route-moved reminds users who move the default route",
    ),
    (
        "probe-default-route-v4-v6",
        "warn",
        "default-route-moved, as above",
    ),
    (
        "spec-4.1.2",
        "deny",
        "ip-without-prefix: the network's IPAM is static, which fails without",
    ),
    (
        "spec-4.1.2-nocap",
        "allow",
        "the plugin is not one that nadmit knows: it may take ips and mac",
    ),
    (
        "spec-4.1.2.1.8.1",
        "deny",
        "no-address: the network's IPAM is static, with no address at all",
    ),
    ("spec-4.1.2.1.10.1", "deny", "no-address, as above"),
    (
        "spec-4.1.2.1.11-both",
        "warn",
        "ips-with-claim: Multus starts the pod; denied in strict",
    ),
    (
        "spec-ips-empty",
        "warn",
        "empty-request: Multus starts the pod; denied in strict",
    ),
    (
        "probe-nad-caps-in-ipam",
        "warn",
        "capability-by-fallback: static takes ips by CNI_ARGS",
    ),
    (
        "probe-nad-caps-top-of-conflist",
        "warn",
        "capability-by-fallback, as above",
    ),
    (
        "probe-nad-type-and-plugins",
        "allow",
        "the network's own matter; its pods get what type says",
    ),
];

/// An annotation with its verdict.
#[derive(Deserialize, Clone)]
pub(crate) struct AnnotationCase {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) annotation: Option<String>,
    pub(crate) default_network: Option<String>,
    pub(crate) networks: Vec<CaseNetwork>,
    pub(crate) namespace_isolation: bool,
    pub(crate) global_namespaces: Option<Vec<Box<str>>>,
    pub(crate) multus: String,
    #[serde(default)]
    pub(crate) spec_objects: bool,
    expected: String,
}

#[derive(Deserialize, Clone)]
pub(crate) struct CaseNetwork {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) config: Option<String>,
}

pub(crate) fn cases() -> Vec<AnnotationCase> {
    serde_json::from_str(CASES).unwrap_or_else(|error| panic!("annotations.json: {error}"))
}

pub(crate) fn tests() -> Vec<Trial> {
    let known = |case: &AnnotationCase| DIFFERENCES.iter().find(|(id, ..)| *id == case.id);
    let cases = cases();
    for (id, ..) in DIFFERENCES {
        assert!(cases.iter().any(|case| case.id == *id), "no case {id}");
    }
    cases
        .into_iter()
        .map(|case| {
            let expected =
                known(&case).map_or(case.expected.clone(), |(_, ours, _)| (*ours).into());
            Trial::test(format!("annotations::{}", case.id), move || {
                run(&case, &expected)
            })
        })
        .collect()
}

fn run(case: &AnnotationCase, expected: &str) -> TestResult {
    let (verdict, findings) = case.verdict(Profile::Default)?;
    if verdict == expected {
        return Ok(());
    }
    Err(format!("expected {expected}, got {verdict}\n{findings}").into())
}

impl AnnotationCase {
    /// Returns the verdict in a profile, and the findings.
    pub(crate) fn verdict(&self, profile: Profile) -> Result<(String, String), Failed> {
        let networks = self.networks.iter().map(|network| {
            Arc::new(Network::new(
                &network.namespace,
                &network.name,
                network.config.as_deref(),
            ))
        });
        let catalog = Catalog::new([], networks, []);
        let mut policy = Policy::of(profile);
        policy.namespace_isolation = Some(NamespaceIsolation::of(self.namespace_isolation));
        if let Some(global) = &self.global_namespaces {
            policy.global_namespaces = global.iter().cloned().collect();
        }
        let mut pod =
            json!({"metadata": {"name": "p", "namespace": self.namespace, "annotations": {}}});
        let given = [
            (annotations::NETWORKS, &self.annotation),
            (annotations::DEFAULT_NETWORK, &self.default_network),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                pod["metadata"]["annotations"][key] = json!(value);
            }
        }
        let answer = support::answer(&support::create(&pod), &catalog, &policy)?;
        Ok((answer.verdict().name().to_owned(), support::lines(&answer)))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}
