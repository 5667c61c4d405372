//! The naive allocator: a map from address to record, and a search through every address.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use nadmit::allocation::{
    Address, Allocation, Holder, Pool, PoolConfig, Reservation, Space, Timestamp, Version, Write,
    index::{AttachmentRequest, Requester, Usage},
};

/// The age in seconds up to which a record is not renewed.
const FRESH_TTL: i64 = 30;

type AddressKey = (Space, Address);

/// The reason why a write fails: the record under its name, or its absence.
pub(super) struct WriteConflict {
    pub(super) key: AddressKey,
    pub(super) there: Option<(Allocation, Version)>,
}

/// The model of a ledger and of pending plans.
#[derive(Default)]
pub(super) struct NaiveAllocator {
    pub(super) ledger: BTreeMap<AddressKey, (Allocation, Version)>,
    /// By address: the pending record, and its plan.
    pub(super) flying: BTreeMap<AddressKey, (Allocation, u64)>,
    pub(super) layout: Arc<PoolConfig>,
    pub(super) now: Timestamp,
    last: u64,
}

pub(super) fn key(allocation: &Allocation) -> AddressKey {
    (allocation.space.clone(), allocation.address)
}

impl NaiveAllocator {
    /// Writes all or nothing, as a ledger does: returns the new versions, or the conflicting
    /// record.
    pub(super) fn write(&mut self, writes: &[Write]) -> Result<Vec<Version>, Box<WriteConflict>> {
        for write in writes {
            let key = key(write.allocation());
            let there = self.ledger.get(&key);
            let fits = match write {
                Write::Create(_) => there.is_none(),
                Write::Update(_, version) | Write::Delete(_, version) => {
                    there.is_some_and(|(_, known)| known == version)
                }
            };
            if !fits {
                let there = there.cloned();
                return Err(Box::new(WriteConflict { key, there }));
            }
        }
        let versions = writes.iter().map(|write| {
            self.last += 1;
            let version = Version(self.last);
            let record = write.allocation().clone();
            match write {
                Write::Delete(..) => self.ledger.remove(&key(&record)),
                _ => self.ledger.insert(key(&record), (record, version)),
            };
            version
        });
        Ok(versions.collect())
    }

    /// Returns the current or pending record of an address.
    pub(super) fn entry(&self, key: &AddressKey) -> Option<&Allocation> {
        let flying = self.flying.get(key).map(|(wanted, _)| wanted);
        flying.or_else(|| self.ledger.get(key).map(|(record, _)| record))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Allocation> {
        let landed = self
            .ledger
            .iter()
            .filter(|(k, _)| !self.flying.contains_key(k));
        let flying = self.flying.values().map(|(wanted, _)| wanted);
        flying.chain(landed.map(|(_, (record, _))| record))
    }

    /// Returns the first reservation of an address.
    fn reserved(&self, space: &Space, address: Address) -> Option<&Reservation> {
        self.layout
            .reservations
            .iter()
            .find_map(|(reservation, pool)| {
                let pool = self.layout.pool(pool.as_ref()?)?;
                let aside =
                    pool.space == *space && reservation.reserved_addresses(pool).contains(&address);
                aside.then_some(&**reservation)
            })
    }

    /// Returns every address of a range, in order; the ranges are narrow.
    fn all(pool: &Pool, range: usize) -> impl Iterator<Item = IpAddr> + '_ {
        let window = pool.ranges[range].subnet.range();
        let [first, last] = [window.first(), window.last()].map(Address::from);
        (first.number()..=last.number()).filter_map(move |n| first.family().address(n).ip())
    }

