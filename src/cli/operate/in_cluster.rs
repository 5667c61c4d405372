//! Operators' commands against a cluster, with the permissions of the caller.
//!
//! Nothing is watched or cached: each command lists what it needs, builds an index and an operator service
//! from it like a server, and uses that service. So the messages are the server's.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use clap::Args;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;

use crate::{
    allocation::{Address, Allocation, Holder, SharedIndex},
    api::call::RetryPolicy,
    catalog::Catalog,
    check::{self, File},
    cli::{
        self, cluster,
        kube_args::{self, KubeArgs},
        print_warning,
    },
    inspect::{AddressRow, Filter, PodView, PoolMap, PoolRow, Whois, pod_of},
    ledger::{Actor, ClusterLedger, ClusterLedgerOptions, Ledger, SliceLedger, Store as _},
    rules::Policy,
    server::{
        OperatorService,
        operator::{ReleaseRequest, Released},
    },
    sources::{
        self, Cluster, ClusterObject, ClusterQuery, ClusterSnapshot, UnreadableList,
        WhereaboutsKinds,
    },
};

/// Time limits of a page of records and of all attempts: a person waits, not a webhook.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_secs(20),
    total_timeout: Duration::from_secs(40),
    initial_backoff: Duration::from_millis(200),
    max_backoff: Duration::from_secs(2),
};

/// Resource names of the objects that a result may depend on.
const PODS: &str = "pods";
/// Number of pods up to which a list of allocations reads them.
const MAX_PODS: usize = 200;
/// Number of pods on a page of a list.
const PAGE_SIZE: u32 = 500;
const NETWORKS: &str = "network-attachment-definitions";
const POOLS: &str = "addresspools";
const IP_POOLS: &str = "ippools";
const RESERVATIONS: &str = "addressreservations";

/// Arguments that select a cluster.
#[derive(Debug, Clone, Args)]
#[command(mut_args(kube_args::with_cluster_or_in_pod))]
pub(super) struct ClusterArgs {
    /// Use the API server of a cluster, with your own permissions
    ///
    /// A server of nadmit is not necessary. The cluster is that of the kubeconfig, or of the pod in which
    /// the command runs. docs/how-to/operate-addresses.md lists the permissions.
    #[arg(long)]
    pub(super) cluster: bool,
    #[command(flatten)]
    pub(super) kube: KubeArgs,
    /// Impersonate this user
    ///
    /// If a policy lets only nadmit write, and no replica is running, use
    /// system:serviceaccount:nadmit:nadmit.
    #[arg(long = "as", value_name = "USER", requires = "cluster")]
    user: Option<String>,
}

/// A cluster with nadmit's kinds.
pub(super) struct ClusterBackend {
    cluster: Cluster,
    client: kube::Client,
    ledger: Arc<Ledger>,
}

/// Objects to read for a command, besides networks and pods.
#[derive(Debug, Clone, Copy)]
struct QueryParts {
    /// True if nadmit's pools and reservations are read.
    pools: bool,
    whereabouts: WhereaboutsKinds,
}

/// Objects that were read for a command.
struct QueryView {
    operator: OperatorService,
    unknown: Vec<UnreadableList>,
    /// Number of the requested pods that do not use networks.
    unrelated: usize,
    /// Reasons that pools are not ready, by name, from their conditions.
    not_ready: BTreeMap<String, String>,
}

impl ClusterBackend {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// When the cluster does not respond, lacks nadmit's kinds, or denies the list of allocations.
    pub(super) async fn connect(args: &ClusterArgs) -> anyhow::Result<Self> {
        let access = args.kube.access();
        let user = args.user.as_deref();
        let cluster = access.connect_as(user).await?;
        if !cluster.has_allocations().await? {
            bail!(
                "{} has no CRD AddressAllocation; to create nadmit's CRDs, run nadmit crds | kubectl apply -f -",
                cluster.server()
            );
        }
        let client = access.client_as(user).await?.client;
        let options = ClusterLedgerOptions {
            retry_policy: RETRY_POLICY,
            actor: Actor::Operator,
            // A unique writer name, so that this process recognizes its own records.
            ..ClusterLedgerOptions::new(format!(
                "nadmit-operator-{:08x}",
                cli::random_source().next() as u32
            ))
        };
        let ledger = ClusterLedger::new(client.clone(), options).into();
        Ok(Self {
            cluster,
            client,
            ledger: Arc::new(ledger),
        })
    }

    pub(super) async fn pools(&self) -> anyhow::Result<Vec<PoolRow>> {
        let view = self.pools_view().await?;
        let mut rows = view.operator.pools();
        rows.iter_mut().for_each(|row| view.add_note(row));
        Ok(rows)
    }

    pub(super) async fn map(&self, pool: &str) -> anyhow::Result<PoolMap> {
        let view = self.pools_view().await?;
        let mut map = view.operator.map(pool)?;
        view.add_note(&mut map.pool);
        Ok(map)
    }

