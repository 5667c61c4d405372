//! Rules on updates of pods.

pub mod attachments_changed;
