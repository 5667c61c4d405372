//! Rules on updates of pods.

pub(crate) mod attachments_changed;
