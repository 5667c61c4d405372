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
mod registered;
mod registration;
mod schemas;
mod settings;
mod webhook_config;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        access::trials(),
        chart::trials(),
        image::trials(),
        webhook_config::trials(),
        protection::trials(),
        registration::trials(),
        schemas::trials(),
        settings::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns a test that is ignored if something is missing, which its name then tells.
fn unless(
    missing: Option<&str>,
    name: &str,
    run: impl FnOnce() -> Result<(), libtest_mimic::Failed> + Send + 'static,
) -> Trial {
    match missing {
        None => Trial::test(format!("deploy::{name}"), run),
        Some(what) => Trial::test(format!("deploy::{name} ({what})"), run).with_ignored_flag(true),
    }
}
