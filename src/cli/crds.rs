//! `nadmit crds`: prints the CustomResourceDefinitions for `kubectl apply -f -`.

use super::out;
use crate::api;

/// Prints the definitions as one YAML stream.
///
/// # Errors
/// When a definition cannot be serialized, which is a bug in the types.
pub(super) fn run() -> anyhow::Result<()> {
    for crd in &api::crds() {
        out::line("---");
        out::text(api::yaml(crd)?);
    }
    Ok(())
}
