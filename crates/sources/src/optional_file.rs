//! A file that may appear and disappear: one key of a mounted `ConfigMap`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{SourceError, file_text};

/// A file that may be missing, and its content.
///
/// A key that is removed from a `ConfigMap` is a file that is deleted: then there is no content. If
/// the file cannot be read, its last content stays in effect.
pub struct OptionalFile {
    path: PathBuf,
    content: watch::Sender<Option<String>>,
    last_error: Option<SourceError>,
}

impl OptionalFile {
    /// Opens and reads the file.
    ///
    /// # Errors
    /// Returns an error if it exists and cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        let content = read(&path)?;
        Ok(Self {
            path,
            content: watch::Sender::new(content),
            last_error: None,
        })
    }

    /// Returns a receiver of the current and future contents; `None` while there is no file.
    pub fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.content.subscribe()
    }

    /// Reads the file every `period` until `cancel`.
    pub async fn watch(mut self, period: Duration, cancel: CancellationToken) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let path = self.path.clone();
            // The task itself fails only if the runtime is shutting down.
            if let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await {
                self.update(read);
            }
        }
    }

    fn update(&mut self, read: Result<Option<String>, SourceError>) {
        match read {
            Ok(current) => {
                self.last_error = None;
                self.content.send_if_modified(|content| {
                    let changed = *content != current;
                    *content = current;
                    changed
                });
            }
            Err(error) => {
                if self.last_error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "cannot read the file; its previous content stays in effect");
                    self.last_error = Some(error);
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, SourceError> {
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(None);
    }
    let read = file_text::read(path, &path.display().to_string());
    match read {
        Ok(text) => Ok(Some(text.content)),
        // The file was deleted meanwhile.
        Err(_) if matches!(path.try_exists(), Ok(false)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_comes_changes_and_goes() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let path = folder.path().join("reconciler_cron_expression");
        let file = OptionalFile::open(&path).unwrap_or_else(|e| panic!("{e}"));
        let mut content = file.subscribe();
        assert_eq!(*content.borrow_and_update(), None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(file.watch(Duration::from_millis(1), stop.clone()));
        for text in [Some("0 5 * * *"), Some("0 6 * * *"), None, Some("")] {
            let done = match text {
                // Replaced atomically, as the kubelet does.
                Some(text) => std::fs::write(folder.path().join("new"), text)
                    .and_then(|()| std::fs::rename(folder.path().join("new"), &path)),
                None => std::fs::remove_file(&path),
            };
            assert!(done.is_ok(), "{done:?}");
            assert!(content.changed().await.is_ok());
            assert_eq!(content.borrow_and_update().as_deref(), text);
        }
        stop.cancel();
        assert!(task.await.is_ok());
    }

    #[test]
    fn an_unreadable_file_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        assert!(OptionalFile::open(folder.path()).is_err());
    }
}
