//! Selects a cluster and credentials, as kubectl does.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{Cluster, ClusterError};
use nadmit_api::call;
use nadmit_host::files;

/// The timeout of connecting to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a kubeconfig.
const MAX_KUBECONFIG_BYTES: u64 = 16 << 20;

/// The options that select a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The kubeconfig. If `None`, those of KUBECONFIG, else `~/.kube/config`, else, in a pod, its
    /// ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// The context; the current one if `None`.
    pub context: Option<String>,
}

/// A client of a cluster, with its URL and default namespace.
pub struct ClusterConnection {
    pub client: Client,
    /// The URL of its API server.
    pub server: String,
    /// The default namespace: in a pod the pod's own, otherwise that of the context.
    pub namespace: String,
}

impl ClusterAccess {
    /// Creates a client for reading the cluster. No request is sent yet.
    ///
    /// # Errors
    /// Returns an error if the kubeconfig has no usable cluster or credentials.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        self.connect_as(None).await
    }

    /// Creates a client for reading the cluster, which impersonates `user`. No request is sent yet.
    ///
    /// # Errors
    /// Returns an error if the kubeconfig has no usable cluster or credentials.
    pub async fn connect_as(&self, user: Option<&str>) -> Result<Cluster, ClusterError> {
        let (config, context) = self.config(user).await?;
        let server = url(&config);
        match Client::try_from(config) {
            Ok(client) => Ok(Cluster {
                client,
                server,
                context,
            }),
            Err(error) => Err(credentials_error(server, &error)),
        }
    }

    /// Creates a client for long-running use: it does not retry by itself, retries are up to
    /// [`nadmit_api::call`]. No request is sent yet.
    ///
    /// # Errors
    /// Returns an error if the kubeconfig has no usable cluster or credentials.
    pub async fn client(&self) -> Result<ClusterConnection, ClusterError> {
        self.client_as(None).await
    }

    /// Creates a client as [`Self::client`] does, which impersonates `user`.
    ///
    /// # Errors
    /// Returns an error if the kubeconfig has no usable cluster or credentials.
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
            Err(error) => Err(credentials_error(server, &error)),
        }
    }

    async fn config(&self, user: Option<&str>) -> Result<(Config, Option<String>), ClusterError> {
        self.check_kubeconfig_files()?;
        let (mut config, context) = self.load().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        if let Some(user) = user {
            config.auth_info.impersonate = Some(user.to_owned());
        }
        Ok((config, context))
    }

    async fn load(&self) -> Result<(Config, Option<String>), ClusterError> {
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
                    // This is not a pod.
                    InClusterError::ReadEnvironmentVariable(_) => self.invalid(&error),
                    missing => service_account_error(&missing),
                });
            }
            Err(error) => return Err(self.invalid(&error)),
        };
        let current = kubeconfig.current_context.clone();
        let context = self.context.clone().or(current);
        self.check_context(&kubeconfig, context.as_deref())?;
        let options = KubeConfigOptions {
            context: context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Ok((config.map_err(|error| self.invalid(&error))?, context))
    }

    /// Checks the type and size of the kubeconfigs before they are read: reading a pipe or a device
    /// would never end.
    fn check_kubeconfig_files(&self) -> Result<(), ClusterError> {
        let of_environment = || std::env::var_os("KUBECONFIG").unwrap_or_default();
        let paths = match &self.kubeconfig {
            Some(path) => vec![path.clone()],
            None => std::env::split_paths(&of_environment()).collect(),
        };
        for path in paths.iter().filter(|path| path.exists()) {
            let checked = files::open(path).and_then(|(_, metadata)| match metadata.len() {
                0..=MAX_KUBECONFIG_BYTES => Ok(()),
                _ => Err(io::Error::other("it is larger than 16 MiB")),
            });
            checked.map_err(|error| ClusterError::Kubeconfig {
                file: format!("the kubeconfig {}", path.display()),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    fn check_context(
        &self,
        kubeconfig: &Kubeconfig,
        context: Option<&str>,
    ) -> Result<(), ClusterError> {
        let contexts = kubeconfig.contexts.iter();
        let known: Vec<String> = contexts.map(|context| context.name.clone()).collect();
        if context.is_some_and(|context| known.iter().any(|name| name == context)) {
            return Ok(());
        }
        Err(ClusterError::UnknownContext {
            file: self.file(),
            context: context.unwrap_or_default().to_owned(),
            known,
        })
    }

    /// Returns the name of the kubeconfig for messages.
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

fn credentials_error(server: String, error: &kube::Error) -> ClusterError {
    ClusterError::Credentials {
        server,
        reason: with_causes(error),
    }
}

/// Returns the error for a pod's ServiceAccount that cannot be used.
fn service_account_error(missing: &InClusterError) -> ClusterError {
    ClusterError::ServiceAccount {
        reason: format!("/var/run/secrets/kubernetes.io/serviceaccount: {missing}"),
    }
}

/// Returns true if the kubeconfig does not exist.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Returns the messages of an error and its causes, without repetition.
pub fn with_causes(error: &kube::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}
