//! A text in a file, read again when it changes.

use std::{fmt::Display, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{SourceError, text};

/// A file whose content matters, and its last content.
///
/// The content is compared and not the file: neither a new time stamp nor a swapped symbolic link
/// is a change, and no change is missed.
pub struct WatchedFile {
    path: PathBuf,
    content: String,
    trouble: Option<SourceError>,
    now: Arc<Notify>,
}

impl WatchedFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        let content = text::read(&path, &path.display().to_string())?.content;
        Ok(Self {
            path,
            content,
            trouble: None,
            now: Arc::default(),
        })
    }

    /// The content as it was last read.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Has the file looked at whenever this is notified, too.
    pub fn look_on(&mut self, now: Arc<Notify>) {
        self.now = now;
    }

    /// Looks every `period` until `cancel`, and calls `changed` with each new content.
    ///
    /// `changed` takes the content over or refuses it; refusals are logged. Then, and when the
    /// file cannot be read, what it said before still holds.
    pub async fn watch<E: Display>(
        mut self,
        period: Duration,
        cancel: CancellationToken,
        mut changed: impl FnMut(&str) -> Result<(), E>,
    ) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
                () = self.now.notified() => {}
            }
            if self.look().await {
                self.tell(&mut changed);
            }
        }
    }

    /// Reads the file; says whether its content is new.
    async fn look(&mut self) -> bool {
        let path = self.path.clone();
        let read = move || text::read(&path, &path.display().to_string());
        let content = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(text)) => text.content,
            Ok(Err(error)) => {
                if self.trouble.as_ref() != Some(&error) {
                    tracing::warn!("{error}; what it said before still holds");
                    self.trouble = Some(error);
                }
                return false;
            }
            // The runtime is shutting down.
            Err(_) => return false,
        };
        self.trouble = None;
        let new = content != self.content;
        self.content = content;
        new
    }

    fn tell<E: Display>(&self, changed: &mut impl FnMut(&str) -> Result<(), E>) {
        let file = self.path.display();
        match changed(&self.content) {
            Ok(()) => tracing::info!(%file, "the file changed and was read again"),
            Err(error) => {
                tracing::warn!(%file, "{error}\nwhat the file said before still holds");
            }
        }
    }
}
