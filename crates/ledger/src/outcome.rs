//! Applies the outcome of a ledger write to an index.

use super::error::WriteError;
use nadmit_allocation::{Allocation, Index, Stored, Version, Write};

/// Applies everything that the outcome of these writes proves about their records: new versions, a record
/// that exists, a record that changed or was deleted. Uncertain and unavailable outcomes prove nothing.
pub fn apply_outcome(
    index: &mut Index,
    writes: &[Write],
    outcome: &Result<Vec<Version>, WriteError>,
) {
    match outcome {
        Ok(versions) => {
            for (write, version) in writes.iter().zip(versions) {
                apply_write(index, write, *version);
            }
        }
        Err(WriteError::Exists(theirs)) => index.apply_response((**theirs).clone()),
        Err(WriteError::Changed {
            current: Some(current),
            ..
        }) => index.apply_response((**current).clone()),
        Err(WriteError::Changed {
            name,
            current: None,
        }) => {
            let mut gone = writes.iter().filter_map(expected_version);
            if let Some((record, version)) = gone.find(|(record, _)| record.record_name() == *name)
            {
                index.apply_delete(&record.space, record.address, version);
            }
        }
        Err(WriteError::Uncertain { .. } | WriteError::Unavailable { .. }) => {}
    }
}

/// Returns the record and version that a write expects; `None` for a create.
fn expected_version(write: &Write) -> Option<(&Allocation, Version)> {
    match write {
        Write::Create(_) => None,
        Write::Update(record, version) | Write::Delete(record, version) => Some((record, *version)),
    }
}

fn apply_write(index: &mut Index, write: &Write, version: Version) {
    match write {
        Write::Create(record) | Write::Update(record, _) => index.apply_response(Stored {
            allocation: record.clone(),
            version,
        }),
        Write::Delete(record, _) => index.apply_delete(&record.space, record.address, version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nadmit_allocation::{Address, Space};

    fn stored(pod: &str, version: u64) -> Stored {
        let record = serde_json::json!({
            "address": "192.0.2.1", "pool": "storage", "since": 0,
            "network": {"namespace": "db", "name": "storage-net"},
            "holder": {"pod": {"namespace": "db", "name": pod}},
        });
        Stored {
            allocation: serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}")),
            version: Version(version),
        }
    }

    fn address() -> Address {
        stored("a", 0).allocation.address
    }

    fn exists(stored: Stored) -> Result<Vec<Version>, WriteError> {
        Err(WriteError::Exists(Box::new(stored)))
    }

    /// Returns an index that has observed `a` taking the address (version 3) and releasing it (version 4).
    fn index() -> Index {
        let mut index = Index::default();
        index.apply(stored("a", 3));
        index.observe_revision(Version(3));
        index.apply_delete(&Space::default(), address(), Version(4));
        index.observe_revision(Version(4));
        index
    }

    #[test]
    fn a_late_response_does_not_resurrect_a_record() {
        let mut index = index();
        let create = [Write::Create(stored("b", 0).allocation)];
        apply_outcome(&mut index, &create, &exists(stored("a", 3)));
        assert_eq!(index.holder_of(&Space::default(), address()), None);
        let update = [Write::Update(stored("b", 0).allocation, Version(2))];
        let changed = Err(WriteError::Changed {
            name: stored("a", 3).allocation.record_name(),
            current: Some(Box::new(stored("a", 3))),
        });
        apply_outcome(&mut index, &update, &changed);
        assert_eq!(index.holder_of(&Space::default(), address()), None);
        let own = [Write::Create(stored("a", 0).allocation)];
        apply_outcome(&mut index, &own, &Ok(vec![Version(3)]));
        assert_eq!(index.holder_of(&Space::default(), address()), None);
        index.apply_list_response(vec![stored("a", 3)], Version(3));
        assert_eq!(index.holder_of(&Space::default(), address()), None);
        // A version above the observed revision is applied.
        apply_outcome(&mut index, &create, &exists(stored("c", 5)));
        assert_eq!(
            index.version_of(&Space::default(), address()),
            Some(Version(5))
        );
    }

    #[test]
    fn a_late_response_does_not_delete_a_newer_record() {
        let mut index = index();
        index.apply(stored("b", 6));
        index.observe_revision(Version(6));
        let delete = [Write::Delete(stored("a", 0).allocation, Version(3))];
        let gone = Err(WriteError::Changed {
            name: stored("a", 3).allocation.record_name(),
            current: None,
        });
        apply_outcome(&mut index, &delete, &gone);
        assert_eq!(
            index.version_of(&Space::default(), address()),
            Some(Version(6))
        );
        let own = [Write::Delete(stored("b", 0).allocation, Version(6))];
        apply_outcome(&mut index, &own, &gone);
        assert_eq!(index.holder_of(&Space::default(), address()), None);
    }

    #[test]
    fn a_full_list_replaces_newer_observed_revisions() {
        let mut index = index();
        index.replace(vec![stored("a", 3)], Version(3));
        assert_eq!(
            index.version_of(&Space::default(), address()),
            Some(Version(3))
        );
    }
}
