//! The reader of one file, with the functions that the readers of all kinds share.

use nadmit_cni::document::{Checker, DocumentNode, SyntaxError};

use super::{Located, Manifest, ManifestError, ManifestFault, ParsedManifests, SourceLocation};

/// The maximum number of errors listed for a file.
const MAX_ERRORS: usize = 100;

/// The objects and errors read so far.
pub(super) struct ManifestReader {
    pub(super) checker: Checker<ManifestFault>,
    /// True if workloads are read, too.
    pub(super) workloads: bool,
    /// The path of the current object in a list (`items[3].`), or nothing.
    pub(super) prefix: String,
    pub(super) objects: Vec<Located<Manifest>>,
    warnings: Vec<ManifestError>,
}

impl ManifestReader {
    /// Creates a reader of a file.
    pub(super) fn new(file: &str, workloads: bool) -> Self {
        Self {
            workloads,
            checker: Checker::new(file).with_limit(MAX_ERRORS, ManifestFault::TooManyErrors),
            prefix: String::new(),
            objects: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the objects and errors.
    pub(super) fn finish(self) -> ParsedManifests {
        ParsedManifests {
            objects: self.objects,
            errors: self.checker.into_errors(),
            warnings: self.warnings,
        }
    }

    /// Adds a warning at `node`.
    pub(super) fn warn(&mut self, node: &DocumentNode<'_>, fault: ManifestFault) {
        if self.warnings.len() < MAX_ERRORS {
            self.warnings.push(self.checker.error_at(node, fault));
        }
    }

    /// Adds a value that was read.
    pub(super) fn push(&mut self, value: Manifest, location: SourceLocation) {
        self.objects.push(Located { value, location });
    }

    /// Returns the object in a field; `None` if it is absent or has another type, which is
    /// reported.
    pub(super) fn object_in<'n, 'a>(
        &mut self,
        parent: &'n DocumentNode<'a>,
        path: &str,
    ) -> Option<&'n DocumentNode<'a>> {
        let node = parent.get(last(path))?;
        let field = format_args!("{}{path}", self.prefix);
        self.checker.entries(node, field, "an object")?;
        self.repeated_keys(node, path);
        Some(node)
    }

    /// Returns the string in a field; `None` if it is absent or has another type, which is
    /// reported.
    pub(super) fn text_in<'n>(
        &mut self,
        parent: &'n DocumentNode<'_>,
        path: &str,
    ) -> Option<&'n str> {
        let node = parent.get(last(path))?;
        let field = format_args!("{}{path}", self.prefix);
        self.checker.string(node, field, "a string")
    }

    /// Reports every repeated key of an object, of which a YAML parser would silently drop all but
    /// one.
    pub(super) fn repeated_keys(&mut self, node: &DocumentNode<'_>, path: &str) {
        let is_map = path.ends_with("metadata.annotations") || path.ends_with("metadata.labels");
        let field = |key: &str| match path {
            "" => format!("{}{key}", self.prefix),
            _ if is_map => format!("{}{path}[{key}]", self.prefix),
            _ => format!("{}{path}.{key}", self.prefix),
        };
        self.checker
            .unique(node.entries().unwrap_or_default(), field);
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(
        &mut self,
        node: &DocumentNode<'_>,
        path: &str,
        expected: &'static str,
    ) {
        let field = format_args!("{}{path}", self.prefix);
        self.checker.wrong_type(node, field, expected);
    }

    /// Reports that a field of `node` is missing.
    pub(super) fn missing(&mut self, node: &DocumentNode<'_>, path: &str, instead: String) {
        let field = self.field(path);
        self.fault(node, ManifestFault::Missing { field, instead });
    }

    /// Reports an error at `node`.
    pub(super) fn fault(&mut self, node: &DocumentNode<'_>, fault: ManifestFault) {
        self.checker.fault(node, fault);
    }

    /// Reports a document with a syntax error.
    pub(super) fn syntax_error(&mut self, error: SyntaxError) {
        self.checker.syntax_error(error);
    }

    /// Returns the path of a field in the document.
    pub(super) fn field(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// Returns the last segment of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}
