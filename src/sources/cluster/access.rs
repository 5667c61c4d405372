//! Which cluster, and as whom: as kubectl finds it.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{Cluster, ClusterError};
use crate::api::call;

/// How long an API server may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig; without it those of KUBECONFIG, else `~/.kube/config`, else, in a pod, its
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it, if not the current one.
    pub context: Option<String>,
}

/// A way into a cluster.
pub struct Connection {
    /// Asks it.
    pub client: Client,
    /// The URL of its API server.
    pub server: String,
    /// The namespace of who asks: in a pod its own, else that of the context.
    pub namespace: String,
}

impl Access {
    /// Gets ready to ask the cluster. Nothing is sent yet.
    ///
    /// # Errors
    /// When the kubeconfig names no cluster, or no way into it.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let (mut config, context) = self.config().await?;
        config.connect_timeout = Some(CONNECT);
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| ClusterError::Credentials {
            server: server.clone(),
            reason: with_causes(&error),
        })?;
        Ok(Cluster {
            client,
            server,
            context,
        })
    }

    /// The same for who keeps asking: a client that asks once and leaves repeating to
    /// [`crate::api::call`]. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn client(&self) -> Result<Connection, ClusterError> {
        let (mut config, _) = self.config().await?;
        config.connect_timeout = Some(CONNECT);
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        match call::client(config) {
            Ok(client) => Ok(Connection {
                client,
                server,
                namespace,
            }),
            Err(error) => Err(ClusterError::Credentials {
                server,
                reason: with_causes(&error),
            }),
        }
    }

    async fn config(&self) -> Result<(Config, Option<String>), ClusterError> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let named = self.kubeconfig.is_some() || self.context.is_some();
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            Err(error) if !named && is_absent(&error) => {
                let config = Config::incluster();
                return config
                    .map(|config| (config, None))
                    .map_err(|_| self.invalid(&error));
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
