//! `coverage`: every rule has a case and an example.

use std::{collections::BTreeSet, path::Path};

use libtest_mimic::{Failed, Trial};
use nadmit::rules::{Check, Levels, RULES, Rule, registry};

use crate::{case::CaseFile, examples::WRONG};

/// The source of the scenarios.
const SCENARIOS: &str = include_str!("scenarios/mod.rs");

/// Returns the two tests.
pub(crate) fn tests(cases: &[CaseFile]) -> [Trial; 2] {
    let expected: BTreeSet<String> = cases
        .iter()
        .flat_map(|case| case.expect.denied.iter().chain(&case.expect.warned))
        .map(|expected_finding| expected_finding.code.clone())
        .collect();
    // A wrong network or pool in the examples would be served with them.
    let of_networks = |code: &str| {
        registry::find(code).is_some_and(|rule| {
            let check = rule.check;
            matches!(
                check,
                Check::Network(_)
                    | Check::NetworkAndPod { .. }
                    | Check::NetworkAndPool { .. }
                    | Check::Pool(_)
                    | Check::PoolChange(_)
                    | Check::Reservation(_)
                    | Check::NetworkDelete(_)
                    | Check::NetworkUpdate(_)
                    | Check::Operator(_)
                    | Check::ConfigMap(_)
            )
        })
    };
    // The servers run with the default settings.
    let silent = |code: &str| registry::find(code).is_some_and(|r| r.levels == Levels::OFF);
    // Templates are not pods; `tests/it` checks these.
    let of_workloads = |code: &str| {
        let path = Path::new("deploy/examples/workloads/wrong");
        path.join(format!("{code}.yaml")).is_file()
    };
    // Scenarios cover rules that need several requests. A server never shows a pool that is not
    // ready: it adopts its pools before it serves.
    let of_allocations = |code: &str| {
        let expected_finding = registry::find(code)
            .is_some_and(|rule| matches!(rule.check, Check::PoolChange(_) | Check::Allocation(_)));
        expected_finding && (code == "pool-not-ready" || SCENARIOS.contains(&format!("{code:?}")))
    };
    // `tests/it/binding` covers rules that need a cluster.
    let of_clusters = |code: &str| {
        let binding = |r: &Rule| matches!(r.check, Check::Binding(_));
        code == "injection-not-enabled" || registry::find(code).is_some_and(binding)
    };
    // An example is one object, and this needs two.
    let of_two_pods = |code: &str| code == "duplicate-address";
    // Where it denies, rules on the annotation's text deny, too; its case is in a namespace with
    // mode warn.
    let never_alone = |code: &str| code == "pool-request-unreadable";
    let example = move |code: &str| {
        never_alone(code)
            || of_networks(code)
            || of_clusters(code)
            || of_allocations(code)
            || of_workloads(code)
            || of_two_pods(code)
            || Path::new(WRONG).join(format!("{code}.yaml")).is_file()
    };
    [
        test("every_rule_has_a_case", move |code| {
            silent(code) || of_allocations(code) || of_clusters(code) || expected.contains(code)
        }),
        test("every_rule_has_an_example", example),
    ]
}

fn test(name: &str, covers: impl Fn(&str) -> bool + Send + 'static) -> Trial {
    Trial::test(format!("coverage::{name}"), move || {
        let bare = RULES.iter().map(|rule| rule.code);
        let bare: Vec<&str> = bare.filter(|code| !covers(code)).collect();
        if bare.is_empty() {
            return Ok(());
        }
        Err(Failed::from(format!(
            "these rules have none: {}",
            bare.join(", ")
        )))
    })
}
