//! Tests that the API server calls nadmit, with dry-run pods that are never created.

use http::{Request, header};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::InstallError;
use crate::network::annotations;

/// Namespace of the dry-run pods; every cluster has it.
const NAMESPACE: &str = "default";

/// Outcome of the pod with an unknown network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// nadmit denied it.
    Denied,
    /// nadmit warned about it.
    Warned,
    /// There was no finding: nadmit was not called, or its response was lost.
    Unanswered,
    /// Another admission check refused it before nadmit was called.
    Refused(String),
}

/// Sends a pod without networks, which must pass, and one with an unknown network.
///
/// # Errors
/// When nadmit refuses the pod without networks, or the API server does not respond.
pub async fn probe(client: &Client) -> Result<ProbeOutcome, InstallError> {
    if let DryRunResponse::Refused(message, code) = send(client, "nadmit-self-test", None).await? {
        return match message.contains("nadmit.io") {
            true => Err(InstallError::Refused {
                what: "create a pod without networks, as a test".to_owned(),
                reason: message,
                code,
            }),
            false => Ok(ProbeOutcome::Refused(message)),
        };
    }
    Ok(
        match send(
            client,
            "nadmit-self-test",
            Some(annotations::SELF_TEST_NETWORK),
        )
        .await?
        {
            DryRunResponse::Refused(message, _) if message.contains("nadmit") => {
                ProbeOutcome::Denied
            }
            DryRunResponse::Refused(message, _) => ProbeOutcome::Refused(message),
            DryRunResponse::Passed(warnings)
                if warnings
                    .iter()
                    .any(|warning| warning.contains(annotations::SELF_TEST_NETWORK)) =>
            {
                ProbeOutcome::Warned
            }
            DryRunResponse::Passed(_) => ProbeOutcome::Unanswered,
        },
    )
}

enum DryRunResponse {
    Passed(Vec<String>),
    Refused(String, u16),
}

async fn send(
    client: &Client,
    name: &str,
    network: Option<&str>,
) -> Result<DryRunResponse, InstallError> {
    let what = "create a pod, as a test";
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(pod(name, network).to_string().into_bytes()));
    let request =
        request.map_err(|error| InstallError::of(what, &kube::Error::HttpError(error)))?;
    let answer = client.send(request).await;
    let answer = answer.map_err(|error| InstallError::of(what, &error))?;
    let (parts, body) = answer.into_parts();
    if parts.status.is_success() {
        let warnings = parts.headers.get_all(header::WARNING).into_iter();
        let warnings = warnings.filter_map(|value| Some(value.to_str().ok()?.to_owned()));
        return Ok(DryRunResponse::Passed(warnings.collect()));
    }
    let bytes = body.collect_bytes().await;
    let bytes = bytes.map_err(|error| InstallError::of(what, &error))?;
    let status: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = status["message"].as_str().unwrap_or("no reason given");
    Ok(DryRunResponse::Refused(
        message.to_owned(),
        parts.status.as_u16(),
    ))
}

/// Returns a pod that the restricted Pod Security Standard admits.
fn pod(name: &str, network: Option<&str>) -> Value {
    let mut annotations = json!({});
    if let Some(network) = network {
        annotations[annotations::NETWORKS] = json!(network);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "none", "image": "none",
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
