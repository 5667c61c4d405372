//! A cluster with a real API server, in which nadmit is registered by the manifests of `deploy/`.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::Client;
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::support::TestResult;
use crate::{
    api_server::{RealServer, network_definition},
    command,
    deploy::objects::{parsed, tool},
};

/// The time limit of any wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The annotation by which a pod selects networks, and in which it gets addresses.
pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The label that assigns a namespace to another registration than the first.
const GROUP: &str = "e2e";

/// The API server, and clients of it.
pub(super) struct E2eCluster {
    // Dropped before the server, so that requests in progress end first.
    runtime: Runtime,
    pub(super) server: RealServer,
    /// A client that may do everything.
    pub(super) client: Client,
    kubeconfig: PathBuf,
}

/// A registration of webhooks, and where they are called.
pub(super) struct Registration<'r> {
    /// The name of the webhook configurations: `nadmit`, or the group's name for a further
    /// registration.
    pub(super) name: &'r str,
    /// `https://address:port`
    pub(super) url: &'r str,
    /// The CA certificates, in PEM.
    pub(super) ca: &'r str,
    /// Options of `nadmit install` besides `--print`.
    pub(super) flags: &'r [&'r str],
}

/// kubectl's exit status and output.
pub(super) struct KubectlOutput {
    pub(super) well: bool,
    pub(super) out: String,
    pub(super) errors: String,
}

impl E2eCluster {
    /// Starts a server with the definition of networks.
    pub(super) fn start() -> Result<Self, Failed> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let to_failed = |error: Box<dyn std::error::Error>| Failed::from(error.to_string());
        let server = runtime.block_on(RealServer::start()).map_err(to_failed)?;
        let config = server.config().map_err(to_failed)?;
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config)?
        };
        let kubeconfig = server.kubeconfig()?;
        let cluster = Self {
            runtime,
            server,
            client,
            kubeconfig,
        };
        cluster.create(&network_definition())?;
        Ok(cluster)
    }

    /// Blocks on a future of the client.
    pub(super) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// Spawns a future in the background.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(what)
    }

    /// Kills the API server, and starts it again.
    pub(super) fn restart(&mut self) -> TestResult {
        let restarted = self.runtime.block_on(self.server.restart());
        restarted.map_err(|error| Failed::from(error.to_string()))
    }

    /// Runs kubectl with these arguments and this input.
    pub(super) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<KubectlOutput, Failed> {
        let mut command = Command::new(tool("kubectl").ok_or("no kubectl")?);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // kubectl's cache belongs in the server's folder.
            .env("HOME", self.kubeconfig.parent().ok_or("no folder")?)
            .args(arguments);
        let output = command::run(&mut command, input)?;
        Ok(KubectlOutput {
            well: output.status.success(),
            out: String::from_utf8(output.stdout)?,
            errors: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs kubectl, which has to succeed, and returns its output.
    pub(super) fn done(&self, arguments: &[&str], input: &str) -> Result<String, Failed> {
        let to_failed = self.kubectl(arguments, input)?;
        match to_failed.well {
            true => Ok(to_failed.out),
            false => Err(format!("kubectl {}: {}", arguments.join(" "), to_failed.errors).into()),
        }
    }

    /// Creates an object once its kind is served. The server drops fields that it does not know.
    pub(super) fn create(&self, object: &Value) -> TestResult {
        let text = object.to_string();
        soon("its kind is not served", || {
            let to_failed = self.kubectl(&["create", "--validate=false", "-f", "-"], &text)?;
            let later = [
                "no matches for kind",
                "could not find the requested resource",
            ];
            match to_failed.well {
                true => Ok(Some(())),
                false if later.iter().any(|words| to_failed.errors.contains(words)) => Ok(None),
                false => Err(format!("{}: {}", object["kind"], to_failed.errors).into()),
            }
        })
    }

    /// Creates a namespace with the name label that newer servers add.
    pub(super) fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> TestResult {
        let mut namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        });
        for (key, value) in labels {
            namespace["metadata"]["labels"][*key] = json!(value);
        }
        self.create(&namespace)
    }

    /// Creates a namespace whose pods get addresses, a pool of this range, and its network
    /// `storage`.
    pub(super) fn create_namespace_with_pool(
        &self,
        name: &str,
        range: &str,
        labels: &[(&str, &str)],
    ) -> TestResult {
        let labels = [labels, &[("nadmit.io/injection", "enabled")]].concat();
        self.namespace(name, &labels)?;
        self.create(&json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": name},
            "spec": {"ranges": [{"range": range}], "namespaceSelector": {}, "quarantine": "2s"},
        }))?;
        let config = json!({
            "cniVersion": "0.3.1", "name": name,
            "plugins": [{
                "type": "macvlan", "master": "eth0", "capabilities": {"ips": true},
                "ipam": {"type": "static"},
            }],
        });
        self.create(&json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": "storage", "namespace": name,
                "annotations": {"nadmit.io/address-pool": name},
            },
            "spec": {"config": config.to_string()},
        }))
    }

    /// Waits until the pool allocates addresses.
    pub(super) fn until_ready(&self, pool: &str) -> TestResult {
        let path = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        soon("the pool is not ready", || {
            let shown = self.done(&["get", "addresspool", pool, path], "")?;
            Ok((shown == "True").then_some(()))
        })
    }

    /// Applies the output of `nadmit install`, with webhooks that are called at a URL. Returns the
    /// objects that were left out because this server does not serve their kinds.
    pub(super) fn install(&self, registration: &Registration<'_>) -> Result<Vec<String>, Failed> {
        let mut left_out = Vec::new();
        for mut object in printed(registration.flags)? {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let version = object["apiVersion"].as_str().unwrap_or_default();
            if !self.serves(version, &kind)? {
                left_out.push(kind);
                continue;
            }
            if kind == "Namespace" {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] =
                    object["metadata"]["name"].clone();
            }
            if kind.ends_with("WebhookConfiguration") {
                redirect(&mut object, registration)?;
            }
            self.create(&object)?;
        }
        Ok(left_out)
    }

    /// Applies only the webhooks, replacing earlier ones.
    pub(super) fn register(&self, registration: &Registration<'_>) -> TestResult {
        for mut object in printed(registration.flags)? {
            let kind = object["kind"].as_str().unwrap_or_default();
            if kind.ends_with("WebhookConfiguration") {
                redirect(&mut object, registration)?;
                self.done(
                    &["apply", "--validate=false", "-f", "-"],
                    &object.to_string(),
                )?;
            }
        }
        // API servers pick up a registration within about a second.
        thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    fn serves(&self, version: &str, kind: &str) -> Result<bool, Failed> {
        let path = match version {
            "v1" => "/api/v1".to_owned(),
            version => format!("/apis/{version}"),
        };
        let to_failed = self.kubectl(&["get", "--raw", &path], "")?;
        Ok(to_failed.well && to_failed.out.contains(&format!("\"kind\":\"{kind}\"")))
    }

    /// Binds a pod to a node, as the scheduler does.
    pub(super) fn bind(&self, namespace: &str, pod: &str) -> TestResult {
        let uid = self.field(namespace, pod, "{.metadata.uid}")?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
        let binding = binding(pod, &uid).to_string();
        self.done(&["create", "--raw", &path, "-f", "-"], &binding)?;
        Ok(())
    }

    /// Returns a field of a pod.
    pub(super) fn field(&self, namespace: &str, pod: &str, field: &str) -> Result<String, Failed> {
        let path = format!("-o=jsonpath={field}");
        self.done(&["get", "pod", "-n", namespace, pod, &path], "")
    }

    /// Returns the addresses in a pod's annotation.
    pub(super) fn addresses(&self, namespace: &str, pod: &str) -> Result<Vec<String>, Failed> {
        let path = "{.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/networks}";
        Ok(injected(&self.field(namespace, pod, path)?))
    }

    /// Returns the recorded addresses of a namespace's pods: `address pod`, in order.
    pub(super) fn recorded(&self, namespace: &str) -> Result<Vec<String>, Failed> {
        let text = self.done(&["get", "addressallocations", "-o=json"], "")?;
        let list: Value = serde_json::from_str(&text)?;
        let mut all = Vec::new();
        for record in list["items"].as_array().into_iter().flatten() {
            let spec = &record["spec"];
            let holders = spec["holder"].as_object().into_iter().flatten();
            let mut homes = holders.map(|(_, holder)| &holder["namespace"]);
            if homes.any(|home| home == namespace) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                all.push(format!(
                    "{} {}",
                    text(&spec["address"]),
                    text(&spec["pod"]["name"])
                ));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Waits until nothing is recorded for the pods of a namespace.
    pub(super) fn until_free(&self, namespace: &str) -> TestResult {
        soon("the addresses are not free", || {
            Ok(self.recorded(namespace)?.is_empty().then_some(()))
        })
    }
}

/// Returns the addresses in a networks annotation, without prefix lengths.
pub(super) fn injected(networks: &str) -> Vec<String> {
    let selections: Value = serde_json::from_str(networks).unwrap_or_default();
    let each = selections.as_array().into_iter().flatten();
    let ips = each.flat_map(|one| one["ips"].as_array().into_iter().flatten());
    let plain = ips.filter_map(|ip| Some(ip.as_str()?.split('/').next()?.to_owned()));
    plain.collect()
}

/// Returns a pod with a network, in YAML as users write it.
pub(super) fn pod(name: &str, namespace: &str, network: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  annotations:\n    \
         {NETWORKS}: {network}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    \
         image: image\n"
    )
}

/// Returns the Binding of a pod.
pub(super) fn binding(pod: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    })
}

