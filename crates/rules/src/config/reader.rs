//! Reader for `nadmit.yaml`: typed access to values, collecting errors.

use std::{collections::HashSet, sync::Arc};

use crate::Policy;
use nadmit_cni::document::{DocumentNode, ObjectEntry, Position, SyntaxError};
use nadmit_cni::name;

use super::{
    Config, ConfigError, ConfigErrors, ConfigFault,
    keys::{KEYS, similar},
};

/// State of reading one file.
pub(super) struct ConfigReader {
    file: Arc<str>,
    /// The settings read so far.
    pub(super) policy: Policy,
    errors: Vec<ConfigError>,
}

impl ConfigReader {
    /// Starts with the default settings.
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            policy: Policy::default(),
            errors: Vec::new(),
        }
    }

    /// Returns the configuration, or all errors in document order.
    pub(super) fn finish(mut self) -> Result<Config, ConfigErrors> {
        if self.errors.is_empty() {
            let policy = self.policy;
            return Ok(Config { policy });
        }
        let place = |error: &ConfigError| (error.position.line, error.position.column);
        self.errors.sort_by_key(place);
        Err(ConfigErrors(self.errors))
    }

    /// Reports unknown and duplicate keys.
    pub(super) fn check_keys(&mut self, entries: &[ObjectEntry<'_>]) {
        for ObjectEntry { key, .. } in self.unique("", entries) {
            let text = key.string();
            if !KEYS.iter().any(|known| Some(known.name) == text) {
                let fault = ConfigFault::UnknownKey {
                    key: text.unwrap_or(key.kind().described()).to_owned(),
                    similar: text.and_then(similar),
                };
                self.fault(key, fault);
            }
        }
    }

    /// Returns the entries without duplicate keys, which it reports.
    pub(super) fn unique<'n, 'a>(
        &mut self,
        parent: &str,
        entries: &'n [ObjectEntry<'a>],
    ) -> Vec<&'n ObjectEntry<'a>> {
        let mut seen = HashSet::new();
        let mut unique = Vec::new();
        for entry in entries {
            match entry.key.string() {
                Some(key) if !seen.insert(key) => {
                    let dot = if parent.is_empty() { "" } else { "." };
                    let key = format!("{parent}{dot}{key}");
                    self.fault(&entry.key, ConfigFault::Repeated { key });
                }
                _ => unique.push(entry),
            }
        }
        unique
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, key: &str, value: &DocumentNode<'_>) -> Option<bool> {
        if value.boolean().is_none() {
            self.wrong_kind(value, key, "true or false");
        }
        value.boolean()
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
        let Some(text) = value.string() else {
            self.wrong_kind(value, key, expected);
            return None;
        };
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let fault = ConfigFault::Choice {
                key: key.to_owned(),
                found: text.to_owned(),
                choices: format!("{plural} are {}", names.join(", ")),
            };
            self.fault(value, fault);
        }
        parsed
    }

    /// Reads a list of namespaces.
    pub(super) fn namespaces(&mut self, key: &str, value: &DocumentNode<'_>) -> HashSet<Box<str>> {
        let elements = value.elements();
        if elements.is_none() {
            self.wrong_kind(value, key, "a list of namespaces");
        }
        let elements = elements.unwrap_or_default().iter();
        elements
            .filter_map(|element| self.namespace(key, element))
            .collect()
    }

    /// Reads a list of user names.
    pub(super) fn users(&mut self, key: &str, value: &DocumentNode<'_>) -> HashSet<Box<str>> {
        const EXPECTED: &str = "a list of user names, such as [\"system:serviceaccount:ns:name\"]";
        let Some(elements) = value.elements() else {
            self.wrong_kind(value, key, EXPECTED);
            return HashSet::new();
        };
        let mut users = HashSet::new();
        for element in elements {
            match element.string() {
                Some(user) => {
                    users.insert(user.into());
                }
                None => self.wrong_kind(element, key, "a user name, in quotes"),
            }
        }
        users
    }

    /// Reads the name of a namespace.
    pub(super) fn namespace(&mut self, key: &str, value: &DocumentNode<'_>) -> Option<Box<str>> {
        let Some(text) = value.string() else {
            self.wrong_kind(value, key, "the name of a namespace, in quotes");
            return None;
        };
        if let Err(error) = name::label(text) {
            let fault = ConfigFault::Namespace {
                key: key.to_owned(),
                text: text.to_owned(),
                error,
            };
            self.fault(value, fault);
        }
        Some(text.into())
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_kind(
        &mut self,
        node: &DocumentNode<'_>,
        key: &str,
        expected: &'static str,
    ) {
        let fault = ConfigFault::Kind {
            key: key.to_owned(),
            expected,
            found: node.kind(),
        };
        self.fault(node, fault);
    }

    /// Reports an error at `node`.
    pub(super) fn fault(&mut self, node: &DocumentNode<'_>, fault: ConfigFault) {
        self.error(node.location.position, fault);
    }

    /// Reports invalid YAML.
    pub(super) fn syntax_error(&mut self, error: SyntaxError) {
        self.error(error.position, ConfigFault::Syntax(error.reason));
    }

    fn error(&mut self, position: Position, fault: ConfigFault) {
        self.errors.push(ConfigError {
            file: Arc::clone(&self.file),
            position,
            fault,
        });
    }
}
