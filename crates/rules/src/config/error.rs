//! Errors in `nadmit.yaml`.

use std::fmt;

use thiserror::Error;

use crate::rule_levels::LevelError;
use nadmit_cni::NameError;
use nadmit_cni::document::{DocumentError, DocumentFault, ValueKind};

use super::key_names;

/// All errors of a file; never empty.
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

/// An error with its position.
pub type ConfigError = DocumentError<ConfigFault>;

/// Kind of a configuration error; its text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigFault {
    /// The text is not valid YAML.
    #[error("{0}")]
    Syntax(String),
    /// More than one YAML document.
    #[error("a second document starts here; keep one document, without `---` after it")]
    SecondDocument,
    #[error("unknown key {key:?}; {}", instead(*.similar))]
    UnknownKey {
        /// Key as written.
        key: String,
        /// The most similar known key, if one is similar enough.
        similar: Option<&'static str>,
    },
    /// A duplicate key.
    #[error("{key} is written twice; keep one of them")]
    Repeated {
        /// Name of the key.
        key: String,
    },
    /// A rule that does not exist or whose level is fixed.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// A value of the wrong type.
    #[error("{key} is {}; expected {expected}", found.described())]
    Kind {
        /// Name of the key.
        key: String,
        /// Expected type, with its article.
        expected: &'static str,
        /// Actual type.
        found: ValueKind,
    },
    /// A value that is not one of the choices.
    #[error("{key} is {found:?}; {choices}")]
    Choice {
        /// Name of the key.
        key: String,
        /// Value as written.
        found: String,
        /// Text that lists the choices.
        choices: String,
    },
    /// An invalid namespace. Patterns are not supported and would silently match nothing.
    #[error("{text:?} in {key} is not a valid namespace: it {error}")]
    Namespace {
        /// Name of the key.
        key: String,
        /// Text as written.
        text: String,
        error: NameError,
    },
}

impl DocumentFault for ConfigFault {
    fn syntax(reason: String) -> Self {
        Self::Syntax(reason)
    }

    fn wrong_type(key: String, expected: &'static str, found: ValueKind) -> Self {
        Self::Kind {
            key,
            expected,
            found,
        }
    }

    fn repeated(key: String) -> Self {
        Self::Repeated { key }
    }
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
