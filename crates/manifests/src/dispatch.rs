//! Reading of one object: its kind, its version, and the elements of lists.

use nadmit_cni::document::DocumentNode;

use super::{
    Located, Manifest, ManifestFault, generated_network,
    kinds::{self, KINDS, KnownKind},
    list,
    reader::ManifestReader,
};

impl ManifestReader {
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
}

/// Returns the object's name, if it has one.
fn name_of<'n>(node: &'n DocumentNode<'_>) -> Option<&'n str> {
    node.get("metadata")?.get("name")?.string()
}

/// Returns the group of an `apiVersion`; empty for core kinds.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
