//! `nadmit.yaml`: what a cluster's administrators decide, checked before it counts.
//!
//! Whatever is wrong is said at once, each error with its place and with what to write instead. A
//! file with errors is never half applied. The order of the keys does not matter: the profile sets
//! the level of every rule, then `rules` changes single ones.

mod error;
mod keys;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{
    document::{self, Booleans, DocumentNode},
    rules::Policy,
};

use self::{keys::KEYS, reader::ConfigReader};

pub use self::error::{ConfigError, ConfigErrors, ConfigFault};

/// What `nadmit.yaml` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The settings that rules and decisions read.
    pub policy: Policy,
}

impl Config {
    /// Reads `text`, which is the content of the file called `name`. An empty text is the default.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(name);
        // `off` is a level here, and with YAML 1.1 it would be a boolean.
        let mut documents = document::read(text, name, Booleans::Yaml12);
        match documents.next() {
            None => {}
            Some(Ok(root)) => reader.root(&root),
            Some(Err(error)) => reader.syntax_error(error),
        }
        match documents.next() {
            None => {}
            Some(Ok(second)) => reader.fault(&second, ConfigFault::SecondDocument),
            Some(Err(error)) => reader.syntax_error(error),
        }
        reader.finish()
    }

    /// A file with every key, its default and what it does.
    pub fn example() -> &'static str {
        include_str!("example.yaml")
    }
}

/// Returns the digest of a text of settings, by which a server says which settings it goes by.
pub fn digest(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The keys of `nadmit.yaml`, in the order of the example.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

impl ConfigReader {
    fn root(&mut self, root: &DocumentNode<'_>) {
        let Some(entries) = root.entries() else {
            let expected = "an object with the keys of nadmit.yaml";
            return self.wrong_kind(root, "the file", expected);
        };
        self.check_keys(entries);
        // In the table's order, not the file's: the profile comes first.
        for key in KEYS {
            if let Some(value) = root.get(key.name) {
                (key.read)(self, key.name, value);
            }
        }
    }
}
