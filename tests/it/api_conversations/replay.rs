//! Replays recorded requests against a server in order, and compares the responses.

use std::collections::BTreeMap;

use http::{Request, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::normalize::{RecordedNames, normal};

/// Returns the recorded conversations.
pub(super) fn conversations() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/api-conversations.json"))
        .expect("the fixture is a list of conversations")
}

pub(super) fn name(conversation: &Value) -> &str {
    conversation["name"].as_str().unwrap_or_default()
}

/// A server, with one client that may do everything and an anonymous one.
pub(super) struct ConversationTarget {
    pub(super) client: kube::Client,
    pub(super) anonymous: kube::Client,
}

/// The result of each conversation, by name.
pub(super) type ConversationResults = BTreeMap<String, Result<(), String>>;

/// The results of all conversations, and what a recording of them would contain.
pub(super) struct Replay {
    pub(super) outcome: ConversationResults,
    pub(super) recorded: Vec<Value>,
}

pub(super) async fn replay(target: &ConversationTarget) -> Replay {
    let mut names = RecordedNames::default();
    let (mut outcome, mut recorded) = (ConversationResults::new(), Vec::new());
    for conversation in conversations() {
        let name = name(&conversation).to_owned();
        let went = match one(target, &conversation, &mut names).await {
            Ok(answered) => {
                recorded.push(answered.recorded(&conversation));
                compared(answered.found, answered.expected)
            }
            Err(error) => Err(error),
        };
        outcome.insert(name, went);
    }
    Replay { outcome, recorded }
}

/// A request and its response.
struct ReplayedExchange {
    request: Value,
    found: Value,
    expected: Value,
}

impl ReplayedExchange {
    /// Returns the conversation with this response.
    fn recorded(&self, conversation: &Value) -> Value {
        let mut recorded = conversation.clone();
        recorded["request"].clone_from(&self.request);
        for (key, value) in self.found.as_object().into_iter().flatten() {
            if conversation["response"].get(key).is_some() {
                recorded["response"][key].clone_from(value);
            }
        }
        recorded
    }
}

async fn one(
    target: &ConversationTarget,
    conversation: &Value,
    names: &mut RecordedNames,
) -> Result<ReplayedExchange, String> {
    let request = names.translate(&conversation["request"]);
    let response = &conversation["response"];
    let anonymous = name(conversation) == "unauthenticated";
    let client = if anonymous {
        &target.anonymous
    } else {
        &target.client
    };
    let answer = client.send(http_request(&request)?);
    let answer = answer.await.map_err(|error| error.to_string())?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = |name: header::HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let read = answer.into_body().collect();
    // Events that were recorded during a watch are caused during the watch.
    let (read, done) = tokio::join!(read, perform_changes(target, &request, &response["events"]));
    done?;
    let read = read.map_err(|error| error.to_string())?.to_bytes();
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&read)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let mut found = json!({"status": status, "body": lines.first()});
    if response.get("contentType").is_some() {
        found["contentType"] = text(header::CONTENT_TYPE).into();
        if response.get("retryAfter").is_some() {
            found["retryAfter"] = text(header::RETRY_AFTER).into();
        }
    }
    let mut expected = response.clone();
    if response.get("events").is_some() {
        found["body"].take();
        found["events"] = Value::from(lines);
        expected["body"] = Value::Null;
        // The framing of the body is up to the connection.
        expected
            .as_object_mut()
            .map(|members| members.remove("transferEncoding"));
    }
    names.learn(&expected, &found);
    Ok(ReplayedExchange {
        request,
        found,
        expected,
    })
}

/// Compares two responses, ignoring necessary differences.
pub(super) fn compared(found: Value, expected: Value) -> Result<(), String> {
    let (found, expected) = (normal(found), normal(expected));
    if found == expected {
        return Ok(());
    }
    let lines = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    Err(format!(
        "found {}\nexpected {}",
        lines(&found),
        lines(&expected)
    ))
}

fn http_request(request: &Value) -> Result<Request<Body>, String> {
    let text = |key: &str| request[key].as_str();
    let body = &request["body"];
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let mut built = Request::builder()
        .method(text("method").unwrap_or_default())
        .uri(text("path").unwrap_or_default());
    for (key, header) in [
        ("contentType", header::CONTENT_TYPE),
        ("accept", header::ACCEPT),
    ] {
        if let Some(value) = text(key) {
            built = built.header(header, value);
        }
    }
    built
        .body(Body::from(body))
        .map_err(|error| error.to_string())
}

/// Performs the changes that a watch reported, unless they have happened already.
async fn perform_changes(
    target: &ConversationTarget,
    request: &Value,
    events: &Value,
) -> Result<(), String> {
    // A watch that starts with the existing objects reports nothing else.
    let path = request["path"].as_str().unwrap_or_default();
    if path.contains("sendInitialEvents") {
        return Ok(());
    }
    let base = path.split('?').next().unwrap_or_default();
    let mut made = Vec::new();
    for event in events.as_array().into_iter().flatten() {
        let object = &event["object"];
        let name = &object["metadata"]["name"];
        let whole = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": {"name": name}, "spec": object["spec"],
        });
        let at = format!("{base}/{}", name.as_str().unwrap_or_default());
        let (method, path, form, body) = match event["type"].as_str() {
            Some("ADDED") => ("POST", base.to_owned(), "application/json", whole),
            Some("MODIFIED") => ("PATCH", at, "application/merge-patch+json", whole),
            Some("DELETED") if made.contains(name) => {
                ("DELETE", at, "application/json", Value::Null)
            }
            _ => continue,
        };
        made.push(name.clone());
        let request = json!({"method": method, "path": path, "contentType": form, "body": body});
        let answer = target.client.send(http_request(&request)?).await;
        let status = answer.map_err(|error| error.to_string())?.status();
        if !status.is_success() {
            return Err(format!("{method} {path}: {status}"));
        }
    }
    Ok(())
}
