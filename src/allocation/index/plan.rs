//! Planning: which records a pod's attachments need.

use std::{net::IpAddr, sync::Arc};

use super::{Holding, Index, Mark, Ticket, pools::Slot};
use crate::{
    allocation::{
        Address, Allocation, Holder, NetworkRef, PodRef, Pool, Timestamp, Write,
        refusal::{Exhausted, Refusal},
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
        if pool.slice.is_some() {
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
        let holding = Holding {
            holder: asker.holder.clone(),
            network: ask.network.clone(),
            interface: Arc::clone(&ask.interface),
        };
        let held = self.holdings.get(&holding).into_iter().flatten();
        held.filter(|(space, _)| *space == pool.space)
            .map(|(_, address)| *address)
            .collect()
    }

    fn choose_ips(
        &mut self,
        ask: &Ask,
        pool: &Arc<Pool>,
        held: &[Address],
        draft: &mut Draft<'_>,
    ) -> Result<Vec<IpAddr>, Refusal> {
        let mut chosen = Vec::new();
        for &address in &ask.ips {
            let range = pool.range_of(address).ok_or_else(|| Refusal::Outside {
                address,
                pool: Arc::clone(&pool.name),
                ranges: pool.ranges.iter().map(|range| range.subnet).collect(),
            })?;
            self.take_named(ask, pool, range, address, held, draft)?;
            chosen.push(address);
        }
        for range in 0..pool.ranges.len() {
            if ask.ips.iter().any(|ip| pool.range_of(*ip) == Some(range)) {
                continue;
            }
            let of_range =
                |address: &Address| address.ip().filter(|ip| pool.range_of(*ip) == Some(range));
            let kept: Vec<IpAddr> = held.iter().filter_map(of_range).collect();
            if kept.is_empty() {
                chosen.push(self.take_any(ask, pool, range, draft)?);
            }
            for ip in kept {
                self.keep(Address::Ip(ip), ask, pool, draft)?;
                chosen.push(ip);
            }
        }
        Ok(chosen)
    }

    /// Takes an address that the attachment names.
    fn take_named(
        &mut self,
        ask: &Ask,
        pool: &Arc<Pool>,
        range: usize,
        address: IpAddr,
        held: &[Address],
        draft: &mut Draft<'_>,
    ) -> Result<(), Refusal> {
        if held.contains(&Address::Ip(address)) {
            return self.keep(Address::Ip(address), ask, pool, draft);
        }
        let asked = |ip: &IpAddr| ask.ips.contains(ip);
        let other = held
            .iter()
            .filter_map(|held| held.ip())
            .find(|ip| pool.range_of(*ip) == Some(range) && !asked(ip));
        if let Some(has) = other {
            return Err(Refusal::Contradiction {
                holder: Box::new(draft.asker.holder.clone()),
                has: has.into(),
                asks: address.into(),
            });
        }
        if let Some(reason) = pool.ranges.get(range).and_then(|r| r.refuses(address)) {
            return Err(Refusal::NotGiven {
                address,
                pool: Arc::clone(&pool.name),
                reason,
            });
        }
        self.take(address.into(), ask, pool, draft)
    }

    /// Takes what is reserved for the asker in this range, or else the lowest free address.
    fn take_any(
        &mut self,
        ask: &Ask,
        pool: &Arc<Pool>,
        range: usize,
        draft: &mut Draft<'_>,
    ) -> Result<IpAddr, Refusal> {
        if let Some(reserved) = self.reserved_ip(ask, pool, range, draft.asker) {
            self.take(reserved.into(), ask, pool, draft)?;
            return Ok(reserved);
        }
        let slot = Slot::Range(range);
        let address = self.lowest(pool, slot)?;
        let ip = address
            .ip()
            .ok_or(Refusal::Bug("a range gave no IP address"))?;
        self.take(address, ask, pool, draft)?;
        Ok(ip)
    }

    fn lowest(&self, pool: &Pool, slot: Slot) -> Result<Address, Refusal> {
        let bug = Refusal::Bug("a pool of the layout is not in the index");
        let state = self.pools.get(&pool.name).ok_or(bug)?;
        let range = match slot {
            Slot::Range(index) => pool.ranges.get(index).map(|range| range.subnet),
            Slot::Macs => None,
        };
        let family = match range {
            Some(range) => Address::Ip(range.address).family(),
            None => crate::allocation::Family::Mac,
        };
        let free = state.free(slot);
        let lowest = free.and_then(|free| free.lowest());
        lowest.map(|number| family.address(number)).ok_or_else(|| {
            Refusal::Exhausted(Box::new(Exhausted {
                pool: Arc::clone(&pool.name),
                range,
                capacity: free.map_or(0, |free| free.capacity()),
                largest: state.largest(),
            }))
        })
    }

    /// The MAC: the recorded one, the one asked for, the one that follows, or one of the pool's.
    fn choose_mac(
        &mut self,
        ask: &Ask,
        pool: &Arc<Pool>,
        held: &[Address],
        given: &Given,
        draft: &mut Draft<'_>,
    ) -> Result<Option<Mac>, Refusal> {
        let own = held.iter().find_map(|address| match address {
            Address::Mac(mac) => Some(*mac),
            Address::Ip(_) => None,
        });
        let following = given
            .ips
            .iter()
            .find_map(|(ip, _)| self.following(pool, *ip));
        match ask.mac {
            MacWish::None => Ok(None),
            MacWish::This(mac) => self
                .take_named_mac(mac, own, following, ask, pool, draft)
                .map(Some),
            MacWish::Any => {
                if let Some(mac) = own {
                    self.keep(mac.into(), ask, pool, draft)?;
                    return Ok(Some(mac));
                }
                if following.is_some() || pool.macs.is_none() {
                    return Ok(following);
                }
                let reserved = self.reserved_mac(ask, pool, draft.asker);
                let address = match reserved {
                    Some(mac) => Address::Mac(mac),
                    None => self.lowest(pool, Slot::Macs)?,
                };
                self.take(address, ask, pool, draft)?;
                match address {
                    Address::Mac(mac) => Ok(Some(mac)),
                    Address::Ip(_) => Err(Refusal::Bug("a run of MACs gave an IP address")),
                }
            }
        }
    }

    /// The MAC that goes with an address: as recorded, else as it follows.
    fn following(&self, pool: &Pool, ip: IpAddr) -> Option<Mac> {
        let recorded = self.holder_of(&pool.space, ip.into());
        recorded
            .and_then(|allocation| allocation.mac)
            .or_else(|| pool.following_mac(ip))
    }

    fn take_named_mac(
        &mut self,
        mac: Mac,
        own: Option<Mac>,
        following: Option<Mac>,
        ask: &Ask,
        pool: &Arc<Pool>,
        draft: &mut Draft<'_>,
    ) -> Result<Mac, Refusal> {
        if following == Some(mac) {
            return Ok(mac);
        }
        if own == Some(mac) {
            self.keep(mac.into(), ask, pool, draft)?;
            return Ok(mac);
        }
        if let Some(has) = own {
            return Err(Refusal::Contradiction {
                holder: Box::new(draft.asker.holder.clone()),
                has: has.into(),
                asks: mac.into(),
            });
        }
        if let Some(holder) = self.holder_of_mac(&pool.space, mac)
            && holder.address != Address::Mac(mac)
        {
            return Err(Refusal::InUse {
                address: mac.into(),
                holder: Box::new(holder.holder.clone()),
            });
        }
        let follows = |pool: &&Arc<Pool>| pool.macs.as_ref().is_some_and(|m| m.follows(mac));
        if let Some(pool) = self.layout.pools.values().find(follows) {
            return Err(Refusal::MacFollows {
                mac: mac.into(),
                pool: Arc::clone(&pool.name),
            });
        }
        self.take(mac.into(), ask, pool, draft)?;
        Ok(mac)
    }

    /// Takes an address for the asker: a new record, or that of a reservation for it.
    fn take(
        &mut self,
        address: Address,
        ask: &Ask,
        pool: &Arc<Pool>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Refusal> {
        let reservation = self.reservation_of(address, ask, pool, draft.asker)?;
        let entry = self.entry(&pool.space, address);
        let mut wanted = draft.allocation(address, ask, pool);
        wanted.reservation = reservation;
        match entry {
            None => {
                self.within_limit(pool, draft.asker)?;
                draft.writes.push(Write::Create(wanted.clone()));
            }
            Some(entry) if entry.ticket().is_some_and(|ticket| ticket != draft.ticket) => {
                return Err(Refusal::Busy(address));
            }
            Some(entry) => {
                let waiting = matches!(entry.allocation().holder, Holder::Reservation { .. });
                let version = entry
                    .version()
                    .filter(|_| waiting && wanted.reservation.is_some());
                let version = version.ok_or_else(|| Refusal::InUse {
                    address,
                    holder: Box::new(entry.allocation().holder.clone()),
                })?;
                draft.writes.push(Write::Update(wanted.clone(), version));
            }
        }
        self.launch(wanted, draft.ticket, &mut draft.marks);
        Ok(())
    }

    /// Goes on with what the asker has. A record that names another pod is written anew, under its
    /// version: so nobody can free it meanwhile for the pod that is gone.
    fn keep(
        &mut self,
        address: Address,
        ask: &Ask,
        pool: &Arc<Pool>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Refusal> {
        let entry = self.entry(&pool.space, address);
        let bug = Refusal::Bug("a holder has an address that has no entry");
        let entry = entry.ok_or(bug)?;
        let old = entry.allocation();
        if draft.is_claimed(old) {
            return Err(Refusal::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            });
        }
        let mut wanted = draft.allocation(address, ask, pool);
        wanted.reservation.clone_from(&old.reservation);
        wanted.mac = old.mac.or(wanted.mac);
        let version = entry.version();
        if draft.is_settled(old) && wanted.mac == old.mac && version.is_some() {
            return Ok(());
        }
        let version = version.ok_or_else(|| match entry.ticket() {
            // Two attachments of one pod with one interface.
            Some(ticket) if ticket == draft.ticket => Refusal::InUse {
                address,
                holder: Box::new(old.holder.clone()),
            },
            _ => Refusal::Busy(address),
        })?;
        draft.writes.push(Write::Update(wanted.clone(), version));
        self.launch(wanted, draft.ticket, &mut draft.marks);
        Ok(())
    }

    fn within_limit(&self, pool: &Pool, asker: &Asker) -> Result<(), Refusal> {
        let (Some(most), Some(state)) = (pool.max_per_namespace, self.pools.get(&pool.name)) else {
            return Ok(());
        };
        let namespace = asker.holder.namespace();
        let held = state.held_in(namespace);
        if held < most {
            return Ok(());
        }
        Err(Refusal::Limit {
            namespace: Arc::clone(namespace),
            pool: Arc::clone(&pool.name),
            held,
            most,
        })
    }

    /// The reservation that an address is taken from, which must be for the asker.
    fn reservation_of(
        &self,
        address: Address,
        ask: &Ask,
        pool: &Pool,
        asker: &Asker,
    ) -> Result<Option<NetworkRef>, Refusal> {
        let state = self.spaces.get(&pool.space);
        let index = state.and_then(|state| state.reserved.get(&address));
        let Some((reservation, _)) = index.and_then(|at| self.layout.reservations.get(*at)) else {
            return Ok(None);
        };
        if reservation.is_for(
            &asker.holder,
            asker.pod.as_ref(),
            &ask.network,
            &ask.interface,
        ) {
            return Ok(Some(reservation.key()));
        }
        Err(Refusal::Reserved {
            address,
            holder: reservation.holder.clone(),
            reservation: reservation.key(),
        })
    }

    /// The reservations for the asker on this interface.
    fn reservations_for<'s>(
        &'s self,
        ask: &'s Ask,
        pool: &'s Pool,
        asker: &'s Asker,
    ) -> impl Iterator<Item = &'s crate::allocation::Reservation> {
        let of_pool = self
            .layout
            .reservations
            .iter()
            .filter(|(_, served_by)| served_by.as_deref() == Some(&*pool.name));
        of_pool
            .map(|(reservation, _)| &**reservation)
            .filter(|reservation| {
                reservation.is_for(
                    &asker.holder,
                    asker.pod.as_ref(),
                    &ask.network,
                    &ask.interface,
                )
            })
    }

    fn reserved_ip(&self, ask: &Ask, pool: &Pool, range: usize, asker: &Asker) -> Option<IpAddr> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(ask, pool, asker)
            .flat_map(|reservation| reservation.ips.iter().copied())
            .find(|ip| {
                pool.range_of(*ip) == Some(range) && reserved.contains_key(&Address::Ip(*ip))
            })
    }

    fn reserved_mac(&self, ask: &Ask, pool: &Pool, asker: &Asker) -> Option<Mac> {
        let reserved = &self.spaces.get(&pool.space)?.reserved;
        self.reservations_for(ask, pool, asker)
            .filter_map(|reservation| reservation.mac)
            .find(|mac| reserved.contains_key(&Address::Mac(*mac)))
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