    fn givable(pool: &Pool, range: usize) -> impl Iterator<Item = IpAddr> + '_ {
        Self::all(pool, range).filter(move |ip| pool.ranges[range].exclusion(*ip).is_none())
    }

    fn free<'s>(&'s self, pool: &'s Pool, range: usize) -> impl Iterator<Item = IpAddr> + 's {
        Self::givable(pool, range).filter(|ip| {
            let address = Address::from(*ip);
            self.entry(&(pool.space.clone(), address)).is_none()
                && self.reserved(&pool.space, address).is_none()
        })
    }

    /// Computes a pool's usage by counting.
    pub(super) fn usage(&self, pool: &Pool) -> Usage {
        let ranges = || 0..pool.ranges.len();
        let mine = self.entries().filter(|record| record.pool == pool.name);
        let ips = mine.filter(|record| record.address.ip().is_some());
        let (waiting, held): (Vec<_>, Vec<_>) =
            ips.partition(|record| matches!(record.holder, Holder::Reservation { .. }));
        let of_pool = |by: &Option<Arc<str>>| by.as_ref() == Some(&pool.name);
        let reservations = self
            .layout
            .reservations
            .iter()
            .filter(|(_, by)| of_pool(by));
        let aside = reservations.flat_map(|(reservation, _)| reservation.reserved_addresses(pool));
        let unrecorded = aside.filter(|a| self.entry(&(pool.space.clone(), *a)).is_none());
        Usage {
            capacity: ranges()
                .map(|r| Self::givable(pool, r).count() as u128)
                .sum(),
            allocated: held.len() as u64,
            reserved: (waiting.len() + unrecorded.count()) as u64,
            free: ranges().map(|r| self.free(pool, r).count() as u128).sum(),
        }
    }

    /// Plans one attachment, and marks its address as pending for this plan; or returns the error's
    /// code.
    pub(super) fn plan(
        &mut self,
        asker: &Requester,
        ask: &AttachmentRequest,
        ticket: u64,
    ) -> Result<Vec<IpAddr>, &'static str> {
        let pool = self
            .layout
            .pool(&ask.pool)
            .cloned()
            .ok_or("pool-not-ready")?;
        let held: Vec<IpAddr> = self
            .entries()
            .filter(|record| {
                record.holder == asker.holder
                    && (&record.network, &record.interface) == (&ask.network, &ask.interface)
                    && record.space == pool.space
            })
            .filter_map(|record| record.address.ip())
            .collect();
        let mut given = Vec::new();
        for &ip in &ask.ips {
            let range = pool.range_of(ip).ok_or("address-outside-pool")?;
            let another = |has: &&IpAddr| pool.range_of(**has) == Some(range);
            if held.contains(&ip) {
                self.keep(ip, &pool, ticket)?;
            } else if held.iter().any(|has| another(&has)) {
                return Err("holds-another-address");
            } else if pool.ranges[range].exclusion(ip).is_some() {
                return Err("address-excluded");
            } else {
                self.take(ip, asker, ask, &pool, ticket)?;
            }
            given.push(ip);
        }
        for range in 0..pool.ranges.len() {
            if ask.ips.iter().any(|ip| pool.range_of(*ip) == Some(range)) {
                continue;
            }
            let mine = |ip: &&IpAddr| pool.range_of(**ip) == Some(range);
            if let Some(&ip) = held.iter().find(mine) {
                self.keep(ip, &pool, ticket)?;
                given.push(ip);
                continue;
            }
            let aside = Self::all(&pool, range).find(|ip| {
                self.reserved(&pool.space, (*ip).into())
                    .is_some_and(|reservation| {
                        is_for(reservation, asker, ask) && reservation.network == ask.network
                    })
                    && !self.is_spent(*ip, asker, ask, &pool.space)
            });
            let lowest = aside.or_else(|| self.free(&pool, range).next());
            let ip = lowest.ok_or("pool-exhausted")?;
            self.take(ip, asker, ask, &pool, ticket)?;
            given.push(ip);
        }
        Ok(given)
    }

    /// Returns true if the pod has an address that is reserved for it on another interface.
    fn is_spent(
        &self,
        ip: IpAddr,
        asker: &Requester,
        ask: &AttachmentRequest,
        space: &Space,
    ) -> bool {
        let record = self.entry(&(space.clone(), ip.into()));
        record.is_some_and(|record| {
            let other = (&record.network, &record.interface) != (&ask.network, &ask.interface);
            other && record.holder == asker.holder
        })
    }

    /// Keeps the pod's address; renews its record if that is not fresh.
    fn keep(&mut self, ip: IpAddr, pool: &Pool, ticket: u64) -> Result<(), &'static str> {
        let key = (pool.space.clone(), Address::from(ip));
        match self.flying.get(&key) {
            Some((_, by)) if *by == ticket => return Err("address-in-use"),
            Some(_) => return Err("pool-not-ready"),
            None => {}
        }
        let old = self.ledger.get(&key).map(|(record, _)| record.clone());
        if let Some(old) = old.filter(|old| self.now.0 - old.since.0 >= FRESH_TTL) {
            self.flying.insert(key, (old, ticket));
        }
        Ok(())
    }

    fn take(
        &mut self,
        ip: IpAddr,
        asker: &Requester,
        ask: &AttachmentRequest,
        pool: &Pool,
        ticket: u64,
    ) -> Result<(), &'static str> {
        let key = (pool.space.clone(), Address::from(ip));
        let reserved = self.reserved(&key.0, key.1);
        if reserved.is_some_and(|reservation| !is_for(reservation, asker, ask)) {
            return Err("address-reserved");
        }
        let aside = reserved.is_some();
        if self.flying.get(&key).is_some_and(|(_, by)| *by != ticket) {
            return Err("pool-not-ready");
        }
        match self.entry(&key) {
            None => {
                let namespace = asker.holder.namespace();
                let mine =
                    |r: &&Allocation| r.pool == pool.name && r.holder.namespace() == namespace;
                let held = self.entries().filter(mine).count() as u64;
                if pool.max_per_namespace.is_some_and(|most| held >= most) {
                    return Err("namespace-limit");
                }
            }
            Some(record) if aside && matches!(record.holder, Holder::Reservation { .. }) => {}
            Some(_) => return Err("address-in-use"),
        }
        let record = Allocation {
            address: key.1,
            space: key.0.clone(),
            pool: Arc::clone(&pool.name),
            network: ask.network.clone(),
            interface: Arc::clone(&ask.interface),
            holder: asker.holder.clone(),
            pod: asker.pod.clone(),
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: self.now,
        };
        self.flying.insert(key, (record, ticket));
        Ok(())
    }
}

fn is_for(reservation: &Reservation, asker: &Requester, ask: &AttachmentRequest) -> bool {
    reservation.is_for(
        &asker.holder,
        asker.pod.as_ref(),
        &ask.network,
        &ask.interface,
    )
}
