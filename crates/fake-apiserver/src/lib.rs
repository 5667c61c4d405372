//! A fake API server: storage, responses, watches, and faults on demand.
//!
//! It is a `tower::Service`, so that a client needs no socket (`kube::Client::new(server.clone(),
//! "default")`), and it can listen on loopback for the real binary. It has no thread, clock or
//! randomness of its own: time is tokio's, which a test can pause, and names, UIDs and versions are
//! counted. `api_conversations` replays recorded conversations with a real API server against it.

mod admission;
mod apply;
mod create;
mod delete;
mod discovery;
mod faults;
mod http1;
mod kinds;
mod notify;
mod patch;
mod pods;
mod prepare;
mod read;
mod resource_request;
mod response;
mod schema;
mod seed;
mod selectors;
mod serve;
mod store;
mod time;
mod update;
mod watch;
mod webhooks;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::Value;

use self::{faults::FaultSet, store::StoreState};
pub use self::{
    faults::{FaultAction, FaultEffect, FaultRule, InjectedFailure, ListFault},
    kinds::{ResourceKind, installed},
    resource_request::ResourceRequest,
    response::ApiStatus,
    seed::SeedObjects,
    time::NowFn,
    webhooks::{Webhook, posting},
};

/// The fake API server, as one client sees it. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<ServerState>,
    /// The name of the client, for faults, webhooks and the log.
    client: Arc<str>,
}

/// The settings fixed before the server starts.
pub struct FakeServerSettings {
    /// The source of timestamps.
    pub clock: NowFn,
    /// The maximum number of objects in a page, whatever the client asks for.
    pub page: usize,
    /// The interval of a watch's bookmarks; a real API server's is a minute.
    pub bookmark_every: Duration,
    /// The required bearer token. A caller without it is anonymous and may do nothing.
    pub token: Option<String>,
}

impl Default for FakeServerSettings {
    fn default() -> Self {
        Self {
            clock: time::of_tokio(),
            page: usize::MAX,
            bookmark_every: Duration::from_secs(60),
            token: None,
        }
    }
}

/// The number of requests, or of writes, by verb and resource.
pub type RequestCounts = BTreeMap<(String, String), u64>;

type LogFn = Arc<dyn Fn(&str) + Send + Sync>;

