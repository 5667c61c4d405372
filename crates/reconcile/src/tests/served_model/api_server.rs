//! A model of the API server: objects under versions, finalizers, and JSON patches with their tests.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use nadmit_allocation::{Holder, Stored, Version, Write};
use nadmit_catalog::Pod;
use nadmit_whereabouts::{IpPool, OverlappingReservation};
use serde_json::{Value, json};

/// The namespace of Whereabouts's records.
pub(super) const HOME: &str = "kube-system";

/// The objects of a cluster.
#[derive(Debug, Default, Clone)]
pub(super) struct ApiServer {
    revision: u64,
    pub(super) pools: BTreeMap<String, Value>,
    pub(super) reservations: BTreeMap<String, Value>,
    pub(super) records: BTreeMap<String, Stored>,
    pub(super) pods: BTreeMap<String, PodObject>,
}

/// The kinds of Whereabouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    IpPool,
    Reservation,
}

/// The reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NotFound,
    Exists,
    /// A version or another test of a patch is not met.
    Conflict,
}

/// A pod with one attachment, `net1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodObject {
    pub(super) uid: String,
    pub(super) holder: Holder,
    /// The network, in the namespace of the pod.
    pub(super) network: &'static str,
    pub(super) node: Option<&'static str>,
    pub(super) terminating: bool,
    /// True if the pod has succeeded or failed.
    pub(super) ended: bool,
    /// The address of the network-status.
    pub(super) reported: Option<IpAddr>,
}

impl ApiServer {
    fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Returns the version of the newest write.
    pub(super) fn version(&self) -> Version {
        Version(self.revision)
    }

    fn objects(&mut self, kind: Kind) -> &mut BTreeMap<String, Value> {
        match kind {
            Kind::IpPool => &mut self.pools,
            Kind::Reservation => &mut self.reservations,
        }
    }

    /// Returns a pool as nadmit reads it.
    pub(super) fn pool(&self, name: &str) -> Option<IpPool> {
        let read = IpPool::read(HOME, name, self.pools.get(name)?);
        let (pool, problems) = read.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(problems, []);
        Some(pool)
    }

    /// Returns a reservation as nadmit reads it.
    pub(super) fn reservation(&self, name: &str) -> Option<OverlappingReservation> {
        let object = self.reservations.get(name)?;
        let read = OverlappingReservation::read(HOME, name, object);
        Some(read.unwrap_or_else(|e| panic!("{e}")))
    }

    pub(super) fn create(
        &mut self,
        kind: Kind,
        name: &str,
        mut object: Value,
    ) -> Result<(), Refused> {
        if self.objects(kind).contains_key(name) {
            return Err(Refused::Exists);
        }
        object["metadata"]["resourceVersion"] = self.next().to_string().into();
        self.objects(kind).insert(name.to_owned(), object);
        Ok(())
    }

    /// Applies a JSON patch. An object that is being deleted ends with its last finalizer.
    pub(super) fn patch(&mut self, kind: Kind, name: &str, patch: &Value) -> Result<(), Refused> {
        let version = self.next().to_string();
        let object = self.objects(kind).get_mut(name).ok_or(Refused::NotFound)?;
        let patch: json_patch::Patch =
            serde_json::from_value(patch.clone()).unwrap_or_else(|e| panic!("{e}"));
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).map_err(|_| Refused::Conflict)?;
        let metadata = &mut patched["metadata"];
        let finalizers = |of: &Value| of["finalizers"].as_array().map_or(0, Vec::len);
        let is_deleted = !metadata["deletionTimestamp"].is_null();
        assert!(
            !is_deleted || finalizers(metadata) <= finalizers(&object["metadata"]),
            "a finalizer cannot be added to an object that is being deleted"
        );
        let ends = is_deleted && finalizers(metadata) == 0;
        metadata["resourceVersion"] = version.into();
        *object = patched;
        if ends {
            self.objects(kind).remove(name);
        }
        Ok(())
    }

    /// Deletes an object, in this version if one is given. One with a finalizer stays for now.
    pub(super) fn delete(
        &mut self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), Refused> {
        let now = self.next().to_string();
        let object = self.objects(kind).get_mut(name).ok_or(Refused::NotFound)?;
        let metadata = &mut object["metadata"];
        if version.is_some_and(|version| metadata["resourceVersion"] != version) {
            return Err(Refused::Conflict);
        }
        if metadata["finalizers"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            if metadata["deletionTimestamp"].is_null() {
                metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
                metadata["resourceVersion"] = now.into();
            }
        } else {
            self.objects(kind).remove(name);
        }
        Ok(())
    }

    /// Makes a write of nadmit's records.
    ///
    /// # Errors
    /// The present record, if the write names another version.
    pub(super) fn write(&mut self, write: &Write) -> Result<Version, Option<Box<Stored>>> {
        let name = write.allocation().record_name();
        let found = self.records.get(&name);
        let expected = match write {
            Write::Create(_) => None,
            Write::Update(_, version) | Write::Delete(_, version) => Some(*version),
        };
        if found.map(|stored| stored.version) != expected {
            return Err(found.cloned().map(Box::new));
        }
        let version = Version(self.next());
        match write {
            Write::Create(allocation) | Write::Update(allocation, _) => {
                let allocation = allocation.clone();
                let stored = Stored {
                    allocation,
                    version,
                };
                self.records.insert(name, stored);
            }
            Write::Delete(..) => drop(self.records.remove(&name)),
        }
        Ok(version)
    }

    /// Returns the pod of a name and UID.
    pub(super) fn pod_of(&mut self, name: &str, uid: &str) -> Option<&mut PodObject> {
        self.pods.get_mut(name).filter(|pod| pod.uid == uid)
    }
}

impl PodObject {
    /// Returns the pod as the catalog has it; `None` for one that has ended.
    pub(super) fn observed(&self, key: &str) -> Option<Arc<Pod>> {
        if self.ended {
            return None;
        }
        let (namespace, name) = key.split_once('/')?;
        let status = self.reported.map(|ip| {
            json!([{"name": format!("{namespace}/{}", self.network), "interface": "net1",
                "ips": [ip]}])
            .to_string()
            .into()
        });
        Some(Arc::new(Pod {
            uid: Some((*self.uid).into()),
            holder: self.holder.clone(),
            networks: Some(json!([{"name": self.network}]).to_string().into()),
            network_status: status,
            node: self.node.map(Into::into),
            terminating: self.terminating,
            ..Pod::new(namespace, name)
        }))
    }
}
