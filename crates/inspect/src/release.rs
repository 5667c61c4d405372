//! Checks for the manual release of an address.

use thiserror::Error;

use super::allocations::pod_of;
use nadmit_allocation::{Allocation, Holder};
use nadmit_catalog::Catalog;

/// Reason that blocks a release without force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseBlocked {
    #[error("pod {0} is there and may use it: delete the pod first")]
    PodExists(String),
    /// A reservation holds the address.
    #[error("AddressReservation {0} sets it aside: delete that first, or it is set aside again")]
    Reserved(String),
    /// A network's own configuration assigns the address.
    #[error(
        "network {0} gives it by its own configuration: change that first, or it is recorded again"
    )]
    Configured(String),
    /// Without a catalog, it is unknown whether the holder exists.
    #[error("whether its holder is still there is not known without --manifests")]
    HolderUnknown,
}

/// Checks that a record may be released without force.
///
/// # Errors
/// Returns the reason that blocks the release.
pub fn check_releasable(
    record: &Allocation,
    catalog: Option<&Catalog>,
) -> Result<(), ReleaseBlocked> {
    let catalog = catalog.ok_or(ReleaseBlocked::HolderUnknown)?;
    match &record.holder {
        Holder::Reservation { namespace, name } => {
            let reserves = catalog.pool_config().reservations.iter();
            let mut reserves = reserves.map(|(reservation, _)| reservation.key());
            let there = reserves.any(|key| key.namespace == *namespace && key.name == *name);
            blocked_if(there, || {
                ReleaseBlocked::Reserved(format!("{namespace}/{name}"))
            })
        }
        Holder::Network { namespace, name } => {
            let there = catalog.network(namespace, name).is_some();
            blocked_if(there, || {
                ReleaseBlocked::Configured(format!("{namespace}/{name}"))
            })
        }
        holder => {
            let namespace = &**holder.namespace();
            let pod = pod_of(record).filter(|pod| catalog.pod(namespace, pod).is_some());
            pod.map_or(Ok(()), |pod| {
                Err(ReleaseBlocked::PodExists(format!("{namespace}/{pod}")))
            })
        }
    }
}

fn blocked_if(there: bool, why: impl FnOnce() -> ReleaseBlocked) -> Result<(), ReleaseBlocked> {
    if there { Err(why()) } else { Ok(()) }
}
