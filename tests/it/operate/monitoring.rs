//! The metrics that deploy/monitoring names are those that the binary exports.

use std::{collections::BTreeSet, fs, path::Path};

use libtest_mimic::Failed;
use serde_json::Value;

use super::server::WorkFolder;
use crate::support::TestResult;

const FILES: [&str; 3] = ["alerts.yaml", "rules.yaml", "dashboard.json"];

fn read(name: &str) -> Result<String, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
    Ok(fs::read_to_string(folder.join(name))?)
}

fn parsed(name: &str) -> Result<Value, Failed> {
    let text = read(name)?;
    Ok(match name.ends_with(".json") {
        true => serde_json::from_str(&text)?,
        false => serde_saphyr::from_str(&text)?,
    })
}

/// Returns the words with the prefix of nadmit's metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("nadmit_")).collect()
}

pub(super) fn both_forms_of_the_alerts_are_one() -> TestResult {
    let (operator, plain) = (parsed("alerts.yaml")?, parsed("rules.yaml")?);
    if operator["spec"] != plain {
        return Err("alerts.yaml and rules.yaml say different things".into());
    }
    for rule in plain["groups"][0]["rules"].as_array().into_iter().flatten() {
        for member in ["alert", "expr", "labels", "annotations"] {
            if rule[member].is_null() {
                return Err(format!("{rule} has no {member}").into());
            }
        }
    }
    Ok(())
}

pub(super) fn monitoring_names_exported_metrics() -> TestResult {
    let place = WorkFolder::new()?;
    let serving = place.serve()?;
    // One of each labelled metric: an allocation, a finding, a rejection.
    serving.create_replica(0)?;
    let pod = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1",
        "kind":{"group":"","version":"v1","kind":"Pod"},
        "resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE",
        "namespace":"db","name":"a","object":{"metadata":{"name":"a",
        "annotations":{"k8s.v1.cni.cncf.io/networks":"no-such-net"}}}}}"#;
    serving.post("/validate", pod)?;
    serving.post("/validate", "no review")?;
    let page = serving.metrics()?;
    let exported = named(&page);
    for file in FILES {
        parsed(file)?;
        let text = read(file)?;
        let missing: Vec<&str> = named(&text).difference(&exported).copied().collect();
        if !missing.is_empty() {
            return Err(format!("{file} names {missing:?}, which is not among\n{page}").into());
        }
    }
    serving.stop()
}
