//! A stand-in for the API server: what it keeps, answers and tells, and faults on demand.
//!
//! It is a `tower::Service`, so that a client can be had without a socket
//! (`kube::Client::new(server.clone(), "default")`), and it can listen on loopback for the real
//! binary. It has no thread, no clock and no randomness of its own: time is tokio's, which a test
//! can pause, and names, UIDs and versions are counted. What a real one answered is replayed
//! against it by `api_conversations`.

mod admission;
mod answer;
mod apply;
mod asked;
mod bell;
mod create;
mod delete;
mod discovery;
mod faults;
mod http1;
mod kinds;
mod patch;
mod pods;
mod prepare;
mod read;
mod real;
mod real_company;
mod real_outage;
mod schema;
mod seed;
mod selectors;
mod serve;
mod shared;
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

pub(crate) use self::{
    answer::Refusal,
    asked::Asked,
    faults::{Effect, Failure, Fault, FaultAction, Rule},
    kinds::{Kind, installed},
    real::{NEEDS, RealServer, Shape},
    seed::Store,
    shared::{ForeignKind, SharedServer, end, shared},
    time::Clock,
    webhooks::{Webhook, posting},
};
use self::{faults::Faults, store::State};

/// The stand-in, as one client sees it; clones are the same server.
#[derive(Clone)]
pub(crate) struct ApiServer {
    shared: Arc<Shared>,
    /// Who asks, for faults, webhooks and the log.
    client: Arc<str>,
}

/// What is decided before it starts.
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    /// The most objects in an answer, whatever is asked for.
    pub(crate) page: usize,
    /// How often a watch gets a bookmark; the API server's is a minute.
    pub(crate) bookmark_every: Duration,
    /// Who does not bear it is anonymous, and may nothing.
    pub(crate) token: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: time::of_tokio(),
            page: usize::MAX,
            bookmark_every: Duration::from_secs(60),
            token: None,
        }
    }
}

/// How often a verb and a resource were asked for, or written.
pub(crate) type Counts = BTreeMap<(String, String), u64>;

