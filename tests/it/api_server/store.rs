//! The objects that the stand-in serves, by resource.

use std::{collections::BTreeMap, fs, path::Path};

use libtest_mimic::Failed;
use serde_json::Value;

/// Group and version, kind, and plural.
type Definition = (&'static str, &'static str, &'static str);

/// The resources of a cluster, with their kinds; custom ones can be taken away.
const RESOURCES: &[Definition] = &[
    ("v1", "Namespace", "namespaces"),
    ("v1", "Pod", "pods"),
    ("v1", "ConfigMap", "configmaps"),
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
    (
        "k8s.cni.cncf.io/v1",
        "NetworkAttachmentDefinition",
        "network-attachment-definitions",
    ),
    ("nadmit.io/v1alpha1", "AddressPool", "addresspools"),
    (
        "nadmit.io/v1alpha1",
        "AddressReservation",
        "addressreservations",
    ),
    ("operator.openshift.io/v1", "Network", "networks"),
    (
        "whereabouts.cni.cncf.io/v1alpha1",
        "NodeSlicePool",
        "nodeslicepools",
    ),
    ("kubevirt.io/v1", "VirtualMachine", "virtualmachines"),
];

/// The objects of one resource, in the order of their keys, as etcd has them.
pub(crate) struct Resource {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) objects: BTreeMap<(String, String), Value>,
}

/// All resources, by group version and plural.
pub(crate) struct Store(BTreeMap<(&'static str, &'static str), Resource>);

impl Store {
    /// The objects of the YAML files in a folder.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, Failed> {
        let mut store = Self::empty();
        let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::path);
        for file in files {
            store.add(&fs::read_to_string(file.path())?)?;
        }
        Ok(store)
    }

    /// The objects of a text in YAML.
    pub(crate) fn of_text(text: &str) -> Result<Self, Failed> {
        let mut store = Self::empty();
        store.add(text)?;
        Ok(store)
    }

    /// Without this resource, as where its definition is missing.
    pub(crate) fn without(mut self, resource: &str) -> Self {
        self.0.retain(|(_, name), _| *name != resource);
        self
    }

    fn empty() -> Self {
        let resource = |&(api_version, kind, resource): &Definition| {
            let empty = Resource {
                api_version,
                kind,
                objects: BTreeMap::new(),
            };
            ((api_version, resource), empty)
        };
        Self(RESOURCES.iter().map(resource).collect())
    }

    fn add(&mut self, text: &str) -> Result<(), Failed> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
        for object in documents {
            let mut resources = self.0.values_mut();
            let resource = resources
                .find(|r| object["kind"] == r.kind && object["apiVersion"] == r.api_version);
            let resource = resource.ok_or_else(|| format!("no such kind: {object}"))?;
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
            let key = (text("namespace").to_owned(), text("name").to_owned());
            resource.objects.insert(key, object);
        }
        Ok(())
    }

    pub(super) fn resource(&self, group_version: &str, plural: &str) -> Option<&Resource> {
        let mut resources = self.0.iter();
        let found =
            resources.find(|((version, name), _)| (*version, *name) == (group_version, plural));
        found.map(|(_, resource)| resource)
    }
}
