//! Installing: every object applied server-side, in an order that locks nobody out.

use std::time::Duration;

use kube::{
    Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    CONFIG, InstallError, Isolation, NAME, NAMESPACE, Settings, Tell, Told, manifests, object,
    settings::configure,
};

/// The field manager of who installs; nadmit's own writes have others.
const MANAGER: &str = "nadmit-install";
/// The oldest Kubernetes that has everything in the manifests.
const LEAST: (u32, u32, &str) = (1, 30, "1.30 or newer");
/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long to wait for what has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: webhooks are registered before anybody answers.
    No,
    /// At most so long for each thing.
    For(Duration),
}

/// What is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// How.
    pub settings: Settings,
    /// How long to wait for it.
    pub wait: Wait,
}

/// Installs nadmit, or makes an installation what this program would install.
///
/// # Errors
/// When the cluster is too old, refuses, or replicas do not become ready. What was applied before stays, and
/// installing again goes on.
pub async fn install(
    client: &Client,
    installation: &Installation,
    tell: Tell<'_>,
) -> Result<(), InstallError> {
    new_enough(client).await?;
    let mut settings = installation.settings.clone();
    if settings.isolation.is_none() {
        settings.isolation = isolation(client, tell).await;
    }
    let mut objects = manifests(&settings)?;
    keep_settings(client, &settings, &mut objects, tell).await?;
    let (hooks, objects): (Vec<Value>, Vec<Value>) =
        objects.into_iter().partition(object::is_registration);
    for one in &objects {
        apply(client, one, tell).await?;
    }
    if let Wait::For(patience) = installation.wait {
        for one in objects
            .iter()
            .filter(|one| object::kind(one) == "CustomResourceDefinition")
        {
            established(client, one, patience).await?;
        }
        tell(Told::Waiting("replicas to be ready".to_owned()));
        available(client, patience).await?;
    }
    for hook in &hooks {
        apply(client, hook, tell).await?;
    }
    if let Wait::For(patience) = installation.wait {
        tell(Told::Waiting(
            "the webhooks to trust the certificate".to_owned(),
        ));
        for hook in &hooks {
            trusted(client, hook, patience).await?;
        }
    }
    Ok(())
}

/// Whether the cluster is OpenShift.
pub async fn is_openshift(client: &Client) -> bool {
    let groups = client.list_api_groups().await;
    groups.is_ok_and(|found| {
        found
            .groups
            .iter()
            .any(|group| group.name == "config.openshift.io")
    })
}

async fn new_enough(client: &Client) -> Result<(), InstallError> {
    let info = client.apiserver_version().await;
    let info =
        info.map_err(|error| InstallError::of("ask the API server for its version", &error))?;
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    let (major, minor, least) = LEAST;
    match (number(&info.major), number(&info.minor)) {
        // Who does not say its version is asked for what it can by applying it.
        (Some(found), Some(newer)) if (found, newer) < (major, minor) => Err(InstallError::Old {
            found: format!("{found}.{newer}"),
            least,
        }),
        _ => Ok(()),
    }
}

async fn isolation(client: &Client, tell: Tell<'_>) -> Option<Isolation> {
    let found = Isolation::read(client).await;
    tell(Told::Note(match &found {
        Some(found) => format!(
            "namespaceIsolation is {}, as Multus is set in {}",
            found.isolates, found.source
        ),
        None => {
            "Multus's own settings were not found: namespaceIsolation in ConfigMap nadmit-config \
                 stays as it is, and has to say what Multus's says"
                .to_owned()
        }
    }));
    found
}

