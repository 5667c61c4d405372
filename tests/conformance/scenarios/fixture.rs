//! A server of its own for each scenario, and pods that it reviews.

use std::{fs, path::PathBuf, thread};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{case::Sending, curl::Curl, target::OwnServer};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// A server with manifests and data of its own.
pub(super) struct ServerFixture {
    curl: Curl,
    folder: tempfile::TempDir,
    server: Option<OwnServer>,
    asked: u32,
}

/// The response of a webhook.
#[derive(Debug)]
pub(super) struct WebhookReply {
    /// The reasons of a denial; empty if it was allowed.
    pub(super) denied: Vec<String>,
    /// The message of a denial.
    pub(super) message: String,
    /// The messages of its causes, one per line.
    pub(super) causes: String,
    /// The object with the patch applied.
    pub(super) object: Value,
    /// Set if there was a patch.
    pub(super) patched: bool,
}

impl ServerFixture {
    pub(super) fn new(curl: &Curl, manifests: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("manifests"))?;
        let mut fixture = Self {
            curl: curl.clone(),
            folder,
            server: None,
            asked: 0,
        };
        fixture.write("world.yaml", manifests)?;
        fixture.start()?;
        Ok(fixture)
    }

    fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Writes a file into the folder of manifests.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.manifests().join(name), text)?)
    }

    /// Removes a file from the folder of manifests.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.manifests().join(name))?)
    }

    /// Starts the server.
    pub(super) fn start(&mut self) -> Result<()> {
        let data = self.folder.path().join("data");
        self.server = Some(OwnServer::start_with(&self.manifests(), &data)?);
        Ok(())
    }

    /// Kills the server.
    pub(super) fn kill(&mut self) {
        self.server = None;
    }

    /// Sends a request to one of the webhooks.
    pub(super) fn ask(&mut self, path: &str, request: Value) -> Result<WebhookReply> {
        self.asked += 1;
        self.send(path, of_pod(request), self.asked)
    }

    /// Sends requests from many clients at the same time.
    pub(super) fn ask_at_once(
        &mut self,
        path: &str,
        requests: Vec<Value>,
    ) -> Result<Vec<WebhookReply>> {
        let first = self.asked + 1;
        self.asked += u32::try_from(requests.len())?;
        let fixture = &*self;
        thread::scope(|scope| {
            let clients: Vec<_> = (first..)
                .zip(requests)
                .map(|(number, request)| {
                    scope.spawn(move || fixture.send(path, of_pod(request), number))
                })
                .collect();
            let replies = clients.into_iter().map(|client| client.join());
            replies
                .map(|reply| reply.unwrap_or_else(|_| Err(anyhow!("a client panicked"))))
                .collect()
        })
    }

    /// Sends a request about a pool to `/validate`.
    pub(super) fn ask_of_pool(&mut self, mut request: Value) -> Result<WebhookReply> {
        let (group, version) = ("nadmit.io", "v1alpha1");
        request["kind"] = json!({"group": group, "version": version, "kind": "AddressPool"});
        request["resource"] =
            json!({"group": group, "version": version, "resource": "addresspools"});
        self.asked += 1;
        self.send("/validate", request, self.asked)
    }

    fn send(&self, path: &str, mut request: Value, number: u32) -> Result<WebhookReply> {
        let object = request["object"].clone();
        let uid = format!("story-{number}");
        request["uid"] = json!(uid);
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
        });
        let sending = Sending {
            path: path.to_owned(),
            ..Sending::default()
        };
        let endpoint = self.server.as_ref().context("no server")?.endpoint.clone();
        let body = serde_json::to_vec(&review)?;
        let exchange = self.curl.send(&endpoint, &sending, Some(&body))?;
        let answer = exchange
            .answers
            .first()
            .ok_or_else(|| anyhow!("{exchange:?}"))?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "{} {text}", answer.status);
        let review: Value = serde_json::from_str(&text)?;
        let response = &review["response"];
        ensure!(response["uid"] == uid, "{text}");
        WebhookReply::of(response, object)
    }

    /// Creates a pod as the API server does: `/mutate`, then, with a name and a UID, `/validate`.
    pub(super) fn create(&mut self, pod: &Value) -> Result<WebhookReply> {
        let mutated = self.ask("/mutate", creation(pod, false))?;
        if !mutated.denied.is_empty() {
            return Ok(mutated);
        }
        let persisted = self.persisted(&mutated.object);
        let validated = self.ask("/validate", creation(&persisted, false))?;
        Ok(WebhookReply {
            object: persisted,
            patched: mutated.patched,
            ..validated
        })
    }

    /// Returns the pod with the fields that the API server adds between the two webhooks.
    pub(super) fn persisted(&self, pod: &Value) -> Value {
        let mut pod = pod.clone();
        let metadata = &mut pod["metadata"];
        if metadata["name"].is_null() {
            let prefix = metadata["generateName"].as_str().unwrap_or_default();
            metadata["name"] = json!(format!("{prefix}{:05}", self.asked));
        }
        metadata["uid"] = json!(format!("uid-{}", self.asked));
        pod
    }

    /// Returns the addresses that a new pod gets on its first network.
    pub(super) fn addresses_of(&mut self, pod: &Value) -> Result<Vec<String>> {
        let reply = self.create(pod)?;
        reply.addresses()
    }
}

