//! `nadmit crds`: the kinds, for `kubectl apply -f -`.

use super::out;
use crate::api;

/// Prints them as one YAML stream.
///
/// # Errors
/// When they cannot be written, which is a mistake in the types.
pub(super) fn run() -> anyhow::Result<()> {
    for crd in &api::crds() {
        out::line("---");
        out::text(api::yaml(crd)?);
    }
    Ok(())
}
