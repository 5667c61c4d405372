//! The other networks that a message names.

use std::collections::BTreeSet;

use crate::NetworkSubject;
use nadmit_catalog::{NetworkName, NetworkNames};

/// The maximum number of networks that a message names.
const MAX_NAMED: usize = 10;

/// Returns the names of networks for a message: the first of them, and the number of the others.
/// `known` are networks of the catalog, `listed` those of the same operator list; the subject itself
/// is left out. Empty if there are no others.
pub(super) fn names_of_others(
    subject: &NetworkSubject<'_>,
    known: Option<&NetworkNames>,
    listed: Option<&NetworkNames>,
) -> Vec<String> {
    let own = (Box::from(subject.namespace), Box::from(subject.name));
    let Some(siblings) = subject.siblings else {
        let all = known.into_iter().flatten();
        let first = all.filter(|name| **name != own).take(MAX_NAMED);
        let count = known.map_or(0, |all| all.len() - usize::from(all.contains(&own)));
        return described(first, count);
    };
    // The known versions of siblings are about to change.
    let known = known.into_iter().flatten();
    let known = known.filter(|(namespace, name)| siblings.network(namespace, name).is_none());
    let mut all: BTreeSet<_> = known.chain(listed.into_iter().flatten()).collect();
    all.remove(&own);
    described(all.iter().copied().take(MAX_NAMED), all.len())
}

fn described<'n>(first: impl Iterator<Item = &'n NetworkName>, count: usize) -> Vec<String> {
    let first = first.map(|(namespace, name)| format!("{namespace}/{name}"));
    let mut names: Vec<String> = first.collect();
    if count > names.len() {
        names.push(format!("{} more", count - names.len()));
    }
    names
}
