//! Choice of addresses in slices that Whereabouts gives to nodes: from the slice of the pod's node, or none.

use std::{net::IpAddr, sync::Arc};

use super::{AttachmentRequest, PlanBuilder, ips::range_of_named};
use crate::{
    Address, NodeSlices, Pool,
    error::{AllocationError, NoNodeSlice, OutsideSlice, SliceLimit, SlicesFull, WithoutSlice},
    index::Index,
};
use nadmit_cni::{IpRange, range::Subnet};

/// The slice of a pod's node.
#[derive(Clone, Copy)]
struct NodeSlice<'a> {
    slices: &'a NodeSlices,
    pool: &'a Arc<Pool>,
    node: &'a Arc<str>,
    window: Subnet,
    /// The index of the range that is divided.
    range: usize,
}

impl Index {
    /// Chooses the address of an attachment in the slice of the pod's node. Before the node is known, a
    /// requested address is assigned if it is in the slice of any node.
    pub(super) fn choose_in_node_slice(
        &mut self,
        slices: &NodeSlices,
        request: &AttachmentRequest,
        pool: &Arc<Pool>,
        held: &[Address],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let node = builder.requester.node.clone();
        let node = node.filter(|node| !node.is_empty());
        let mut chosen = Vec::new();
        for &address in &request.ips {
            let range = range_of_named(pool, address)?;
            let owner = slices
                .owner(address)
                .ok_or_else(|| without_slice(slices, request, WithoutSlice::Address(address)))?;
            if let Some(node) = node.as_ref().filter(|node| *node != owner) {
                return Err(outside(slices, pool, node, address));
            }
            self.allocate_named(request, pool, range, address, held, builder)?;
            chosen.push(address);
        }
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let node = node.ok_or_else(|| AllocationError::NodeUnknown(Arc::clone(&pool.name)))?;
        let window = slices
            .of_node(&node)
            .ok_or_else(|| without_slice(slices, request, WithoutSlice::Node(Arc::clone(&node))))?;
        let range = range_of_named(pool, window.range().first())?;
        let slice = NodeSlice {
            slices,
            pool,
            node: &node,
            window,
            range,
        };
        self.choose_in(slice, request, held, builder)
    }

    fn choose_in(
        &mut self,
        slice: NodeSlice<'_>,
        request: &AttachmentRequest,
        held: &[Address],
        builder: &mut PlanBuilder<'_>,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let (pool, window) = (slice.pool, slice.window.range());
        let held = held.iter().filter_map(|address| address.ip());
        let (here, elsewhere): (Vec<IpAddr>, Vec<IpAddr>) =
            held.partition(|ip| window.contains(*ip));
        // The pod asked for it when it was created.
        if let Some(named) = elsewhere.iter().find(|ip| self.has_no_node(pool, **ip)) {
            return Err(outside(slice.slices, pool, slice.node, *named));
        }
        for ip in &here {
            self.renew(Address::Ip(*ip), request, pool, builder)?;
        }
        if !here.is_empty() {
            return Ok(here);
        }
        let (requester, interface) = (builder.requester, &request.interface);
        let given = self
            .foreign_ips(requester, interface, pool, slice.range)
            .find(|ip| window.contains(*ip));
        let reserved = || self.reserved_ip(request, pool, slice.range, requester);
        let chosen = match given.or_else(reserved) {
            Some(ip) if !window.contains(ip) => {
                return Err(outside(slice.slices, pool, slice.node, ip));
            }
            Some(ip) => ip,
            None => self.lowest_in(slice)?,
        };
        self.allocate(chosen.into(), request, pool, builder)?;
        Ok(vec![chosen])
    }

    /// Returns true if the record of an address names a pod whose node was not known.
    fn has_no_node(&self, pool: &Pool, ip: IpAddr) -> bool {
        let record = self.holder_of(&pool.space, ip.into());
        let pod = record.and_then(|record| record.pod.as_ref());
        pod.is_some_and(|pod| pod.node.is_none())
    }

    fn lowest_in(&self, slice: NodeSlice<'_>) -> Result<IpAddr, AllocationError> {
        let pool = slice.pool;
        let bug = AllocationError::Internal("a pool of the layout is not in the index");
        let state = self.pools.get(&pool.name).ok_or(bug.clone())?;
        let free = state.ranges.get(slice.range).ok_or(bug)?;
        let assignable = slice.slices.assignable_of(slice.node).map(IpRange::numbers);
        let lowest = assignable.and_then(|numbers| free.lowest_within(numbers));
        let family = Address::Ip(slice.window.address).family();
        let lowest = lowest.and_then(|number| family.address(number).ip());
        lowest.ok_or_else(|| {
            AllocationError::SlicesFull(Box::new(SlicesFull {
                pool: Arc::clone(&pool.name),
                range: slice.window,
                node: Arc::clone(slice.node),
                slices: 1,
                capacity: assignable.map_or(0, |numbers| free.capacity_within(numbers)),
                elsewhere: free.free(),
                limit: limit(slice.slices),
            }))
        })
    }
}

fn without_slice(
    slices: &NodeSlices,
    request: &AttachmentRequest,
    without: WithoutSlice,
) -> AllocationError {
    AllocationError::NoNodeSlice(Box::new(NoNodeSlice {
        network: request.network.clone(),
        without,
        slice_pool: Arc::clone(slices.object()),
        exists: slices.exist(),
    }))
}

fn outside(slices: &NodeSlices, pool: &Pool, node: &Arc<str>, address: IpAddr) -> AllocationError {
    AllocationError::OutsideSlice(Box::new(OutsideSlice {
        address,
        pool: Arc::clone(&pool.name),
        node: Arc::clone(node),
        owner: slices.owner(address).cloned(),
        limit: limit(slices),
    }))
}

fn limit(slices: &NodeSlices) -> SliceLimit {
    SliceLimit::NodeSlicePool(Arc::clone(slices.object()))
}
