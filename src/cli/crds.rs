//! `nadmit crds`: prints the CustomResourceDefinitions for `kubectl apply -f -`.

use super::output;
use crate::api;

/// Prints the definitions as one YAML stream.
///
/// # Errors
/// When a definition cannot be serialized, which is a bug in the types.
pub(super) fn run() -> anyhow::Result<()> {
    for crd in &api::crds() {
        output::print_line("---");
        output::print(api::yaml(crd)?);
    }
    Ok(())
}
