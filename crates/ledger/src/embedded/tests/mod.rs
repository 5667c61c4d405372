//! Tests of the embedded ledger.

mod concurrency;
mod damage;
mod faults;
mod following;
mod lost;
mod model;
#[cfg(feature = "shuttle")]
mod shuttled;
mod support;
mod transfer;
mod verbs;
