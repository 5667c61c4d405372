//! The output formats of a check.

use std::str::FromStr;

use thiserror::Error;

use super::{CheckOutcome, github, human, json, sarif, terminal::sanitize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// For people: the line of the file with the finding below it.
    #[default]
    Human,
    /// JSON, one object.
    Json,
    /// YAML, one document, with the content of the JSON.
    Yaml,
    /// SARIF 2.1.0, as code scanning takes it.
    Sarif,
    /// GitHub workflow commands, which annotate the lines of a pull request.
    Github,
}

impl OutputFormat {
    /// All formats.
    pub const ALL: [Self; 5] = [
        Self::Human,
        Self::Json,
        Self::Yaml,
        Self::Sarif,
        Self::Github,
    ];

    /// The names of formats for people that kubectl has.
    pub const FOR_PEOPLE: [&str; 2] = ["table", "wide"];

    /// Returns the word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Sarif => "sarif",
            Self::Github => "github",
        }
    }

    /// Renders the outcome in this format. The one for people contains terminal colours.
    pub fn render(self, outcome: &CheckOutcome) -> String {
        match self {
            Self::Human => human::render(outcome),
            Self::Json => json::render(outcome),
            Self::Yaml => yaml_of_json(&json::render(outcome)),
            Self::Sarif => sarif::render(outcome),
            Self::Github => github::render(outcome),
        }
    }
}

/// Returns a JSON document as YAML, with terminal control characters replaced: not all scalars of YAML have
/// escapes.
pub(crate) fn yaml_of_json(json: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
    // JSON that this program wrote can be read, and any value is YAML.
    value
        .and_then(|value| serde_saphyr::to_string(&value).ok())
        .map(|text| sanitize(&text))
        .unwrap_or_default()
}

/// A text that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one of the formats {}", OutputFormat::ALL.map(OutputFormat::name).join(", "))]
pub struct UnknownFormat;

impl FromStr for OutputFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        if Self::FOR_PEOPLE.contains(&text) {
            return Ok(Self::Human);
        }
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == text)
            .ok_or(UnknownFormat)
    }
}
