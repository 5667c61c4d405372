//! Installs nadmit: applies every object server-side, in an order that blocks no pods.

use std::{collections::BTreeSet, time::Duration};

use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    CONFIG_MAP, ExistingInstallation, HelmRelease, InstallError, InstallProgress, InstallSettings,
    Isolation, NAMESPACE, ProgressFn, SETTINGS_KEY, TlsProfile,
    config_text::{ConfigText, IsolationAdoption},
    existing::HELM_ANNOTATIONS,
    manifests, object,
    remove::delete_monitoring,
    rights::{record_namespace, released, revoke},
    settings::configure,
    settings_rollout::{SettingsRollout, await_settings},
    wait::{available, established, gone, trusted},
    whereabouts::IpPoolCrd,
};

/// Field manager of the installer; the server's writes have others.
const MANAGER: &str = "nadmit-install";
/// Oldest Kubernetes version that supports the manifests.
const MIN_KUBERNETES: (u32, u32, &str) = (1, 30, "1.30 or newer");

/// Time to wait for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Do not wait: webhooks are registered before a replica is ready.
    No,
    /// Wait at most this long for each step.
    For(Duration),
}

/// Treatment of an installation that Helm manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelmPolicy {
    /// Leave it to Helm: installing over it is an error.
    Leave,
    /// Take over its objects.
    TakeOver,
}

/// A requested installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Given options.
    pub settings: InstallSettings,
    /// Time to wait for each step.
    pub wait: Wait,
    /// Treatment of an installation that Helm manages.
    pub release: HelmPolicy,
}

/// An installation combined with the options of the existing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallPlan {
    /// Effective options.
    pub settings: InstallSettings,
    is_registered: bool,
    drops_monitoring: bool,
    /// Namespaces in which nadmit loses its rights on Whereabouts's records.
    revoked: BTreeSet<String>,
    wait: Wait,
}

/// Reads the existing installation and plans the new one.
///
/// # Errors
/// When the cluster is too old or refuses, or Helm manages the existing installation.
pub async fn plan(
    client: &Client,
    installation: Installation,
    progress: ProgressFn<'_>,
) -> Result<InstallPlan, InstallError> {
    check_version(client).await?;
    ensure_namespace_usable(client, installation.wait, progress).await?;
    let earlier = ExistingInstallation::read(client).await?;
    if let Some(HelmRelease { name, namespace }) = &earlier.release {
        if installation.release == HelmPolicy::Leave {
            return Err(InstallError::ManagedByHelm {
                name: name.clone(),
                namespace: namespace.clone(),
                instead: format!(
                    "change it with helm upgrade {name} -n {namespace} --reuse-values --set mode=deny (and so \
                     on), or add --take-over to manage these objects with nadmit install from now on"
                ),
            });
        }
        progress(InstallProgress::Note(format!(
            "taking over the objects of Helm release {namespace}/{name}; helm uninstall would still delete \
             them, so remove Helm's record: kubectl delete secret -n {namespace} -l owner=helm,name={name}"
        )));
    }
    let mut settings = installation.settings.clone().or_existing(&earlier.settings);
    if settings.certificates.is_none() && is_openshift(client).await {
        settings.certificates = Some(super::Certificates::OpenShift);
    }
    let without_interfaces = IpPoolCrd::Present {
        has_interfaces: false,
    };
    if settings.serves_whereabouts() && IpPoolCrd::read(client).await == without_interfaces {
        return Err(InstallError::OldWhereabouts);
    }
    if settings.serves_whereabouts() && installation.settings.whereabouts_namespace.is_none() {
        let detected = record_namespace(client).await;
        settings.whereabouts_namespace = detected.or(settings.whereabouts_namespace);
    }
    if let Some(note) = version_mismatch(&settings, &installation.settings) {
        progress(InstallProgress::Note(note));
    }
    let had_monitoring = earlier.settings.monitoring == Some(true);
    let revoked = match settings.serves_whereabouts() {
        true => BTreeSet::new(),
        false => earlier.granted,
    };
    Ok(InstallPlan {
        drops_monitoring: had_monitoring && settings.monitoring == Some(false),
        revoked,
        settings,
        is_registered: earlier.is_registered,
        wait: installation.wait,
    })
}

