//! StatefulSets: the replicas that they should have.

use serde::Deserialize;

use nadmit_catalog::{Catalog, Ordinals};

use super::known_objects::{DecodeError, KnownObjects};
use crate::{
    cluster::kinds::{ClusterKind, built_in},
    watch::progress::ObjectKey,
};

/// The StatefulSets of the catalog.
pub(super) struct StatefulSets;

impl KnownObjects for StatefulSets {
    const KIND: &'static ClusterKind = &built_in("StatefulSet", "apps/v1", "statefulsets", &[]);

    type Content = Ordinals;

    fn decode(json: &str) -> Result<Ordinals, DecodeError> {
        Ok(read(json)?)
    }

    fn set(catalog: &mut Catalog, (namespace, name): &ObjectKey, set: Option<Ordinals>) -> bool {
        let workloads = catalog.workloads_mut();
        workloads.set_stateful_set((namespace, name), set)
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.workloads_mut().set_stateful_sets_known(known)
    }
}

/// Decodes the replicas of a StatefulSet; one by default.
fn read(text: &str) -> Result<Ordinals, serde_json::Error> {
    #[derive(Default, Deserialize)]
    struct Start {
        start: Option<i64>,
    }
    #[derive(Default, Deserialize)]
    struct Spec {
        replicas: Option<i64>,
        ordinals: Option<Start>,
    }
    #[derive(Deserialize)]
    struct Set {
        #[serde(default)]
        spec: Spec,
    }
    let Set { spec } = serde_json::from_str(text)?;
    let count =
        |number: Option<i64>, absent| number.map_or(absent, |n| u32::try_from(n).unwrap_or(0));
    Ok(Ordinals {
        start: count(spec.ordinals.and_then(|ordinals| ordinals.start), 0),
        replicas: count(spec.replicas, 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stateful_set_has_its_desired_replicas() {
        let of = |spec: &str| {
            let text = format!(r#"{{"metadata":{{"name":"db"}},"spec":{spec}}}"#);
            let Ordinals { start, replicas } = read(&text).unwrap_or_else(|e| panic!("{e}"));
            (start, replicas)
        };
        assert_eq!(of("{}"), (0, 1));
        assert_eq!(of(r#"{"replicas":0}"#), (0, 0));
        assert_eq!(of(r#"{"replicas":3,"ordinals":{"start":5}}"#), (5, 3));
    }
}
