//! The entries of a YAML mapping, and `<<`, which takes over those of others.

use std::collections::HashSet;

use super::{Entry, Node, SyntaxError, Value};

/// Whether an unquoted key is the merge key.
pub(super) fn is_merge_key(text: &str) -> bool {
    text == "<<"
}

/// The entries of a mapping that has not ended yet.
#[derive(Default)]
pub(super) struct Pairs<'a> {
    entries: Vec<Entry<'a>>,
    merges: Vec<Node<'a>>,
    key: Option<(Node<'a>, bool)>,
}

impl<'a> Pairs<'a> {
    /// Takes the next key or value; `merge` says that it is a merge key, if it is a key.
    pub(super) fn put(&mut self, node: Node<'a>, merge: bool) {
        match self.key.take() {
            None => self.key = Some((node, merge)),
            Some((_, true)) => self.merges.push(node),
            Some((key, false)) => self.entries.push(Entry { key, value: node }),
        }
    }

    /// All entries. What is written in the mapping itself goes before what it merges, and of what
    /// it merges, the earlier before the later.
    pub(super) fn merged(self) -> Result<Vec<Entry<'a>>, SyntaxError> {
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

fn name(key: &Node<'_>) -> Option<String> {
    key.string().map(str::to_owned)
}

/// The mappings that a merge key names: one, or a list of them.
fn sources(merge: Node<'_>) -> Result<Vec<Vec<Entry<'_>>>, SyntaxError> {
    let refusal = SyntaxError::at(merge.place, "\"<<\" takes an object or a list of objects");
    match merge.value {
        Value::Object(entries) => Ok(vec![entries]),
        Value::List(elements) => elements
            .into_iter()
            .map(into_entries)
            .collect::<Option<_>>()
            .ok_or(refusal),
        _ => Err(refusal),
    }
}

fn into_entries(node: Node<'_>) -> Option<Vec<Entry<'_>>> {
    match node.value {
        Value::Object(entries) => Some(entries),
        _ => None,
    }
}
