//! The output formats of a check.

use std::str::FromStr;

use super::{CheckOutcome, github, human, json, sarif};

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// For people: the line of the file with the finding below it.
    #[default]
    Human,
    /// JSON, one object.
    Json,
    /// SARIF 2.1.0, as code scanning takes it.
    Sarif,
    /// GitHub workflow commands, which annotate the lines of a pull request.
    Github,
}

impl OutputFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Human, Self::Json, Self::Sarif, Self::Github];

    /// Returns the word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Github => "github",
        }
    }

    /// Renders the outcome in this format. The one for people contains terminal colours.
    pub fn render(self, outcome: &CheckOutcome) -> String {
        match self {
            Self::Human => human::render(outcome),
            Self::Json => json::render(outcome),
            Self::Sarif => sarif::render(outcome),
            Self::Github => github::render(outcome),
        }
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("the formats are {names}")
        })
    }
}
