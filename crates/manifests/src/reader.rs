//! The reader of one file, with the functions that the readers of all kinds share.

use nadmit_cni::document::{Checker, DocumentNode, SyntaxError};

use super::{
    Located, Manifest, ManifestError, ManifestFault, ParsedManifests, SourceLocation,
    generated_network,
    kinds::{self, KINDS, KnownKind},
    list,
};

/// The maximum number of errors listed for a file.
const MAX_ERRORS: usize = 100;

/// The objects and errors read so far.
pub(super) struct ManifestReader {
    checker: Checker<ManifestFault>,
    /// True if workloads are read, too.
    workloads: bool,
    /// The path of the current object in a list (`items[3].`), or nothing.
    prefix: String,
    objects: Vec<Located<Manifest>>,
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

    /// Reads one object, if its kind is known. An element of a typed list may omit its kind, which
    /// is then `implied` by the list.
    pub(super) fn object(&mut self, node: &DocumentNode<'_>, implied: Option<&'static KnownKind>) {
        let kind = match node.get("kind") {
            Some(kind) => kind.string(),
            None => implied.map(|kind| kind.name),
        };
        let Some(kind) = kind else {
            return;
        };
        if let Some(element) = list::element_kind(kind, node) {
            self.list(node, element);
        } else if let Some(known) = KINDS.iter().find(|known| known.name == kind)
            && known.scope.includes(self.workloads, name_of(node))
        {
            self.known(node, known, implied.is_some());
        } else if let Some(generated) = generated_network::read(kind, node) {
            self.push(Manifest::GeneratedNetwork(generated), node.location);
        } else if KINDS.iter().all(|known| known.name != kind) {
            self.misspelt(node, kind);
        }
    }

    /// Warns about a kind that does not exist, if it is similar to one that does.
    fn misspelt(&mut self, node: &DocumentNode<'_>, kind: &str) {
        let version = node.get("apiVersion").and_then(DocumentNode::string);
        let (Some(version), Some(location)) = (version, node.get("kind")) else {
            return;
        };
        if let Some(intended) = kinds::intended_kind(group(version), kind) {
            let fault = ManifestFault::Misspelt {
                kind: kind.to_owned(),
                group: group(version).to_owned(),
                intended,
            };
            self.warn(location, fault);
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

    fn list(&mut self, node: &DocumentNode<'_>, element: Option<&'static KnownKind>) {
        let Some(items) = node.get("items") else {
            return;
        };
        let field = format_args!("{}items", self.prefix);
        let Some(elements) = self.checker.elements(items, field, "a list") else {
            return;
        };
        let length = self.prefix.len();
        for (index, item) in elements.iter().enumerate() {
            self.prefix.push_str(&format!("items[{index}]."));
            self.object(item, element);
            self.prefix.truncate(length);
        }
    }

    fn known(&mut self, node: &DocumentNode<'_>, kind: &'static KnownKind, implied: bool) {
        if !self.is_version_of(node, kind, implied) {
            return;
        }
        let faults = self.checker.faults();
        self.repeated_keys(node, "");
        let manifest = (kind.read)(self, node);
        if let (Some(value), true) = (manifest, faults == self.checker.faults()) {
            let location = node.location;
            self.objects.push(Located { value, location });
        }
    }

    /// Returns true if the object's `apiVersion` is that of this kind, and not of another project's
    /// kind with the same name. Reports unknown versions.
    fn is_version_of(
        &mut self,
        node: &DocumentNode<'_>,
        kind: &'static KnownKind,
        implied: bool,
    ) -> bool {
        let found = match node.get("apiVersion") {
            None if implied => return true,
            None => {
                let instead = format!("`apiVersion: {}`", kind.api_version);
                self.missing(node, "apiVersion", instead);
                // The intended kind is obvious: a check reports the object's other errors, too.
                return self.workloads;
            }
            Some(version) => version,
        };
        let field = format_args!("{}apiVersion", self.prefix);
        let Some(text) = self.checker.string(found, field, "a string") else {
            return false;
        };
        if kind.other_versions.contains(&text) {
            return true;
        }
        if text != kind.api_version && group(text) == group(kind.api_version) {
            let fault = ManifestFault::Version {
                kind: kind.name,
                found: text.to_owned(),
                expected: kind.api_version,
            };
            self.fault(found, fault);
        } else if text != kind.api_version && kind.has_unique_name() {
            let fault = ManifestFault::Group {
                kind: kind.name,
                found: text.to_owned(),
                expected: kind.api_version,
            };
            self.warn(found, fault);
        }
        text == kind.api_version
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

/// Returns the object's name, if it has one.
fn name_of<'n>(node: &'n DocumentNode<'_>) -> Option<&'n str> {
    node.get("metadata")?.get("name")?.string()
}

/// Returns the last segment of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// Returns the group of an `apiVersion`; empty for core kinds.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
