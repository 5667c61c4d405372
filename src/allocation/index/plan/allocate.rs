//! Allocation of new addresses in a plan, and renewal of held ones.

use std::sync::Arc;

use super::{AttachmentRequest, PlanBuilder};
use crate::allocation::{Address, Holder, Pool, Write, error::AllocationError, index::Index};

impl Index {
    /// Allocates an address to the requester: creates a record, or takes over that of its reservation.
    pub(super) fn take(
        &mut self,
        address: Address,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let reservation = self.reservation_of(address, ask, pool, draft.asker)?;
        let entry = self.entry(&pool.space, address);
        let mut wanted = draft.allocation(address, ask, pool);
        wanted.reservation = reservation;
        wanted.mac = self.mac_beside(&wanted, ask, pool);
        match entry {
            None => {
                // Reserved addresses are already counted toward the limit.
                if wanted.reservation.is_none() {
                    self.within_limit(address, pool, draft)?;
                }
                draft.writes.push(Write::Create(wanted.clone()));
            }
            Some(entry) if entry.plan().is_some_and(|ticket| ticket != draft.ticket) => {
                return Err(AllocationError::Busy(address));
            }
            Some(entry) => {
                let waiting = matches!(entry.allocation().holder, Holder::Reservation { .. });
                let version = entry
                    .version()
                    .filter(|_| waiting && wanted.reservation.is_some());
                let version = version.ok_or_else(|| AllocationError::InUse {
                    address,
                    holder: Box::new(entry.allocation().holder.clone()),
                })?;
                draft.writes.push(Write::Update(wanted.clone(), version));
            }
        }
        self.mark_pending(wanted, draft.ticket, &mut draft.writes_pending);
        Ok(())
    }

    /// Renews an address that the requester holds. A record that names another pod is updated under its
    /// version, so that the reconciler cannot free it for the pod that is gone.
    pub(super) fn keep(
        &mut self,
        address: Address,
        ask: &AttachmentRequest,
        pool: &Arc<Pool>,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let entry = self.entry(&pool.space, address);
        let bug = AllocationError::Internal("a holder has an address that has no entry");
        let entry = entry.ok_or(bug)?;
        let old = entry.allocation();
        // The pending write for another holder will fail, because the record exists; until then the
        // address is busy.
        if old.holder != draft.asker.holder {
            return Err(AllocationError::Busy(address));
        }
        if draft.is_claimed(old) {
            return Err(AllocationError::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            });
        }
        let mut wanted = draft.allocation(address, ask, pool);
        wanted.reservation.clone_from(&old.reservation);
        wanted.mac = old.mac.or_else(|| self.mac_beside(&wanted, ask, pool));
        draft.remember_node(&mut wanted, old);
        wanted.former_nodes = old.former_nodes_for(wanted.pod.as_ref());
        wanted.taken = Some(old.held_since());
        let version = entry.version();
        let sure = |version| self.is_locally_written(version) || !draft.is_young(old);
        if draft.is_settled(old) && wanted.mac == old.mac && version.is_some_and(sure) {
            return Ok(());
        }
        let version = version.ok_or_else(|| match entry.plan() {
            // Two attachments of one pod name the same interface.
            Some(ticket) if ticket == draft.ticket => AllocationError::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            },
            _ => AllocationError::Busy(address),
        })?;
        draft.writes.push(Write::Update(wanted.clone(), version));
        self.mark_pending(wanted, draft.ticket, &mut draft.writes_pending);
        Ok(())
    }

    /// Checks the namespace limit, which applies separately to addresses and to MACs with records of
    /// their own. Reserved addresses count, taken or not.
    fn within_limit(
        &self,
        address: Address,
        pool: &Pool,
        draft: &PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let (Some(most), Some(state)) = (pool.max_per_namespace, self.pools.get(&pool.name)) else {
            return Ok(());
        };
        let namespace = draft.asker.holder.namespace();
        let held = match state.counts(address) {
            true => state.held_in(namespace) + self.set_aside_in(state, namespace),
            false => state.macs_in(namespace),
        };
        if held < most.saturating_add(draft.replaced) {
            return Ok(());
        }
        Err(AllocationError::NamespaceLimit {
            namespace: Arc::clone(namespace),
            pool: Arc::clone(&pool.name),
            held,
            limit: most,
            retained: Vec::new(),
        })
    }
}
