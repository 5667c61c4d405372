//! Which cluster, and as whom: as kubectl finds it.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{Cluster, ClusterError};
use crate::{api::call, files};

/// How long an API server may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// The bytes of a kubeconfig.
const MOST: u64 = 16 << 20;

/// Which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The kubeconfig; without it those of KUBECONFIG, else `~/.kube/config`, else, in a pod, its
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it, if not the current one.
    pub context: Option<String>,
}

/// A way into a cluster.
pub struct ClusterConnection {
    /// Asks it.
    pub client: Client,
    /// The URL of its API server.
    pub server: String,
    /// The namespace of who asks: in a pod its own, else that of the context.
    pub namespace: String,
}

impl ClusterAccess {
    /// Gets ready to ask the cluster. Nothing is sent yet.
    ///
    /// # Errors
    /// When the kubeconfig names no cluster, or no way into it.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        self.connect_as(None).await
    }

    /// The same as another user, whom whoever asks may impersonate.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(&self, user: Option<&str>) -> Result<Cluster, ClusterError> {
        let (config, context) = self.config(user).await?;
        let server = url(&config);
        match Client::try_from(config) {
            Ok(client) => Ok(Cluster {
                client,
                server,
                context,
            }),
            Err(error) => Err(no_way_in(server, &error)),
        }
    }

    /// The same for who keeps asking: a client that asks once and leaves repeating to
    /// [`crate::api::call`]. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn client(&self) -> Result<ClusterConnection, ClusterError> {
        self.client_as(None).await
    }

    /// The same as another user.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn client_as(&self, user: Option<&str>) -> Result<ClusterConnection, ClusterError> {
        let (config, _) = self.config(user).await?;
        let namespace = config.default_namespace.clone();
        let server = url(&config);
        match call::client(config) {
            Ok(client) => Ok(ClusterConnection {
                client,
                server,
                namespace,
            }),
            Err(error) => Err(no_way_in(server, &error)),
        }
    }

    async fn config(&self, user: Option<&str>) -> Result<(Config, Option<String>), ClusterError> {
        self.look_at_files()?;
        let (mut config, context) = self.found().await?;
        config.connect_timeout = Some(CONNECT);
        if let Some(user) = user {
            config.auth_info.impersonate = Some(user.to_owned());
        }
        Ok((config, context))
    }

    async fn found(&self) -> Result<(Config, Option<String>), ClusterError> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let named = self.kubeconfig.is_some() || self.context.is_some();
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            Err(error) if !named && is_absent(&error) => {
                let config = Config::incluster().map(|config| (config, None));
                return config.map_err(|missing| match missing {
                    // Not even a pod.
                    InClusterError::ReadEnvironmentVariable(_) => self.invalid(&error),
                    missing => in_pod(&missing),
                });
            }
            Err(error) => return Err(self.invalid(&error)),
        };
        let current = kubeconfig.current_context.clone();
        let context = self.context.clone().or(current);
        self.knows(&kubeconfig, context.as_deref())?;
        let options = KubeConfigOptions {
            context: context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Ok((config.map_err(|error| self.invalid(&error))?, context))
    }

    /// Looks at what is to be read whole: a pipe or a device would never end.
    fn look_at_files(&self) -> Result<(), ClusterError> {
        let of_environment = || std::env::var_os("KUBECONFIG").unwrap_or_default();
        let paths = match &self.kubeconfig {
            Some(path) => vec![path.clone()],
            None => std::env::split_paths(&of_environment()).collect(),
        };
        for path in paths.iter().filter(|path| path.exists()) {
            let looked = files::open(path).and_then(|(_, metadata)| match metadata.len() {
                0..=MOST => Ok(()),
                _ => Err(io::Error::other("it is larger than 16 MiB")),
            });
            looked.map_err(|error| ClusterError::Kubeconfig {
                file: format!("the kubeconfig {}", path.display()),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    fn knows(&self, kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<(), ClusterError> {
        let contexts = kubeconfig.contexts.iter();
        let known: Vec<String> = contexts.map(|context| context.name.clone()).collect();
        if context.is_some_and(|context| known.iter().any(|name| name == context)) {
            return Ok(());
        }
        Err(ClusterError::Context {
            file: self.file(),
            context: context.unwrap_or_default().to_owned(),
            known,
        })
    }

    /// How the kubeconfig is called.
    fn file(&self) -> String {
        match &self.kubeconfig {
            Some(path) => format!("the kubeconfig {}", path.display()),
            None => "the kubeconfig".to_owned(),
        }
    }

    fn invalid(&self, error: &KubeconfigError) -> ClusterError {
        let reason = match error {
            KubeconfigError::ReadConfig(error, path) => format!("{}: {error}", path.display()),
            other => other.to_string(),
        };
        ClusterError::Kubeconfig {
            file: self.file(),
            reason,
        }
    }
}

fn url(config: &Config) -> String {
    let url = config.cluster_url.to_string();
    url.trim_end_matches('/').to_owned()
}

fn no_way_in(server: String, error: &kube::Error) -> ClusterError {
    ClusterError::Credentials {
        server,
        reason: with_causes(error),
    }
}

/// Why the ServiceAccount of a pod is of no use.
fn in_pod(missing: &InClusterError) -> ClusterError {
    ClusterError::Pod {
        reason: format!("/var/run/secrets/kubernetes.io/serviceaccount: {missing}"),
    }
}

/// Whether there simply is no kubeconfig.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// An error with what caused it, each said once.
pub fn with_causes(error: &kube::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
}
