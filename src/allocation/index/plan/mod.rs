//! Planning: which records a pod's attachments need.

mod ips;
mod macs;
mod reserved;
mod take;

use std::{net::IpAddr, sync::Arc};

use super::{Index, Mark, Ticket};
use crate::{
    allocation::{
        Address, Allocation, Holder, NetworkRef, PodRef, Pool, Timestamp, Write, refusal::Refusal,
    },
    network::mac::Mac,
};

/// For how many seconds a record without the pod's UID counts as just made: the same pod asking again
/// within them changes nothing. The API server's longest request is shorter.
const FRESH: i64 = 30;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// For whom.
    pub holder: Holder,
    /// The pod, as far as it is known.
    pub pod: Option<PodRef>,
}

/// What one attachment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The pool that serves its network.
    pub pool: Arc<str>,
    /// Its network.
    pub network: NetworkRef,
    /// Its interface.
    pub interface: Arc<str>,
    /// Whether it takes an address of each range; a network without IPAM takes none.
    pub takes_ips: bool,
    /// The addresses that it names; ranges without one are filled.
    pub ips: Vec<IpAddr>,
    /// Its MAC.
    pub mac: MacWish,
}

/// Which MAC an attachment wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacWish {
    /// None of nadmit's.
    None,
    /// One of the pool's, if the pool has any.
    Any,
    /// This one.
    This(Mac),
}

/// What one attachment is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// The addresses with the prefix lengths of their ranges: those that were named first, then one
    /// of each further range.
    pub ips: Vec<(IpAddr, u8)>,
    /// The MAC.
    pub mac: Option<Mac>,
}

/// What a pod is given, and the records that make it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// For each attachment in its order.
    pub given: Vec<Given>,
    /// The records to write, all or none; none if it has everything already.
    pub writes: Vec<Write>,
    /// By which the index knows the plan: to confirm or to roll back.
    pub ticket: Ticket,
}

/// Why an attachment gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place among what was asked.
    pub ask: usize,
    /// Why.
    pub refusal: Refusal,
}

/// A plan in the making.
struct Draft<'a> {
    asker: &'a Asker,
    now: Timestamp,
    ticket: Ticket,
    marks: Vec<Mark>,
    writes: Vec<Write>,
}

impl Index {
    /// Plans what all attachments of a pod need, and puts it in flight.
    ///
    /// # Errors
    /// Everything that is refused; nothing is taken then.
    pub fn plan(
        &mut self,
        asker: &Asker,
        asks: &[Ask],
        now: Timestamp,
    ) -> Result<Planned, Vec<Refused>> {
        let mut draft = Draft {
            asker,
            now,
            ticket: self.issue(),
            marks: Vec::new(),
            writes: Vec::new(),
        };
        let mut given = Vec::with_capacity(asks.len());
        let mut refused = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            match self.attach_one(ask, &mut draft) {
                Ok(one) => given.push(one),
                Err(refusal) => refused.push(Refused {
                    ask: index,
                    refusal,
                }),
            }
        }
        let ticket = draft.ticket;
        self.tickets.insert(ticket, draft.marks);
        if !refused.is_empty() {
            self.roll_back(ticket);
            return Err(refused);
        }
        Ok(Planned {
            given,
            writes: draft.writes,
            ticket,
        })
    }

    /// What a plan would give now, without taking it.
    ///
    /// # Errors
    /// Everything that would be refused.
    pub fn preview(
        &mut self,
        asker: &Asker,
        asks: &[Ask],
        now: Timestamp,
    ) -> Result<Vec<Given>, Vec<Refused>> {
        let planned = self.plan(asker, asks, now)?;
        self.roll_back(planned.ticket);
        Ok(planned.given)
    }

    fn attach_one(&mut self, ask: &Ask, draft: &mut Draft<'_>) -> Result<Given, Refusal> {
        let pool = self.layout.pool(&ask.pool).map(Arc::clone);
        let pool = pool.ok_or_else(|| Refusal::UnknownPool(Arc::clone(&ask.pool)))?;
        if !self.is_ready(&pool.name) {
            return Err(Refusal::NotReady(Arc::clone(&pool.name)));
        }
        if pool.slicing.is_some() {
            return Err(Refusal::Sliced(Arc::clone(&pool.name)));
        }
        let held = self.held_of_pool(ask, &pool, draft.asker);
        let mut given = Given::default();
        if ask.takes_ips {
            let ips = self.choose_ips(ask, &pool, &held, draft)?;
            for ip in ips {
                let prefix = pool.range_of(ip).and_then(|at| pool.ranges.get(at));
                given
                    .ips
                    .push((ip, prefix.map_or(0, |range| range.subnet.prefix)));
            }
        }
        given.mac = self.choose_mac(ask, &pool, &held, &given, draft)?;
        Ok(given)
    }

    /// What the asker has already on this interface of this network, of this pool.
    fn held_of_pool(&self, ask: &Ask, pool: &Pool, asker: &Asker) -> Vec<Address> {
        let held = self.addresses_of(&asker.holder, &ask.network, &ask.interface);
        held.iter()
            .filter(|(space, _)| *space == pool.space)
            .map(|(_, address)| *address)
            .collect()
    }
}

impl Draft<'_> {
    fn allocation(&self, address: Address, ask: &Ask, pool: &Pool) -> Allocation {
        let following = address.ip().and_then(|ip| pool.following_mac(ip));
        Allocation {
            address,
            space: pool.space.clone(),
            pool: Arc::clone(&pool.name),
            network: ask.network.clone(),
            interface: Arc::clone(&ask.interface),
            holder: self.asker.holder.clone(),
            pod: self.asker.pod.clone(),
            mac: following.filter(|mac| match ask.mac {
                MacWish::None => false,
                MacWish::Any => true,
                MacWish::This(wanted) => wanted == *mac,
            }),
            reservation: None,
            since: self.now,
        }
    }

    /// Whether the record's token belongs to another pod: a token is good for one.
    fn is_claimed(&self, record: &Allocation) -> bool {
        let by = record.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        let uid = self.asker.pod.as_ref().and_then(|pod| pod.uid.as_ref());
        matches!(record.holder, Holder::Unnamed { .. }) && by.is_some() && by != uid
    }

    /// Whether a record says already what this pod needs it to say.
    fn is_settled(&self, record: &Allocation) -> bool {
        let known = self.asker.pod.as_ref().is_some_and(|pod| pod.uid.is_some());
        let fresh = self.now.0 - record.since.0 < FRESH;
        record.pod == self.asker.pod && (known || fresh)
    }
}
