//! Rules on a network's own configuration: when it is created, and when it changes.
//!
//! Each looks at the configuration's text, so that what it finds has a place there. What Multus and
//! libcni refuse altogether is [`invalid_config`]; the others speak of what a plugin makes of it.

pub mod duplicate_static_address;
pub mod in_use;
pub mod invalid_config;
pub mod missing_daemon;
pub mod overlapping_ranges;
