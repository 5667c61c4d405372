//! The objects of release 0.1.0 in a real cluster: they stay as they are, and addresses without a
//! user are released.

use std::{fs, path::Path};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{
    cluster::RealCluster,
    steps::{namespace, stateful_set, text},
};
use crate::deploy::objects::parsed;
use crate::support::TestResult;

/// The kinds, with a file each.
const KINDS: [&str; 4] = [
    "addresspools",
    "addressreservations",
    "addressslices",
    "addressallocations",
];
/// The namespace of the fixtures.
pub(super) const NAMESPACE: &str = "db";

/// The objects that a release left behind.
pub(super) struct LeftObjects {
    objects: Vec<(&'static str, Value)>,
}

impl LeftObjects {
    /// Creates the objects in a cluster in which nadmit is not installed. The StatefulSet of the
    /// replica that holds addresses exists, scaled to 0; the other holders do not.
    pub(super) fn put(cluster: &RealCluster) -> Result<Self, Failed> {
        let definitions = cluster.nadmit(&["crds"])?.out;
        cluster.done(&["apply", "-f", "-"], &definitions)?;
        for kind in KINDS {
            let kind = format!("crd/{kind}.nadmit.io");
            cluster.done(&["wait", "--for=condition=Established", &kind], "")?;
        }
        let mut sliced = cluster.network(NAMESPACE, "sliced");
        sliced["metadata"]["name"] = json!("sliced");
        cluster.apply(&[
            namespace(NAMESPACE, &[("nadmit.io/injection", "enabled")]),
            cluster.network(NAMESPACE, "storage"),
            sliced,
            stateful_set(NAMESPACE, "db", 0, "storage"),
        ])?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1.0");
        let mut objects = Vec::new();
        for kind in KINDS {
            for object in parsed(&fs::read_to_string(folder.join(format!("{kind}.yaml")))?)? {
                objects.push((kind, object));
            }
        }
        for (_, object) in &objects {
            let mut fresh = object.clone();
            let metadata = fresh["metadata"].as_object_mut().ok_or("no metadata")?;
            for key in ["resourceVersion", "uid", "creationTimestamp", "generation"] {
                metadata.remove(key);
            }
            cluster.done(&["create", "-f", "-"], &fresh.to_string())?;
        }
        Ok(Self { objects })
    }

    /// Waits until the records of missing pods are deleted, and checks that all others are
    /// unchanged.
    pub(super) fn is_kept(&self, cluster: &RealCluster) -> TestResult {
        let of_pods = |object: &Value| !object["spec"]["holder"]["pod"].is_null();
        cluster.soon("records of pods that are gone are still there", || {
            let records = cluster.get(&["addressallocations"])?;
            let mut records = records["items"].as_array().into_iter().flatten();
            // A reservation retains its addresses.
            let left = records
                .any(|one| of_pods(one) && text(&one["spec"]["holder"]["pod"]["name"]) != "db-9");
            Ok((!left).then_some(()))
        })?;
        for (kind, before) in &self.objects {
            let holder = &before["spec"]["holder"];
            let stays = match *kind {
                "addressallocations" => !holder["replica"].is_null(),
                _ => true,
            };
            if !stays {
                continue;
            }
            let metadata = &before["metadata"];
            let (name, home) = (text(&metadata["name"]), text(&metadata["namespace"]));
            let mut arguments = vec![*kind, &*name];
            if !home.is_empty() {
                arguments.extend(["-n", &home]);
            }
            let after = cluster.get(&arguments)?;
            if !holds(&after["spec"], &before["spec"]) {
                let (before, after) = (&before["spec"], &after["spec"]);
                return Err(format!("{kind} {name} was {before}, and is {after}").into());
            }
        }
        Ok(())
    }
}

/// Returns true if `after` contains everything in `before`; defaults may have been added.
fn holds(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|after| holds(after, value))),
        (Value::Array(after), Value::Array(before)) => {
            after.len() == before.len()
                && after
                    .iter()
                    .zip(before)
                    .all(|(after, before)| holds(after, before))
        }
        _ => after == before,
    }
}
