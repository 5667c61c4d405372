//! The reasons for a rejection that the index does not give, or not completely.

use std::{collections::HashMap, sync::Arc};

use crate::{annotations::DesiredAnnotations, context::ReviewContext, object::ReviewAnnotations};
use nadmit_allocation::{Address, AllocationError, index::Rejection};
use nadmit_cni::selection::MAX_ANNOTATIONS_BYTES;

/// The maximum number of retained addresses named in a denial.
const MAX_RETAINED_NAMED: usize = 5;

/// Returns the rejection of annotations that would be too long for the API server.
pub(crate) fn too_long(
    desired: &DesiredAnnotations,
    current: &ReviewAnnotations<'_>,
) -> Option<Rejection> {
    let bytes = desired.bytes_after(current);
    (bytes > MAX_ANNOTATIONS_BYTES).then_some(Rejection {
        request: 0,
        error: AllocationError::AnnotationsTooLong {
            bytes,
            limit: MAX_ANNOTATIONS_BYTES,
        },
    })
}

/// Adds the addresses that workloads retain without a pod to rejections for a namespace's limit.
pub(crate) fn with_retained_addresses(
    mut rejections: Vec<Rejection>,
    context: &ReviewContext<'_>,
) -> Vec<Rejection> {
    // Once for each pool, because it scans all records.
    let mut of_pools: HashMap<Arc<str>, Vec<Address>> = HashMap::new();
    for one in &mut rejections {
        if let AllocationError::NamespaceLimit {
            namespace,
            pool,
            retained,
            ..
        } = &mut one.error
        {
            let addresses = of_pools.entry(Arc::clone(pool));
            let addresses =
                addresses.or_insert_with(|| retained_addresses(namespace, pool, context));
            retained.clone_from(addresses);
        }
    }
    rejections
}

/// Returns the lowest addresses of a pool that a namespace's workloads retain without a pod.
fn retained_addresses(
    namespace: &Arc<str>,
    pool: &str,
    context: &ReviewContext<'_>,
) -> Vec<Address> {
    let index = context.allocations.lock();
    let records = index.recorded().map(|(record, _)| record);
    let retained = records.filter(|record| {
        *record.pool == *pool
            && record.holder.namespace() == namespace
            && context.catalog.is_retained(record)
    });
    let mut addresses: Vec<Address> = retained.map(|record| record.address).collect();
    addresses.sort_unstable();
    addresses.truncate(MAX_RETAINED_NAMED);
    addresses
}
