//! Pool addresses that two running pods use.

use std::collections::HashMap;

use crate::{
    allocation::{
        Address, AllocationError, Holder, NetworkRef, PoolConfig, Space, reconcile::InUse,
    },
    manifests::{PodManifest, PodName},
    rules::{Finding, PodSubject, allocation::AllocationSubject, judge::judge_allocation},
};

/// The pods that use another holder's address, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct SharedAddresses<'u>(
    HashMap<(&'u str, &'u str), Vec<(&'u NetworkRef, AllocationError)>>,
);

impl<'u> SharedAddresses<'u> {
    /// Finds shared addresses. An address belongs to the network that configures it, or else to its
    /// first pod; the other pods are reported.
    pub(super) fn of(in_use: &'u [InUse], pool_config: &PoolConfig) -> Self {
        let mut users: HashMap<(Space, Address), Vec<&InUse>> = HashMap::new();
        for one in in_use {
            if let Some(pool) = pool_config.pool(&one.pool) {
                let key = (pool.space.clone(), one.address);
                users.entry(key).or_default().push(one);
            }
        }
        let mut shared = Self::default();
        for ((_, address), users) in users {
            let configured = users.iter().find(|one| one.pod.is_none());
            let Some(owner) = configured.or(users.first()) else {
                continue;
            };
            for one in users.iter().filter(|one| !is_of(one, &owner.holder)) {
                let Some(pod) = pod_of(one) else { continue };
                let error = AllocationError::InUse {
                    address,
                    holder: Box::new(owner.holder.clone()),
                };
                let errors = shared.0.entry(pod).or_default();
                errors.push((&one.network, error));
            }
        }
        for errors in shared.0.values_mut() {
            errors.sort_by_key(|(_, error)| error.address());
            errors.dedup();
        }
        shared
    }

    /// Returns the findings on a pod.
    pub(super) fn findings(&self, subject: &PodSubject<'_>, pod: &PodManifest) -> Vec<Finding> {
        let PodName::Explicit(name) = &pod.name else {
            return Vec::new();
        };
        let errors = self.0.get(&(&*pod.namespace, &**name));
        let rejected = errors.into_iter().flatten().map(|(network, error)| {
            let mut attachments = subject.attachments();
            let position = attachments.position(|attachment| {
                attachment.network().is_some_and(|known| {
                    (&*known.namespace, &*known.name) == (&*network.namespace, &*network.name)
                })
            });
            // An address that only network-status reports has no selection of its own.
            (position.unwrap_or_default(), error.clone())
        });
        let rejected: Vec<(usize, AllocationError)> = rejected.collect();
        judge_allocation(&AllocationSubject {
            pod: subject,
            errors: &rejected,
        })
    }
}

/// Returns true if this holder uses the address, directly or through the network that configures
/// it.
fn is_of(one: &InUse, holder: &Holder) -> bool {
    let through = matches!(holder, Holder::Network { namespace, name }
        if (namespace, name) == (&one.network.namespace, &one.network.name));
    one.holder == *holder || through
}

/// Returns the namespace and name of the pod that uses an address.
pub(super) fn pod_of(one: &InUse) -> Option<(&str, &str)> {
    Some((one.holder.namespace(), &one.pod.as_ref()?.name))
}
