//! The recorded conversations, replayed against a real API server: one that is started for them, or
//! the one of a kubeconfig.

use std::{sync::OnceLock, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, PostParams},
};
use serde::Serialize as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    addresses,
    replay::{self, ConversationResults, ConversationTarget, Replay},
};
use crate::api_server::RealServer;

/// The reason shown for ignored tests; a KUBECONFIG is used only with `NADMIT_MAY_WRITE=1`.
pub(super) const IGNORE_REASON: &str =
    "needs tests/real/build.sh kubernetes etcd, KUBEBUILDER_ASSETS or KUBECONFIG";

/// The recorded conversations. With `NADMIT_RECORD=1` they are recorded again.
const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/api-conversations.json"
);

/// Returns true if the configured cluster may be written to; that has to be allowed explicitly.
fn may_write() -> bool {
    std::env::var_os("KUBECONFIG").is_some()
        && std::env::var("NADMIT_MAY_WRITE").is_ok_and(|value| value == "1")
}

pub(super) fn is_there() -> bool {
    RealServer::is_there() || may_write()
}

pub(super) fn outcome() -> &'static Result<ConversationResults, String> {
    static OUTCOME: OnceLock<Result<ConversationResults, String>> = OnceLock::new();
    OUTCOME.get_or_init(|| run().map_err(|error| error.to_string()))
}

fn run() -> Result<ConversationResults, Box<dyn std::error::Error>> {
    if !RealServer::is_there() {
        return Ok(replay_against(runtime()?.block_on(Config::infer())?)?.outcome);
    }
    let server = runtime()?.block_on(RealServer::start())?;
    let replayed = replay_against(server.config()?);
    // The server has to outlive the conversation.
    drop(server);
    let replayed = replayed?;
    if std::env::var("NADMIT_RECORD").is_ok_and(|value| value == "1") {
        let mut text = Vec::new();
        let layout = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, layout);
        replayed.recorded.serialize(&mut writer)?;
        text.push(b'\n');
        std::fs::write(FIXTURE, text)?;
    }
    Ok(replayed.outcome)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Replays all conversations against the server of a configuration, and cleans up.
pub(super) fn replay_against(config: Config) -> Result<Replay, Box<dyn std::error::Error>> {
    runtime()?.block_on(converse(config))
}

async fn converse(config: Config) -> Result<Replay, Box<dyn std::error::Error>> {
    let mut anonymous = config.clone();
    anonymous.auth_info = kube::config::AuthInfo::default();
    let client = Client::try_from(config)?;
    let target = ConversationTarget {
        anonymous: Client::try_from(anonymous)?,
        client: client.clone(),
    };
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let networks = networks();
    for definition in [addresses(), networks.clone()] {
        let definition = serde_json::from_value(definition)?;
        definitions
            .create(&PostParams::default(), &definition)
            .await?;
    }
    let namespaces = Api::all(client.clone());
    let demo: k8s_openapi::api::core::v1::Namespace =
        serde_json::from_value(json!({"metadata": {"name": "demo"}}))?;
    namespaces.create(&PostParams::default(), &demo).await?;
    // Waits until the kinds are served.
    for path in ["/apis/example.dev/v1alpha1", "/apis/k8s.cni.cncf.io/v1"] {
        let mut left = 100_u32;
        while left > 0 {
            let request = http::Request::get(path).body(kube::client::Body::empty())?;
            if client.send(request).await?.status().is_success() {
                break;
            }
            left -= 1;
            sleep(Duration::from_millis(100)).await;
        }
    }
    let replayed = replay::replay(&target).await;
    namespaces.delete("demo", &DeleteParams::default()).await?;
    for definition in [addresses(), networks] {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        definitions.delete(name, &DeleteParams::default()).await?;
    }
    Ok(replayed)
}

/// Returns the definition of networks.
fn networks() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "network-attachment-definitions.k8s.cni.cncf.io"},
        "spec": {
            "group": "k8s.cni.cncf.io", "scope": "Namespaced",
            "names": {
                "kind": "NetworkAttachmentDefinition",
                "plural": "network-attachment-definitions",
                "singular": "network-attachment-definition",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object", "properties": {"config": {"type": "string"}},
                    }},
                }},
            }],
        },
    })
}
