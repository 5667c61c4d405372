//! Reads Multus's `namespaceIsolation` and `globalNamespaces` from a cluster, because nadmit must apply the
//! same.
//!
//! [`MultusObjects`] are read with the permissions of the caller; [`MultusObjects::isolation`] decides,
//! without access to the cluster.

mod daemon;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kube::{
    Client,
    api::{DynamicObject, ListParams},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use self::daemon::{Daemon, MultusSetting};
use super::{InstallError, object::api_of};
use crate::rules::{NamespaceIsolation, Policy};

/// Namespaces of Multus in upstream's manifests and on OpenShift, used if DaemonSets of the whole cluster
/// may not be listed.
const MULTUS_NAMESPACES: [&str; 2] = ["kube-system", "openshift-multus"];
/// `globalNamespaces` as set by OpenShift's Cluster Network Operator.
const GLOBAL_ON_OPENSHIFT: [&str; 4] = [
    "default",
    "openshift-multus",
    "openshift-sriov-network-operator",
    "openshift-cnv",
];

/// Multus's setting and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// True if pods may use only the networks of their own namespace (`namespaceIsolation`).
    pub isolates: bool,
    /// The namespaces whose networks every pod may use (`globalNamespaces`); empty for Multus's default.
    pub global: Vec<String>,
    /// Name of the object with the setting.
    pub source: String,
}

/// Reason that Multus's setting is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IsolationUnknown {
    /// The API server did not respond in time.
    #[error("no response within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// No DaemonSet runs Multus.
    #[error("no DaemonSet of Multus was found")]
    NoDaemonSet,
    /// An object cannot be read.
    #[error("{0}")]
    NotReadable(String),
    /// The configuration file is not mounted from a ConfigMap.
    #[error(
        "{daemon_set} reads its configuration from {path}, which is not mounted from a ConfigMap"
    )]
    NotInConfigMap {
        /// Name of the DaemonSet.
        daemon_set: String,
        /// Path of the file.
        path: String,
    },
    /// The ConfigMap or its key does not exist.
    #[error("{config_map} has no key {key:?}, from which {daemon_set} reads its configuration")]
    NoKey {
        /// Name of the DaemonSet.
        daemon_set: String,
        /// Name of the ConfigMap.
        config_map: String,
        /// Key in the ConfigMap.
        key: String,
    },
    /// The configuration is invalid.
    #[error("key {key:?} of {config_map} is not a configuration of Multus")]
    NotValid {
        /// Name of the ConfigMap.
        config_map: String,
        /// Key in the ConfigMap.
        key: String,
    },
    /// Two DaemonSets have different settings.
    #[error("{one} and {other} are set differently")]
    Different {
        /// One source.
        one: String,
        /// The other source.
        other: String,
    },
}

/// The reason as text.
impl Serialize for IsolationUnknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Objects of a cluster that determine Multus's setting.
#[derive(Debug, Clone, Default)]
pub struct MultusObjects {
    /// All DaemonSets that could be listed.
    pub daemon_sets: Vec<Value>,
    /// ConfigMaps that Multus's DaemonSets mount.
    pub config_maps: Vec<Value>,
    /// True on OpenShift, whose operator fixes the setting.
    pub is_openshift: bool,
    /// First error of reading an object.
    pub unread: Option<String>,
}

impl MultusObjects {
    /// Reads the objects. The first object that cannot be read is recorded in `unread`.
    pub async fn read(client: &Client) -> Self {
        let mut found = Self {
            is_openshift: super::is_openshift(client).await,
            ..Self::default()
        };
        found.daemon_sets(client).await;
        let mut wanted: Vec<(String, String)> = Vec::new();
        for daemon in found.daemon_sets.iter().filter_map(Daemon::of) {
            for source in daemon.config_maps() {
                if !wanted.contains(&source) {
                    wanted.push(source);
                }
            }
        }
        for (namespace, name) in wanted {
            let api = api_of(client, "v1", "ConfigMap", Some(&namespace));
            match api.get_opt(&name).await {
                Ok(Some(config_map)) => found.config_maps.push(value(config_map)),
                Ok(None) => {}
                Err(error) => {
                    found.record_unread(&format!("read ConfigMap {namespace}/{name}"), &error)
                }
            }
        }
        found
    }

