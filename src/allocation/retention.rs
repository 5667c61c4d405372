//! What holders keep of a pool beyond their pods.

use super::{Allocation, Family, Holder, Macs, Pool, Retention};

impl Pool {
    /// Whether a holder that lasts keeps an address of the pool, or a MAC, beyond its pods.
    pub fn keeps(&self, holder: &Holder, family: Family) -> bool {
        let by_workload = self.retention == Retention::Workload;
        match (holder, family) {
            (Holder::Replica { .. }, _) => by_workload,
            // A slice has addresses, no MACs: these may follow a machine to another node.
            (Holder::VirtualMachine { .. }, Family::Mac) => {
                let spare = self.macs.as_ref().is_none_or(Macs::has_spare);
                by_workload || (self.slicing.is_some() && spare)
            }
            (Holder::VirtualMachine { .. }, _) => by_workload && self.vms_retain_ips,
            _ => false,
        }
    }

    /// Whether a holder's MAC outlives its addresses, so that it follows from none of them.
    pub fn detaches_mac(&self, holder: &Holder) -> bool {
        let machine = matches!(holder, Holder::VirtualMachine { .. });
        machine && !self.keeps(holder, Family::V4) && self.keeps(holder, Family::Mac)
    }

    /// The same of the MAC of a record's holder. With an address that a reservation gives, the MAC comes
    /// back as often as the address does.
    pub fn detaches_mac_of(&self, record: &Allocation) -> bool {
        record.reservation.is_none() && self.detaches_mac(&record.holder)
    }
}
