//! Whereabouts's records.

use nadmit_whereabouts::{IpPool, NodeSlicePool, OverlappingReservation};
use serde_json::Value;

use super::SnapshotReader;
use crate::ObjectRef;

impl SnapshotReader {
    pub(super) fn ip_pool(&mut self, of: &ObjectRef, object: &Value) {
        match IpPool::read(&of.namespace, &of.name, object) {
            Ok((pool, problems)) => {
                for problem in problems {
                    self.unreadable(of, problem.to_string());
                }
                self.snapshot.ip_pools.push(pool);
            }
            Err(error) => self.unreadable(of, error.to_string()),
        }
    }

    pub(super) fn reservation(&mut self, of: &ObjectRef, object: &Value) {
        match OverlappingReservation::read(&of.namespace, &of.name, object) {
            Ok(reservation) => self.snapshot.reservations.push(reservation),
            Err(error) => self.unreadable(of, format!("spec {error}")),
        }
    }

    pub(super) fn slice_pool(&mut self, of: &ObjectRef, object: &Value) {
        let pool = NodeSlicePool::read(&of.namespace, &of.name, object);
        self.snapshot.slice_pools.push(pool);
    }
}