/// Installs nadmit, or updates an installation to the manifests of this program.
///
/// # Errors
/// When the cluster refuses, or replicas do not become ready. Applied objects stay; a repeated call
/// continues.
pub async fn install(
    client: &Client,
    plan: &InstallPlan,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let mut settings = plan.settings.clone();
    let existing = existing_settings(client).await?;
    if settings.isolation.is_none() {
        settings.isolation = isolation(client, existing.as_ref(), progress).await;
    }
    if is_openshift(client).await
        && let Some(profile) = tls_profile(client, progress).await
    {
        settings.tls = Some(profile);
    }
    let mut objects = manifests(&settings)?;
    let text = keep_settings(&settings, existing, &mut objects, progress)?;
    let (hooks, objects): (Vec<Value>, Vec<Value>) =
        objects.into_iter().partition(object::is_registration);
    for one in &objects {
        apply(client, one, progress).await?;
    }
    if plan.drops_monitoring {
        delete_monitoring(client, progress).await?;
    }
    if let Wait::For(timeout) = plan.wait {
        for one in objects
            .iter()
            .filter(|one| object::kind(one) == "CustomResourceDefinition")
        {
            established(client, one, timeout).await?;
        }
        progress(InstallProgress::Waiting("replicas to be ready".to_owned()));
        available(client, timeout, plan.is_registered).await?;
    }
    for hook in &hooks {
        apply(client, hook, progress).await?;
    }
    if let Wait::For(timeout) = plan.wait {
        progress(InstallProgress::Waiting(
            "the webhooks to trust the certificate".to_owned(),
        ));
        for hook in &hooks {
            trusted(client, hook, timeout).await?;
        }
        progress(InstallProgress::Waiting(
            "replicas to load the settings".to_owned(),
        ));
        progress(InstallProgress::Note(
            match await_settings(client, &text, timeout).await? {
                SettingsRollout::Complete(count) => {
                    format!("all replicas ({count}) use the settings in ConfigMap nadmit-config")
                }
                SettingsRollout::NotKnown(why) => format!(
                    "the settings are written, but it is unknown whether the replicas use them yet ({why}); \
                 Kubernetes may need two minutes to deliver them"
                ),
            },
        ));
    }
    cease_serving(client, plan, progress).await
}

/// Takes nadmit's rights on Whereabouts's records away, when the replicas have released everything there.
async fn cease_serving(
    client: &Client,
    plan: &InstallPlan,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    if plan.revoked.is_empty() {
        return Ok(());
    }
    let Wait::For(timeout) = plan.wait else {
        progress(InstallProgress::Note(
            "nadmit keeps its rights on Whereabouts's records until the replicas have released the addresses \
             there; to take them away, install again without --no-wait"
                .to_owned(),
        ));
        return Ok(());
    };
    progress(InstallProgress::Waiting(
        "replicas to release the addresses of Whereabouts".to_owned(),
    ));
    released(client, timeout).await?;
    revoke(client, plan.revoked.iter().map(String::as_str), progress).await
}

/// Waits until a terminating namespace is deleted, because it accepts no objects.
async fn ensure_namespace_usable(
    client: &Client,
    wait: Wait,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let api = object::api_of(client, "v1", "Namespace", None);
    let found = api.get_opt(NAMESPACE).await;
    let found =
        found.map_err(|error| InstallError::of(format!("read Namespace {NAMESPACE}"), &error))?;
    if found.is_none_or(|found| found.metadata.deletion_timestamp.is_none()) {
        return Ok(());
    }
    match wait {
        Wait::No => Err(InstallError::Terminating),
        Wait::For(timeout) => {
            progress(InstallProgress::Waiting(format!(
                "the deletion of namespace {NAMESPACE} to end"
            )));
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
            });
            gone(client, &namespace, timeout).await
        }
    }
}

/// Returns a note if the kept image has another version than this program.
fn version_mismatch(settings: &InstallSettings, given: &InstallSettings) -> Option<String> {
    let version = env!("CARGO_PKG_VERSION");
    let image = settings.image.as_deref()?;
    let tag = image.rsplit_once(':')?.1;
    let is_other = given.image.is_none() && tag != version && !tag.contains('/');
    is_other.then(|| {
        format!("the image stays {image}, but this is nadmit {version}; to change the image, add --image")
    })
}

/// Returns whether the cluster is OpenShift.
pub async fn is_openshift(client: &Client) -> bool {
    let groups = client.list_api_groups().await;
    groups.is_ok_and(|found| {
        found
            .groups
            .iter()
            .any(|group| group.name == "config.openshift.io")
    })
}

async fn check_version(client: &Client) -> Result<(), InstallError> {
    let info = client.apiserver_version().await;
    let info =
        info.map_err(|error| InstallError::of("read the version of the API server", &error))?;
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    let (major, minor, least) = MIN_KUBERNETES;
    match (number(&info.major), number(&info.minor)) {
        // With an unknown version, applying shows what the API server supports.
        (Some(found), Some(newer)) if (found, newer) < (major, minor) => {
            Err(InstallError::TooOld {
                found: format!("{found}.{newer}"),
                least,
            })
        }
        _ => Ok(()),
    }
}

/// Reads the TLS security profile of OpenShift's API servers, which webhooks must follow, too.
async fn tls_profile(client: &Client, progress: ProgressFn<'_>) -> Option<TlsProfile> {
    let read = TlsProfile::read(client).await;
    progress(InstallProgress::Note(match &read {
        Ok(profile) => format!(
            "the oldest TLS version is {}, from the TLS security profile {} of APIServer cluster",
            profile.min_version, profile.name
        ),
        Err(error) => format!(
            "cannot read the TLS security profile of the cluster, so the TLS versions stay as they are: {error}"
        ),
    }));
    read.ok()
}

