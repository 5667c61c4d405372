//! The profile `multus` denies nothing that Multus and the plugins would start, and `strict` denies
//! everything that the spec forbids.

use libtest_mimic::Trial;
use nadmit::rules::Profile;

use crate::annotations::{AnnotationCase, cases};
use crate::support::TestResult;

/// Cases that Multus's parser accepts, but in which the plugin or Linux fails later.
const FAIL_LATER: &[(&str, &str)] = &[
    ("spec-4.1.2", "static refuses an address without its prefix"),
    ("spec-4.1.2.1.8.1", "static has no address to give"),
    ("spec-4.1.2.1.10.1", "static has no address to give"),
    (
        "spec-portmap-range",
        "static has no address to give, and portmap refuses port 0",
    ),
    ("spec-portmap-proto", "static has no address to give"),
    ("probe-if-lo", "the pod has an interface lo already"),
];

/// Cases that the spec forbids, but that nadmit cannot detect.
const UNDETECTABLE: &[(&str, &str)] = &[(
    "spec-4.1.2-nocap",
    "the plugin is not one that nadmit knows: it may take ips and mac",
)];

pub(crate) fn tests() -> Vec<Trial> {
    let cases = cases();
    for (id, _) in FAIL_LATER.iter().chain(UNDETECTABLE) {
        assert!(cases.iter().any(|case| case.id() == *id), "no case {id}");
    }
    let test = |case: AnnotationCase| {
        Trial::test(format!("profiles::multus::{}", case.id()), move || {
            multus(&case)
        })
    };
    let strict = cases
        .clone()
        .into_iter()
        .filter(|case| case.spec_objects)
        .map(|case| {
            Trial::test(format!("profiles::strict::{}", case.id()), move || {
                strict(&case)
            })
        });
    strict.chain(cases.into_iter().map(test)).collect()
}

fn multus(case: &AnnotationCase) -> TestResult {
    let (verdict, findings) = case.verdict(Profile::Multus)?;
    let starts = case.multus == "allow" && !FAIL_LATER.iter().any(|(id, _)| *id == case.id());
    if starts == (verdict != "deny") {
        return Ok(());
    }
    Err(format!(
        "Multus says {}, the profile {verdict}\n{findings}",
        case.multus
    )
    .into())
}

fn strict(case: &AnnotationCase) -> TestResult {
    let (verdict, findings) = case.verdict(Profile::Strict)?;
    let known = !UNDETECTABLE.iter().any(|(id, _)| *id == case.id());
    if known == (verdict == "deny") {
        return Ok(());
    }
    Err(format!("the spec objects, strict says {verdict}\n{findings}").into())
}
