//! Choice of addresses in sliced pools: from the node's slices, from a slice to be claimed, or, as a
//! last resort, borrowed from slices of other nodes.

use std::{net::IpAddr, sync::Arc};

use super::{AttachmentRequest, PlanBuilder};
use crate::allocation::{
    Address, Pool, Slice,
    error::{AllocationError, OutsideSlice, SlicesFull},
    index::{Index, pools::PoolSlot},
};

/// The part of a sliced pool that an attachment may get addresses from.
#[derive(Clone)]
pub(super) struct SliceScope<'a> {
    pub(super) ask: &'a AttachmentRequest,
    pub(super) pool: &'a Arc<Pool>,
    node: Arc<str>,
    strict: bool,
}

impl Index {
    /// Returns the scope for this pod, or `None` if all of the pool is in scope.
    pub(super) fn reach<'a>(
        &self,
        ask: &'a AttachmentRequest,
        pool: &'a Arc<Pool>,
        draft: &PlanBuilder<'_>,
    ) -> Result<Option<SliceScope<'a>>, AllocationError> {
        let Some(slicing) = pool.slicing else {
            return Ok(None);
        };
        if !self.slices.supported {
            return Err(AllocationError::SlicesUnsupported(Arc::clone(&pool.name)));
        }
        // MACs are not sliced.
        if !ask.needs_ips {
            return Ok(None);
        }
        let node = draft.asker.node.as_ref().filter(|node| !node.is_empty());
        // Requested addresses do not depend on the node; whether they are in scope is checked once it
        // is known.
        if node.is_none() && ask.names_every_range(pool) {
            return Ok(None);
        }
        let node = node.ok_or_else(|| AllocationError::NodeUnknown(Arc::clone(&pool.name)))?;
        Ok(Some(SliceScope {
            ask,
            pool,
            node: Arc::clone(node),
            strict: slicing.strict,
        }))
    }

    /// Chooses the addresses of a range for which the attachment requests none.
    pub(super) fn choose_of_slices(
        &mut self,
        reach: &SliceScope<'_>,
        range: usize,
        held: &[IpAddr],
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let (ask, pool) = (reach.ask, reach.pool);
        let kept = self.held_here(reach, range, held);
        if !kept.is_empty() {
            for ip in &kept {
                self.keep(Address::Ip(*ip), ask, pool, draft)?;
            }
            return Ok(kept);
        }
        // The holder's address on another node is released once the pod is observed with the new one.
        draft.replaced = held.len() as u64;
        let chosen = self.choose_anew(reach, range, held, draft);
        draft.replaced = 0;
        chosen
    }

    fn choose_anew(
        &mut self,
        reach: &SliceScope<'_>,
        range: usize,
        held: &[IpAddr],
        draft: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let (ask, pool) = (reach.ask, reach.pool);
        if let Some(reserved) = self.reserved_ip(ask, pool, range, draft.asker) {
            if held.contains(&reserved) {
                self.keep(reserved.into(), ask, pool, draft)?;
            } else {
                self.take(reserved.into(), ask, pool, draft)?;
            }
            self.stay_in_reach(reach, range, reserved, draft)?;
            return Ok(vec![reserved]);
        }
        if let Some(ip) = self.lowest_of_node(reach, range) {
            self.take(ip.into(), ask, pool, draft)?;
            return Ok(vec![ip]);
        }
        if let Some((slice, ip)) = self.lowest_unclaimed(reach, range, draft) {
            // An error of the allocation also rules out the claim, so allocate first.
            self.take(ip.into(), ask, pool, draft)?;
            return Err(self.needs(slice, draft));
        }
        if reach.strict {
            return Err(self.full(reach, range));
        }
        // The holder's existing address is borrowed in preference to another one.
        let mut lent = held.to_vec();
        for ip in held {
            self.keep((*ip).into(), ask, pool, draft)?;
        }
        if lent.is_empty() {
            let address = self.lowest(pool, PoolSlot::Range(range))?;
            let bug = AllocationError::Internal("a range gave no IP address");
            lent.push(address.ip().ok_or(bug)?);
            self.take(address, ask, pool, draft)?;
        }
        draft.borrowed += lent.len();
        Ok(lent)
    }

    /// Returns the holder's addresses of a range on this node: those recorded for a pod on this node,
    /// otherwise those in the node's slices.
    fn held_here(&self, reach: &SliceScope<'_>, range: usize, held: &[IpAddr]) -> Vec<IpAddr> {
        let given_here = |ip: &&IpAddr| self.was_given_on(reach, **ip);
        let of_node = |ip: &&IpAddr| self.owner(reach.pool, range, **ip) == Some(&reach.node);
        let given: Vec<IpAddr> = held.iter().filter(given_here).copied().collect();
        if given.is_empty() {
            return held.iter().filter(of_node).copied().collect();
        }
        given
    }

    /// Returns true if the record of an address names a pod on this node.
    pub(super) fn was_given_on(&self, reach: &SliceScope<'_>, ip: IpAddr) -> bool {
        let record = self.holder_of(&reach.pool.space, ip.into());
        let pod = record.and_then(|record| record.pod.as_ref());
        pod.is_some_and(|pod| pod.node.as_ref() == Some(&reach.node))
    }

    /// Handles a requested or reserved address, already allocated, that may lie outside of the node's
    /// slices: it is borrowed, or rejected if the pool is strict. In a strict pool an unclaimed slice
    /// is claimed for it.
    pub(super) fn stay_in_reach(
        &mut self,
        reach: &SliceScope<'_>,
        range: usize,
        ip: IpAddr,
        draft: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let owner = self.owner(reach.pool, range, ip);
        if owner == Some(&reach.node) {
            return Ok(());
        }
        if !reach.strict {
            draft.borrowed += 1;
            return Ok(());
        }
        let outside = AllocationError::OutsideSlice(Box::new(OutsideSlice {
            address: ip,
            pool: Arc::clone(&reach.pool.name),
            node: Arc::clone(&reach.node),
            owner: owner.cloned(),
        }));
        if owner.is_some() {
            return Err(outside);
        }
        self.expire_claims(draft.now);
        let window = reach.pool.slice_around(ip);
        let window = window.ok_or(AllocationError::Internal(
            "an address lies in no slice of its pool",
        ))?;
        let slice = Slice::new(&reach.pool.name, window, &reach.node);
        let claim = self
            .claims_of(&reach.pool.name)
            .find(|claim| claim.window == slice.window);
        let by_another = claim.map(|claim| claim.node != slice.node);
        match by_another {
            Some(true) => Err(AllocationError::Busy(ip.into())),
            Some(false) => Err(self.needs(slice, draft)),
            None if self.is_unclaimed(reach.pool, range, ip) => Err(self.needs(slice, draft)),
            None => Err(outside),
        }
    }

    /// Claims a slice and returns the error that requires it; repeated requests get the same error.
    fn needs(&mut self, slice: Slice, draft: &mut PlanBuilder<'_>) -> AllocationError {
        if self.claim(&slice, draft.now) {
            draft.claims.push(slice.clone());
        }
        AllocationError::NeedsSlice(Box::new(slice))
    }

    fn lowest_of_node(&self, reach: &SliceScope<'_>, range: usize) -> Option<IpAddr> {
        let state = self.pools.get(&reach.pool.name)?;
        let (slice_maps, free) = (state.slice_maps.get(range)?, state.ranges.get(range)?);
        address(reach.pool, range, slice_maps.lowest_of(&reach.node, free)?)
    }

    /// Returns the slice to claim and its lowest free address: the slice being claimed for this node,
    /// otherwise the lowest unclaimed one.
    fn lowest_unclaimed(
        &mut self,
        reach: &SliceScope<'_>,
        range: usize,
        draft: &PlanBuilder<'_>,
    ) -> Option<(Slice, IpAddr)> {
        self.expire_claims(draft.now);
        let pool = reach.pool;
        let state = self.pools.get(&pool.name)?;
        let (slice_maps, free) = (state.slice_maps.get(range)?, state.ranges.get(range)?);
        let first_free = |slice: &Slice| {
            let window = slice.window.range();
            let [first, last] = [window.first(), window.last()].map(|ip| Address::Ip(ip).number());
            address(pool, range, free.lowest_within(first, last)?)
        };
        let mut own = self.claims_of(&pool.name).filter(|slice| {
            slice.node == reach.node && pool.range_of(slice.window.address) == Some(range)
        });
        let claimed = own.find_map(|slice| Some((slice.clone(), first_free(slice)?)));
        claimed.or_else(|| {
            let (first, _) = slice_maps.bounds(slice_maps.lowest_unclaimed(free)?);
            let window = pool.slice_around(address(pool, range, first)?)?;
            let slice = Slice::new(&pool.name, window, &reach.node);
            let ip = first_free(&slice)?;
            Some((slice, ip))
        })
    }

    fn full(&self, reach: &SliceScope<'_>, range: usize) -> AllocationError {
        let state = self.pools.get(&reach.pool.name);
        let parts = state.and_then(|s| Some((s.slice_maps.get(range)?, s.ranges.get(range)?)));
        let (Some((slice_maps, free)), Some(of)) = (parts, reach.pool.ranges.get(range)) else {
            return AllocationError::Internal("a pool of the layout is not in the index");
        };
        let own = || slice_maps.of_node(&reach.node);
        let capacity = own().fold(0u128, |sum, (first, last)| {
            sum.saturating_add(free.capacity_within(first, last))
        });
        AllocationError::SlicesFull(Box::new(SlicesFull {
            pool: Arc::clone(&reach.pool.name),
            range: of.subnet,
            node: Arc::clone(&reach.node),
            slices: own().count(),
            capacity,
            elsewhere: free.free(),
        }))
    }

    /// Returns the node whose slice contains an address.
    fn owner(&self, pool: &Pool, range: usize, ip: IpAddr) -> Option<&Arc<str>> {
        let slice_maps = self.pools.get(&pool.name)?.slice_maps.get(range)?;
        slice_maps.owner(slice_maps.place(Address::Ip(ip).number()))
    }

    fn is_unclaimed(&self, pool: &Pool, range: usize, ip: IpAddr) -> bool {
        let state = self.pools.get(&pool.name);
        let slice_maps = state.and_then(|state| state.slice_maps.get(range));
        slice_maps.is_some_and(|slice_maps| {
            slice_maps.is_unclaimed(slice_maps.place(Address::Ip(ip).number()))
        })
    }
}

/// Returns the address with this number in a range.
fn address(pool: &Pool, range: usize, number: u128) -> Option<IpAddr> {
    let range = pool.ranges.get(range)?;
    Address::Ip(range.subnet.address)
        .family()
        .address(number)
        .ip()
}
