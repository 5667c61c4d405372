//! Retention: the addresses of a pool that a holder keeps without a pod.

use super::{Allocation, Family, Holder, Macs, Pool, Retention};

impl Pool {
    /// Returns the pool with the settings of an AddressPool that names networks of it.
    #[must_use]
    pub fn configured_by(self, settings: &Self) -> Self {
        // An address of a slice cannot follow its holder to another node.
        let retention = match self.assigns_by_node() {
            true => self.retention,
            false => settings.retention,
        };
        Self {
            retention,
            workload_retention: settings.workload_retention,
            quarantine: settings.quarantine,
            lost_node_quarantine: settings.lost_node_quarantine,
            max_per_namespace: settings.max_per_namespace,
            vms_retain_ips: settings.vms_retain_ips,
            ..self
        }
    }

    /// Returns true if a holder keeps an address or MAC of this family when its pod is gone.
    pub fn retains(&self, holder: &Holder, family: Family) -> bool {
        let by_workload = self.retention == Retention::Workload;
        match (holder, family) {
            (Holder::Replica { .. }, _) => by_workload,
            // Slices contain no MACs, so a MAC can move with its virtual machine to another node.
            (Holder::VirtualMachine { .. }, Family::Mac) => {
                let spare = self.macs.as_ref().is_none_or(Macs::has_spare);
                by_workload || (self.assigns_by_node() && spare)
            }
            (Holder::VirtualMachine { .. }, _) => by_workload && self.vms_retain_ips,
            _ => false,
        }
    }

    /// Returns true if a holder keeps its MAC but not its addresses, so that the MAC must not be
    /// derived from an address.
    pub(crate) fn detaches_mac(&self, holder: &Holder) -> bool {
        let virtual_machine = matches!(holder, Holder::VirtualMachine { .. });
        virtual_machine && !self.retains(holder, Family::V4) && self.retains(holder, Family::Mac)
    }

    /// Returns true if the MAC of a record's holder must not be derived from the address. A reserved
    /// address returns to the same holder, and its derived MAC with it.
    pub(crate) fn detaches_mac_of(&self, record: &Allocation) -> bool {
        record.reservation.is_none() && self.detaches_mac(&record.holder)
    }
}
