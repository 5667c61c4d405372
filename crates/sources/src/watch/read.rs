//! Decodes the objects that the API server sends.
//!
//! Kinds that manifests have too are read by the same code as these. Pods, of which there may be tens of
//! thousands with eight thousand bytes each, are decoded into slim types; their interpretation is
//! shared all the same ([`super::super::objects`]). Of the other kinds a few fields are decoded
//! ([`super::kinds`]).

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::{
    SourceError,
    cluster::projection::{self, ProjectedItem},
    objects::{AddressPool, AddressReservation, FileNamespace, FileObjects},
};
use nadmit_api::watch::Object;
use nadmit_catalog::Pod;
use nadmit_cni::Network;
use nadmit_manifests as manifests;

use super::{
    kinds::{DecodeError, SetContent, WatchedKind},
    pod::{self, ReadPod},
    progress::ObjectKey,
};

/// A decoded object, as the catalog uses it.
#[derive(Debug)]
pub(super) enum DecodedObject {
    Namespace(FileNamespace),
    Network(Arc<Network>),
    Pool(AddressPool),
    Reservation(AddressReservation),
    Pod(Arc<Pod>),
    /// The UID of an unbound pod without additional networks.
    PlainPod(Box<str>),
    /// A bound pod with nadmit's label.
    Replica,
    /// The additional networks.
    Operator(Vec<Arc<Network>>),
    /// True if the slice controller runs.
    Controller(bool),
    Known(SetContent),
}

/// An object from a list or a watch.
#[derive(Debug)]
pub(super) struct WatchedObject {
    pub key: ObjectKey,
    pub revision: u64,
    /// The content; `None` if the catalog has no use for it.
    pub decoded: Option<DecodedObject>,
    /// The errors in the object.
    pub problems: Vec<String>,
}

/// Decodes an object. If its content is invalid, it is ignored and has a problem.
pub(super) fn read(watched: WatchedKind, object: Object) -> WatchedObject {
    let mut problems = Vec::new();
    let decoded = decode(watched, &object, &mut problems).unwrap_or_else(|error| {
        let name = object_name(watched, &object);
        problems.push(format!(
            "nadmit ignores {name}, because the object cannot be read: {error}"
        ));
        None
    });
    WatchedObject {
        key: (object.namespace, object.name),
        revision: object.revision,
        decoded,
        problems,
    }
}

fn object_name(watched: WatchedKind, object: &Object) -> String {
    projection::object_name(watched.kind().name, &object.namespace, &object.name)
}

fn decode(
    watched: WatchedKind,
    object: &Object,
    problems: &mut Vec<String>,
) -> Result<Option<DecodedObject>, DecodeError> {
    Ok(match watched {
        WatchedKind::Pods => match pod::read(object.json.get())? {
            ReadPod::WithNetworks(pod) => Some(DecodedObject::Pod(Arc::from(pod))),
            ReadPod::PlainUnbound(uid) => Some(DecodedObject::PlainPod(uid)),
            ReadPod::Replica => Some(DecodedObject::Replica),
            ReadPod::Irrelevant => None,
        },
        _ => match watched.known_objects() {
            Some(objects) => {
                let decoded = (objects.decode)(object.json.get())?;
                let ignored = decoded.problems.iter().map(|problem| {
                    let name = object_name(watched, object);
                    format!("{name}: {problem}; nadmit ignores it")
                });
                problems.extend(ignored);
                Some(DecodedObject::Known(decoded.set))
            }
            None => as_manifest(watched, &object.json, problems)?,
        },
    })
}

fn as_manifest(
    watched: WatchedKind,
    object: &RawValue,
    problems: &mut Vec<String>,
) -> Result<Option<DecodedObject>, serde_json::Error> {
    let ProjectedItem::Object(object) = projection::project(watched.kind(), object)? else {
        return Ok(None);
    };
    let read = manifests::read(&object.text, &object.name);
    let mut errors: Vec<SourceError> = read.errors.into_iter().map(Into::into).collect();
    let found = FileObjects::of(read.objects, &object.name, &mut errors);
    problems.extend(
        errors
            .iter()
            .map(|error| describe_problem(&object.name, error)),
    );
    Ok(decoded(found))
}

