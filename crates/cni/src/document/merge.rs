//! The entries of a YAML mapping, and the merge key `<<`, which includes the entries of other
//! mappings.

use std::collections::HashSet;

use super::{DocumentNode, NodeValue, ObjectEntry, SyntaxError};

/// Returns true if an unquoted key is the merge key.
pub(super) fn is_merge_key(text: &str) -> bool {
    text == "<<"
}

/// The entries of a mapping that is still being parsed.
#[derive(Default)]
pub(super) struct Pairs<'a> {
    entries: Vec<ObjectEntry<'a>>,
    merges: Vec<DocumentNode<'a>>,
    key: Option<(DocumentNode<'a>, bool)>,
}

impl<'a> Pairs<'a> {
    /// Adds the next key or value; `merge` is true if it is the merge key, provided that it is a
    /// key.
    pub(super) fn put(&mut self, node: DocumentNode<'a>, merge: bool) {
        match self.key.take() {
            None => self.key = Some((node, merge)),
            Some((_, true)) => self.merges.push(node),
            Some((key, false)) => self.entries.push(ObjectEntry { key, value: node }),
        }
    }

    /// Returns all entries. Entries of the mapping itself take precedence over merged ones, and
    /// earlier merged ones over later ones.
    pub(super) fn merged(self) -> Result<Vec<ObjectEntry<'a>>, SyntaxError> {
        let mut entries = self.entries;
        if self.merges.is_empty() {
            return Ok(entries);
        }
        let own = entries.iter().filter_map(|entry| name(&entry.key));
        let mut taken: HashSet<String> = own.collect();
        for merge in self.merges {
            for source in sources(merge)? {
                let mut new = source;
                new.retain(|entry| name(&entry.key).is_none_or(|name| taken.insert(name)));
                entries.extend(new);
            }
        }
        Ok(entries)
    }
}

fn name(key: &DocumentNode<'_>) -> Option<String> {
    key.string().map(str::to_owned)
}

/// Returns the mappings that a merge key names: one, or a list of them.
fn sources(merge: DocumentNode<'_>) -> Result<Vec<Vec<ObjectEntry<'_>>>, SyntaxError> {
    let refusal = SyntaxError::at(
        merge.location,
        "\"<<\" takes an object or a list of objects",
    );
    match merge.value {
        NodeValue::Object(entries) => Ok(vec![entries]),
        NodeValue::List(elements) => elements
            .into_iter()
            .map(into_entries)
            .collect::<Option<_>>()
            .ok_or(refusal),
        _ => Err(refusal),
    }
}

fn into_entries(node: DocumentNode<'_>) -> Option<Vec<ObjectEntry<'_>>> {
    match node.value {
        NodeValue::Object(entries) => Some(entries),
        _ => None,
    }
}
