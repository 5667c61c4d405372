//! Clock, randomness and bounded file reads: what pure layers may not touch.

pub mod clock;
pub mod files;
