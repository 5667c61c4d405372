//! Objects that are defined twice in the input.

use std::collections::HashMap;

use crate::{
    manifests::{Located, Manifest},
    network::{LineIndex, Position},
    rules::Level,
};

use super::{
    DUPLICATE_OBJECT, Diagnostic, File,
    identity::{ObjectIdentity, identity_of},
    spans::span_at,
};

/// Returns a warning for each object that was defined before, with the place of the first
/// definition.
pub(super) fn find(
    files: &[File],
    lines: &[LineIndex<'_>],
    read: &[Vec<Located<Manifest>>],
) -> Vec<Diagnostic> {
    let mut first: HashMap<ObjectIdentity<'_>, (&str, Position)> = HashMap::new();
    let mut diagnostics = Vec::new();
    for (index, ((file, lines), objects)) in files.iter().zip(lines).zip(read).enumerate() {
        for object in objects {
            let Some(identity) = identity_of(&object.value) else {
                continue;
            };
            let position = object.location.position;
            let (name, before) = *first.entry(identity).or_insert((&file.name, position));
            if (name, before) == (&*file.name, position) {
                continue;
            }
            let (kind, namespace, own) = identity;
            let slash = if namespace.is_empty() { "" } else { "/" };
            diagnostics.push(Diagnostic {
                file: index,
                code: DUPLICATE_OBJECT,
                level: Level::Warn,
                namespace: namespace.to_owned(),
                object: format!("{kind} {namespace}{slash}{own}"),
                field: "metadata.name".to_owned(),
                span: span_at(position, lines),
                message: format!(
                    "{kind} {namespace}{slash}{own} is also defined in {name}:{}:{}",
                    before.line, before.column
                ),
                help: "remove one of them, or check the manifests of each cluster separately"
                    .to_owned(),
            });
        }
    }
    diagnostics
}
