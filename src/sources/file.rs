//! One file, and its last good state.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    time::SystemTime,
};

use crate::manifests;

use super::{
    SourceError,
    listing::Listed,
    objects::Objects,
    text::{self, Fingerprint},
};

/// A file as it was last read.
pub(super) struct FileState {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The fingerprint under which it need not be read again.
    settled: Option<Fingerprint>,
    /// A hash of the content that was parsed last; `None` if it could not even be read.
    content: Option<u64>,
    /// The last good state; if there never was one, what could be read.
    pub(super) objects: Objects,
    /// Whether the objects come from a reading without errors.
    pub(super) good: bool,
    /// What is wrong with it.
    pub(super) errors: Vec<SourceError>,
}

impl FileState {
    /// Whether the file is certainly as it was read.
    pub(super) fn is_current(&self, listed: &Listed) -> bool {
        self.settled.is_some() && self.settled == listed.fingerprint
    }

    /// Reads the file again; says whether its objects are others than before.
    pub(super) fn read(
        before: Option<Self>,
        name: &str,
        path: PathBuf,
        clock: fn() -> SystemTime,
    ) -> (Self, bool) {
        let read_at = clock();
        let text = text::read(&path, name);
        let mut state = before.unwrap_or_else(|| Self::unread(path.clone()));
        state.path = path;
        let differs = match text {
            Ok(text) => {
                let settled = text.fingerprint.is_settled(read_at);
                state.settled = settled.then_some(text.fingerprint);
                state.take(&text.content, name)
            }
            Err(error) => {
                state.settled = None;
                state.content = None;
                state.errors = vec![error];
                false
            }
        };
        (state, differs)
    }

    fn unread(path: PathBuf) -> Self {
        Self {
            path,
            settled: None,
            content: None,
            objects: Objects::default(),
            good: false,
            errors: Vec::new(),
        }
    }

    /// Takes over a text; says whether the objects are others than before.
    fn take(&mut self, text: &str, name: &str) -> bool {
        let content = hash(text);
        if self.content == Some(content) {
            return false;
        }
        self.content = Some(content);
        let read = manifests::read(text, name);
        let good = read.errors.is_empty();
        let mut errors: Vec<_> = read.errors.into_iter().map(SourceError::from).collect();
        let objects = Objects::of(read.objects, name, &mut errors);
        self.errors = errors;
        if self.good && !good {
            return false;
        }
        self.good = good;
        let differs = !objects.mean_the_same_as(&self.objects);
        self.objects = objects;
        differs
    }
}

/// A hash is enough to see a change, and keeps no text in memory.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