/// Returns the data of the existing ConfigMap, if it exists.
async fn existing_settings(client: &Client) -> Result<Option<Value>, InstallError> {
    let api = object::api_of(client, "v1", "ConfigMap", Some(NAMESPACE));
    let existing = api.get_opt(CONFIG_MAP).await;
    let existing = existing
        .map_err(|error| InstallError::of("read ConfigMap nadmit/nadmit-config", &error))?;
    let data = existing.map(|existing| existing.data["data"].clone());
    Ok(data.filter(Value::is_object))
}

/// Reads Multus's namespace isolation, and reports whether it is adopted.
async fn isolation(
    client: &Client,
    existing: Option<&Value>,
    progress: ProgressFn<'_>,
) -> Option<Isolation> {
    let found = Isolation::read(client).await;
    let text = existing.and_then(|data| data[SETTINGS_KEY].as_str());
    let mut text = ConfigText(text.unwrap_or_default().to_owned());
    let set = text.isolates();
    progress(InstallProgress::Note(match (&found, set) {
        (Ok(found), _) => {
            let Isolation {
                isolates, source, ..
            } = found;
            match text.adopt_isolation(found) {
                IsolationAdoption::Written | IsolationAdoption::Agrees => {
                    format!("namespaceIsolation is {isolates}, as for Multus in {source}")
                }
                IsolationAdoption::Differs { isolates: set } => format!(
                    "namespaceIsolation stays {set} as set in ConfigMap nadmit-config, but Multus has {isolates} in \
                     {source}; to use that value, remove the key from the ConfigMap and install again"
                ),
                IsolationAdoption::NotWritten => format!(
                    "namespaceIsolation is {isolates} in {source}, but cannot be written into ConfigMap \
                     nadmit-config, which does not have one key per line; set it there"
                ),
            }
        }
        (Err(why), Some(set)) => {
            format!("namespaceIsolation stays {set}: the value of Multus is unknown ({why})")
        }
        (Err(why), None) => format!(
            "namespaceIsolation is not set, and the value of Multus is unknown ({why}): for networks of other \
             namespaces nadmit only warns; set the value of Multus in ConfigMap nadmit-config"
        ),
    }));
    found.ok()
}

/// Keeps the content of the existing ConfigMap, and returns the text of the settings.
fn keep_settings(
    settings: &InstallSettings,
    existing: Option<Value>,
    objects: &mut [Value],
    progress: ProgressFn<'_>,
) -> Result<String, InstallError> {
    let config = objects
        .iter_mut()
        .find(|one| object::name(one) == CONFIG_MAP);
    let Some(config) = config else {
        return Ok(String::new());
    };
    if let Some(existing) = existing {
        config["data"] = existing;
        configure(settings, config)?;
        progress(InstallProgress::Note(
            "the settings in ConfigMap nadmit-config stay as they are, except for the changes named here"
                .to_owned(),
        ));
    }
    let text = config["data"][SETTINGS_KEY].as_str().unwrap_or_default();
    Ok(text.to_owned())
}

/// Applies one object; skips an optional kind that the cluster does not have.
async fn apply(
    client: &Client,
    wanted: &Value,
    progress: ProgressFn<'_>,
) -> Result<(), InstallError> {
    let called = object::display_name(wanted);
    let parameters = PatchParams::apply(MANAGER).force();
    let api = object::api(client, wanted);
    match api
        .patch(object::name(wanted), &parameters, &Patch::Apply(wanted))
        .await
    {
        Ok(applied) => {
            if applied
                .metadata
                .annotations
                .is_some_and(|found| found.contains_key(HELM_ANNOTATIONS[0]))
            {
                let none = HELM_ANNOTATIONS.map(|key| (key.to_owned(), Value::Null));
                let none: serde_json::Map<String, Value> = none.into_iter().collect();
                let without = json!({"metadata": {"annotations": none}});
                let patched = api
                    .patch(
                        object::name(wanted),
                        &PatchParams::default(),
                        &Patch::Merge(&without),
                    )
                    .await;
                patched.map_err(|error| InstallError::of(format!("take over {called}"), &error))?;
            }
            progress(InstallProgress::Applied(called));
        }
        Err(kube::Error::Api(status)) if status.code == 404 && is_optional(wanted) => {
            let why = format!("the cluster has no {}", object::kind(wanted));
            progress(InstallProgress::Skipped(called, why));
        }
        Err(error) => return Err(InstallError::of(format!("apply {called}"), &error)),
    }
    Ok(())
}

/// Returns whether the object's kind is defined by another project.
fn is_optional(wanted: &Value) -> bool {
    let version = wanted["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("monitoring.coreos.com/")
}
