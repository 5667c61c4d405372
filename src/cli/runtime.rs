//! The parts of `nadmit serve`, for a folder or a cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    replica::{self, Replica, ReplicaOptions},
    serve_args::ServeArgs,
    standalone::{self, Standalone},
};
use crate::{
    controllers::{CertificateKeeper, CertificateOptions},
    ledger::OlderLedger,
    rules::Policy,
    server::{CertificateSource, OperatorService, SharedState},
    sources::{ClusterConnection, OptionalFile},
};

/// Key of the schedule in the ConfigMap.
const SCHEDULE_KEY: &str = "reconciler_cron_expression";
/// Interval at which the schedule's file is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The parts of a server, not running yet.
pub(super) struct ServeRuntime {
    /// State of the webhooks.
    pub(super) state: SharedState,
    /// Service for operators' requests.
    pub(super) operator: Arc<OperatorService>,
    /// Tasks that run alongside the server.
    pub(super) tasks: BackgroundTasks,
    /// Directory of the admin socket, if there is one.
    pub(super) data_dir: Option<PathBuf>,
    /// Name of the source for people: a folder, or a cluster's URL.
    pub(super) origin: String,
    /// The certificate, if it is stored in the cluster.
    pub(super) identity: Option<CertificateSource>,
}

/// Tasks that run alongside the server.
pub(super) enum BackgroundTasks {
    Folder(Box<standalone::StandaloneTasks>),
    Cluster {
        replica: Box<replica::ReplicaTasks>,
        schedule: Option<OptionalFile>,
        certificates: Option<Box<CertificateKeeper>>,
    },
}

impl ServeRuntime {
    /// Builds a server of a folder of manifests and an embedded ledger.
    ///
    /// # Errors
    /// When the folder or the ledger cannot be read.
    pub(super) async fn folder(
        manifests: &Path,
        data_dir: PathBuf,
        older: OlderLedger,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let catalog = Arc::new(ArcSwapOption::empty());
        let standalone = Standalone::open(manifests, &data_dir, older, catalog, policy).await?;
        Ok(Self {
            state: standalone.state,
            operator: standalone.operator,
            tasks: BackgroundTasks::Folder(Box::new(standalone.tasks)),
            data_dir: Some(data_dir),
            origin: manifests.display().to_string(),
            identity: None,
        })
    }

    /// Builds a replica of a cluster.
    ///
    /// # Errors
    /// When the kubeconfig is invalid.
    pub(super) async fn cluster(
        args: &ServeArgs,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let ClusterConnection {
            client,
            server,
            namespace,
        } = args.access().client().await?;
        let chance = super::random_source();
        let dir = args.config_dir.as_deref();
        let schedule = dir.map(|dir| OptionalFile::open(dir.join(SCHEDULE_KEY)));
        let schedule = schedule.transpose()?;
        let none = watch::Sender::new(None);
        let namespace = args.namespace.clone().unwrap_or(namespace);
        let options = ReplicaOptions {
            server: server.clone(),
            namespace: namespace.clone(),
            schedule: schedule
                .as_ref()
                .map_or_else(|| none.subscribe(), OptionalFile::subscribe),
            is_leader: None,
            writer: format!("{}-{:08x}", args.replica, chance.next() as u32),
            policy,
            clock: super::clock(),
            random: chance,
        };
        let replica = Replica::new(client.clone(), options);
        let failed = replica.state.metrics.renewal_failed();
        let certificates = certificate_keeper(args, client, &namespace, failed);
        let identity = certificates
            .as_ref()
            .map(|(secret, keeper)| CertificateSource::Secret {
                secret: secret.clone(),
                pair: keeper.certificate(),
            });
        Ok(Self {
            state: replica.state,
            operator: replica.operator,
            tasks: BackgroundTasks::Cluster {
                replica: Box::new(replica.tasks),
                schedule,
                certificates: certificates.map(|(_, keeper)| Box::new(keeper)),
            },
            data_dir: args.data_dir.clone(),
            origin: server,
            identity,
        })
    }
}

/// Returns the controller of the certificate's Secret with the Secret's name, if there is to be one.
fn certificate_keeper(
    args: &ServeArgs,
    client: kube::Client,
    namespace: &str,
    failed: Gauge,
) -> Option<(String, CertificateKeeper)> {
    let secret = args.tls_secret.clone()?;
    let options = CertificateOptions {
        propagation_time: Duration::from_secs(args.tls_settle.into()),
        ..CertificateOptions::new(namespace, &secret, &args.service, &args.webhooks)
    };
    let keeper = CertificateKeeper::new(client, options, super::clock(), failed);
    Some((secret, keeper))
}

impl BackgroundTasks {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        match self {
            Self::Folder(tasks) => tasks.run(stop).await,
            Self::Cluster {
                replica,
                schedule,
                certificates,
            } => {
                let watched = async {
                    if let Some(schedule) = schedule {
                        schedule.watch(POLL_INTERVAL, stop.clone()).await;
                    }
                };
                let kept = async {
                    if let Some(certificates) = certificates {
                        certificates.run(stop.clone()).await;
                    }
                };
                tokio::join!(replica.run(stop.clone()), watched, kept);
            }
        }
    }
}