    pub(super) async fn allocations(&self, filter: &Filter) -> anyhow::Result<Vec<AddressRow>> {
        let index = self.index().await?;
        let pods: BTreeSet<(String, String)> = {
            let index = index.lock();
            let held = index.recorded().map(|(record, _)| record);
            let lasting =
                held.filter(|record| record.holder.is_persistent() && filter.matches(record));
            lasting.filter_map(pod_of_holder).collect()
        };
        // Marks retained allocations by reading their pods, if these are not too many.
        let few = pods.len() <= MAX_PODS;
        let parts = QueryParts {
            pools: false,
            whereabouts: WhereaboutsKinds::Pools,
        };
        let pods = pods.into_iter().filter(|_| few);
        let view = self.view(parts, pods, Arc::clone(&index)).await?;
        view.unreadable(IP_POOLS).iter().for_each(print_warning);
        if few && view.unreadable(PODS).is_none() {
            return Ok(view.operator.allocations(filter));
        }
        let mut rows = self.operator(None, index).allocations(filter);
        let recorded = view.operator.recorded(filter).into_iter();
        rows.extend(recorded.map(AddressRow::Recorded));
        Ok(rows)
    }

    pub(super) async fn whois(&self, address: Address) -> anyhow::Result<Whois> {
        let index = self.index().await?;
        let pods: Vec<(String, String)> = {
            let index = index.lock();
            let held = index.find_in_all_spaces(address).into_iter();
            held.filter_map(|(one, _)| pod_of_holder(one)).collect()
        };
        let parts = QueryParts {
            pools: true,
            whereabouts: WhereaboutsKinds::All,
        };
        let view = self.view(parts, pods, index).await?;
        view.print_warnings();
        let mut found = view.operator.whois(address);
        for row in &mut found.held {
            let unseen = view
                .unknown_holder(&row.allocation)
                .map(ToString::to_string);
            row.release_blocked = unseen.or(row.release_blocked.take());
        }
        Ok(found)
    }

