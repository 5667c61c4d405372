//! What can be wrong with `nadmit.yaml`.

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::{
    document::{Position, ValueKind},
    network::NameError,
    rules::policy::LevelError,
};

use super::key_names;

/// Everything that is wrong with a file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{}:{}: {fault}", .position.line, .position.column)]
pub struct ConfigError {
    /// The file.
    pub file: Arc<str>,
    /// Line and column.
    pub position: Position,
    /// What is wrong.
    pub fault: ConfigFault,
}

/// What is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigFault {
    /// The text is no YAML.
    #[error("{0}")]
    Syntax(String),
    /// More than one YAML document.
    #[error("a second document begins here: keep one, and no `---` behind it")]
    SecondDocument,
    /// A key that means nothing.
    #[error("there is no key {key:?}; {}", instead(*.similar))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The most alike key, if one is like it.
        similar: Option<&'static str>,
    },
    /// A key given twice.
    #[error("{key} is given twice: keep one of them")]
    Repeated {
        /// The key.
        key: String,
    },
    /// A rule that does not exist, or whose level is fixed.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// A value of another sort than it has to be.
    #[error("{key} is {}, but has to be {expected}", found.described())]
    Kind {
        /// The key.
        key: String,
        /// What the value has to be, with its article.
        expected: &'static str,
        /// What it is.
        found: ValueKind,
    },
    /// A word that is none of those there are.
    #[error("{key} is {found:?}; {choices}")]
    Choice {
        /// The key.
        key: String,
        /// The word as written.
        found: String,
        /// Which words there are.
        choices: String,
    },
    /// A namespace that cannot exist. Patterns are none, and would silently match nothing.
    #[error("{text:?} in {key} is not a valid namespace: it {error}")]
    Namespace {
        /// The key.
        key: String,
        /// The text as written.
        text: String,
        /// What is wrong with it.
        error: NameError,
    },
}

fn instead(similar: Option<&str>) -> String {
    match similar {
        Some(key) => format!("did you mean {key:?}?"),
        None => format!(
            "the keys are {}",
            key_names().collect::<Vec<_>>().join(", ")
        ),
    }
}