/// Returns the only object that was read.
fn decoded(objects: FileObjects) -> Option<DecodedObject> {
    let FileObjects {
        networks,
        namespaces,
        operators,
        pools,
        reservations,
        controllers,
        ..
    } = objects;
    let networks = networks.into_iter().map(|(o, _)| DecodedObject::Network(o));
    let mut found = networks
        .chain(
            namespaces
                .into_iter()
                .map(|(o, _)| DecodedObject::Namespace(o)),
        )
        .chain(
            operators
                .into_iter()
                .map(|(o, _)| DecodedObject::Operator(o)),
        )
        .chain(pools.into_iter().map(|(o, _)| DecodedObject::Pool(o)))
        .chain(
            reservations
                .into_iter()
                .map(|(o, _)| DecodedObject::Reservation(o)),
        )
        .chain(
            controllers
                .into_iter()
                .map(|((_, o), _)| DecodedObject::Controller(o)),
        );
    found.next()
}

/// Describes an error in an object, located by the object's name.
fn describe_problem(object: &str, error: &SourceError) -> String {
    match error {
        SourceError::Manifest(error) => format!("{object}: {}", error.fault),
        SourceError::Label {
            label,
            expected,
            text,
            ..
        } => format!(
            "{object}: the label {label} is {text:?}, which nadmit ignores: write {expected}"
        ),
        SourceError::Pool { fault, .. } => {
            format!("{object} is not valid and has no effect: {fault}")
        }
        other => format!("{object}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use nadmit_api::watch::Page;

    use super::*;

    fn read_object(watched: WatchedKind, text: &str) -> WatchedObject {
        let list = format!(r#"{{"metadata":{{}},"items":[{text}]}}"#);
        let page = Page::parse(&list).unwrap_or_else(|e| panic!("{e}"));
        let object = page.objects().next().unwrap_or_else(|| panic!("{list}"));
        read(watched, object.unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn an_object_decodes_like_its_manifest() {
        let network = read_object(
            WatchedKind::Networks,
            r#"{"metadata":{"name":"a-net","namespace":"db","resourceVersion":"7","managedFields":[{}],
                "annotations":{"nadmit.io/address-pool":"storage"}},
                "spec":{"config":"{\"cniVersion\":\"1.0.0\",\"type\":\"macvlan\"}"}}"#,
        );
        assert_eq!(network.revision, 7);
        let Some(DecodedObject::Network(network)) = network.decoded else {
            panic!("{network:?}")
        };
        assert_eq!(network.address_pool.as_deref(), Some("storage"));
        assert!(network.config.loaded().is_some());
    }

    #[test]
    fn problems_name_the_object() {
        let pool = read_object(
            WatchedKind::Pools,
            r#"{"metadata":{"name":"storage","resourceVersion":"7"},
                "spec":{"ranges":[{"range":"192.0.2.0"}]}}"#,
        );
        assert!(matches!(
            &pool.decoded,
            Some(DecodedObject::Pool(AddressPool { pool: Err(_), .. }))
        ));
        let describe_problem = pool.problems.concat();
        assert!(
            describe_problem.starts_with("AddressPool storage is not valid and has no effect: "),
            "{describe_problem}"
        );
        let namespace = read_object(
            WatchedKind::Namespaces,
            r#"{"metadata":{"name":"db","resourceVersion":"7","labels":{"nadmit.io/mode":"loud"}}}"#,
        );
        assert_eq!(
            namespace.problems,
            [
                "Namespace db: the label nadmit.io/mode is \"loud\", which nadmit ignores: write deny, \
              warn or off"
            ]
        );
    }
}
