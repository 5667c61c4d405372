//! A model of Whereabouts's plugin (`pkg/allocate` and `pkg/storage/kubernetes/ipam.go` of v0.9.2): each
//! step is one request. [`super::plugin_facts`] holds it to the cases that were run on the plugin.

use std::{net::IpAddr, rc::Rc};

use nadmit_cni::Subnet;
use nadmit_whereabouts::{IpPool, PodName, PoolEntry, ip_pool_name, reservation_name};
use serde_json::{Value, json};

use super::api_server::{ApiServer, HOME, Kind, Refused};

/// The number of attempts after which an ADD ends, as the plugin's does after 10 seconds.
const MAX_ATTEMPTS: u32 = 100;

/// A network of Whereabouts, as its configuration says.
#[derive(Debug)]
pub(super) struct PluginNetwork {
    pub(super) network_name: &'static str,
    pub(super) ranges: Vec<PluginRange>,
    pub(super) overlapping: bool,
}

/// A range of a network.
#[derive(Debug)]
pub(super) struct PluginRange {
    pub(super) subnet: Subnet,
    /// The last offset that is given.
    pub(super) last: u128,
    /// The offsets that are not given.
    pub(super) excluded: Vec<u128>,
}

/// An attachment of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachment {
    /// `namespace/name` of the pod.
    pub(super) pod: String,
    pub(super) interface: String,
    pub(super) container: String,
}

/// The reason why an ADD fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddError {
    Full,
    Reserved,
    NoTime,
}

/// An ADD.
#[derive(Debug)]
pub(super) struct Add {
    network: Rc<PluginNetwork>,
    attachment: Attachment,
    range: usize,
    attempts: u32,
    /// The addresses that a reservation keeps from the pod.
    reserved: Vec<IpAddr>,
    is_reserved_for_pod: bool,
    given: Vec<IpAddr>,
    next: AddStep,
}

#[derive(Debug, Clone)]
enum AddStep {
    ReadPool,
    ReadReservation { pool: IpPool, chosen: IpAddr },
    WritePool { pool: IpPool, chosen: IpAddr },
    CreateReservation { chosen: IpAddr },
}

/// A DEL.
#[derive(Debug)]
pub(super) struct Del {
    network: Rc<PluginNetwork>,
    interface: String,
    container: String,
    range: usize,
    next: DelStep,
    /// The pods whose entries it removed.
    pub(super) removed: Vec<PodName>,
}

#[derive(Debug)]
enum DelStep {
    ReadPool,
    WritePool(Box<(IpPool, PoolEntry)>),
    DeleteReservation { address: IpAddr },
}

impl PluginNetwork {
    /// Returns a network with these ranges.
    pub(super) fn new(network_name: &'static str, ranges: &[&str]) -> Self {
        let ranges = ranges.iter().map(|text| {
            let subnet = Subnet::parse(text).unwrap_or_else(|e| panic!("{e}"));
            let ends = match subnet.address {
                IpAddr::V4(_) => subnet.range().count() - 2,
                IpAddr::V6(_) => 1000,
            };
            PluginRange {
                subnet,
                last: ends,
                excluded: Vec::new(),
            }
        });
        Self {
            network_name,
            ranges: ranges.collect(),
            overlapping: true,
        }
    }

    fn pool_name(&self, range: usize) -> String {
        ip_pool_name(self.network_name, None, self.ranges[range].subnet)
    }

    fn reservation(&self, address: IpAddr) -> String {
        reservation_name(self.network_name, address)
    }
}

impl Add {
    pub(super) fn new(network: &Rc<PluginNetwork>, attachment: Attachment) -> Self {
        Self {
            network: Rc::clone(network),
            attachment,
            range: 0,
            attempts: 0,
            reserved: Vec::new(),
            is_reserved_for_pod: false,
            given: Vec::new(),
            next: AddStep::ReadPool,
        }
    }

    /// Makes the next request. Of two entries of the pod, `pick` takes one: the plugin's map has no order.
    pub(super) fn step(
        &mut self,
        api: &mut ApiServer,
        pick: usize,
    ) -> Option<Result<Vec<IpAddr>, AddError>> {
        let network = Rc::clone(&self.network);
        match self.next.clone() {
            AddStep::ReadPool => {
                self.attempts += 1;
                if self.attempts > MAX_ATTEMPTS {
                    return Some(Err(AddError::NoTime));
                }
                let name = network.pool_name(self.range);
                let Some(pool) = api.pool(&name) else {
                    let range = network.ranges[self.range].subnet.to_string();
                    // Another process may have created it.
                    let _ = api.create(Kind::IpPool, &name, new_pool(&name, &range));
                    return None;
                };
                let Some(chosen) = self.choose(&pool, pick) else {
                    return Some(Err(AddError::Full));
                };
                self.next = match network.overlapping {
                    true => AddStep::ReadReservation { pool, chosen },
                    false => AddStep::WritePool { pool, chosen },
                };
                None
            }
            AddStep::ReadReservation { pool, chosen } => {
                let found = api.reservation(&network.reservation(chosen));
                self.next = match found {
                    Some(found) if !names(found.pod.as_ref(), &self.attachment.pod) => {
                        self.reserved.push(chosen);
                        AddStep::ReadPool
                    }
                    found => {
                        self.is_reserved_for_pod |= found.is_some();
                        AddStep::WritePool { pool, chosen }
                    }
                };
                None
            }
            AddStep::WritePool { pool, chosen } => {
                let entry = json!({"id": self.attachment.container, "podref": self.attachment.pod,
                    "ifname": self.attachment.interface});
                let put = json!({"op": "add", "value": entry,
                    "path": format!("/spec/allocations/{}", offset(&pool, chosen))});
                self.next = match api.patch(Kind::IpPool, &pool.name, &tested(&pool, put)) {
                    Err(Refused::Conflict) => AddStep::ReadPool,
                    // Another error ends the attempts, and a later success hides it.
                    _ if network.overlapping && !self.is_reserved_for_pod => {
                        AddStep::CreateReservation { chosen }
                    }
                    _ => return self.given(chosen),
                };
                None
            }
            AddStep::CreateReservation { chosen } => {
                let name = network.reservation(chosen);
                let object = new_reservation(&self.attachment);
                match api.create(Kind::Reservation, &name, object) {
                    Ok(()) => self.given(chosen),
                    Err(_) => Some(Err(AddError::Reserved)),
                }
            }
        }
    }

