//! The output formats of an audit.

use super::{AuditOutcome, human, json};
use crate::check::yaml_of_json;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum AuditFormat {
    /// For people
    #[default]
    #[value(alias = "wide", alias = "table")]
    Human,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

impl AuditFormat {
    /// Renders the outcome in this format. The one for people contains terminal colours.
    pub fn render(self, outcome: &AuditOutcome) -> String {
        match self {
            Self::Human => human::render(outcome),
            Self::Json => json::render(outcome),
            Self::Yaml => yaml_of_json(&json::render(outcome)),
        }
    }
}
