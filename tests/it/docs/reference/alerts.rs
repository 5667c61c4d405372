//! docs/reference/alerts.md: the rules of deploy/monitoring/alerts.yaml.

use std::{fmt::Write as _, fs, path::Path};

use libtest_mimic::Failed;
use serde_json::Value;

use super::{ROOT, code, table, troubleshooting_link};

const HEAD: &str = "# Alerts

Each alert of [deploy/monitoring](../../deploy/monitoring): `alerts.yaml` for the Prometheus operator, `rules.yaml` for
Prometheus. This page is made from `alerts.yaml`. The metrics: [Metrics](metrics.md).

A word in capitals, such as POOL, stands for a label or the value of the alert.

";

/// The pages of alerts that the page on problems does not name.
const OTHERS: &[(&str, &str)] = &[
    (
        "NadmitPoolExhaustionDenials",
        "[A pod stays Pending](../how-to/troubleshooting.md#a-pod-stays-pending-with-pool-exhausted)",
    ),
    (
        "NadmitIPPoolNearlyFull",
        "[See what Whereabouts has assigned](../how-to/see-what-whereabouts-has-assigned.md#see-how-full-its-pools-are)",
    ),
    (
        "NadmitCertificateNotReloaded",
        "[Certificates](../explanation/certificates.md#what-happens-if-)",
    ),
    (
        "NadmitCertificateNotRenewed",
        "[Certificates](../explanation/certificates.md#what-happens-if-)",
    ),
    (
        "NadmitReviewsRejected",
        "[The reasons](metrics.md#reasons-of-rejected-requests)",
    ),
    (
        "NadmitManifestErrors",
        "[Run nadmit without a cluster](../how-to/run-without-a-cluster.md)",
    ),
];

/// The beginning of addresses of this repository's pages.
const REPOSITORY: &str = "/docs/";

pub(super) fn page() -> Result<String, Failed> {
    let text = fs::read_to_string(Path::new(ROOT).join("deploy/monitoring/alerts.yaml"))?;
    let file: Value = serde_saphyr::from_str(&text)?;
    let rules: Vec<&Value> = file["spec"]["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .filter(|rule| rule["alert"].is_string())
        .collect();
    if rules.len() < 10 {
        return Err(format!("{} alerts: this test looks wrongly", rules.len()).into());
    }
    let rows = rules.iter().map(|rule| {
        let name = text_of(&rule["alert"]);
        let link = format!("[`{name}`](#{})", name.to_lowercase());
        let severity = text_of(&rule["labels"]["severity"]).to_owned();
        [link, severity, filled(&rule["annotations"]["summary"])]
    });
    let mut page = HEAD.to_owned() + &table(["alert", "severity", "when"], rows);
    for rule in &rules {
        section(&mut page, rule)?;
    }
    Ok(page)
}

/// Writes the section of an alert.
fn section(page: &mut String, rule: &Value) -> Result<(), Failed> {
    let (name, annotations) = (text_of(&rule["alert"]), &rule["annotations"]);
    let severity = text_of(&rule["labels"]["severity"]);
    writeln!(page, "\n## {name}\n{}.\n", filled(&annotations["summary"]))?;
    writeln!(page, "{}\n", filled(&annotations["description"]))?;
    writeln!(page, "- Severity: {severity}")?;
    match text_of(&rule["for"]) {
        "" => writeln!(page, "- Fires at once")?,
        time => writeln!(page, "- Fires after: {}", code(time))?,
    }
    let runbook = runbook(name, text_of(&annotations["runbook_url"]))?;
    writeln!(page, "- What to do: {runbook}")?;
    let expression: Vec<&str> = text_of(&rule["expr"]).split_whitespace().collect();
    writeln!(page, "\n```promql\n{}\n```", expression.join(" "))?;
    Ok(())
}

/// Returns a link to the runbook of an alert: the one that the alert names, else the section of the page
/// on problems that names the alert, else that of the list.
fn runbook(alert: &str, address: &str) -> Result<String, Failed> {
    if let Some((_, page)) = address.split_once(REPOSITORY) {
        return Ok(format!("[runbook](../{page})"));
    }
    if !address.is_empty() {
        return Ok(format!("[runbook]({address})"));
    }
    let other = || OTHERS.iter().find(|(name, _)| *name == alert);
    let link = troubleshooting_link(alert)?.or_else(|| Some(other()?.1.to_owned()));
    link.ok_or_else(|| format!("{alert} has no page that says what to do").into())
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns an annotation in one line, with words in capitals for its templates.
fn filled(annotation: &Value) -> String {
    let text = text_of(annotation)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (template, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = template.split('|').next().unwrap_or_default().trim();
        let value = value.trim_start_matches("$labels.").trim_start_matches('$');
        filled.push_str(&value.to_uppercase());
        filled.push_str(rest);
    }
    filled
}