    /// Returns the pods with these labels, as `namespace/name`.
    pub(super) async fn selected_pods(
        &self,
        namespace: Option<&str>,
        selector: &str,
    ) -> anyhow::Result<BTreeSet<String>> {
        let client = self.client.clone();
        let kind = GroupVersionKind::gvk("", "v1", "Pod");
        let resource = ApiResource::from_gvk_with_plural(&kind, PODS);
        let pods: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let mut params = ListParams::default().labels(selector).limit(PAGE_SIZE);
        let mut found = BTreeSet::new();
        loop {
            let page = pods.list_metadata(&params).await;
            let page =
                page.with_context(|| format!("cannot list pods with labels {selector:?}"))?;
            let names = page.items.iter().map(|pod| {
                let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                format!("{namespace}/{}", pod.name_any())
            });
            found.extend(names);
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) async fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<PodView> {
        let pod = (namespace.to_owned(), name.to_owned());
        let parts = QueryParts {
            pools: false,
            whereabouts: WhereaboutsKinds::Pools,
        };
        let view = self.view(parts, [pod], self.index().await?).await?;
        view.print_warnings();
        let mut found = view.operator.pod(namespace, name);
        if view.unreadable(PODS).is_some() {
            found.present = None;
        } else if view.unrelated > 0 && found.attachments.is_empty() {
            found.present = Some(true);
        }
        Ok(found)
    }

    /// Releases an address like a server, by the current state of the cluster.
    pub(super) async fn release(&self, request: ReleaseRequest) -> anyhow::Result<Released> {
        let name = request.network_name.record_name(request.address);
        let record = self.ledger.get(&name).await?;
        let pod = record
            .iter()
            .filter_map(|one| pod_of_holder(&one.allocation));
        let parts = QueryParts {
            pools: true,
            whereabouts: WhereaboutsKinds::None,
        };
        let view = self.view(parts, pod, Arc::default()).await?;
        if let Some(stored) = record.filter(|_| !request.force) {
            let one = stored.allocation;
            let holder = &one.holder;
            if let Some(unseen) = view
                .unknown_holder(&one)
                .or_else(|| view.unknown_reservation(&one))
            {
                bail!(
                    "{} of {holder} is not released: {unseen}; to release it anyway, add --force",
                    request.address
                );
            }
        }
        Ok(view.operator.release(request).await?)
    }

    pub(super) async fn export(&self, out: impl io::Write + Send + 'static) -> anyhow::Result<u64> {
        Ok(self.operator(None, Arc::default()).export(out).await?)
    }

    pub(super) async fn import(&self, lines: Vec<u8>) -> anyhow::Result<u64> {
        let operator = self.operator(None, Arc::default());
        Ok(operator.import(io::Cursor::new(lines)).await?)
    }

    /// Reads all records.
    async fn index(&self) -> anyhow::Result<Arc<SharedIndex>> {
        let index = Arc::new(SharedIndex::default());
        let (stored, cursor) = self.ledger.list().await?;
        index.lock().replace(stored, cursor.version());
        Ok(index)
    }

    /// Reads pools, reservations, slices and records.
    async fn pools_view(&self) -> anyhow::Result<QueryView> {
        let index = self.index().await?;
        let slices =
            SliceLedger::new(self.client.clone(), RETRY_POLICY).with_actor(Actor::Operator);
        match slices.list().await {
            Ok((slices, at)) => {
                let mut index = index.lock();
                index.enable_slices();
                index.replace_slices(slices, at);
            }
            Err(error) => print_warning(format_args!("slices of nodes are not counted: {error}")),
        }
        let parts = QueryParts {
            pools: true,
            whereabouts: WhereaboutsKinds::All,
        };
        let view = self.view(parts, [], index).await?;
        if let Some(unknown) = view.unreadable(POOLS) {
            bail!("{unknown}");
        }
        view.print_warnings();
        Ok(view)
    }

    async fn view(
        &self,
        parts: QueryParts,
        pods: impl IntoIterator<Item = (String, String)>,
        index: Arc<SharedIndex>,
    ) -> anyhow::Result<QueryView> {
        let mut pods: Vec<_> = pods.into_iter().collect();
        pods.sort_unstable();
        pods.dedup();
        let sought = ClusterQuery::Addresses {
            pools: parts.pools,
            whereabouts: parts.whereabouts,
            pods,
        };
        let mut snapshot = cluster::read(&self.cluster, &sought).await?;
        let records = snapshot.take_whereabouts();
        let ClusterSnapshot {
            objects,
            unrelated,
            unreadable: unknown,
            ..
        } = snapshot;
        let not_ready = objects.iter().filter_map(not_ready).collect();
        let files: Vec<File> = objects.into_iter().map(File::of_cluster).collect();
        let (catalog, _) = check::catalog_in(&[], &files);
        let derivation = cli::cluster::pool_derivation(&self.cluster).await;
        let mut catalog = catalog.deriving_pools(derivation);
        let problems = sources::put_records(&mut catalog, parts.whereabouts, &records, &unknown);
        problems.iter().for_each(print_warning);
        Ok(QueryView {
            operator: self.operator(Some(catalog), index),
            unknown,
            unrelated,
            not_ready,
        })
    }

    fn operator(&self, catalog: Option<Catalog>, index: Arc<SharedIndex>) -> OperatorService {
        let catalog = ArcSwapOption::from(catalog.map(Arc::new));
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let ledger = Arc::clone(&self.ledger);
        OperatorService::new(Arc::new(catalog), policy, index, ledger, cli::clock())
    }
}

impl QueryView {
    /// Returns the reason that a resource could not be read, if so.
    fn unreadable(&self, resource: &str) -> Option<&UnreadableList> {
        self.unknown
            .iter()
            .find(|unknown| unknown.resource == resource)
    }

    /// Returns the reason that the existence of a record's holder is unknown, if so.
    fn unknown_holder(&self, record: &Allocation) -> Option<&UnreadableList> {
        self.unreadable(match record.holder {
            Holder::Reservation { .. } => RESERVATIONS,
            Holder::Network { .. } => NETWORKS,
            _ => PODS,
        })
    }

    /// Returns the reason that it is unknown whether a record returns to its reservation, if so.
    fn unknown_reservation(&self, record: &Allocation) -> Option<&UnreadableList> {
        record.reservation.as_ref()?;
        let needed = [RESERVATIONS, POOLS, NETWORKS].into_iter();
        needed
            .filter_map(|resource| self.unreadable(resource))
            .next()
    }

    fn print_warnings(&self) {
        self.unknown.iter().for_each(print_warning);
    }

    /// Adds the reason that a pool is not ready.
    fn add_note(&self, row: &mut PoolRow) {
        if row.note.is_none() {
            row.note = self.not_ready.get(&row.name).cloned();
        }
    }
}

/// Returns the pod that uses a record.
fn pod_of_holder(record: &Allocation) -> Option<(String, String)> {
    let namespace = record.holder.namespace();
    pod_of(record).map(|pod| (namespace.to_string(), pod.to_owned()))
}

/// Returns the name of a pool that is not ready, with the reason from its condition.
fn not_ready(object: &ClusterObject) -> Option<(String, String)> {
    let name = object.name.strip_prefix("AddressPool ")?;
    let whole: Value = serde_json::from_str(&object.text).ok()?;
    let mut conditions = whole["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let why = match conditions.find(|one| one["type"] == "Ready") {
        None => "no replica of nadmit has checked this pool yet".to_owned(),
        Some(ready) if ready["status"] == "True" => return None,
        Some(ready) => format!(
            "assigns nothing: {}",
            ready["message"].as_str().unwrap_or("?")
        ),
    };
    Some((name.to_owned(), why))
}
