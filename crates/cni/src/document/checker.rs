//! Typed access to the values of a file's documents, collecting every mistake with its position.

use std::{collections::HashSet, fmt::Display, sync::Arc};

use thiserror::Error;

use super::{DocumentNode, ObjectEntry, Position, SyntaxError, ValueKind};

/// A mistake in a file, with its position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{}:{}: {fault}", .position.line, .position.column)]
pub struct DocumentError<F> {
    pub file: Arc<str>,
    /// The line and column.
    pub position: Position,
    /// The mistake.
    pub fault: F,
}

/// The mistakes that every file can have, in the words of its reader.
pub trait DocumentFault: Sized {
    /// Creates the mistake of a text that is neither YAML nor JSON.
    fn syntax(reason: String) -> Self;

    /// Creates the mistake of a value of the wrong type.
    fn wrong_type(field: String, expected: &'static str, found: ValueKind) -> Self;

    /// Creates the mistake of a key that an object has twice.
    fn repeated(field: String) -> Self;
}

/// The mistakes of a file, found so far.
#[derive(Debug)]
pub struct Checker<F> {
    file: Arc<str>,
    errors: Vec<DocumentError<F>>,
    faults: usize,
    limit: usize,
    /// The mistake that is added when the limit is exceeded.
    last: Option<F>,
}

impl<F: DocumentFault> Checker<F> {
    /// Creates a checker that keeps every mistake of a file.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            errors: Vec::new(),
            faults: 0,
            limit: usize::MAX,
            last: None,
        }
    }

    /// Limits the number of mistakes; `last` is added in place of the first one beyond it.
    #[must_use]
    pub fn with_limit(self, limit: usize, last: F) -> Self {
        Self {
            limit,
            last: Some(last),
            ..self
        }
    }

    /// Returns the mistakes in the order in which they were found.
    pub fn into_errors(self) -> Vec<DocumentError<F>> {
        self.errors
    }

    /// Returns the number of mistakes, including those beyond the limit.
    pub fn faults(&self) -> usize {
        self.faults
    }

    /// Returns a mistake at `node` without adding it.
    pub fn error_at(&self, node: &DocumentNode<'_>, fault: F) -> DocumentError<F> {
        self.error(node.location.position, fault)
    }

    /// Adds a mistake at `node`.
    pub fn fault(&mut self, node: &DocumentNode<'_>, fault: F) {
        self.push(node.location.position, fault);
    }

    /// Adds a document with a syntax error.
    pub fn syntax_error(&mut self, error: SyntaxError) {
        self.push(error.position, F::syntax(error.reason));
    }

    /// Adds a value of the wrong type.
    pub fn wrong_type(
        &mut self,
        node: &DocumentNode<'_>,
        field: impl Display,
        expected: &'static str,
    ) {
        self.fault(
            node,
            F::wrong_type(field.to_string(), expected, node.kind()),
        );
    }

    /// Returns the string; anything else is a mistake.
    pub fn string<'n>(
        &mut self,
        node: &'n DocumentNode<'_>,
        field: impl Display,
        expected: &'static str,
    ) -> Option<&'n str> {
        self.typed(node, node.string(), field, expected)
    }

    /// Returns the boolean; anything else is a mistake.
    pub fn boolean(&mut self, node: &DocumentNode<'_>, field: impl Display) -> Option<bool> {
        self.typed(node, node.boolean(), field, "true or false")
    }

    /// Returns the elements of the list; anything else is a mistake.
    pub fn elements<'n, 'a>(
        &mut self,
        node: &'n DocumentNode<'a>,
        field: impl Display,
        expected: &'static str,
    ) -> Option<&'n [DocumentNode<'a>]> {
        self.typed(node, node.elements(), field, expected)
    }

    /// Returns the entries of the object; anything else is a mistake.
    pub fn entries<'n, 'a>(
        &mut self,
        node: &'n DocumentNode<'a>,
        field: impl Display,
        expected: &'static str,
    ) -> Option<&'n [ObjectEntry<'a>]> {
        self.typed(node, node.entries(), field, expected)
    }

    /// Returns the entries without repeated keys, which are mistakes. `field` returns the path of a key.
    pub fn unique<'n, 'a>(
        &mut self,
        entries: &'n [ObjectEntry<'a>],
        field: impl Fn(&str) -> String,
    ) -> Vec<&'n ObjectEntry<'a>> {
        let mut seen = HashSet::new();
        let mut unique = Vec::new();
        for entry in entries {
            match entry.key.string() {
                Some(key) if !seen.insert(key) => {
                    self.fault(&entry.key, F::repeated(field(key)));
                }
                _ => unique.push(entry),
            }
        }
        unique
    }

    fn typed<T>(
        &mut self,
        node: &DocumentNode<'_>,
        value: Option<T>,
        field: impl Display,
        expected: &'static str,
    ) -> Option<T> {
        if value.is_none() {
            self.wrong_type(node, field, expected);
        }
        value
    }

    fn push(&mut self, position: Position, fault: F) {
        self.faults += 1;
        let fault = match self.faults > self.limit {
            false => Some(fault),
            true => self.last.take(),
        };
        if let Some(fault) = fault {
            self.errors.push(self.error(position, fault));
        }
    }

    fn error(&self, position: Position, fault: F) -> DocumentError<F> {
        DocumentError {
            file: Arc::clone(&self.file),
            position,
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Booleans, read};

    #[derive(Debug, PartialEq)]
    struct Fault(String);

    impl DocumentFault for Fault {
        fn syntax(reason: String) -> Self {
            Self(reason)
        }

        fn wrong_type(field: String, expected: &'static str, found: ValueKind) -> Self {
            Self(format!("{field}: {expected}, not {}", found.described()))
        }

        fn repeated(field: String) -> Self {
            Self(format!("{field} twice"))
        }
    }

    #[test]
    fn mistakes_have_positions_and_a_limit() {
        let text = "a: 1\nb: x\na: 2\nb: y\na: 3\n";
        let document = read(text, "a.yaml", Booleans::Yaml12).next();
        let Some(Ok(node)) = document else {
            panic!("{document:?}")
        };
        let mut checker = Checker::new("a.yaml").with_limit(3, Fault("more".to_owned()));
        let entries = node.entries().unwrap_or_default();
        let unique = checker.unique(entries, |key| format!("spec.{key}"));
        assert_eq!(unique.len(), 2);
        assert_eq!(checker.string(&unique[1].value, "b", "a string"), Some("x"));
        for _ in 0..2 {
            assert_eq!(checker.boolean(&unique[1].value, "b"), None);
        }
        assert_eq!(checker.faults(), 5);
        let errors = checker.into_errors().into_iter();
        let errors: Vec<_> = errors.map(|e| (e.position.line, e.fault.0)).collect();
        let expected = [
            (3, "spec.a twice"),
            (4, "spec.b twice"),
            (5, "spec.a twice"),
            (2, "more"),
        ];
        assert_eq!(errors, expected.map(|(line, text)| (line, text.to_owned())));
    }
}
