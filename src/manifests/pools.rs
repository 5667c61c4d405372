//! nadmit's own kinds that people write: address pools and reservations.
//!
//! What they say is read as `allocation` has it; a value of a wrong sort is no error here, for the
//! rules speak of it as the server does. Each value's place is kept, so that they can point at it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    allocation::{
        Words,
        spec::{PoolSpec, ReservationSpec},
    },
    document::{self, Node},
    network::name,
};

use super::{
    Manifest, Place,
    kinds::{namespace_of, required_name},
    reading::Reading,
};

/// An `AddressPool` in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolManifest {
    /// Its name.
    pub name: Box<str>,
    /// What its spec says.
    pub words: Words<PoolSpec>,
    /// Where that stands.
    pub places: Places,
}

/// An `AddressReservation` in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ReservationManifest {
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What its spec says.
    pub words: Words<ReservationSpec>,
    /// Where that stands.
    pub places: Places,
}

/// Where the values of an object's spec stand, by their paths (`spec.ranges[0].exclude[1]`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(BTreeMap<Box<str>, Place>);

impl Places {
    /// Where the value stands; of one that is not there, where it would be: the nearest thing around
    /// it.
    pub fn nearest(&self, field: &str) -> Option<Place> {
        let mut path = field;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads an `AddressPool`.
pub(super) fn pool(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::subdomain);
    let (spec, mut places) = spec(reading, node);
    let words = Words::of_pool(&spec);
    places.point_at_keys(words.unknown.iter().map(|unknown| &*unknown.path));
    Some(Manifest::Pool(Box::new(PoolManifest {
        name: name?.into(),
        words,
        places: places.values,
    })))
}

/// Reads an `AddressReservation`.
pub(super) fn reservation(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::subdomain);
    let namespace = namespace_of(reading, metadata);
    let (spec, mut places) = spec(reading, node);
    let words = Words::of_reservation(&spec);
    places.point_at_keys(words.unknown.iter().map(|unknown| &*unknown.path));
    Some(Manifest::Reservation(Box::new(ReservationManifest {
        namespace,
        name: name?.into(),
        words,
        places: places.values,
    })))
}

/// The places of keys and values.
#[derive(Default)]
struct Found {
    keys: BTreeMap<Box<str>, Place>,
    values: Places,
}

impl Found {
    /// Of a key that means nothing the key itself is what somebody should look at.
    fn point_at_keys<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        for path in paths {
            let field = format!("spec.{path}");
            if let Some(place) = self.keys.get(&*field) {
                self.values.0.insert(field.into(), *place);
            }
        }
    }

    fn read(&mut self, reading: &mut Reading, path: &str, node: &Node<'_>) -> Value {
        self.values.0.insert(path.into(), node.place);
        match &node.value {
            document::Value::Null => Value::Null,
            document::Value::Boolean(value) => json!(value),
            // Any number that is no whole one: nobody asks for more.
            document::Value::Number(number) => number.map_or(json!(0.5), |number| json!(number)),
            document::Value::String(text) => json!(text),
            document::Value::List(elements) => {
                let elements = elements.iter().enumerate();
                let read = |(index, node)| self.read(reading, &format!("{path}[{index}]"), node);
                elements.map(read).collect()
            }
            document::Value::Object(entries) => {
                reading.repeated_keys(node, path);
                let mut members = serde_json::Map::new();
                for entry in entries {
                    let Some(key) = entry.key.string() else {
                        continue;
                    };
                    let path = format!("{path}.{key}");
                    self.keys.insert(path.as_str().into(), entry.key.place);
                    let value = self.read(reading, &path, &entry.value);
                    members.insert(key.to_owned(), value);
                }
                Value::Object(members)
            }
        }
    }
}

fn spec(reading: &mut Reading, node: &Node<'_>) -> (Value, Found) {
    let mut found = Found::default();
    let spec = match node.get("spec") {
        Some(spec) => found.read(reading, "spec", spec),
        None => Value::Null,
    };
    (spec, found)
}
