//! The contents of deploy/, and the image: well-formed, equal in each form, requesting reviews of
//! everything that the code reviews, and allowing exactly what the code does.
//!
//! Tests that need kubectl or helm (`tests/tools.sh` installs them) or root are ignored without
//! them, with the reason in their name.

mod access;
mod chart;
mod image;
mod lifecycle;
pub(crate) mod objects;
mod protection;
pub(crate) mod registered;
mod registration;
mod schemas;
mod settings;
mod webhook_config;

use crate::support::TestResult;
use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        access::tests(),
        chart::tests(),
        image::tests(),
        webhook_config::tests(),
        protection::tests(),
        registration::tests(),
        schemas::tests(),
        settings::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns a test that is ignored if something is missing, with the reason in its name.
fn unless(
    missing: Option<&str>,
    name: &str,
    run: impl FnOnce() -> TestResult + Send + 'static,
) -> Trial {
    match missing {
        None => Trial::test(format!("deploy::{name}"), run),
        Some(what) => Trial::test(format!("deploy::{name} ({what})"), run).with_ignored_flag(true),
    }
}
