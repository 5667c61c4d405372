//! Addresses that workloads retain without a pod.

use super::Catalog;
use nadmit_allocation::{Allocation, Holder};

impl Catalog {
    /// Returns true if a record is retained for a replica or a virtual machine that has no pod now.
    pub fn is_retained(&self, record: &Allocation) -> bool {
        let used_last = record.pod.as_ref().map(|pod| &*pod.name);
        let (namespace, pod) = match &record.holder {
            Holder::Replica {
                namespace,
                stateful_set,
                ordinal,
            } => (namespace, format!("{stateful_set}-{ordinal}")),
            Holder::VirtualMachine { namespace, .. } => {
                (namespace, used_last.unwrap_or_default().to_owned())
            }
            Holder::Pod { .. }
            | Holder::Unnamed { .. }
            | Holder::Reservation { .. }
            | Holder::Network { .. } => return false,
        };
        self.pod(namespace, &pod).is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::Pod;

    fn record(holder: &serde_json::Value) -> Allocation {
        let record = json!({
            "address": "192.0.2.5", "pool": "storage", "since": 0, "holder": holder,
            "network": {"namespace": "db", "name": "a"}, "pod": {"name": "db-1"},
        });
        serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn only_persistent_holders_retain_addresses_without_a_pod() {
        let pod = Pod::new("db", "db-1");
        let (there, gone) = (Catalog::new([], [], [Arc::new(pod)]), Catalog::default());
        let replica = json!({"replica": {"namespace": "db", "statefulSet": "db", "ordinal": 1}});
        let machine = json!({"machine": {"namespace": "db", "name": "vm"}});
        for holder in [&replica, &machine] {
            let record = record(holder);
            assert!(
                gone.is_retained(&record) && !there.is_retained(&record),
                "{holder}"
            );
        }
        let pod = json!({"pod": {"namespace": "db", "name": "db-1"}});
        assert!(!gone.is_retained(&record(&pod)));
    }
}
