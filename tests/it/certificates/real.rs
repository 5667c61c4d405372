//! Certificates with a real API server: it accepts what is sent, and rejects a late patch.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::{Namespace, Secret},
};
use kube::{
    Client, Resource,
    api::{Api, Patch, PatchParams, PostParams},
};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    api::call::{ApiError, client},
    clock::Clock,
    controllers::{CertificateKeeper, CertificateOptions},
    pki::{Certificate, verify},
};
use prometheus_client::metrics::gauge::Gauge;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fixture::{TestResult, holds};
use crate::api_server::{IGNORE_REASON, RealServer};

const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn tests() -> Vec<Trial> {
    let run = Trial::test("certificates::a_real_server_takes_what_is_sent", || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(taken())
    });
    vec![
        run.with_kind(IGNORE_REASON)
            .with_ignored_flag(!RealServer::is_there()),
    ]
}

/// Creates an object from JSON.
async fn create<K>(api: &Api<K>, object: serde_json::Value) -> Result<K, Failed>
where
    K: Resource + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let object = serde_json::from_value(object)?;
    Ok(api.create(&PostParams::default(), &object).await?)
}

fn configuration() -> serde_json::Value {
    json!({
        "metadata": {"name": "nadmit"},
        "webhooks": [{
            "name": "pods.nadmit.io", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
            "clientConfig": {"service": {"name": "nadmit", "namespace": "nadmit", "path": "/x"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                "operations": ["CREATE"]}],
        }],
    })
}

async fn taken() -> TestResult {
    let server = RealServer::start().await.map_err(|e| e.to_string())?;
    let config = server.config().map_err(|e| e.to_string())?;
    let cluster: Client = client(config)?;
    create(
        &Api::<Namespace>::all(cluster.clone()),
        json!({"metadata": {"name": "nadmit"}}),
    )
    .await?;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(cluster.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(cluster.clone());
    let secrets: Api<Secret> = Api::namespaced(cluster.clone(), "nadmit");
    create(&mutating, configuration()).await?;
    let stale = create(&validating, configuration()).await?;
    let options = CertificateOptions {
        propagation_time: Duration::from_secs(3),
        interval: Duration::from_secs(1),
        ..CertificateOptions::new("nadmit", "nadmit-tls", "nadmit", "nadmit")
    };
    let failed = Gauge::default();
    let keeper = CertificateKeeper::new(
        cluster,
        options.clone(),
        Clock::new(Timestamp::now),
        failed.clone(),
    );
    let mut shown = keeper.certificate();
    let stop = CancellationToken::new();
    let task = tokio::spawn(keeper.run(stop.clone()));
    shown.changed().await?;
    let first = shown
        .borrow_and_update()
        .clone()
        .ok_or("nothing is shown")?;
    let trusted = || async {
        let found = validating.get("nadmit").await?;
        let webhooks = found.webhooks.unwrap_or_default();
        let bundle = webhooks
            .into_iter()
            .next()
            .and_then(|one| one.client_config.ca_bundle);
        Ok::<_, Failed>(Certificate::parse_pem(&bundle.unwrap_or_default().0).0)
    };
    let chain = first.identity()?.cert;
    let names = options.service.names();
    holds(
        verify(&chain, &trusted().await?, &names, Timestamp::now()),
        "it is not trusted",
    )?;
    // A patch for an outdated version.
    let version = stale.metadata.resource_version.ok_or("no version")?;
    let late: json_patch::Patch = serde_json::from_value(json!([
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode("x")},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]))?;
    let late = Patch::Json::<()>(late);
    let message = validating
        .patch("nadmit", &PatchParams::default(), &late)
        .await;
    let message = message
        .map(|_| ())
        .map_err(|error| ApiError::from_kube(&error));
    holds(matches!(message, Err(ApiError::Conflict(_))), message)?;
    // A CA rotation.
    let broken = Patch::Merge(json!({"data": {"ca.key": "eA=="}}));
    secrets
        .patch("nadmit-tls", &PatchParams::default(), &broken)
        .await?;
    let until = Instant::now() + TIMEOUT;
    while !shown.has_changed()? {
        holds(Instant::now() < until, "the CA does not change")?;
        let bundle = trusted().await?;
        holds(
            verify(&chain, &bundle, &names, Timestamp::now()),
            "the old one is refused",
        )?;
        sleep(Duration::from_millis(200)).await;
    }
    let second = shown.borrow().clone().ok_or("nothing is shown")?;
    let chain = second.identity()?.cert;
    holds(
        verify(&chain, &trusted().await?, &names, Timestamp::now()),
        "the new one is refused",
    )?;
    holds(failed.get() == 0 && second != first, "it complains")?;
    stop.cancel();
    task.await?;
    Ok(())
}
