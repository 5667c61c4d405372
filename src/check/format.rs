//! In which form a run is told.

use std::str::FromStr;

use super::{Outcome, github, human, json, sarif};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: the line of the file, and what is wrong below it.
    #[default]
    Human,
    /// JSON, one object.
    Json,
    /// SARIF 2.1.0, as code scanning takes it.
    Sarif,
    /// Commands of a GitHub workflow, which annotate the lines of a pull request.
    Github,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Human, Self::Json, Self::Sarif, Self::Github];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Github => "github",
        }
    }

    /// The run in this form. The one for people has colours in it, as terminals take them.
    pub fn tell(self, outcome: &Outcome) -> String {
        match self {
            Self::Human => human::tell(outcome),
            Self::Json => json::tell(outcome),
            Self::Sarif => sarif::tell(outcome),
            Self::Github => github::tell(outcome),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("the formats are {names}")
        })
    }
}
