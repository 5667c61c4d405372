//! Which MAC an attachment is given: the recorded one, the one asked for, the one that follows from its
//! address, or one of the pool's.

use std::{net::IpAddr, sync::Arc};

use super::{Ask, Draft, Given, MacWish};
use crate::{
    allocation::{
        Address, Pool,
        index::{Index, pools::Slot},
        refusal::Refusal,
    },
    network::mac::Mac,
};

impl Index {
    /// The MAC: the recorded one, the one asked for, the one that follows, or one of the pool's.
    pub(super) fn choose_mac(
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
}
