//! The results of a check.

use crate::{
    network::Span,
    rules::{Level, RULES},
};

use super::File;

/// The code of an error in a manifest itself. It is no rule's code: without the manifest there is
/// nothing that a rule could judge.
pub const INVALID_MANIFEST: &str = "invalid-manifest";

/// The code of an object that is defined a second time. Applying both would overwrite one, and only
/// one of them is checked.
pub const DUPLICATE_OBJECT: &str = "duplicate-object";

/// A finding with its position in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The index of the file.
    pub file: usize,
    /// The rule's code, [`INVALID_MANIFEST`] or [`DUPLICATE_OBJECT`].
    pub code: &'static str,
    /// The level: deny or warn.
    pub level: Level,
    /// The object's namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The object, such as `pod db/db-0`; empty for a file from which none was read.
    pub object: String,
    /// The field's path; empty if there is none.
    pub field: String,
    /// The byte span in the file.
    pub span: Span,
    /// The problem.
    pub message: String,
    /// The remedy; empty if the message includes it.
    pub help: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CheckOutcome {
    /// The files that were read.
    pub files: Vec<File>,
    /// The number of objects that were judged.
    pub objects: usize,
    /// All diagnostics: by file, then position; for a cluster by namespace, then code.
    pub diagnostics: Vec<Diagnostic>,
    /// The cluster, if one was checked: its objects are the files, which have no lines.
    pub cluster: Option<ClusterScope>,
}

/// A cluster that was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterScope {
    /// The URL of the API server.
    pub server: String,
    /// The kubeconfig context.
    pub context: Option<String>,
    /// The namespace that the check is limited to.
    pub namespace: Option<String>,
    /// The number of objects without any relation to networks.
    pub unrelated: usize,
}

impl CheckOutcome {
    /// Returns the number of diagnostics of this level.
    pub fn count(&self, level: Level) -> usize {
        self.diagnostics.iter().filter(|r| r.level == level).count()
    }

    /// Returns true if anything is denied.
    pub fn is_denied(&self) -> bool {
        self.count(Level::Deny) > 0
    }

    /// Returns the name of a diagnostic's file.
    pub(super) fn name(&self, diagnostic: &Diagnostic) -> &str {
        self.files
            .get(diagnostic.file)
            .map_or("", |file| &file.name)
    }

    /// Returns the object of a diagnostic, or the file if no object could be read.
    pub(super) fn object<'o>(&'o self, diagnostic: &'o Diagnostic) -> &'o str {
        match &*diagnostic.object {
            "" => self.name(diagnostic),
            object => object,
        }
    }

    /// Returns the text of a diagnostic's file.
    pub(super) fn text(&self, diagnostic: &Diagnostic) -> &str {
        let file = self.files.get(diagnostic.file);
        file.and_then(|file| file.text.as_deref().ok())
            .unwrap_or_default()
    }
}

/// Returns a code's meaning in one line.
pub fn summary(code: &str) -> &'static str {
    let rule = RULES.iter().find(|rule| rule.code == code);
    match (rule, code) {
        (Some(rule), _) => rule.summary,
        (None, DUPLICATE_OBJECT) => "An object is defined twice",
        (None, _) => "A manifest cannot be read",
    }
}
