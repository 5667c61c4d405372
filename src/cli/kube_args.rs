//! The arguments that select a kubeconfig.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Arg, Args};
use tokio::runtime::{Builder, Runtime};

use crate::sources::{Cluster, ClusterAccess};

/// The kubeconfig and its context.
#[derive(Debug, Clone, Args)]
pub(super) struct KubeArgs {
    /// Context in the kubeconfig [default: the current context]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Returns the runtime of a command that asks a cluster or a server.
///
/// # Errors
/// When the operating system has no resources for it.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    let built = Builder::new_current_thread().enable_all().build();
    built.context("cannot start the runtime")
}

impl KubeArgs {
    /// Returns the access to the cluster.
    pub(super) fn access(&self) -> ClusterAccess {
        ClusterAccess {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        }
    }

    /// Returns the namespace of the context.
    ///
    /// # Errors
    /// When the kubeconfig is invalid.
    pub(super) async fn default_namespace(&self) -> anyhow::Result<String> {
        Ok(self.access().client().await?.namespace)
    }

    /// Connects to the cluster.
    ///
    /// # Errors
    /// When the kubeconfig is invalid, or the cluster does not respond.
    pub(super) async fn connect(&self) -> anyhow::Result<Cluster> {
        Ok(self.access().connect().await?)
    }
}

/// Makes the arguments of [`KubeArgs`] require `--cluster`, for commands that can do without a cluster.
pub(super) fn with_cluster(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "context" | "kubeconfig" => arg.requires("cluster"),
        _ => arg,
    }
}

/// Does so for commands that may run in a pod, too.
pub(super) fn with_cluster_or_in_pod(arg: Arg) -> Arg {
    let arg = with_cluster(arg);
    match arg.get_id().as_str() {
        "kubeconfig" => {
            arg.help("Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's account]")
        }
        _ => arg,
    }
}