impl WebhookReply {
    fn of(response: &Value, mut object: Value) -> Result<Self> {
        let patch = response["patch"].as_str();
        if let Some(patch) = patch {
            ensure!(response["patchType"] == "JSONPatch");
            let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch)?)?;
            json_patch::patch(&mut object, &patch)?;
        }
        let causes = response["status"]["details"]["causes"].as_array();
        let reasons = causes
            .into_iter()
            .flatten()
            .filter_map(|c| c["reason"].as_str());
        let denied: Vec<String> = reasons.map(str::to_owned).collect();
        let messages = causes.into_iter().flatten();
        let messages = messages.filter_map(|cause| cause["message"].as_str());
        let messages: Vec<&str> = messages.collect();
        ensure!(response["allowed"] == denied.is_empty(), "{response}");
        Ok(Self {
            denied,
            message: response["status"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            causes: messages.join("\n"),
            object,
            patched: patch.is_some(),
        })
    }

    /// Returns the selections in the annotation now.
    pub(super) fn selections(&self) -> Result<Vec<Value>> {
        if !self.denied.is_empty() {
            bail!("denied: {}", self.message);
        }
        let text = self.object["metadata"]["annotations"][NETWORKS].as_str();
        let text = text.context("no annotation")?;
        serde_json::from_str(text).with_context(|| text.to_owned())
    }

    /// Returns the addresses on the first network.
    pub(super) fn addresses(&self) -> Result<Vec<String>> {
        let selections = self.selections()?;
        let ips = selections.first().and_then(|s| s["ips"].as_array());
        let ips = ips.into_iter().flatten().filter_map(Value::as_str);
        Ok(ips.map(str::to_owned).collect())
    }

    /// Checks that it was denied for this reason only.
    pub(super) fn denied_for(&self, code: &str) -> Result<()> {
        let mut codes = self.denied.clone();
        codes.dedup();
        ensure!(codes == [code], "{:?} {}", self.denied, self.message);
        Ok(())
    }
}

/// Returns the request as one about pods.
fn of_pod(mut request: Value) -> Value {
    request["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    request
}

/// Returns a pod of namespace `db`.
pub(super) fn pod(name: &str, networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "db", "annotations": {NETWORKS: networks}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    })
}

/// Returns a pod with a generated name, owned by a controller of this kind.
pub(super) fn made_by(api_version: &str, kind: &str, owner: &str, networks: &str) -> Value {
    let mut made = pod("", networks);
    made["metadata"]["name"] = Value::Null;
    made["metadata"]["generateName"] = json!(format!("{owner}-"));
    made["metadata"]["ownerReferences"] = json!([{
        "apiVersion": api_version, "kind": kind, "name": owner, "uid": "o", "controller": true,
    }]);
    made
}

/// Returns a replica of the StatefulSet `db`.
pub(super) fn replica(ordinal: u32, networks: &str) -> Value {
    let mut replica = made_by("apps/v1", "StatefulSet", "db", networks);
    replica["metadata"]["name"] = json!(format!("db-{ordinal}"));
    replica
}

/// Returns the request that creates a pod.
pub(super) fn creation(pod: &Value, dry_run: bool) -> Value {
    let mut request =
        json!({"operation": "CREATE", "namespace": "db", "object": pod, "dryRun": dry_run});
    request["name"] = pod["metadata"]["name"].clone();
    request
}

/// Returns the request that updates a pod.
pub(super) fn update(before: &Value, after: &Value) -> Value {
    json!({
        "operation": "UPDATE", "namespace": "db", "name": before["metadata"]["name"],
        "oldObject": before, "object": after, "dryRun": false,
    })
}
