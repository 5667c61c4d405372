//! The configuration file `nadmit.yaml`, validated before it takes effect.
//!
//! All errors are reported at once, each with its position and what to write instead. A file with
//! errors is never applied partially. The order of the keys does not matter: the profile sets the
//! level of every rule, then `rules` changes single ones.

mod error;
mod keys;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::Policy;
use nadmit_cni::document::{self, Booleans, DocumentNode, ObjectEntry};

use self::{
    keys::{KEYS, similar},
    reader::ConfigReader,
};

pub use self::error::{ConfigError, ConfigErrors, ConfigFault};

/// Parsed `nadmit.yaml`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The settings for rules and decisions.
    pub policy: Policy,
}

impl Config {
    /// Parses `text`, the content of the file `name`. An empty text is the default.
    ///
    /// # Errors
    /// Returns all errors, in document order.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(name);
        // `off` is a level here; YAML 1.1 would read it as a boolean.
        let mut documents = document::read(text, name, Booleans::Yaml12);
        match documents.next() {
            None => {}
            Some(Ok(root)) => reader.root(&root),
            Some(Err(error)) => reader.checker.syntax_error(error),
        }
        match documents.next() {
            None => {}
            Some(Ok(second)) => reader.checker.fault(&second, ConfigFault::SecondDocument),
            Some(Err(error)) => reader.checker.syntax_error(error),
        }
        reader.finish()
    }

    /// Returns an example file with every key, its default and its meaning.
    pub fn example() -> &'static str {
        include_str!("example.yaml")
    }
}

/// Returns the SHA-256 of a configuration text in hexadecimal, which a server reports as the
/// settings in effect.
pub fn digest(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Returns the keys of `nadmit.yaml`, in the order of the example.
pub(crate) fn key_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

impl ConfigReader {
    fn root(&mut self, root: &DocumentNode<'_>) {
        let expected = "an object with the keys of nadmit.yaml";
        let Some(entries) = self.checker.entries(root, "the file", expected) else {
            return;
        };
        self.check_keys(entries);
        // In the order of the table, not of the file: the profile comes first.
        for key in KEYS {
            if let Some(value) = root.get(key.name) {
                (key.read)(self, key.name, value);
            }
        }
    }

    /// Reports unknown and duplicate keys.
    fn check_keys(&mut self, entries: &[ObjectEntry<'_>]) {
        for ObjectEntry { key, .. } in self.unique("", entries) {
            let text = key.string();
            if !KEYS.iter().any(|known| Some(known.name) == text) {
                let fault = ConfigFault::UnknownKey {
                    key: text.unwrap_or(key.kind().described()).to_owned(),
                    similar: text.and_then(similar),
                };
                self.checker.fault(key, fault);
            }
        }
    }
}
