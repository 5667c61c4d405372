//! The state of reading one file, and the questions that every kind asks of an object.

use std::{collections::HashSet, sync::Arc};

use crate::document::{Node, Position, SyntaxError};

use super::{
    Located, Manifest, ManifestError, ManifestFault, Place, Read,
    kinds::{self, KINDS, KnownKind},
    list, made,
};

/// The most errors listed for one file.
const MAX_ERRORS: usize = 100;

/// What was read so far.
pub(super) struct Reading {
    file: Arc<str>,
    /// Whether workloads are read, too.
    workloads: bool,
    /// Where in a list the present object stands: `items[3].`, or nothing.
    prefix: String,
    objects: Vec<Located<Manifest>>,
    errors: Vec<ManifestError>,
    warnings: Vec<ManifestError>,
    faults: usize,
}

impl Reading {
    /// Nothing yet.
    pub(super) fn new(file: &str, workloads: bool) -> Self {
        Self {
            workloads,
            file: file.into(),
            prefix: String::new(),
            objects: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            faults: 0,
        }
    }

    /// Everything.
    pub(super) fn finish(self) -> Read {
        Read {
            objects: self.objects,
            errors: self.errors,
            warnings: self.warnings,
        }
    }

    /// Reads one object, if it is of a known kind. An element of a typed list need not name its
    /// kind, for the list did.
    pub(super) fn object(&mut self, node: &Node<'_>, implied: Option<&'static KnownKind>) {
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
            && known.wanted.is_read(self.workloads, name_of(node))
        {
            self.known(node, known, implied.is_some());
        } else if let Some(made) = made::read(kind, node) {
            self.found(Manifest::Made(made), node.place);
        } else if KINDS.iter().all(|known| known.name != kind) {
            self.misspelt(node, kind);
        }
    }

    /// Warns of a kind that there is not, where another one was likely meant.
    fn misspelt(&mut self, node: &Node<'_>, kind: &str) {
        let version = node.get("apiVersion").and_then(Node::string);
        let (Some(version), Some(place)) = (version, node.get("kind")) else {
            return;
        };
        if let Some(meant) = kinds::meant(group(version), kind) {
            let fault = ManifestFault::Misspelt {
                kind: kind.to_owned(),
                group: group(version).to_owned(),
                meant,
            };
            self.warn(place, fault);
        }
    }

    /// Warns of what is at `node`.
    pub(super) fn warn(&mut self, node: &Node<'_>, fault: ManifestFault) {
        if self.warnings.len() < MAX_ERRORS {
            self.warnings.push(ManifestError {
                file: Arc::clone(&self.file),
                position: node.place.position,
                fault,
            });
        }
    }

    /// Takes something that is no object of Kubernetes.
    pub(super) fn found(&mut self, value: Manifest, place: Place) {
        self.objects.push(Located { value, place });
    }

    fn list(&mut self, node: &Node<'_>, element: Option<&'static KnownKind>) {
        let Some(items) = node.get("items") else {
            return;
        };
        let Some(elements) = items.elements() else {
            return self.wrong_kind(items, "items", "a list");
        };
        let length = self.prefix.len();
        for (index, item) in elements.iter().enumerate() {
            self.prefix.push_str(&format!("items[{index}]."));
            self.object(item, element);
            self.prefix.truncate(length);
        }
    }

    fn known(&mut self, node: &Node<'_>, kind: &'static KnownKind, implied: bool) {
        if !self.is_version_of(node, kind, implied) {
            return;
        }
        let faults = self.faults;
        self.repeated_keys(node, "");
        let manifest = (kind.read)(self, node);
        if let (Some(value), true) = (manifest, faults == self.faults) {
            let place = node.place;
            self.objects.push(Located { value, place });
        }
    }

