//! A file of a folder, and its last good state.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    time::SystemTime,
};

use nadmit_manifests as manifests;

use super::{
    SourceError,
    file_text::{self, Fingerprint},
    listing::ListedFile,
    objects::FileObjects,
};

/// A file and its last good objects.
pub(super) struct FileState {
    pub(super) path: PathBuf,
    /// The fingerprint of the last read; `None` if the file must be read again even if it is
    /// unchanged.
    stable_fingerprint: Option<Fingerprint>,
    /// A hash of the content that was parsed last; `None` if the file could not be read.
    content: Option<u64>,
    /// The last good objects; if there never were any, those that could be read.
    pub(super) objects: FileObjects,
    /// True if the objects come from a read without errors.
    pub(super) error_free: bool,
    /// The errors of the last read.
    pub(super) errors: Vec<SourceError>,
}

impl FileState {
    /// Returns true if the file is certainly unchanged since the last read.
    pub(super) fn is_current(&self, listed: &ListedFile) -> bool {
        self.stable_fingerprint.is_some() && self.stable_fingerprint == listed.fingerprint
    }

    /// Reads the file again; returns true if its objects have changed.
    pub(super) fn read(
        before: Option<Self>,
        name: &str,
        path: PathBuf,
        clock: fn() -> SystemTime,
    ) -> (Self, bool) {
        let read_at = clock();
        let text = file_text::read(&path, name);
        let mut state = before.unwrap_or_else(|| Self::unread(path.clone()));
        state.path = path;
        let differs = match text {
            Ok(text) => {
                let is_stable = text.fingerprint.is_stable(read_at);
                state.stable_fingerprint = is_stable.then_some(text.fingerprint);
                state.update(&text.content, name)
            }
            Err(error) => {
                state.stable_fingerprint = None;
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
            stable_fingerprint: None,
            content: None,
            objects: FileObjects::default(),
            error_free: false,
            errors: Vec::new(),
        }
    }

    /// Parses a text; returns true if the objects have changed.
    fn update(&mut self, text: &str, name: &str) -> bool {
        let content = hash(text);
        if self.content == Some(content) {
            return false;
        }
        self.content = Some(content);
        let read = manifests::read(text, name);
        let error_free = read.errors.is_empty();
        let mut errors: Vec<_> = read.errors.into_iter().map(SourceError::from).collect();
        let objects = FileObjects::of(read.objects, name, &mut errors);
        self.errors = errors;
        if self.error_free && !error_free {
            return false;
        }
        self.error_free = error_free;
        let differs = !objects.is_equivalent_to(&self.objects);
        self.objects = objects;
        differs
    }
}

/// Returns a hash of the content, which detects changes without storing the text.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
