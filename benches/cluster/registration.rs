//! nadmit's webhooks, as `deploy/base` has them.

use std::{fs, path::Path};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// The server that answers the webhooks.
pub(crate) struct WebhookServer {
    /// `https://address:port`
    pub(crate) url: String,
    /// The CA of its certificate, in PEM.
    pub(crate) ca: Vec<u8>,
}

/// The webhooks that pods and Bindings pass; others concern objects that no round has.
const WEBHOOKS: [&str; 2] = ["pods.nadmit.io", "bindings.nadmit.io"];

/// Returns the webhook configurations for pods and Bindings. They fail closed, so that no error is
/// missed.
pub(crate) fn webhooks(server: &WebhookServer) -> anyhow::Result<Vec<Value>> {
    let files = [
        ("mutating-webhooks.yaml", "mutate"),
        ("validating-webhooks.yaml", "validate"),
    ];
    let ca = BASE64_STANDARD.encode(&server.ca);
    let mut objects = Vec::new();
    for (file, path) in files {
        for mut object in documents(file)? {
            let webhooks = object["webhooks"].as_array_mut().context("webhooks")?;
            webhooks.retain(|one| WEBHOOKS.iter().any(|name| one["name"] == *name));
            for webhook in webhooks {
                webhook["clientConfig"] =
                    json!({"url": format!("{}/{path}", server.url), "caBundle": ca});
                webhook["failurePolicy"] = "Fail".into();
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Returns the objects of a file of `deploy/base`.
pub(crate) fn documents(file: &str) -> anyhow::Result<Vec<Value>> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base");
    let text = fs::read_to_string(base.join(file)).with_context(|| file.to_owned())?;
    Ok(serde_saphyr::from_multiple(&text)?)
}
