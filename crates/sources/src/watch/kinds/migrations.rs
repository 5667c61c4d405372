//! Migrations of virtual machines: the machine, and whether the migration is in progress.

use serde::{Deserialize, de::IgnoredAny};

use nadmit_catalog::{Catalog, Migration};

use super::known_objects::{DecodeError, KnownObjects};
use crate::{
    cluster::kinds::{ClusterKind, custom},
    watch::progress::ObjectKey,
};

/// The migrations of the catalog.
pub(super) struct Migrations;

impl KnownObjects for Migrations {
    const KIND: &'static ClusterKind = &custom(
        "VirtualMachineInstanceMigration",
        "kubevirt.io/v1",
        "virtualmachineinstancemigrations",
        &[],
    );

    type Content = Migration;

    fn decode(json: &str) -> Result<Migration, DecodeError> {
        Ok(read(json)?)
    }

    fn set(catalog: &mut Catalog, (namespace, name): &ObjectKey, found: Option<Migration>) -> bool {
        let workloads = catalog.workloads_mut();
        workloads.set_migration((namespace, name), found)
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.workloads_mut().set_migrations_known(known)
    }
}

/// Decodes a migration. A migration marked for deletion counts as ended: KubeVirt removes its target,
/// unless the machine already runs there.
fn read(text: &str) -> Result<Migration, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        #[serde(default)]
        uid: Box<str>,
        #[serde(default)]
        deletion_timestamp: Option<IgnoredAny>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        #[serde(default)]
        vmi_name: Box<str>,
    }
    #[derive(Default, Deserialize)]
    struct Status {
        #[serde(default)]
        phase: Box<str>,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
        #[serde(default)]
        spec: Spec,
        #[serde(default)]
        status: Option<Status>,
    }
    let object: Object = serde_json::from_str(text)?;
    let phase = object.status.unwrap_or_default().phase;
    let metadata = object.metadata;
    Ok(Migration {
        ended: matches!(&*phase, "Succeeded" | "Failed") || metadata.deletion_timestamp.is_some(),
        uid: metadata.uid,
        machine: object.spec.vmi_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_active_until_it_ends_or_is_deleted() {
        let of = |metadata: &str, status: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"m","namespace":"vms","uid":"u","resourceVersion":"7"{metadata}}},
                    "spec":{{"vmiName":"vm1"}}{status}}}"#
            );
            let found = read(&text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((&*found.uid, &*found.machine), ("u", "vm1"));
            found.ended
        };
        for status in ["", r#","status":null"#, r#","status":{}"#] {
            assert!(!of("", status), "{status}");
        }
        for (phase, ended) in [
            ("Pending", false),
            ("Running", false),
            ("Succeeded", true),
            ("Failed", true),
        ] {
            let status = format!(r#","status":{{"phase":"{phase}"}}"#);
            assert_eq!(of("", &status), ended, "{phase}");
        }
        let deleted = r#","deletionTimestamp":"2026-11-01T00:00:00Z""#;
        assert!(of(deleted, r#","status":{"phase":"Scheduling"}"#));
    }
}
