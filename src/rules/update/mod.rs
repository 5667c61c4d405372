//! Rules on what an update makes of a pod.

pub mod attachments_changed;