    /// Whether the object is of this kind, and not of somebody's else's of the same name.
    fn is_version_of(&mut self, node: &Node<'_>, kind: &'static KnownKind, implied: bool) -> bool {
        let found = match node.get("apiVersion") {
            None if implied => return true,
            None => {
                let instead = format!("`apiVersion: {}`", kind.api_version);
                self.missing(node, "apiVersion", instead);
                // What it is meant to be is plain: who checks wants to hear of the rest, too.
                return self.workloads;
            }
            Some(version) => version,
        };
        let Some(text) = found.string() else {
            self.wrong_kind(found, "apiVersion", "a string");
            return false;
        };
        if kind.also.contains(&text) {
            return true;
        }
        if text != kind.api_version && group(text) == group(kind.api_version) {
            let fault = ManifestFault::Version {
                kind: kind.name,
                found: text.to_owned(),
                expected: kind.api_version,
            };
            self.fault(found, fault);
        } else if text != kind.api_version && kind.is_ours_alone() {
            let fault = ManifestFault::Group {
                kind: kind.name,
                found: text.to_owned(),
                expected: kind.api_version,
            };
            self.warn(found, fault);
        }
        text == kind.api_version
    }

    /// The object in a field; `None` if there is none or if it is something else, which is an
    /// error.
    pub(super) fn object_in<'n, 'a>(
        &mut self,
        parent: &'n Node<'a>,
        path: &str,
    ) -> Option<&'n Node<'a>> {
        let node = parent.get(last(path))?;
        if node.entries().is_none() {
            self.wrong_kind(node, path, "an object");
            return None;
        }
        self.repeated_keys(node, path);
        Some(node)
    }

    /// The string in a field, in the same way.
    pub(super) fn text_in<'n>(&mut self, parent: &'n Node<'_>, path: &str) -> Option<&'n str> {
        let node = parent.get(last(path))?;
        if node.string().is_none() {
            self.wrong_kind(node, path, "a string");
        }
        node.string()
    }

    /// Reports every key that an object has more than once: YAML would silently drop all but one.
    pub(super) fn repeated_keys(&mut self, node: &Node<'_>, path: &str) {
        let mut seen = HashSet::new();
        for entry in node.entries().unwrap_or_default() {
            let Some(key) = entry.key.string() else {
                continue;
            };
            if !seen.insert(key) {
                let field = match path {
                    "" => key.to_owned(),
                    _ if path.ends_with("metadata.annotations")
                        || path.ends_with("metadata.labels") =>
                    {
                        format!("{path}[{key}]")
                    }
                    _ => format!("{path}.{key}"),
                };
                let field = self.field(&field);
                self.fault(&entry.key, ManifestFault::Repeated { field });
            }
        }
    }

    /// Reports a value of another sort than it has to be.
    pub(super) fn wrong_kind(&mut self, node: &Node<'_>, path: &str, expected: &'static str) {
        let fault = ManifestFault::Kind {
            field: self.field(path),
            expected,
            found: node.kind(),
        };
        self.fault(node, fault);
    }

    /// Reports that `node` lacks something.
    pub(super) fn missing(&mut self, node: &Node<'_>, path: &str, instead: String) {
        let field = self.field(path);
        self.fault(node, ManifestFault::Missing { field, instead });
    }

    /// Reports what is wrong at `node`.
    pub(super) fn fault(&mut self, node: &Node<'_>, fault: ManifestFault) {
        self.error(node.place.position, fault);
    }

    /// Reports a document that could not be read.
    pub(super) fn syntax_error(&mut self, error: SyntaxError) {
        self.error(error.position, ManifestFault::Syntax(error.reason));
    }

    fn error(&mut self, position: Position, fault: ManifestFault) {
        self.faults += 1;
        let fault = match self.faults {
            ..=MAX_ERRORS => fault,
            count if count == MAX_ERRORS + 1 => ManifestFault::More,
            _ => return,
        };
        self.errors.push(ManifestError {
            file: Arc::clone(&self.file),
            position,
            fault,
        });
    }

    /// The path of a field in the document.
    pub(super) fn field(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

/// The object's name, if it has one.
fn name_of<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.get("metadata")?.get("name")?.string()
}

/// The last name of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// The group of an `apiVersion`; the core kinds have none.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
