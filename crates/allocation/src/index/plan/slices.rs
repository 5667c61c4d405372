//! Choice of addresses in sliced pools: from the node's slices, from a slice to be claimed, or, as a
//! last resort, borrowed from slices of other nodes.

use std::{net::IpAddr, sync::Arc};

use super::{AttachmentRequest, PlanBuilder};
use crate::{
    Address, Pool, Slice,
    error::{AllocationError, OutsideSlice, SliceLimit, SlicesFull},
    index::{Index, pools::PoolSlot},
};

/// The part of a sliced pool that an attachment may get addresses from.
#[derive(Clone)]
pub(super) struct SliceScope<'a> {
    pub(super) request: &'a AttachmentRequest,
    pub(super) pool: &'a Arc<Pool>,
    node: Arc<str>,
    strict: bool,
}

impl Index {
    /// Returns the scope for this pod, or `None` if all of the pool is in scope.
    pub(super) fn scope<'a>(
        &self,
        request: &'a AttachmentRequest,
        pool: &'a Arc<Pool>,
        builder: &PlanBuilder<'_>,
    ) -> Result<Option<SliceScope<'a>>, AllocationError> {
        let Some(slicing) = pool.slicing else {
            return Ok(None);
        };
        if !self.slices.supported {
            return Err(AllocationError::SlicesUnsupported(Arc::clone(&pool.name)));
        }
        // MACs are not sliced.
        if !request.needs_ips {
            return Ok(None);
        }
        let node = builder
            .requester
            .node
            .as_ref()
            .filter(|node| !node.is_empty());
        // Requested addresses do not depend on the node; whether they are in scope is checked once it
        // is known.
        if node.is_none() && request.names_every_range(pool) {
            return Ok(None);
        }
        let node = node.ok_or_else(|| AllocationError::NodeUnknown(Arc::clone(&pool.name)))?;
        Ok(Some(SliceScope {
            request,
            pool,
            node: Arc::clone(node),
            strict: slicing.strict,
        }))
    }

    /// Chooses the addresses of a range for which the attachment requests none.
    pub(super) fn choose_from_slices(
        &mut self,
        scope: &SliceScope<'_>,
        range: usize,
        held: &[IpAddr],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let (request, pool) = (scope.request, scope.pool);
        let held_here = self.held_on_node(scope, range, held);
        if !held_here.is_empty() {
            for ip in &held_here {
                self.renew(Address::Ip(*ip), request, pool, builder)?;
            }
            return Ok(held_here);
        }
        // The holder's address on another node is released once the pod is observed with the new one.
        builder.replaced = held.len() as u64;
        let chosen = self.choose_new(scope, range, held, builder);
        builder.replaced = 0;
        chosen
    }

    fn choose_new(
        &mut self,
        scope: &SliceScope<'_>,
        range: usize,
        held: &[IpAddr],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let (request, pool) = (scope.request, scope.pool);
        if let Some(reserved) = self.reserved_ip(request, pool, range, builder.requester) {
            if held.contains(&reserved) {
                self.renew(reserved.into(), request, pool, builder)?;
            } else {
                self.allocate(reserved.into(), request, pool, builder)?;
            }
            self.enforce_scope(scope, range, reserved, builder)?;
            return Ok(vec![reserved]);
        }
        if let Some(ip) = self.lowest_of_node(scope, range) {
            self.allocate(ip.into(), request, pool, builder)?;
            return Ok(vec![ip]);
        }
        if let Some((slice, ip)) = self.lowest_unclaimed(scope, range, builder) {
            // An error of the allocation also rules out the claim, so allocate first.
            self.allocate(ip.into(), request, pool, builder)?;
            return Err(self.require_slice(slice, builder));
        }
        if scope.strict {
            return Err(self.slices_exhausted(scope, range));
        }
        // The holder's existing address is borrowed in preference to another one.
        let mut borrowed = held.to_vec();
        for ip in held {
            self.renew((*ip).into(), request, pool, builder)?;
        }
        if borrowed.is_empty() {
            let address = self.lowest_free(pool, PoolSlot::Range(range))?;
            let bug = AllocationError::Internal("a range gave no IP address");
            borrowed.push(address.ip().ok_or(bug)?);
            self.allocate(address, request, pool, builder)?;
        }
        builder.borrowed += borrowed.len();
        Ok(borrowed)
    }

    /// Returns the holder's addresses of a range on this node: those recorded for a pod on this node,
    /// otherwise those in the node's slices.
    fn held_on_node(&self, scope: &SliceScope<'_>, range: usize, held: &[IpAddr]) -> Vec<IpAddr> {
        let assigned_here = |ip: &&IpAddr| self.was_assigned_on(scope, **ip);
        let of_node = |ip: &&IpAddr| self.slice_owner(scope.pool, range, **ip) == Some(&scope.node);
        let assigned: Vec<IpAddr> = held.iter().filter(assigned_here).copied().collect();
        if assigned.is_empty() {
            return held.iter().filter(of_node).copied().collect();
        }
        assigned
    }

    /// Returns true if the record of an address names a pod on this node.
    pub(super) fn was_assigned_on(&self, scope: &SliceScope<'_>, ip: IpAddr) -> bool {
        let record = self.holder_of(&scope.pool.space, ip.into());
        let pod = record.and_then(|record| record.pod.as_ref());
        pod.is_some_and(|pod| pod.node.as_ref() == Some(&scope.node))
    }

    /// Handles a requested or reserved address, already allocated, that may lie outside of the node's
    /// slices: it is borrowed, or rejected if the pool is strict. In a strict pool an unclaimed slice
    /// is claimed for it.
    pub(super) fn enforce_scope(
        &mut self,
        scope: &SliceScope<'_>,
        range: usize,
        ip: IpAddr,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        let owner = self.slice_owner(scope.pool, range, ip);
        if owner == Some(&scope.node) {
            return Ok(());
        }
        if !scope.strict {
            builder.borrowed += 1;
            return Ok(());
        }
        let outside = AllocationError::OutsideSlice(Box::new(OutsideSlice {
            address: ip,
            pool: Arc::clone(&scope.pool.name),
            node: Arc::clone(&scope.node),
            owner: owner.cloned(),
            limit: SliceLimit::Strict,
        }));
        if owner.is_some() {
            return Err(outside);
        }
        self.expire_claims(builder.now);
        let window = scope.pool.slice_around(ip);
        let window = window.ok_or(AllocationError::Internal(
            "an address lies in no slice of its pool",
        ))?;
        let slice = Slice::new(&scope.pool.name, window, &scope.node);
        let claim = self
            .claims_of(&scope.pool.name)
            .find(|claim| claim.window == slice.window);
        let by_another = claim.map(|claim| claim.node != slice.node);
        match by_another {
            Some(true) => Err(AllocationError::Busy(ip.into())),
            Some(false) => Err(self.require_slice(slice, builder)),
            None if self.is_unclaimed(scope.pool, range, ip) => {
                Err(self.require_slice(slice, builder))
            }
            None => Err(outside),
        }
    }

    /// Claims a slice and returns the error that requires it; repeated requests get the same error.
    fn require_slice(&mut self, slice: Slice, builder: &mut PlanBuilder<'_>) -> AllocationError {
        if self.claim(&slice, builder.now) {
            builder.claims.push(slice.clone());
        }
        AllocationError::NeedsSlice(Box::new(slice))
    }

    fn lowest_of_node(&self, scope: &SliceScope<'_>, range: usize) -> Option<IpAddr> {
        let state = self.pools.get(&scope.pool.name)?;
        let (slice_map, free) = (state.slice_maps.get(range)?, state.ranges.get(range)?);
        address(scope.pool, range, slice_map.lowest_of(&scope.node, free)?)
    }

    /// Returns the slice to claim and its lowest free address: the slice being claimed for this node,
    /// otherwise the lowest unclaimed one.
    fn lowest_unclaimed(
        &mut self,
        scope: &SliceScope<'_>,
        range: usize,
        builder: &PlanBuilder<'_>,
    ) -> Option<(Slice, IpAddr)> {
        self.expire_claims(builder.now);
        let pool = scope.pool;
        let state = self.pools.get(&pool.name)?;
        let (slice_map, free) = (state.slice_maps.get(range)?, state.ranges.get(range)?);
        let first_free = |slice: &Slice| {
            let numbers = slice.window.range().numbers();
            address(pool, range, free.lowest_within(numbers)?)
        };
        let mut own = self.claims_of(&pool.name).filter(|slice| {
            slice.node == scope.node && pool.range_of(slice.window.address) == Some(range)
        });
        let claimed = own.find_map(|slice| Some((slice.clone(), first_free(slice)?)));
        claimed.or_else(|| {
            let numbers = slice_map.numbers(slice_map.lowest_unclaimed(free)?);
            let window = pool.slice_around(address(pool, range, numbers.first)?)?;
            let slice = Slice::new(&pool.name, window, &scope.node);
            let ip = first_free(&slice)?;
            Some((slice, ip))
        })
    }

    fn slices_exhausted(&self, scope: &SliceScope<'_>, range: usize) -> AllocationError {
        let state = self.pools.get(&scope.pool.name);
        let parts = state.and_then(|s| Some((s.slice_maps.get(range)?, s.ranges.get(range)?)));
        let (Some((slice_map, free)), Some(of)) = (parts, scope.pool.ranges.get(range)) else {
            return AllocationError::Internal("a pool of the layout is not in the index");
        };
        let own = || slice_map.of_node(&scope.node);
        let capacity = own().fold(0u128, |sum, slice| {
            sum.saturating_add(free.capacity_within(slice))
        });
        AllocationError::SlicesFull(Box::new(SlicesFull {
            pool: Arc::clone(&scope.pool.name),
            range: of.subnet,
            node: Arc::clone(&scope.node),
            slices: own().count(),
            capacity,
            elsewhere: free.free(),
            limit: SliceLimit::Strict,
        }))
    }

    /// Returns the node whose slice contains an address.
    fn slice_owner(&self, pool: &Pool, range: usize, ip: IpAddr) -> Option<&Arc<str>> {
        let slice_map = self.pools.get(&pool.name)?.slice_maps.get(range)?;
        slice_map.owner(slice_map.slot(Address::Ip(ip).number()))
    }

    fn is_unclaimed(&self, pool: &Pool, range: usize, ip: IpAddr) -> bool {
        let state = self.pools.get(&pool.name);
        let slice_map = state.and_then(|state| state.slice_maps.get(range));
        slice_map.is_some_and(|slice_map| {
            slice_map.is_unclaimed(slice_map.slot(Address::Ip(ip).number()))
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
