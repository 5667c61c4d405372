//! nadmit's own records.

use nadmit_allocation::{Allocation, ParsedSpec};
use serde_json::Value;

use super::SnapshotReader;
use crate::{AddressPoolRecord, AllocationRecord, ObjectRef};

impl SnapshotReader {
    pub(super) fn address_pool(&mut self, of: &ObjectRef, object: &Value) {
        let parsed = ParsedSpec::of_pool(&object["spec"]);
        match parsed.pool(&of.name) {
            Ok(pool) => {
                let ranges = parsed.spec.ranges.iter();
                self.snapshot.address_pools.push(AddressPoolRecord {
                    pool,
                    exclusions: ranges.map(|range| range.exclude.clone()).collect(),
                });
            }
            Err(errors) => {
                let first = errors.first().map(ToString::to_string);
                self.unreadable(of, format!("spec {}", first.unwrap_or_default()));
            }
        }
    }

    pub(super) fn allocation(&mut self, of: &ObjectRef, object: &Value) {
        let mut spec = object["spec"].clone();
        for key in ["since", "taken"] {
            if let Some(time) = spec[key].as_str().and_then(self.parse_time) {
                spec[key] = time.0.into();
            }
        }
        match serde_json::from_value::<Allocation>(spec) {
            Ok(allocation) => self.snapshot.allocations.push(AllocationRecord {
                name: of.name.clone(),
                allocation,
            }),
            Err(error) => self.unreadable(of, format!("spec: {error}")),
        }
    }
}
