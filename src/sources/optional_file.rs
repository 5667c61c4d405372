//! A text in a file that may come and go: one key of a mounted `ConfigMap`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{SourceError, text};

/// A file that may be missing, and what it says.
///
/// A key that is taken out of a `ConfigMap` is a file that is gone: then nothing is said. Of a file that
/// cannot be read, what it said before still holds.
pub struct OptionalFile {
    path: PathBuf,
    said: watch::Sender<Option<String>>,
    trouble: Option<SourceError>,
}

impl OptionalFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        let said = read(&path)?;
        Ok(Self {
            path,
            said: watch::Sender::new(said),
            trouble: None,
        })
    }

    /// What the file says, now and from now on; `None` while there is none.
    pub fn said(&self) -> watch::Receiver<Option<String>> {
        self.said.subscribe()
    }

    /// Looks every `period` until `cancel`.
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
            // An error of the task itself: the runtime is shutting down.
            if let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await {
                self.take(read);
            }
        }
    }

    fn take(&mut self, read: Result<Option<String>, SourceError>) {
        match read {
            Ok(now) => {
                self.trouble = None;
                self.said.send_if_modified(|said| {
                    let news = *said != now;
                    *said = now;
                    news
                });
            }
            Err(error) => {
                if self.trouble.as_ref() != Some(&error) {
                    tracing::warn!("{error}; what it said before still holds");
                    self.trouble = Some(error);
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, SourceError> {
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(None);
    }
    let read = text::read(path, &path.display().to_string());
    match read {
        Ok(text) => Ok(Some(text.content)),
        // It went meanwhile.
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
        let mut said = file.said();
        assert_eq!(*said.borrow_and_update(), None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(file.watch(Duration::from_millis(1), stop.clone()));
        for text in [Some("0 5 * * *"), Some("0 6 * * *"), None, Some("")] {
            let done = match text {
                // As the kubelet does: at once, or not at all.
                Some(text) => std::fs::write(folder.path().join("new"), text)
                    .and_then(|()| std::fs::rename(folder.path().join("new"), &path)),
                None => std::fs::remove_file(&path),
            };
            assert!(done.is_ok(), "{done:?}");
            assert!(said.changed().await.is_ok());
            assert_eq!(said.borrow_and_update().as_deref(), text);
        }
        stop.cancel();
        assert!(task.await.is_ok());
    }

    #[test]
    fn what_is_no_text_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        assert!(OptionalFile::open(folder.path()).is_err());
    }
}