    async fn daemon_sets(&mut self, client: &Client) {
        let everywhere = api_of(client, "apps/v1", "DaemonSet", None);
        match everywhere.list(&ListParams::default()).await {
            Ok(listed) => return self.daemon_sets.extend(listed.into_iter().map(value)),
            Err(error) => self.record_unread("list the DaemonSets", &error),
        }
        for home in MULTUS_NAMESPACES {
            let api = api_of(client, "apps/v1", "DaemonSet", Some(home));
            if let Ok(listed) = api.list(&ListParams::default()).await {
                self.unread = None;
                self.daemon_sets.extend(listed.into_iter().map(value));
            }
        }
    }

    fn record_unread(&mut self, what: &str, error: &kube::Error) {
        let error = InstallError::of(what, error).to_string();
        self.unread.get_or_insert(error);
    }

    /// Returns Multus's setting.
    ///
    /// # Errors
    /// When the objects do not determine it.
    pub fn isolation(&self) -> Result<Isolation, IsolationUnknown> {
        let daemons: Vec<Daemon> = self.daemon_sets.iter().filter_map(Daemon::of).collect();
        let read = daemons.iter().map(|daemon| self.isolation_of(daemon));
        let read: Result<Vec<Isolation>, IsolationUnknown> = read.collect();
        match read.and_then(common_isolation) {
            Ok(Some(isolation)) => Ok(isolation),
            _ if self.is_openshift => Ok(Isolation {
                isolates: true,
                global: GLOBAL_ON_OPENSHIFT.map(str::to_owned).into(),
                source: "OpenShift (set by its network operator)".to_owned(),
            }),
            Ok(None) => Err(match &self.unread {
                Some(unread) => IsolationUnknown::NotReadable(unread.clone()),
                None => IsolationUnknown::NoDaemonSet,
            }),
            Err(error) => Err(error),
        }
    }

    fn isolation_of(&self, daemon: &Daemon) -> Result<Isolation, IsolationUnknown> {
        let MultusSetting {
            isolates,
            global,
            source,
        } = daemon.setting(|path| self.file(daemon, path))?;
        Ok(Isolation {
            isolates,
            // Without isolation Multus ignores global namespaces.
            global: if isolates { global } else { Vec::new() },
            source,
        })
    }

    /// Returns the content of a file of Multus's container, and the ConfigMap that it is mounted from.
    fn file(&self, daemon: &Daemon, path: &str) -> Result<(String, String), IsolationUnknown> {
        let Some(mounted) = daemon.mounted(path) else {
            return Err(IsolationUnknown::NotInConfigMap {
                daemon_set: daemon.display_name(),
                path: path.to_owned(),
            });
        };
        let config_map = format!("ConfigMap {}/{}", daemon.namespace(), mounted.config_map);
        let found = self.config_maps.iter().find(|one| {
            one["metadata"]["name"] == *mounted.config_map
                && one["metadata"]["namespace"] == *daemon.namespace()
        });
        match (found, &self.unread) {
            (None, Some(unread)) => Err(IsolationUnknown::NotReadable(unread.clone())),
            (found, _) => {
                let text = found.and_then(|found| found["data"][&*mounted.key].as_str());
                let text = text.ok_or_else(|| IsolationUnknown::NoKey {
                    daemon_set: daemon.display_name(),
                    config_map: config_map.clone(),
                    key: mounted.key.clone(),
                })?;
                if daemon::FileSetting::parse(text).is_none() {
                    let key = mounted.key;
                    return Err(IsolationUnknown::NotValid { config_map, key });
                }
                Ok((text.to_owned(), config_map))
            }
        }
    }
}

impl Isolation {
    /// Reads Multus's setting from a cluster.
    ///
    /// # Errors
    /// When the cluster does not determine it, or its objects cannot be read.
    pub async fn read(client: &Client) -> Result<Self, IsolationUnknown> {
        MultusObjects::read(client).await.isolation()
    }

    /// Fills in settings that are not set.
    pub fn fill_in(&self, policy: &mut Policy) {
        let set = NamespaceIsolation::of(self.isolates);
        policy.namespace_isolation.get_or_insert(set);
        let by_default = policy.global_namespaces == Policy::default().global_namespaces;
        if by_default && !self.global.is_empty() {
            policy.global_namespaces = self.global.iter().map(|name| (**name).into()).collect();
        }
    }
}

/// Returns the common setting of all DaemonSets; `None` without any.
fn common_isolation(all: Vec<Isolation>) -> Result<Option<Isolation>, IsolationUnknown> {
    let mut all = all.into_iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let same = |one: &Isolation| (one.isolates, &one.global) == (first.isolates, &first.global);
    match all.find(|one| !same(one)) {
        None => Ok(Some(first)),
        Some(other) => Err(IsolationUnknown::Different {
            one: first.source,
            other: other.source,
        }),
    }
}

fn value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
