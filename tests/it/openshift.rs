//! The additional networks of OpenShift's operator, and the findings on its documentation's
//! examples.

use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};
use nadmit::{catalog::Catalog, manifests, network::operator, rules::Policy};
use serde_json::{Value, json};

use crate::support;
use crate::support::TestResult;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["openshift";
        the_dhcp_shim_is_right,
        the_broken_dual_stack_is_placed,
        entries_are_compared_with_each_other,
        a_rendered_field_is_named_as_written,
    ]
}

fn seed(name: &str) -> Result<String, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seed-examples");
    Ok(fs::read_to_string(folder.join(name))?)
}

/// Returns the response of `/validate` to the object in this YAML, and its errors as a manifest.
fn review_yaml(yaml: &str) -> Result<(String, Vec<String>), Failed> {
    let object: Value = serde_saphyr::from_str(yaml)?;
    let read = manifests::read(yaml, "cno.yaml");
    let errors = read.errors.iter().map(ToString::to_string).collect();
    Ok((review(&object)?, errors))
}

fn review(object: &Value) -> Result<String, Failed> {
    let body = support::create_other(object, operator::GROUP, "networks");
    let answer = support::answer(&body, &Catalog::default(), &Policy::default())?;
    Ok(support::lines(&answer))
}

fn expect(what: &str, got: &str, parts: &[&str]) -> TestResult {
    let missing: Vec<_> = parts.iter().filter(|part| !got.contains(**part)).collect();
    if missing.is_empty() && got.is_empty() == parts.is_empty() {
        return Ok(());
    }
    Err(format!("{what}: {missing:?} is not in\n{got}").into())
}

fn the_dhcp_shim_is_right() -> TestResult {
    let (lines, errors) = review_yaml(&seed("cno-dhcp-shim.yaml")?)?;
    expect("findings", &lines, &[])?;
    expect("errors", &errors.join("\n"), &[])
}

/// Two mistakes: `cniVersion` for `apiVersion`, and an unclosed quote.
fn the_broken_dual_stack_is_placed() -> TestResult {
    let yaml = seed("cno-whereabouts-dual-stack-broken.yaml")?;
    let (lines, errors) = review_yaml(&yaml)?;
    expect(
        "errors",
        &errors.join("\n"),
        &["cno.yaml:1:1: apiVersion is missing: write `apiVersion: operator.openshift.io/v1`"],
    )?;
    expect(
        "findings",
        &lines,
        &[
            "deny invalid-network-config spec.additionalNetworks[0].rawCNIConfig: ",
            "the configuration is not JSON",
            "(line 3, column",
        ],
    )?;
    let mended = yaml
        .replace("cniVersion: op", "apiVersion: op")
        .replace("0.3.1,", "0.3.1\",");
    let (lines, errors) = review_yaml(&mended)?;
    expect("findings", &lines, &[])?;
    expect("errors", &errors.join("\n"), &[])
}

fn list(entries: &Value) -> Value {
    json!({"kind": "Network", "metadata": {"name": "cluster"}, "spec": {"additionalNetworks": entries}})
}

fn entries_are_compared_with_each_other() -> TestResult {
    let entry = |name: &str, network_name: &str| {
        let config = json!({"type": "macvlan", "master": "eth1", "ipam": {
            "type": "whereabouts", "range": "10.0.0.0/24", "network_name": network_name}});
        json!({"name": name, "type": "Raw", "rawCNIConfig": config.to_string()})
    };
    let lines = review(&list(&json!([entry("a", "x"), entry("b", "y")])))?;
    let parts = [
        "deny overlapping-ranges spec.additionalNetworks[0].rawCNIConfig.ipam.range: ",
        "default/b",
        "deny overlapping-ranges spec.additionalNetworks[1].rawCNIConfig.ipam.range: ",
        "default/a",
    ];
    expect("two names", &lines, &parts)?;
    expect(
        "one name",
        &review(&list(&json!([entry("a", "x"), entry("b", "x")])))?,
        &[],
    )
}

fn a_rendered_field_is_named_as_written() -> TestResult {
    let entry = |name: &str| {
        json!({"name": name, "type": "SimpleMacvlan", "simpleMacvlanConfig": {"master": "eth1",
            "ipamConfig": {"type": "Static", "staticIPAMConfig": {
                "addresses": [{"address": "192.0.2.5/24"}]}}}})
    };
    let lines = review(&list(&json!([entry("a"), entry("b")])))?;
    let field = "warn duplicate-static-address spec.additionalNetworks[0].simpleMacvlanConfig\
                 .ipamConfig.staticIPAMConfig.addresses[0].address: ";
    expect("field", &lines, &[field])
}