/// Polls until there is a result.
pub(super) fn soon<T>(
    complaint: &str,
    mut look: impl FnMut() -> Result<Option<T>, Failed>,
) -> Result<T, Failed> {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(complaint.into());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the objects that `nadmit install --print` prints.
pub(super) fn printed(flags: &[&str]) -> Result<Vec<Value>, Failed> {
    let output = super::process::nadmit()
        .args(["install", "--print"])
        .args(flags)
        .output()?;
    match output.status.success() {
        true => parsed(&String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Points the webhooks to the URL; those of a further registration apply only to its own
/// namespaces.
fn redirect(object: &mut Value, registration: &Registration<'_>) -> TestResult {
    let own = registration.name == "nadmit";
    object["metadata"]["name"] = json!(registration.name);
    let hooks = object["webhooks"].as_array_mut().ok_or("no webhooks")?;
    for hook in hooks.iter_mut() {
        let service = &hook["clientConfig"]["service"];
        let path = service["path"].as_str().ok_or("a webhook without a path")?;
        hook["clientConfig"] = json!({
            "url": format!("{}{path}", registration.url),
            "caBundle": BASE64_STANDARD.encode(registration.ca),
        });
        let group = match own {
            true => json!({"key": GROUP, "operator": "DoesNotExist"}),
            false => json!({"key": GROUP, "operator": "In", "values": [registration.name]}),
        };
        let selector = &mut hook["namespaceSelector"]["matchExpressions"];
        match selector.as_array_mut() {
            Some(all) => all.push(group),
            None => *selector = json!([group]),
        }
    }
    if !own {
        // Cluster-scoped objects are reviewed by only one registration.
        hooks.retain(|hook| {
            ["pods.nadmit.io", "bindings.nadmit.io"]
                .iter()
                .any(|name| hook["name"] == **name)
        });
    }
    Ok(())
}
