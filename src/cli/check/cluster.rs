//! Reads the cluster of the kubeconfig for a check.

use clap::Args;

use crate::{
    check::File,
    cli::{
        cluster::{self, NadmitNamespaceArgs},
        kube_args::{self, KubeArgs},
        print_warning,
    },
    install::{Isolation, IsolationUnknown},
    rules::Policy,
    sources::{Cluster, ClusterQuery, ClusterSnapshot},
};

/// Arguments that select the cluster and what is checked in it.
#[derive(Debug, Args)]
#[command(mut_args(kube_args::with_cluster))]
pub(super) struct CheckClusterArgs {
    /// Check against a cluster; without a path, check the objects of the cluster
    ///
    /// Networks, namespaces, pools, reservations, running pods and the settings of the network operator
    /// come from the cluster of the kubeconfig. Objects in the paths replace those of the cluster. A network
    /// that is in neither is denied. Nothing is written to the cluster.
    #[arg(long)]
    cluster: bool,
    /// Check only the objects of this namespace; not with paths
    #[arg(
        long,
        short,
        value_name = "NAMESPACE",
        requires = "cluster",
        conflicts_with = "paths"
    )]
    pub(super) namespace: Option<String>,
    #[command(flatten)]
    pub(super) kube: KubeArgs,
    #[command(flatten)]
    nadmit: NadmitNamespaceArgs,
}

/// Objects and settings of a cluster.
pub(super) struct ClusterContents {
    pub(super) server: String,
    pub(super) context: Option<String>,
    /// Objects of the cluster, one per file.
    pub(super) files: Vec<File>,
    /// Number of further objects that do not use networks.
    pub(super) unrelated: usize,
    /// Settings of the nadmit in the cluster, if they were requested and exist.
    pub(super) policy: Option<Policy>,
    /// Multus's own `namespaceIsolation`, for settings without one.
    pub(super) isolation: Option<Isolation>,
}

impl CheckClusterArgs {
    /// Reads the cluster if `--cluster` is given: everything, or only what files are checked against. Also
    /// reads the settings in it, unless others were given by flags.
    pub(super) fn read(
        &self,
        everything: bool,
        written: Option<&Policy>,
    ) -> anyhow::Result<Option<ClusterContents>> {
        if !self.cluster {
            return Ok(None);
        }
        let sought = if everything {
            ClusterQuery::Everything {
                namespace: self.namespace.clone(),
            }
        } else {
            ClusterQuery::Environment
        };
        let runtime = kube_args::runtime()?;
        Ok(Some(runtime.block_on(self.ask(&sought, written))?))
    }

    async fn ask(
        &self,
        sought: &ClusterQuery,
        written: Option<&Policy>,
    ) -> anyhow::Result<ClusterContents> {
        let cluster = self.kube.connect().await?;
        let ClusterSnapshot {
            mut objects,
            unrelated,
            unreadable: unknown,
            ..
        } = cluster::read(&cluster, sought).await?;
        for unknown in unknown {
            print_warning(unknown);
        }
        let settings = match written {
            None => self.nadmit.settings(&cluster).await?,
            Some(_) => None,
        };
        let policy = settings.map(|settings| {
            // The schedule in the ConfigMap is checked with everything else.
            if matches!(sought, ClusterQuery::Everything { .. }) {
                objects.push(settings.object);
            }
            settings.policy
        });
        let of_settings = written.or(policy.as_ref());
        let isolation = match of_settings.and_then(|policy| policy.namespace_isolation) {
            Some(_) => None,
            None => isolation(&cluster).await,
        };
        Ok(ClusterContents {
            server: cluster.server().to_owned(),
            context: cluster.context().map(str::to_owned),
            files: objects.into_iter().map(File::of_cluster).collect(),
            unrelated,
            policy,
            isolation,
        })
    }
}

/// Reads Multus's own setting; warns if its objects cannot be read.
async fn isolation(cluster: &Cluster) -> Option<Isolation> {
    match Isolation::read(&cluster.client()).await {
        Ok(found) => Some(found),
        Err(IsolationUnknown::NoDaemonSet) => None,
        Err(why) => {
            print_warning(format_args!(
                "the namespaceIsolation of Multus is unknown, so networks of other namespaces cause only \
                 warnings: {why}"
            ));
            None
        }
    }
}