/// What an administrator has written into the ConfigMap stays there.
async fn keep_settings(
    client: &Client,
    settings: &Settings,
    objects: &mut [Value],
    tell: Tell<'_>,
) -> Result<(), InstallError> {
    let config = objects.iter_mut().find(|one| object::name(one) == CONFIG);
    let Some(config) = config else { return Ok(()) };
    let there = object::api(client, config).get_opt(CONFIG).await;
    let there =
        there.map_err(|error| InstallError::of("read ConfigMap nadmit/nadmit-config", &error))?;
    let Some(there) = there else { return Ok(()) };
    if there.data["data"].is_object() {
        config["data"] = there.data["data"].clone();
        configure(settings, config)?;
        tell(Told::Note(
            "the settings in ConfigMap nadmit-config stay as they are, but for what is said here"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Applies one object; a kind that the cluster does not have is passed over.
async fn apply(client: &Client, wanted: &Value, tell: Tell<'_>) -> Result<(), InstallError> {
    let called = object::called(wanted);
    let parameters = PatchParams::apply(MANAGER).force();
    let api = object::api(client, wanted);
    match api
        .patch(object::name(wanted), &parameters, &Patch::Apply(wanted))
        .await
    {
        Ok(_) => tell(Told::Applied(called)),
        Err(kube::Error::Api(status)) if status.code == 404 && may_be_missing(wanted) => {
            let why = format!("the cluster has no {}", object::kind(wanted));
            tell(Told::Skipped(called, why));
        }
        Err(error) => return Err(InstallError::of(format!("apply {called}"), &error)),
    }
    Ok(())
}

/// Kinds of others' definitions.
fn may_be_missing(wanted: &Value) -> bool {
    let version = wanted["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("monitoring.coreos.com/")
}

/// Waits until a definition's kind is served.
async fn established(
    client: &Client,
    definition: &Value,
    patience: Duration,
) -> Result<(), InstallError> {
    let what = format!("{} is not served", object::called(definition));
    let is_served = |found: &DynamicObject| match condition(found, "Established") {
        true => Ok(()),
        false => Err("its condition Established is not True".to_owned()),
    };
    let help = "see kubectl describe of it";
    until(client, definition, patience, what, help, is_served).await
}

/// Waits until all replicas of the new form answer.
async fn available(client: &Client, patience: Duration) -> Result<(), InstallError> {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
    });
    let is_there = |found: &DynamicObject| {
        let number = |at: &str| {
            found
                .data
                .pointer(at)
                .and_then(Value::as_u64)
                .unwrap_or_default()
        };
        let wanted = number("/spec/replicas");
        let seen = found.data["status"]["observedGeneration"].as_i64() >= found.metadata.generation;
        let (updated, available) = (
            number("/status/updatedReplicas"),
            number("/status/availableReplicas"),
        );
        match seen && updated >= wanted && available >= wanted {
            true => Ok(()),
            false => Err(format!("{available} of {wanted} replicas are ready")),
        }
    };
    let what = "the replicas are not ready".to_owned();
    let help = "see kubectl get pods -n nadmit, and the log of one: kubectl logs -n nadmit deploy/nadmit; no \
                webhook is registered before they are ready, so that nothing is held up";
    until(client, &deployment, patience, what, help, is_there).await
}

/// Waits until every webhook of a registration knows whom to trust.
async fn trusted(client: &Client, hooks: &Value, patience: Duration) -> Result<(), InstallError> {
    let knows = |found: &DynamicObject| {
        let all = found.data["webhooks"].as_array().into_iter().flatten();
        let bare = all.filter(|hook| {
            hook["clientConfig"]["caBundle"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
        });
        match bare.count() {
            0 => Ok(()),
            count => Err(format!("{count} of its webhooks have no caBundle")),
        }
    };
    let what = format!(
        "{} does not trust nadmit's certificate",
        object::called(hooks)
    );
    let help = "see the log of nadmit, or of who makes the certificate (cert-manager, OpenShift's service CA)";
    until(client, hooks, patience, what, help, knows).await
}

async fn until(
    client: &Client,
    wanted: &Value,
    patience: Duration,
    what: String,
    help: &'static str,
    holds: impl Fn(&DynamicObject) -> Result<(), String>,
) -> Result<(), InstallError> {
    let (api, end) = (object::api(client, wanted), Instant::now() + patience);
    loop {
        let found = api.get_opt(object::name(wanted)).await;
        let last = match found {
            Ok(Some(found)) => match holds(&found) {
                Ok(()) => return Ok(()),
                Err(last) => last,
            },
            Ok(None) => "it is not there".to_owned(),
            Err(error) => InstallError::of("read it", &error).to_string(),
        };
        if Instant::now() >= end {
            let seconds = patience.as_secs();
            return Err(InstallError::Late {
                what,
                seconds,
                last,
                help,
            });
        }
        sleep(LOOK).await;
    }
}

fn condition(found: &DynamicObject, kind: &str) -> bool {
    let conditions = found.data["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == kind && one["status"] == "True")
}
