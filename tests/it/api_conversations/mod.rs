//! The fake API server behaves as a real one: recorded conversations are replayed
//! against it, and against a real one if there is one; the other tests cover what the conversations
//! do not.

mod behaviour;
mod faults;
mod kinds;
mod normalize;
mod pods;
mod real;
mod replay;
mod watching;
mod webhooks;

use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use self::replay::{ConversationResults, ConversationTarget};
use crate::api_server::{ApiServer, FakeServerSettings, ResourceKind};
use crate::support::TestResult;

/// The bearer token that permits everything.
const TOKEN: &str = "the-token-of-a-test";

pub(crate) fn tests() -> Vec<Trial> {
    let fake = conversation_trials("fake", fake);
    let real = conversation_trials("real", real::outcome);
    let real = real.map(|test| {
        let ignored = !real::is_there();
        let test = test.with_ignored_flag(ignored);
        if ignored {
            test.with_kind(real::IGNORE_REASON)
        } else {
            test
        }
    });
    let own = [
        tests!["api_conversations";
            over_http,
            normalize::other_answers_are_noticed,
        ],
        behaviour::tests(),
        kinds::tests(),
        faults::tests(),
        pods::tests(),
        watching::tests(),
        webhooks::tests(),
    ];
    fake.chain(real).chain(own.into_iter().flatten()).collect()
}

/// All conversations are replayed once, in order; each is a test.
fn conversation_trials(
    server: &'static str,
    outcome: fn() -> &'static Result<ConversationResults, String>,
) -> impl Iterator<Item = Trial> {
    replay::conversations()
        .into_iter()
        .map(move |conversation| {
            let name = replay::name(&conversation).to_owned();
            Trial::test(format!("api_conversations::{server}::{name}"), move || {
                let all = outcome().as_ref().map_err(Failed::from)?;
                let went = all.get(&name).ok_or("it was not replayed")?;
                went.clone().map_err(Failed::from)
            })
        })
}

/// Every request of the conversations works against the fake API server over HTTP and in real time, too.
fn over_http() -> TestResult {
    let server = ApiServer::with(FakeServerSettings {
        token: Some(TOKEN.to_owned()),
        ..FakeServerSettings::default()
    });
    server.listen()?;
    let mut config = kube::Config::new(server.url().parse()?);
    config.auth_info.token = Some(TOKEN.to_owned().into());
    let replayed = real::replay_against(config).map_err(|error| Failed::from(error.to_string()))?;
    let wrong = replayed.outcome.into_iter().filter_map(|(name, went)| {
        let why = went.err()?;
        Some(format!("{name}: {why}"))
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

fn fake() -> &'static Result<ConversationResults, String> {
    static OUTCOME: OnceLock<Result<ConversationResults, String>> = OnceLock::new();
    OUTCOME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let server = ApiServer::with(FakeServerSettings {
                token: Some(TOKEN.to_owned()),
                ..FakeServerSettings::default()
            });
            server.namespace("demo", &[]);
            let kind = ResourceKind::of_definition(&addresses()).ok_or("no such definition")?;
            server.register(kind);
            let bearer = http::HeaderValue::try_from(format!("Bearer {TOKEN}"));
            let bearer = bearer.map_err(|error| error.to_string())?;
            let known = server.clone().map_request(
                move |mut request: http::Request<kube::client::Body>| {
                    let headers = request.headers_mut();
                    headers.insert(http::header::AUTHORIZATION, bearer.clone());
                    request
                },
            );
            let target = ConversationTarget {
                client: kube::Client::new(known, "default"),
                anonymous: server.client(),
            };
            Ok(replay::replay(&target).await.outcome)
        })
    })
}

/// Returns the definition of the kind that most conversations are about.
fn addresses() -> Value {
    let spec = json!({
        "type": "object", "required": ["pool"],
        "properties": {"pool": {"type": "string"}, "holder": {"type": "string"}},
    });
    let status = json!({"type": "object", "properties": {"phase": {"type": "string"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "addresses.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Cluster",
            "names": {
                "kind": "Address", "listKind": "AddressList",
                "plural": "addresses", "singular": "address",
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.pool"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {"spec": spec, "status": status},
                }},
            }],
        },
    })
}
