//! Streams of writes, made from the events of a watch.
//!
//! A watch that ends or breaks is reopened where it stopped, so that nothing is missed. Only when the API
//! server no longer has the history does the stream end with an error; then list again.

use futures_util::stream::{self, BoxStream};
use nadmit_api::{
    call::ApiError,
    watch::{Event, Watch},
};

use crate::FollowError;

/// Meaning of an event of a watch.
pub(crate) enum WatchMessage<T> {
    Event(T),
    /// Nothing to report.
    Ignored,
    /// Only a list shows the current state.
    Expired,
}

/// Reads the events of a watch of one kind.
pub(crate) trait EventReader: Send + 'static {
    /// A write of an object.
    type Event: Send;

    /// Called before each request.
    fn requested(&self) {}

    /// Called at the first failure after an event.
    fn failed(&self, error: &ApiError);

    /// Reads an event about an object.
    fn read(&self, event: Event) -> WatchMessage<Self::Event>;
}

struct Follower<R> {
    watch: Watch,
    reader: R,
    /// True from a failure to the next event.
    failing: bool,
}

/// Returns the stream of writes that a watch delivers. It ends after an error.
pub(crate) fn follow<R: EventReader>(
    watch: Watch,
    reader: R,
) -> BoxStream<'static, Result<R::Event, FollowError>> {
    let follower = Follower {
        watch,
        reader,
        failing: false,
    };
    Box::pin(stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok(event), Some(follower))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl<R: EventReader> Follower<R> {
    async fn next(&mut self) -> Result<R::Event, FollowError> {
        loop {
            if !self.watch.is_open() {
                self.reader.requested();
            }
            let event = match self.watch.next().await {
                // A missing kind has no records; the next list reports the reason.
                Event::Relist(_) => return Err(FollowError::Expired),
                Event::Failed(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        self.reader.failed(&error);
                    }
                    continue;
                }
                Event::Opened | Event::Closed => continue,
                event => event,
            };
            self.failing = false;
            match self.reader.read(event) {
                WatchMessage::Event(event) => return Ok(event),
                WatchMessage::Ignored => {}
                WatchMessage::Expired => return Err(FollowError::Expired),
            }
        }
    }
}
