//! The stand-in for the API server behaves as a real one.

mod behaviour;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    behaviour::trials()
}
