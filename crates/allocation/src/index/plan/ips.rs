//! Choice of IP addresses: requested ones, retained ones, then the lowest free one.

use std::{net::IpAddr, sync::Arc};

use super::{AttachmentRequest, PlanBuilder, slices::SliceScope};
use crate::{
    Address, Family, Pool,
    error::{AllocationError, Exhausted},
    index::{Index, pools::PoolSlot},
};
use nadmit_cni::NumberRange;

impl Index {
    pub(super) fn choose_ips(
        &mut self,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        scope: Option<&SliceScope<'_>>,
        held: &[Address],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        if let Some(slices) = &pool.node_slices {
            return self.choose_in_node_slice(slices, request, pool, held, builder);
        }
        let mut chosen = Vec::new();
        for &address in &request.ips {
            let range = range_of_named(pool, address)?;
            match scope {
                None => self.allocate_named(request, pool, range, address, held, builder)?,
                // An address that was assigned on this node stays valid.
                Some(scope)
                    if held.contains(&Address::Ip(address))
                        && self.was_assigned_on(scope, address) =>
                {
                    self.renew(address.into(), request, pool, builder)?;
                }
                Some(scope) => {
                    self.allocate_named(request, pool, range, address, held, builder)?;
                    self.enforce_scope(scope, range, address, builder)?;
                }
            }
            chosen.push(address);
        }
        for range in 0..pool.ranges.len() {
            if request
                .ips
                .iter()
                .any(|ip| pool.range_of(*ip) == Some(range))
            {
                continue;
            }
            let of_range =
                |address: &Address| address.ip().filter(|ip| pool.range_of(*ip) == Some(range));
            let retained: Vec<IpAddr> = held.iter().filter_map(of_range).collect();
            if let Some(scope) = scope {
                chosen.extend(self.choose_from_slices(scope, range, &retained, builder)?);
                continue;
            }
            if retained.is_empty() {
                chosen.push(self.allocate_reserved_or_lowest(request, pool, range, builder)?);
            }
            for ip in retained {
                self.renew(Address::Ip(ip), request, pool, builder)?;
                chosen.push(ip);
            }
        }
        Ok(chosen)
    }

    /// Allocates an address that the attachment requests.
    pub(super) fn allocate_named(
        &mut self,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        range: usize,
        address: IpAddr,
        held: &[Address],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<(), AllocationError> {
        if held.contains(&Address::Ip(address)) {
            return self.renew(Address::Ip(address), request, pool, builder);
        }
        let requested = |ip: &IpAddr| request.ips.contains(ip);
        let other = held
            .iter()
            .filter_map(|held| held.ip())
            .find(|ip| pool.range_of(*ip) == Some(range) && !requested(ip));
        if let Some(held) = other {
            return Err(AllocationError::HoldsAnother {
                holder: Box::new(builder.requester.holder.clone()),
                held: held.into(),
                requested: address.into(),
            });
        }
        if let Some(reason) = pool.ranges.get(range).and_then(|r| r.exclusion(address)) {
            return Err(AllocationError::Excluded {
                address,
                pool: Arc::clone(&pool.name),
                reason,
            });
        }
        self.allocate(address.into(), request, pool, builder)
    }

    /// Allocates the address that another allocator has given to the requester's pod, or the one
    /// reserved for it in this range, otherwise the lowest free one.
    fn allocate_reserved_or_lowest(
        &mut self,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        range: usize,
        builder: &mut PlanBuilder<'_>,
    ) -> Result<IpAddr, AllocationError> {
        let given = self
            .foreign_ips(builder.requester, &request.interface, pool, range)
            .next();
        if let Some(given) = given {
            self.allocate(given.into(), request, pool, builder)?;
            return Ok(given);
        }
        if let Some(reserved) = self.reserved_ip(request, pool, range, builder.requester) {
            self.allocate(reserved.into(), request, pool, builder)?;
            return Ok(reserved);
        }
        let slot = PoolSlot::Range(range);
        let address = self.lowest_free(pool, slot)?;
        let ip = address
            .ip()
            .ok_or(AllocationError::Internal("a range gave no IP address"))?;
        self.allocate(address, request, pool, builder)?;
        Ok(ip)
    }

    pub(super) fn lowest_free(
        &self,
        pool: &Pool,
        slot: PoolSlot,
    ) -> Result<Address, AllocationError> {
        let bug = AllocationError::Internal("a pool of the layout is not in the index");
        let state = self.pools.get(&pool.name).ok_or(bug)?;
        let range = match slot {
            PoolSlot::Range(index) => pool.ranges.get(index).map(|range| range.subnet),
            PoolSlot::Macs => None,
        };
        let family = match range {
            Some(range) => Address::Ip(range.address).family(),
            None => Family::Mac,
        };
        let free = state.free(slot);
        let window = range.map(|range| range.range());
        let start_offset = window.and_then(|window| {
            let NumberRange { first, last } = window.numbers();
            Some(NumberRange::new(self.start_offset(first, last)?, last))
        });
        let lowest = free.and_then(|free| {
            let behind = start_offset.and_then(|numbers| free.lowest_within(numbers));
            behind.or_else(|| free.lowest())
        });
        lowest.map(|number| family.address(number)).ok_or_else(|| {
            AllocationError::Exhausted(Box::new(Exhausted {
                pool: Arc::clone(&pool.name),
                range,
                capacity: free.map_or(0, |free| free.capacity()),
                largest: state.largest(slot),
            }))
        })
    }
}

/// Returns the range of an address that an attachment requests.
pub(super) fn range_of_named(pool: &Pool, address: IpAddr) -> Result<usize, AllocationError> {
    pool.range_of(address)
        .ok_or_else(|| AllocationError::OutsidePool {
            address,
            pool: Arc::clone(&pool.name),
            ranges: pool.ranges.iter().map(|range| range.subnet).collect(),
        })
}
