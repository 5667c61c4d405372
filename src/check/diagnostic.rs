//! What a run says.

use crate::{
    network::{Position, Span},
    rules::{Level, RULES},
};

use super::File;

/// The code of what is wrong with a manifest itself: no rule's, for without the manifest there is
/// nothing that a rule could judge.
pub const INVALID_MANIFEST: &str = "invalid-manifest";

/// The code of an object that stands a second time in what was read: of two manifests one would
/// overwrite the other, and nadmit judges with one of them.
pub const DUPLICATE_OBJECT: &str = "duplicate-object";

/// A finding, and its place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which of the run's files it is about.
    pub file: usize,
    /// The rule's code, [`INVALID_MANIFEST`] or [`DUPLICATE_OBJECT`].
    pub code: &'static str,
    /// Denied or warned of.
    pub level: Level,
    /// The namespace that the object lives in; empty of what lives in none.
    pub namespace: String,
    /// The object: `pod db/db-0`; empty for a file of which none was read.
    pub object: String,
    /// The field's path; empty where there is none.
    pub field: String,
    /// The bytes of the file.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty where the message says it.
    pub help: String,
}

/// A remark's place as editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub start: Position,
    /// Behind the last character.
    pub end: Position,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckOutcome {
    /// The files that were read.
    pub files: Vec<File>,
    /// How many objects in them were judged.
    pub objects: usize,
    /// Everything that was found: by file, then by place; in a cluster by namespace, then by code.
    pub diagnostics: Vec<Diagnostic>,
    /// The cluster, if it is a cluster that was judged: its objects are the files, and have no lines.
    pub cluster: Option<ClusterScope>,
}

/// A living cluster that was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterScope {
    /// The URL of its API server.
    pub server: String,
    /// The context of the kubeconfig that leads to it.
    pub context: Option<String>,
    /// The namespace to which the run is limited.
    pub namespace: Option<String>,
    /// How many objects there are that have nothing to do with networks.
    pub unrelated: usize,
}

impl CheckOutcome {
    /// How many remarks are of this level.
    pub fn count(&self, level: Level) -> usize {
        self.diagnostics.iter().filter(|r| r.level == level).count()
    }

    /// Whether something is denied.
    pub fn is_denied(&self) -> bool {
        self.count(Level::Deny) > 0
    }

    /// The name of a remark's file.
    pub(super) fn name(&self, diagnostic: &Diagnostic) -> &str {
        self.files
            .get(diagnostic.file)
            .map_or("", |file| &file.name)
    }

    /// What a remark is about; where there is no object, what could not be read as one.
    pub(super) fn object<'o>(&'o self, diagnostic: &'o Diagnostic) -> &'o str {
        match &*diagnostic.object {
            "" => self.name(diagnostic),
            object => object,
        }
    }

    /// The text of a remark's file.
    pub(super) fn text(&self, diagnostic: &Diagnostic) -> &str {
        let file = self.files.get(diagnostic.file);
        file.and_then(|file| file.text.as_deref().ok())
            .unwrap_or_default()
    }

    /// Where a remark is.
    pub(super) fn location(&self, diagnostic: &Diagnostic) -> Location {
        let text = self.text(diagnostic);
        Location {
            start: Position::of(diagnostic.span.start, text),
            end: Position::of(diagnostic.span.end.max(diagnostic.span.start), text),
        }
    }
}

/// In one line what a code means.
pub(super) fn summary(code: &str) -> &'static str {
    let rule = RULES.iter().find(|rule| rule.code == code);
    match (rule, code) {
        (Some(rule), _) => rule.summary,
        (None, DUPLICATE_OBJECT) => "An object is defined twice",
        (None, _) => "A manifest cannot be read",
    }
}