    fn given(&mut self, address: IpAddr) -> Option<Result<Vec<IpAddr>, AddError>> {
        self.given.push(address);
        self.range += 1;
        self.attempts = 0;
        self.next = AddStep::ReadPool;
        (self.range == self.network.ranges.len()).then(|| Ok(self.given.clone()))
    }

    /// Returns the address of the pod's entry, else the lowest free one.
    fn choose(&self, pool: &IpPool, pick: usize) -> Option<IpAddr> {
        let own = pool.entries.iter().filter(|entry| {
            names(entry.pod.as_ref(), &self.attachment.pod)
                && *entry.interface == *self.attachment.interface
        });
        let own: Vec<&PoolEntry> = own.collect();
        if let Some(entry) = own.get(pick.checked_rem(own.len()).unwrap_or_default()) {
            return Some(entry.address);
        }
        let range = &self.network.ranges[self.range];
        let taken = |address: IpAddr| {
            self.reserved.contains(&address)
                || pool.entries.iter().any(|entry| entry.address == address)
        };
        let mut offsets = (1..=range.last).filter(|offset| !range.excluded.contains(offset));
        offsets.find_map(|offset| pool.address(offset).filter(|address| !taken(*address)))
    }
}

impl Del {
    pub(super) fn new(network: &Rc<PluginNetwork>, interface: &str, container: &str) -> Self {
        Self {
            network: Rc::clone(network),
            interface: interface.to_owned(),
            container: container.to_owned(),
            range: 0,
            next: DelStep::ReadPool,
            removed: Vec::new(),
        }
    }

    /// Makes the next request. Returns true at the end.
    pub(super) fn step(&mut self, api: &mut ApiServer) -> bool {
        let network = Rc::clone(&self.network);
        match &self.next {
            DelStep::ReadPool => {
                let found = api.pool(&network.pool_name(self.range)).and_then(|pool| {
                    let mut entries = pool.entries.iter();
                    let entry = entries.find(|entry| {
                        *entry.container_id == *self.container
                            && *entry.interface == *self.interface
                    });
                    let entry = entry.cloned()?;
                    Some((pool, entry))
                });
                // An entry that is not found ends the DEL, whatever other ranges have.
                let Some((pool, entry)) = found else {
                    return true;
                };
                self.next = DelStep::WritePool(Box::new((pool, entry)));
                false
            }
            DelStep::WritePool(read) => {
                let (pool, entry) = &**read;
                let remove = json!({"op": "remove",
                    "path": format!("/spec/allocations/{}", entry.key)});
                self.next = match api.patch(Kind::IpPool, &pool.name, &tested(pool, remove)) {
                    Err(Refused::Conflict) => DelStep::ReadPool,
                    _ => {
                        self.removed.extend(entry.pod.clone());
                        DelStep::DeleteReservation {
                            address: entry.address,
                        }
                    }
                };
                if let (DelStep::DeleteReservation { .. }, false) =
                    (&self.next, network.overlapping)
                {
                    return self.next_range();
                }
                false
            }
            DelStep::DeleteReservation { address } => {
                match api.delete(Kind::Reservation, &network.reservation(*address), None) {
                    Ok(()) => self.next_range(),
                    Err(_) => true,
                }
            }
        }
    }

    fn next_range(&mut self) -> bool {
        self.range += 1;
        self.next = DelStep::ReadPool;
        self.range == self.network.ranges.len()
    }
}

/// Returns true if a record names a pod; an empty reference names the pod of the empty name.
fn names(found: Option<&PodName>, pod: &str) -> bool {
    found.map(ToString::to_string).unwrap_or_default() == pod
}

fn offset(pool: &IpPool, address: IpAddr) -> u128 {
    pool.offset(address)
        .unwrap_or_else(|| panic!("{address} is not in the range"))
}

/// Returns the patch of one operation for the version of the pool that was read.
pub(super) fn tested(pool: &IpPool, operation: Value) -> Value {
    json!([{"op": "test", "path": "/metadata/resourceVersion", "value": pool.version}, operation])
}

pub(super) fn new_pool(name: &str, range: &str) -> Value {
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
        "metadata": {"name": name, "namespace": HOME},
        "spec": {"range": range, "allocations": {}},
    })
}

fn new_reservation(attachment: &Attachment) -> Value {
    json!({"metadata": {"namespace": HOME},
        "spec": {"podref": attachment.pod, "ifname": attachment.interface}})
}
