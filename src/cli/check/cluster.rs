//! The cluster of the kubeconfig, read for a check.

use std::{cell::RefCell, path::PathBuf};

use clap::Args;

use crate::{
    check::File,
    sources::{Access, ClusterError, Found, Sought},
};

use super::Progress;

/// Which cluster, and what of it is judged.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// Take what the paths are checked against from the cluster, too; without a path, check what the
    /// cluster holds
    ///
    /// Networks, namespaces, pools, reservations, running pods and the network operator's settings
    /// come from the cluster of the current kubeconfig; what the paths define takes the place of what
    /// is there. With it a network that is in neither is denied. Nothing is written to the cluster.
    #[arg(long)]
    cluster: bool,
    /// Judge only what lives in this namespace; without a path only
    #[arg(
        long,
        short,
        value_name = "NAMESPACE",
        requires = "cluster",
        conflicts_with = "paths"
    )]
    pub(super) namespace: Option<String>,
    /// The context in the kubeconfig, if not the current one
    #[arg(long, value_name = "CONTEXT", requires = "cluster")]
    context: Option<String>,
    /// The kubeconfig; without it those of the environment variable KUBECONFIG, else ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
}

/// What a cluster holds.
pub(super) struct Read {
    pub(super) server: String,
    pub(super) context: Option<String>,
    /// Its objects, one a file.
    pub(super) files: Vec<File>,
    /// How many more have nothing to do with networks.
    pub(super) silent: usize,
}

impl ClusterArgs {
    /// Reads the cluster, if that is asked for: `everything`, or what files are judged against.
    pub(super) fn read(&self, everything: bool) -> anyhow::Result<Option<Read>> {
        if !self.cluster {
            return Ok(None);
        }
        let sought = if everything {
            Sought::Everything {
                namespace: self.namespace.clone(),
            }
        } else {
            Sought::Surroundings
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Some(runtime.block_on(self.ask(&sought))?))
    }

    async fn ask(&self, sought: &Sought) -> Result<Read, ClusterError> {
        let access = Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        };
        let cluster = access.connect().await?;
        let progress = RefCell::new(Progress::new());
        let found = cluster.read(sought, |count| {
            let mut progress = progress.borrow_mut();
            progress.tell(|| format!("reading {}: {count} objects", cluster.server()));
        });
        let found = found.await;
        progress.borrow().end();
        let Found {
            objects,
            silent,
            unknown,
        } = found?;
        for unknown in unknown {
            warn(&unknown);
        }
        Ok(Read {
            server: cluster.server().to_owned(),
            context: cluster.context().map(str::to_owned),
            files: objects.into_iter().map(File::of_cluster).collect(),
            silent,
        })
    }
}

fn warn(text: &str) {
    let bold = anstyle::AnsiColor::Yellow.on_default().bold();
    anstream::eprintln!("{bold}warning:{bold:#} {text}");
}