type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// What all clones share.
struct Shared {
    state: Mutex<State>,
    faults: Faults,
    webhooks: Mutex<Vec<Webhook>>,
    clock: Clock,
    page: usize,
    bookmark_every: Duration,
    token: Option<String>,
    /// The paths of all requests.
    seen: Mutex<Vec<String>>,
    asked: Mutex<Counts>,
    written: Mutex<Counts>,
    log: Mutex<Option<Log>>,
    lags: Mutex<BTreeMap<String, Duration>>,
    /// How far the clock is ahead that a client is told; `None`: it is told none.
    skews: Mutex<BTreeMap<String, Option<SignedDuration>>>,
    /// How often the watches of a client were dropped.
    drops: Mutex<BTreeMap<String, u64>>,
    address: OnceLock<SocketAddr>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ApiServer {
    /// With all kinds installed, and the namespaces `default` and `kube-system`.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let shared = Shared {
            state: Mutex::new(State::new(kinds::installed())),
            faults: Faults::default(),
            webhooks: Mutex::default(),
            clock: settings.clock,
            page: settings.page,
            bookmark_every: settings.bookmark_every,
            token: settings.token,
            seen: Mutex::default(),
            asked: Mutex::default(),
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

    /// The same server as another client asks it.
    pub(crate) fn named(&self, client: &str) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            client: Arc::from(client),
        }
    }

    /// A client without a socket; it wants a tokio runtime around it.
    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Lets go of whom it calls: they hold clients of it, and nothing of both would ever be freed.
    pub(crate) fn close(&self) {
        self.heal();
        locked(&self.shared.webhooks).clear();
        *locked(&self.shared.log) = None;
    }

    /// Is of this minor version of Kubernetes.
    pub(crate) fn be_of_minor(&self, minor: u32) {
        self.shared.state().minor = minor;
    }

    /// Serves a kind, as when its definition is created.
    pub(crate) fn register(&self, kind: Kind) {
        self.shared.state().register(kind);
    }

    /// Serves a kind no more, and ends its watches: `addresspools.nadmit.io`.
    pub(crate) fn unregister(&self, resource: &str) {
        self.shared.state().tables.remove(resource);
    }

    /// Adds a fault; the first that matches a request counts.
    pub(crate) fn fault(&self, rule: Rule) {
        locked(&self.shared.faults.rules).push(rule);
    }

    /// Takes all faults back.
    pub(crate) fn heal(&self) {
        locked(&self.shared.faults.rules).clear();
        *locked(&self.shared.faults.decide) = None;
        locked(&self.shared.lags).clear();
        self.shared.wake();
    }

    /// Asks a closure about each request for which there is no other fault.
    pub(crate) fn faults(
        &self,
        decide: impl Fn(&Asked) -> Option<FaultAction> + Send + Sync + 'static,
    ) {
        *locked(&self.shared.faults.decide) = Some(Arc::new(decide));
    }

    /// Breaks the open watches of a resource (`pods`, `addresspools.nadmit.io`).
    pub(crate) fn drop_watches(&self, resource: &str) {
        if let Some(table) = self.shared.state().tables.get_mut(resource) {
            table.drops += 1;
            table.tell.ring();
        }
    }

    /// Breaks the open watches of a client.
    pub(crate) fn drop_watches_of(&self, client: &str) {
        let mut drops = locked(&self.shared.drops);
        *drops.entry(client.to_owned()).or_default() += 1;
        drop(drops);
        self.shared.wake();
    }

    /// From now on a client's watches tell what happened so much later.
    pub(crate) fn lag(&self, client: &str, lag: Duration) {
        locked(&self.shared.lags).insert(client.to_owned(), lag);
        self.shared.wake();
    }

    /// From now on a client is told a time that is so much ahead in the `Date` of its answers, or none.
    pub(crate) fn skew(&self, client: &str, ahead: Option<SignedDuration>) {
        locked(&self.shared.skews).insert(client.to_owned(), ahead);
    }

    /// Forgets the history: watches that are behind, and lists that are not at their end, are
    /// told 410.
    pub(crate) fn compact(&self) {
        self.shared.state().compact();
    }

    /// Calls a closure with a line for each write, in their order. It must not call the server.
    pub(crate) fn log(&self, log: impl Fn(&str) + Send + Sync + 'static) {
        *locked(&self.shared.log) = Some(Arc::new(log));
    }

    /// How often each verb was asked for, by resource or subresource (`pods/binding`), whatever
    /// came of it.
    pub(crate) fn asked(&self) -> Counts {
        locked(&self.shared.asked).clone()
    }

    /// What was written, by verb and resource: requests that changed an object.
    pub(crate) fn written(&self) -> Counts {
        locked(&self.shared.written).clone()
    }

    /// The paths that were asked for, with their queries.
    pub(crate) fn seen(&self) -> Vec<String> {
        locked(&self.shared.seen).clone()
    }

    /// An object as it is stored now, whatever faults there are.
    pub(crate) fn stored(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.shared.state();
        let key = (namespace.to_owned(), name.to_owned());
        let object = state.tables.get(resource)?.objects.get(&key)?;
        Some(Value::clone(object))
    }

    /// All objects of a resource as they are stored now, by namespace and name.
    pub(crate) fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        let state = self.shared.state();
        let table = state.tables.get(resource);
        table.map_or_else(Vec::new, |table| table.objects.values().cloned().collect())
    }

    /// Serves objects over HTTP in pages of at most `page`.
    pub(crate) fn start(store: Store, page: usize, faults: Vec<Fault>) -> io::Result<Self> {
        let server = Self::with(Settings {
            page,
            ..Settings::default()
        });
        store.fill(&server);
        for fault in faults {
            server.fault(fault.rule());
        }
        server.listen()?;
        Ok(server)
    }

    /// Its URL, once it listens.
    pub(crate) fn url(&self) -> String {
        match self.shared.address.get() {
            Some(address) => format!("http://{address}"),
            None => "http://nowhere.invalid".to_owned(),
        }
    }

    /// Writes a kubeconfig whose context `test` leads here.
    pub(crate) fn kubeconfig(&self, file: &Path) -> io::Result<()> {
        std::fs::write(file, kubeconfig(&self.url()))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Lets all watches look what there is.
    fn wake(&self) {
        for table in self.state().tables.values() {
            table.tell.ring();
        }
    }

    fn drops_of(&self, client: &str) -> u64 {
        locked(&self.drops).get(client).copied().unwrap_or_default()
    }

    fn lag_of(&self, client: &str) -> Duration {
        locked(&self.lags).get(client).copied().unwrap_or_default()
    }
}

/// A kubeconfig whose context `test` leads to a server.
pub(crate) fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{url}'}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
         users: [{{name: test, user: {{}}}}]\n"
    )
}
