//! Puts objects that were read once into a catalog, as the watches do.

use nadmit_catalog::Catalog;
use thiserror::Error;

use super::{
    kinds::{DecodeError, WatchedKind},
    progress::ObjectKey,
};
use crate::cluster::{ClusterObject, UnreadableList, WhereaboutsKinds};

/// A record that cannot be read, wholly or in part.
#[derive(Debug, Error)]
#[error("{object}: {problem}; nadmit ignores it")]
pub struct UnreadableRecord {
    object: String,
    problem: RecordProblem,
}

#[derive(Debug, Error)]
enum RecordProblem {
    #[error(transparent)]
    Decode(DecodeError),
    #[error("{0}")]
    Part(String),
}

/// Puts records of Whereabouts of these kinds into a catalog. A kind of which no list was unreadable is
/// known. Returns what cannot be read of the records.
pub fn put_records(
    catalog: &mut Catalog,
    kinds: WhereaboutsKinds,
    records: &[ClusterObject],
    unreadable: &[UnreadableList],
) -> Vec<UnreadableRecord> {
    let read: &[WatchedKind] = match kinds {
        WhereaboutsKinds::None => &[],
        WhereaboutsKinds::Pools => &[WatchedKind::IpPools],
        WhereaboutsKinds::All => &[WatchedKind::IpPools, WatchedKind::OverlappingReservations],
    };
    for watched in read {
        let resource = watched.kind().resource;
        let known = unreadable.iter().all(|list| list.resource != resource);
        if let Some(table) = watched.known_objects() {
            (table.set_known)(catalog, known);
        }
    }
    let mut problems = Vec::new();
    for record in records {
        put(catalog, record, &mut problems);
    }
    problems
}

fn put(catalog: &mut Catalog, record: &ClusterObject, problems: &mut Vec<UnreadableRecord>) {
    let mut report = |problem| {
        problems.push(UnreadableRecord {
            object: record.name.clone(),
            problem,
        });
    };
    let Some((kind, name)) = record.name.split_once(' ') else {
        return;
    };
    let mut kinds = WatchedKind::ALL.into_iter();
    let watched = kinds.find(|watched| watched.kind().name == kind);
    let Some(table) = watched.and_then(WatchedKind::known_objects) else {
        return;
    };
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let key: ObjectKey = (namespace.into(), name.into());
    match (table.decode)(&record.text) {
        Ok(decoded) => {
            decoded.set.apply(catalog, &key);
            let parts = decoded.problems.into_iter();
            parts.map(RecordProblem::Part).for_each(report);
        }
        Err(error) => report(RecordProblem::Decode(error)),
    }
}
