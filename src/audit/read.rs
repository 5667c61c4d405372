//! Reads files and clusters into snapshots.

use std::collections::BTreeSet;

use nadmit_audit::{Coverage, RecordKind, Snapshot, SnapshotReader};

use crate::{
    allocation::Timestamp,
    check::File,
    manifests,
    sources::{ClusterObject, UnreadableList},
};

/// Reads the objects of files.
pub fn of_files(files: &[File], now: Timestamp) -> Snapshot {
    let mut reader = SnapshotReader::new(now, Coverage::Files, parse_time);
    for File { name, text } in files {
        match text {
            Ok(text) => read_text(&mut reader, text, name),
            Err(error) => reader.unreadable_text(name, &error.to_string()),
        }
    }
    reader.finish()
}

/// Reads the objects of a cluster.
pub fn of_cluster(
    objects: &[ClusterObject],
    unreadable: &[UnreadableList],
    now: Timestamp,
) -> Snapshot {
    let unread: BTreeSet<RecordKind> = unreadable
        .iter()
        .filter_map(|list| RecordKind::of_plural(list.resource))
        .collect();
    let mut reader = SnapshotReader::new(now, Coverage::Cluster { unread }, parse_time);
    for object in objects {
        read_text(&mut reader, &object.text, &object.name);
    }
    reader.finish()
}

fn read_text(reader: &mut SnapshotReader, text: &str, name: &str) {
    let found = manifests::values(text, name);
    for object in &found.objects {
        reader.object(object);
    }
    for error in &found.errors {
        let (line, column) = (error.position.line, error.position.column);
        reader.unreadable_text(&format!("{name}:{line}:{column}"), &error.reason);
    }
}

/// Parses a time in the notation of the API.
fn parse_time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_second()))
}
