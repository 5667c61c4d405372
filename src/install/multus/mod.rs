//! Multus's `namespaceIsolation` and `globalNamespaces` in a cluster: nadmit has to judge by the same.
//!
//! [`MultusObjects`] are read with the rights of whoever runs the command; [`MultusObjects::isolation`]
//! decides, and knows no cluster.

mod daemon;
#[cfg(test)]
mod tests;

use kube::{
    Client,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;
use thiserror::Error;

use self::daemon::{Daemon, MultusSetting};
use super::{InstallError, object::api_of};
use crate::rules::{NamespaceIsolation, Policy};

/// The namespaces of Multus in upstream's manifests and in OpenShift's: they are read where the
/// DaemonSets of the whole cluster may not be listed.
const MULTUS_NAMESPACES: [&str; 2] = ["kube-system", "openshift-multus"];
/// `globalNamespaces` as OpenShift's Cluster Network Operator sets it.
const GLOBAL_ON_OPENSHIFT: [&str; 4] = [
    "default",
    "openshift-multus",
    "openshift-sriov-network-operator",
    "openshift-cnv",
];

/// Multus's setting, and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Whether pods may use only the networks of their own namespace (`namespaceIsolation`).
    pub isolates: bool,
    /// The namespaces whose networks every pod may use (`globalNamespaces`); empty for Multus's default.
    pub global: Vec<String>,
    /// The object that says so.
    pub source: String,
}

/// The reason why Multus's setting is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IsolationUnknown {
    /// No DaemonSet runs Multus.
    #[error("no DaemonSet of Multus was found")]
    NoDaemonSet,
    /// An object may not be read.
    #[error("{0}")]
    NotReadable(String),
    /// The configuration is a file that no ConfigMap holds.
    #[error(
        "{daemon_set} reads its configuration from {path}, which is not mounted from a ConfigMap"
    )]
    NotInConfigMap {
        /// The DaemonSet.
        daemon_set: String,
        /// The file.
        path: String,
    },
    /// A ConfigMap or a key of it that is not there.
    #[error("{config_map} has no key {key:?}, from which {daemon_set} reads its configuration")]
    NoKey {
        /// The DaemonSet.
        daemon_set: String,
        /// The ConfigMap.
        config_map: String,
        /// The key.
        key: String,
    },
    /// A configuration that Multus cannot read.
    #[error("key {key:?} of {config_map} is not a configuration of Multus")]
    NotValid {
        /// The ConfigMap.
        config_map: String,
        /// The key.
        key: String,
    },
    /// Two DaemonSets with different settings.
    #[error("{one} and {other} are set differently")]
    Different {
        /// A DaemonSet or ConfigMap.
        one: String,
        /// Another.
        other: String,
    },
}

/// The objects of a cluster that say how Multus is set.
#[derive(Debug, Clone, Default)]
pub struct MultusObjects {
    /// The DaemonSets.
    pub daemon_sets: Vec<Value>,
    /// The ConfigMaps that those of Multus mount.
    pub config_maps: Vec<Value>,
    /// Whether the cluster is OpenShift, whose operator keeps Multus as it is.
    pub is_openshift: bool,
    /// What could not be read.
    pub unread: Option<String>,
}

impl MultusObjects {
    /// Reads them. What may not be read is left out and said in `unread`.
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

    /// Returns how Multus isolates namespaces.
    ///
    /// # Errors
    /// When the objects do not say it.
    pub fn isolation(&self) -> Result<Isolation, IsolationUnknown> {
        let daemons: Vec<Daemon> = self.daemon_sets.iter().filter_map(Daemon::of).collect();
        let read = daemons.iter().map(|daemon| self.isolation_of(daemon));
        let read: Result<Vec<Isolation>, IsolationUnknown> = read.collect();
        match read.and_then(common_isolation) {
            Ok(Some(isolation)) => Ok(isolation),
            _ if self.is_openshift => Ok(Isolation {
                isolates: true,
                global: GLOBAL_ON_OPENSHIFT.map(str::to_owned).into(),
                source: "OpenShift, whose network operator sets Multus so".to_owned(),
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
            // Without isolation Multus does not look at them.
            global: if isolates { global } else { Vec::new() },
            source,
        })
    }

    /// The file at this path of Multus's container, and the ConfigMap that it is from.
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
    /// Reads it from a cluster.
    ///
    /// # Errors
    /// When the cluster does not say it, or does not let it be read.
    pub async fn read(client: &Client) -> Result<Self, IsolationUnknown> {
        MultusObjects::read(client).await.isolation()
    }

    /// Sets it in settings that do not say it.
    pub fn fill_in(&self, policy: &mut Policy) {
        let set = NamespaceIsolation::of(self.isolates);
        policy.namespace_isolation.get_or_insert(set);
        let by_default = policy.global_namespaces == Policy::default().global_namespaces;
        if by_default && !self.global.is_empty() {
            policy.global_namespaces = self.global.iter().map(|name| (**name).into()).collect();
        }
    }
}

/// The one setting of all DaemonSets, if there are any.
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
