//! Whereabouts's `IPPool`s, reservations and `NodeSlicePool`s: the addresses that it has assigned.

use std::sync::Arc;

use serde_json::Value;

use nadmit_catalog::Catalog;
use nadmit_whereabouts::{IpPool, NodeSlicePool, OverlappingReservation, PoolProblem};

use super::known_objects::{DecodeError, KnownObjects};
use crate::{
    cluster::kinds::{ClusterKind, IP_POOLS, OVERLAPPING_RESERVATIONS, SLICE_POOLS},
    watch::progress::ObjectKey,
};

/// The `IPPool`s of the catalog.
pub(super) struct IpPools;

/// An `IPPool`, and its parts that cannot be read.
pub(super) struct ReadPool {
    pool: Arc<IpPool>,
    problems: Vec<PoolProblem>,
}

impl KnownObjects for IpPools {
    const KIND: &'static ClusterKind = &IP_POOLS;

    type Content = ReadPool;

    fn decode(json: &str) -> Result<ReadPool, DecodeError> {
        let object: Value = serde_json::from_str(json)?;
        let [namespace, name] = names(&object);
        let read = IpPool::read(namespace, name, &object);
        let (pool, problems) = read.map_err(|error| DecodeError::Content(Box::new(error)))?;
        Ok(ReadPool {
            pool: Arc::new(pool),
            problems,
        })
    }

    fn problems(read: &ReadPool) -> Vec<String> {
        read.problems.iter().map(ToString::to_string).collect()
    }

    fn set(catalog: &mut Catalog, (namespace, name): &ObjectKey, read: Option<ReadPool>) -> bool {
        catalog.set_ip_pool((namespace, name), read.map(|read| read.pool))
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.set_ip_pools_known(known)
    }
}

/// The reservations of the catalog.
pub(super) struct OverlappingReservations;

impl KnownObjects for OverlappingReservations {
    const KIND: &'static ClusterKind = &OVERLAPPING_RESERVATIONS;

    type Content = Arc<OverlappingReservation>;

    fn decode(json: &str) -> Result<Self::Content, DecodeError> {
        let object: Value = serde_json::from_str(json)?;
        let [namespace, name] = names(&object);
        let read = OverlappingReservation::read(namespace, name, &object);
        let read = read.map_err(|error| DecodeError::Content(Box::new(error)))?;
        Ok(Arc::new(read))
    }

    fn set(
        catalog: &mut Catalog,
        (namespace, name): &ObjectKey,
        read: Option<Self::Content>,
    ) -> bool {
        catalog.set_overlapping_reservation((namespace, name), read)
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.set_overlapping_reservations_known(known)
    }
}

/// The `NodeSlicePool`s of the catalog. Their existence is a part of the state of node slices, too.
pub(super) struct SlicePools;

impl KnownObjects for SlicePools {
    const KIND: &'static ClusterKind = &SLICE_POOLS;

    type Content = Arc<NodeSlicePool>;

    fn decode(json: &str) -> Result<Self::Content, DecodeError> {
        let object: Value = serde_json::from_str(json)?;
        let [namespace, name] = names(&object);
        Ok(Arc::new(NodeSlicePool::read(namespace, name, &object)))
    }

    fn set(
        catalog: &mut Catalog,
        (namespace, name): &ObjectKey,
        read: Option<Self::Content>,
    ) -> bool {
        let news = catalog.set_slice_pool((namespace, name), read.is_some());
        catalog.set_node_slice_pool((namespace, name), read) || news
    }

    fn set_known(catalog: &mut Catalog, known: bool) -> bool {
        catalog.set_node_slice_pools_known(known)
    }
}

/// Returns the namespace and the name of an object.
fn names(object: &Value) -> [&str; 2] {
    let metadata = &object["metadata"];
    ["namespace", "name"].map(|key| metadata[key].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ("kube-system".into(), name.into())
    }

    #[test]
    fn what_cannot_be_read_of_a_pool_is_a_problem() {
        let read = IpPools::decode(
            r#"{"metadata":{"namespace":"kube-system","name":"10.0.0.0-24","resourceVersion":"7"},
                "spec":{"range":"10.0.0.0/24","allocations":{
                    "5":{"id":"c","podref":"db/db-0","ifname":"net1"},
                    "six":{"podref":"db/db-1"}, "7":{"podref":"nobody"}, "8":null}}}"#,
        );
        let read = read.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            IpPools::problems(&read),
            [
                r#"spec.allocations[7] has podref "nobody", which is not namespace/name"#,
                "spec.allocations[8] has no podref",
                "spec.allocations[six] has a key that is not an offset",
            ]
        );
        let mut catalog = Catalog::default();
        assert!(IpPools::set(&mut catalog, &key("10.0.0.0-24"), Some(read)));
        let entries = catalog.whereabouts().entries_at([10, 0, 0, 5].into());
        assert_eq!(entries.count(), 1);
    }

    #[test]
    fn an_object_without_its_essential_field_cannot_be_read() {
        let pool = IpPools::decode(r#"{"metadata":{"name":"a"},"spec":{"range":"10.0.0.0"}}"#);
        let error = pool.err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(r#"spec.range "10.0.0.0" has no prefix length"#)
        );
        let reservation =
            OverlappingReservations::decode(r#"{"metadata":{"name":"10.0.0.5"},"spec":[]}"#);
        let error = reservation.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("has no podref"));
    }

    #[test]
    fn a_slice_pool_is_a_part_of_the_state_of_slices() {
        let mut catalog = Catalog::default();
        let read = SlicePools::decode(
            r#"{"metadata":{"namespace":"kube-system","name":"net"},"status":{"allocations":[
                {"nodeName":"n1","sliceRange":"10.8.0.0/24"},{"nodeName":"","sliceRange":"10.8.1.0/24"}]}}"#,
        );
        assert!(SlicePools::set(&mut catalog, &key("net"), read.ok()));
        assert!(catalog.slicing().has_pool("kube-system", "net"));
        let slices = catalog.whereabouts().slice_pools();
        let nodes: Vec<&str> = slices
            .flat_map(|pool| &pool.slices)
            .map(|slice| &*slice.node)
            .collect();
        assert_eq!(nodes, ["n1", ""]);
        assert!(SlicePools::set(&mut catalog, &key("net"), None));
        assert!(!catalog.slicing().has_pools());
        assert_eq!(catalog.whereabouts().slice_pools().count(), 0);
    }
}
