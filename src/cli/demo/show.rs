//! Renders a scene and its response for a terminal.

use std::fmt::Write as _;

use anstyle::Style;
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde_json::Value;

use super::scenes::{Scene, SceneReview};
use crate::{
    cli::output::{self, BOLD, DIM},
    network::annotations::NETWORKS,
};

const GREEN: Style = output::GREEN.bold();
const YELLOW: Style = output::YELLOW.bold();
const RED: Style = output::RED.bold();

/// Returns the introduction.
pub(super) fn opening() -> String {
    format!(
        "{BOLD}nadmit{BOLD:#} receives reviews of pods over HTTPS, as an API server sends them. \
         Without nadmit, the\ndenied pods would be accepted: they would hang in ContainerCreating, or \
         run without what\nthey requested. Pods on a network with an address pool get their \
         addresses.\n"
    )
}

/// Renders the pod's annotation with carets under the errors, and the decision.
///
/// # Errors
/// When the response is not an AdmissionReview.
pub(super) fn scene(
    scene: &Scene,
    request: &SceneReview,
    status: StatusCode,
    body: &[u8],
) -> anyhow::Result<String> {
    anyhow::ensure!(
        status == StatusCode::OK,
        "{status}: {}",
        String::from_utf8_lossy(body)
    );
    let review: Value = serde_json::from_slice(body).context("the response is not JSON")?;
    let response = &review["response"];
    let denied = findings(&response["status"]["details"]["causes"], |cause| {
        let (tag, message) = tagged(cause["message"].as_str()?)?;
        Some((tag.to_owned(), message.to_owned()))
    });
    let warned = findings(&response["warnings"], |warning| {
        let (tag, rest) = tagged(warning.as_str()?)?;
        // The tag is followed by the path of the field, which the carets show.
        let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
        Some((tag.to_owned(), message.to_owned()))
    });
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
        scene.title, request.pod
    );
    let columns: Vec<usize> = denied
        .iter()
        .chain(&warned)
        .filter_map(|(_, message)| column(message))
        .collect();
    out += &annotation(&request.annotation, &columns);
    if let Some(text) = response["patch"].as_str().and_then(patched_annotation) {
        let _ = writeln!(out, "  {DIM}becomes{DIM:#}");
        out += &annotation(&text, &[]);
    }
    let allowed = response["allowed"].as_bool().unwrap_or(false);
    let (color, word) = match (allowed, warned.is_empty()) {
        (false, _) => (RED, "denied"),
        (true, false) => (YELLOW, "allowed, with a warning"),
        (true, true) => (GREEN, "allowed"),
    };
    let _ = writeln!(out, "  {color}{word}{color:#}");
    for (tag, message) in denied.iter().chain(&warned) {
        // The problem, perhaps with its column, and after a semicolon the remedy.
        let (what, rest) = message.split_once(" (column ").unwrap_or(("", message));
        let (before, help) = rest.split_once("; ").unwrap_or((rest, ""));
        let what = if what.is_empty() { before } else { what };
        let _ = writeln!(out, "    {DIM}{tag}{DIM:#} {what}");
        if !help.is_empty() {
            let _ = writeln!(out, "    {GREEN}->{GREEN:#} {help}");
        }
    }
    Ok(out)
}

/// Splits the tag from a text about a finding.
fn tagged(text: &str) -> Option<(&str, &str)> {
    let end = text.find("] ")? + 1;
    Some((&text[..end], text[end..].trim_start()))
}

/// Returns the annotation that a patch sets.
fn patched_annotation(patch: &str) -> Option<String> {
    let operations: Value = serde_json::from_slice(&STANDARD.decode(patch).ok()?).ok()?;
    let path = format!("/metadata/annotations/{}", NETWORKS.replace('/', "~1"));
    let mut operations = operations.as_array()?.iter();
    let operation = operations.find(|operation| operation["path"] == path)?;
    operation["value"].as_str().map(str::to_owned)
}

type CodesAndMessages = Vec<(String, String)>;

fn findings(list: &Value, read: impl Fn(&Value) -> Option<(String, String)>) -> CodesAndMessages {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(read)
        .collect()
}

/// Returns the column in a message.
fn column(message: &str) -> Option<usize> {
    message
        .split_once("(column ")?
        .1
        .split_once(')')?
        .0
        .parse()
        .ok()
}

/// Renders the annotation, indented, with a caret under each column.
fn annotation(text: &str, columns: &[usize]) -> String {
    let mut out = String::new();
    for line in text.trim_end().lines() {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(last) = columns.iter().max() {
        let carets: String = (1..=*last)
            .map(|at| if columns.contains(&at) { '^' } else { ' ' })
            .collect();
        let _ = writeln!(out, "  {RED}{carets}{RED:#}");
    }
    out
}
