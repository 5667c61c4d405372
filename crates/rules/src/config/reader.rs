//! Reader for `nadmit.yaml`: settings from typed values.

use std::collections::HashSet;

use crate::Policy;
use nadmit_cni::document::{Checker, DocumentNode, ObjectEntry};
use nadmit_cni::name;

use super::{Config, ConfigErrors, ConfigFault};

/// State of reading one file.
pub(super) struct ConfigReader {
    /// The errors found so far.
    pub(super) checker: Checker<ConfigFault>,
    /// The settings read so far.
    pub(super) policy: Policy,
}

impl ConfigReader {
    /// Starts with the default settings.
    pub(super) fn new(file: &str) -> Self {
        Self {
            checker: Checker::new(file),
            policy: Policy::default(),
        }
    }

    /// Returns the configuration, or all errors in document order.
    pub(super) fn finish(self) -> Result<Config, ConfigErrors> {
        let mut errors = self.checker.into_errors();
        if errors.is_empty() {
            let policy = self.policy;
            return Ok(Config { policy });
        }
        errors.sort_by_key(|error| (error.position.line, error.position.column));
        Err(ConfigErrors(errors))
    }

    /// Returns the entries without duplicate keys, which it reports.
    pub(super) fn unique<'n, 'a>(
        &mut self,
        parent: &str,
        entries: &'n [ObjectEntry<'a>],
    ) -> Vec<&'n ObjectEntry<'a>> {
        let dot = if parent.is_empty() { "" } else { "." };
        let field = |key: &str| format!("{parent}{dot}{key}");
        self.checker.unique(entries, field)
    }

    /// Reads one of several choices.
    pub(super) fn choice<T: std::str::FromStr>(
        &mut self,
        key: &str,
        value: &DocumentNode<'_>,
        expected: &'static str,
        plural: &str,
        names: &[&str],
    ) -> Option<T> {
        let text = self.checker.string(value, key, expected)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let fault = ConfigFault::Choice {
                key: key.to_owned(),
                found: text.to_owned(),
                choices: format!("{plural} are {}", names.join(", ")),
            };
            self.checker.fault(value, fault);
        }
        parsed
    }

    /// Reads a list of namespaces.
    pub(super) fn namespaces(&mut self, key: &str, value: &DocumentNode<'_>) -> HashSet<Box<str>> {
        let expected = "a list of namespaces";
        let elements = self.checker.elements(value, key, expected);
        let elements = elements.unwrap_or_default().iter();
        elements
            .filter_map(|element| self.namespace(key, element))
            .collect()
    }

    /// Reads a list of user names.
    pub(super) fn users(&mut self, key: &str, value: &DocumentNode<'_>) -> HashSet<Box<str>> {
        const EXPECTED: &str = "a list of user names, such as [\"system:serviceaccount:ns:name\"]";
        let elements = self.checker.elements(value, key, EXPECTED);
        let elements = elements.unwrap_or_default().iter();
        elements
            .filter_map(|element| self.checker.string(element, key, "a user name, in quotes"))
            .map(Into::into)
            .collect()
    }

    /// Reads the name of a namespace.
    pub(super) fn namespace(&mut self, key: &str, value: &DocumentNode<'_>) -> Option<Box<str>> {
        let expected = "the name of a namespace, in quotes";
        let text = self.checker.string(value, key, expected)?;
        if let Err(error) = name::label(text) {
            let fault = ConfigFault::Namespace {
                key: key.to_owned(),
                text: text.to_owned(),
                error,
            };
            self.checker.fault(value, fault);
        }
        Some(text.into())
    }
}