/// The state that all clones share.
struct ServerState {
    state: Mutex<StoreState>,
    faults: FaultSet,
    webhooks: Mutex<Vec<Webhook>>,
    clock: NowFn,
    page: usize,
    bookmark_every: Duration,
    token: Option<String>,
    /// The paths of all requests.
    seen: Mutex<Vec<String>>,
    requested: Mutex<RequestCounts>,
    written: Mutex<RequestCounts>,
    log: Mutex<Option<LogFn>>,
    lags: Mutex<BTreeMap<String, Duration>>,
    /// By client, the offset of the `Date` header; `None` omits the header.
    skews: Mutex<BTreeMap<String, Option<SignedDuration>>>,
    /// By client, the number of times that its watches were dropped.
    drops: Mutex<BTreeMap<String, u64>>,
    address: OnceLock<SocketAddr>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiServer {
    /// Returns a server with all kinds installed and the namespaces `default` and `kube-system`.
    pub fn new() -> Self {
        Self::with(FakeServerSettings::default())
    }

    /// Returns a server with these settings, and the kinds and namespaces of [`ApiServer::new`].
    pub fn with(settings: FakeServerSettings) -> Self {
        let shared = ServerState {
            state: Mutex::new(StoreState::new(kinds::installed())),
            faults: FaultSet::default(),
            webhooks: Mutex::default(),
            clock: settings.clock,
            page: settings.page,
            bookmark_every: settings.bookmark_every,
            token: settings.token,
            seen: Mutex::default(),
            requested: Mutex::default(),
            written: Mutex::default(),
            log: Mutex::default(),
            lags: Mutex::default(),
            skews: Mutex::default(),
            drops: Mutex::default(),
            address: OnceLock::new(),
        };
        let server = Self {
            shared: Arc::new(shared),
            client: Arc::from("test"),
        };
        for name in ["default", "kube-system"] {
            server.namespace(name, &[]);
        }
        server
    }

    /// Returns the same server as another client sees it.
    pub fn named(&self, client: &str) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            client: Arc::from(client),
        }
    }

    /// Returns a client without a socket. Requires a tokio runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Drops the webhooks, which hold clients of the server: otherwise neither would ever be freed.
    pub fn close(&self) {
        self.heal();
        locked(&self.shared.webhooks).clear();
        *locked(&self.shared.log) = None;
    }

    /// Sets the minor version of Kubernetes.
    pub fn be_of_minor(&self, minor: u32) {
        self.shared.state().minor = minor;
    }

    /// Serves a kind, as when its definition is created.
    pub fn register(&self, kind: ResourceKind) {
        self.shared.state().register(kind);
    }

    /// Stops serving a kind (`addresspools.nadmit.io`), and ends its watches.
    pub fn unregister(&self, resource: &str) {
        self.shared.state().tables.remove(resource);
    }

    /// Adds a fault. The first one that matches a request applies.
    pub fn fault(&self, rule: FaultRule) {
        locked(&self.shared.faults.rules).push(rule);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        locked(&self.shared.faults.rules).clear();
        *locked(&self.shared.faults.decide) = None;
        locked(&self.shared.lags).clear();
        self.shared.wake();
    }

    /// Calls a closure for each request that no other fault matches.
    pub fn faults(
        &self,
        decide: impl Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync + 'static,
    ) {
        *locked(&self.shared.faults.decide) = Some(Arc::new(decide));
    }

    /// Breaks the open watches of a resource (`pods`, `addresspools.nadmit.io`).
    pub fn drop_watches(&self, resource: &str) {
        if let Some(table) = self.shared.state().tables.get_mut(resource) {
            table.drops += 1;
            table.notifier.notify_all();
        }
    }

    /// Breaks the open watches of a client.
    pub fn drop_watches_of(&self, client: &str) {
        let mut drops = locked(&self.shared.drops);
        *drops.entry(client.to_owned()).or_default() += 1;
        drop(drops);
        self.shared.wake();
    }

    /// Delays the events of a client's watches from now on.
    pub fn lag(&self, client: &str, lag: Duration) {
        locked(&self.shared.lags).insert(client.to_owned(), lag);
        self.shared.wake();
    }

    /// Shifts the time in the `Date` header of a client's responses from now on, or omits the
    /// header.
    pub fn skew(&self, client: &str, ahead: Option<SignedDuration>) {
        locked(&self.shared.skews).insert(client.to_owned(), ahead);
    }

    /// Forgets the history: watches that lag and lists that are not at their end get 410.
    pub fn compact(&self) {
        self.shared.state().compact();
    }

    /// Calls a closure with a line for each write, in order. The closure must not call the server.
    pub fn log(&self, log: impl Fn(&str) + Send + Sync + 'static) {
        *locked(&self.shared.log) = Some(Arc::new(log));
    }

    /// Returns the number of requests by verb and resource or subresource (`pods/binding`),
    /// whatever their outcome.
    pub fn request_counts(&self) -> RequestCounts {
        locked(&self.shared.requested).clone()
    }

    /// Returns the number of requests that changed an object, by verb and resource.
    pub fn written(&self) -> RequestCounts {
        locked(&self.shared.written).clone()
    }

    /// Returns the paths of all requests, with their queries.
    pub fn request_paths(&self) -> Vec<String> {
        locked(&self.shared.seen).clone()
    }

    /// Returns an object as it is stored now, regardless of faults.
    pub fn stored(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.shared.state();
        let key = (namespace.to_owned(), name.to_owned());
        let object = state.tables.get(resource)?.objects.get(&key)?;
        Some(Value::clone(object))
    }

    /// Returns all objects of a resource as they are stored now, by namespace and name.
    pub fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        let state = self.shared.state();
        let table = state.tables.get(resource);
        table.map_or_else(Vec::new, |table| table.objects.values().cloned().collect())
    }

    /// Serves objects over HTTP in pages of at most `page`.
    pub fn start(store: SeedObjects, page: usize, faults: Vec<ListFault>) -> io::Result<Self> {
        let server = Self::with(FakeServerSettings {
            page,
            ..FakeServerSettings::default()
        });
        store.fill(&server);
        for fault in faults {
            server.fault(fault.rule());
        }
        server.listen()?;
        Ok(server)
    }

    /// Returns the URL of the server, once it listens.
    pub fn url(&self) -> String {
        match self.shared.address.get() {
            Some(address) => format!("http://{address}"),
            None => "http://nowhere.invalid".to_owned(),
        }
    }

    /// Writes a kubeconfig whose context `test` points to this server.
    pub fn kubeconfig(&self, file: &Path) -> io::Result<()> {
        std::fs::write(file, kubeconfig(&self.url()))
    }
}

impl ServerState {
    fn state(&self) -> MutexGuard<'_, StoreState> {
        locked(&self.state)
    }

    /// Wakes all watches.
    fn wake(&self) {
        for table in self.state().tables.values() {
            table.notifier.notify_all();
        }
    }

    fn drops_of(&self, client: &str) -> u64 {
        locked(&self.drops).get(client).copied().unwrap_or_default()
    }

    fn lag_of(&self, client: &str) -> Duration {
        locked(&self.lags).get(client).copied().unwrap_or_default()
    }
}

/// Returns a kubeconfig whose context `test` points to a server.
pub fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{url}'}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
         users: [{{name: test, user: {{}}}}]\n"
    )
}
