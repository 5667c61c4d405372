//! Allocation of new addresses in a plan, and renewal of held ones.

use std::sync::Arc;

use super::{AttachmentRequest, PlanBuilder};
use crate::{Address, Holder, Pool, Write, error::AllocationError, index::Index};

impl Index {
    /// Allocates an address to the requester: creates a record, or takes over that of its reservation.
    pub(super) fn allocate(
        &mut self,
        address: Address,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let reservation = self.reservation_of(address, request, pool, builder.requester)?;
        self.check_foreign(address, pool, builder)?;
        let entry = self.entry(&pool.space, address);
        let mut desired = builder.allocation(address, request, pool);
        desired.reservation = reservation;
        desired.mac = self.derived_mac_for(&desired, request, pool);
        match entry {
            None => {
                // Reserved addresses are already counted toward the limit.
                if desired.reservation.is_none() {
                    self.check_namespace_limit(address, pool, builder)?;
                }
                builder.writes.push(Write::Create(desired.clone()));
            }
            Some(entry) if entry.plan().is_some_and(|id| id != builder.id) => {
                return Err(AllocationError::Busy(address));
            }
            Some(entry) => {
                let reserved = matches!(entry.allocation().holder, Holder::Reservation { .. });
                let version = entry
                    .version()
                    .filter(|_| reserved && desired.reservation.is_some());
                let version = version.ok_or_else(|| AllocationError::InUse {
                    address,
                    holder: Box::new(entry.allocation().holder.clone()),
                })?;
                builder.writes.push(Write::Update(desired.clone(), version));
            }
        }
        self.mark_pending(desired, builder.id, &mut builder.pending_writes);
        Ok(())
    }

    /// Renews an address that the requester holds. A record that names another pod is updated under its
    /// version, so that the reconciler cannot free it for the pod that is gone.
    pub(super) fn renew(
        &mut self,
        address: Address,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let entry = self.entry(&pool.space, address);
        let bug = AllocationError::Internal("a holder has an address that has no entry");
        let entry = entry.ok_or(bug)?;
        let old = entry.allocation();
        // The pending write for another holder will fail, because the record exists; until then the
        // address is busy.
        if old.holder != builder.requester.holder {
            return Err(AllocationError::Busy(address));
        }
        if builder.has_other_owner(old) {
            return Err(AllocationError::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            });
        }
        self.check_foreign(address, pool, builder)?;
        let mut desired = builder.allocation(address, request, pool);
        desired.reservation.clone_from(&old.reservation);
        desired.mac = old
            .mac
            .or_else(|| self.derived_mac_for(&desired, request, pool));
        builder.remember_node(&mut desired, old);
        desired.former_nodes = old.former_nodes_for(desired.pod.as_ref());
        desired.taken = match old.is_of_pod(desired.pod.as_ref()) {
            // The pod is bound once more: it has not used the address yet.
            true => old.taken,
            false => Some(old.held_since()),
        };
        let version = entry.version();
        let sure = |version| self.is_locally_written(version) || !builder.may_be_concurrent(old);
        if builder.is_up_to_date(old) && desired.mac == old.mac && version.is_some_and(sure) {
            return Ok(());
        }
        let version = version.ok_or_else(|| match entry.plan() {
            // Two attachments of one pod name the same interface.
            Some(id) if id == builder.id => AllocationError::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            },
            _ => AllocationError::Busy(address),
        })?;
        builder.writes.push(Write::Update(desired.clone(), version));
        self.mark_pending(desired, builder.id, &mut builder.pending_writes);
        Ok(())
    }

    /// Checks that no other pod has the address by another allocator.
    fn check_foreign(
        &self,
        address: Address,
        pool: &Pool,
        builder: &PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        match self.foreign_use(&pool.space, address) {
            Some(found) if !found.is_of(builder.requester) => {
                Err(AllocationError::InUseByWhereabouts {
                    address,
                    pod: found.pod.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Checks the namespace limit, which applies separately to addresses and to MACs with records of
    /// their own. Reserved addresses count, taken or not.
    fn check_namespace_limit(
        &self,
        address: Address,
        pool: &Pool,
        builder: &PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let (Some(limit), Some(state)) = (pool.max_per_namespace, self.pools.get(&pool.name))
        else {
            return Ok(());
        };
        let namespace = builder.requester.holder.namespace();
        let held = match state.counts(address) {
            true => state.held_in(namespace) + self.reserved_in(state, namespace),
            false => state.macs_in(namespace),
        };
        if held < limit.saturating_add(builder.replaced) {
            return Ok(());
        }
        Err(AllocationError::NamespaceLimit {
            namespace: Arc::clone(namespace),
            pool: Arc::clone(&pool.name),
            held,
            limit,
            retained: Vec::new(),
        })
    }
}
