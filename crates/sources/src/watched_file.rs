//! A file that is read again when it changes.

use std::{fmt::Display, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{SourceError, file_text};

/// A file and its last content.
///
/// Contents are compared and not metadata: neither a new modification time nor a swapped symbolic
/// link is a change, and no change is missed.
pub struct WatchedFile {
    path: PathBuf,
    content: String,
    last_error: Option<SourceError>,
    reload_requested: Arc<Notify>,
}

impl WatchedFile {
    /// Opens and reads the file.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        let content = file_text::read(&path, &path.display().to_string())?.content;
        Ok(Self {
            path,
            content,
            last_error: None,
            reload_requested: Arc::default(),
        })
    }

    /// Returns the last content.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Also reads the file whenever this is notified.
    pub fn reload_on(&mut self, reload_requested: Arc<Notify>) {
        self.reload_requested = reload_requested;
    }

    /// Reads the file every `period` until `cancel`, and calls `changed` with each new content.
    ///
    /// `changed` applies the content or rejects it; errors are logged. If it rejects the content,
    /// or the file cannot be read, the previous content stays in effect.
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
                () = self.reload_requested.notified() => {}
            }
            if self.reload().await {
                self.notify(&mut changed);
            }
        }
    }

    /// Reads the file; returns true if its content has changed.
    async fn reload(&mut self) -> bool {
        let path = self.path.clone();
        let read = move || file_text::read(&path, &path.display().to_string());
        let content = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(text)) => text.content,
            Ok(Err(error)) => {
                if self.last_error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "cannot read the file; its previous content stays in effect");
                    self.last_error = Some(error);
                }
                return false;
            }
            // The runtime is shutting down.
            Err(_) => return false,
        };
        self.last_error = None;
        let new = content != self.content;
        self.content = content;
        new
    }

    fn notify<E: Display>(&self, changed: &mut impl FnMut(&str) -> Result<(), E>) {
        let file = self.path.display();
        match changed(&self.content) {
            Ok(()) => tracing::info!(%file, "file reloaded"),
            Err(error) => {
                tracing::warn!(%file, %error, "file rejected; its previous content stays in effect");
            }
        }
    }
}
