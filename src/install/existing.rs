//! The existing installation in the cluster, whose options are kept.

use std::collections::BTreeSet;

use kube::Client;
use serde_json::Value;

use super::{
    CONFIG_MAP, Certificates, InstallError, InstallSettings, NAME, NAMESPACE, SETTINGS_KEY,
    TlsProfile, config_text::ConfigText, object, rights::granted_namespaces,
};

/// Prefix of the manifests' image, before the version.
const DEFAULT_IMAGE: &str = "nadmit:";
/// Webhook whose failurePolicy `--fail-closed` sets.
const PODS_WEBHOOK: &str = "pods.nadmit.io";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Annotations that mark the objects of a Helm release.
pub(super) const HELM_ANNOTATIONS: [&str; 2] = [RELEASE_NAME, RELEASE_NAMESPACE];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExistingInstallation {
    /// Options of the installation.
    pub settings: InstallSettings,
    /// True if its webhooks are registered.
    pub is_registered: bool,
    /// Helm release that it belongs to.
    pub release: Option<HelmRelease>,
    /// Namespaces in which it may write Whereabouts's records.
    pub granted: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmRelease {
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
}

/// Objects that the options are read from.
#[derive(Debug, Default)]
struct ExistingObjects {
    deployment: Option<Value>,
    validating: Option<Value>,
    service_monitor: Option<Value>,
    config: Option<Value>,
    /// Namespaces in which nadmit may write Whereabouts's records.
    granted: BTreeSet<String>,
}

impl ExistingInstallation {
    /// Reads the installation from a cluster.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn read(client: &Client) -> Result<Self, InstallError> {
        let hooks = "admissionregistration.k8s.io/v1";
        let own = Some(NAMESPACE);
        let objects = ExistingObjects {
            deployment: read(client, "apps/v1", "Deployment", own, NAME).await?,
            validating: read(client, hooks, "ValidatingWebhookConfiguration", None, NAME).await?,
            service_monitor: read(
                client,
                "monitoring.coreos.com/v1",
                "ServiceMonitor",
                own,
                NAME,
            )
            .await?,
            config: read(client, "v1", "ConfigMap", own, CONFIG_MAP).await?,
            granted: granted_namespaces(client).await?,
        };
        Ok(Self::from_objects(&objects))
    }

    fn from_objects(objects: &ExistingObjects) -> Self {
        let config = objects.config.as_ref();
        let text = config.and_then(|config| config["data"][SETTINGS_KEY].as_str());
        let whereabouts = text.and_then(|text| ConfigText(text.to_owned()).whereabouts());
        let injection = text.and_then(|text| ConfigText(text.to_owned()).injection());
        let Some(deployment) = &objects.deployment else {
            let release = objects.validating.as_ref().and_then(HelmRelease::of);
            return Self {
                settings: InstallSettings {
                    whereabouts,
                    injection,
                    ..InstallSettings::default()
                },
                is_registered: objects.validating.is_some(),
                release,
                granted: objects.granted.clone(),
            };
        };
        let image = deployment.pointer("/spec/template/spec/containers/0/image");
        let image = image.and_then(Value::as_str).map(str::to_owned);
        let replicas = deployment["spec"]["replicas"].as_u64();
        let validating = objects.validating.as_ref();
        let fail_closed = validating.and_then(|found| {
            let mut hooks = found["webhooks"].as_array()?.iter();
            let pods = hooks.find(|hook| hook["name"] == PODS_WEBHOOK)?;
            Some(pods["failurePolicy"] == "Fail")
        });
        Self {
            settings: InstallSettings {
                certificates: overlay_of(deployment, validating),
                image: image.filter(|image| !is_default(image)),
                replicas: replicas.and_then(|count| count.try_into().ok()),
                monitoring: Some(objects.service_monitor.is_some()),
                fail_closed,
                // These are in the ConfigMap, whose text is kept.
                mode: None,
                isolation: None,
                inline_pools: None,
                tls: TlsProfile::of_flags(deployment),
                // These are there, too, and select components.
                whereabouts,
                injection,
                whereabouts_namespace: objects.granted.first().cloned(),
            },
            is_registered: validating.is_some(),
            release: HelmRelease::of(deployment).or_else(|| validating.and_then(HelmRelease::of)),
            granted: objects.granted.clone(),
        }
    }
}

/// Returns true for the image of a release's manifests, as opposed to one that was set.
fn is_default(image: &str) -> bool {
    let tag = image.strip_prefix(DEFAULT_IMAGE).unwrap_or_default();
    let mut parts = tag.split('.');
    tag.matches('.').count() == 2 && parts.all(|part| part.parse::<u32>().is_ok())
}

impl InstallSettings {
    /// Returns these options, with missing ones taken from `earlier`.
    pub fn or_existing(self, earlier: &Self) -> Self {
        Self {
            certificates: self.certificates.or(earlier.certificates),
            mode: self.mode.or(earlier.mode),
            image: self.image.or_else(|| earlier.image.clone()),
            replicas: self.replicas.or(earlier.replicas),
            isolation: self.isolation.or_else(|| earlier.isolation.clone()),
            tls: self.tls.or_else(|| earlier.tls.clone()),
            monitoring: self.monitoring.or(earlier.monitoring),
            fail_closed: self.fail_closed.or(earlier.fail_closed),
            whereabouts: self.whereabouts.or(earlier.whereabouts),
            whereabouts_namespace: self
                .whereabouts_namespace
                .or_else(|| earlier.whereabouts_namespace.clone()),
            inline_pools: self.inline_pools.or(earlier.inline_pools),
            injection: self.injection.or(earlier.injection),
        }
    }
}

impl HelmRelease {
    /// Returns the Helm release of an object, from its annotations.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
        Some(Self {
            name: annotation(RELEASE_NAME)?.to_owned(),
            namespace: annotation(RELEASE_NAMESPACE)?.to_owned(),
        })
    }
}

async fn read(
    client: &Client,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, InstallError> {
    let api = object::api_of(client, version, kind, namespace);
    let found = object::get(&api, name).await;
    let found = found.map_err(|error| InstallError::of(format!("read {kind} {name}"), &error))?;
    Ok(found.map(|found| serde_json::to_value(found).unwrap_or_default()))
}

/// Returns the overlay that the objects were installed from.
fn overlay_of(deployment: &Value, validating: Option<&Value>) -> Option<Certificates> {
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args");
    let mut arguments = arguments.and_then(Value::as_array)?.iter();
    let is_kept = |argument: &Value| {
        let argument = argument.as_str().unwrap_or_default();
        argument.starts_with("--tls-secret")
    };
    if arguments.any(is_kept) {
        return Some(Certificates::SelfManaged);
    }
    let annotations = &validating?["metadata"]["annotations"];
    if annotations["cert-manager.io/inject-ca-from"].is_string() {
        Some(Certificates::CertManager)
    } else if annotations["service.beta.openshift.io/inject-cabundle"].is_string() {
        Some(Certificates::OpenShift)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::WhereaboutsMode,
        install::{manifests, settings::WHEREABOUTS_ROLE},
    };

    fn objects(settings: &InstallSettings) -> ExistingObjects {
        let all = manifests(settings).expect("manifests");
        // The dashboard is a ConfigMap, too.
        let is_own = |one: &Value| object::name(one) != "nadmit-dashboard";
        let one = |kind: &str| {
            let mut of_kind = all.iter().filter(|one| one["kind"] == kind);
            of_kind.find(|one| is_own(one)).cloned()
        };
        ExistingObjects {
            deployment: one("Deployment"),
            validating: one("ValidatingWebhookConfiguration"),
            service_monitor: one("ServiceMonitor"),
            config: one("ConfigMap"),
            granted: all
                .iter()
                .filter(|one| object::name(one) == WHEREABOUTS_ROLE)
                .filter_map(|one| one["metadata"]["namespace"].as_str().map(str::to_owned))
                .collect(),
        }
    }

    #[test]
    fn every_option_is_read_back_from_the_objects_that_it_makes() {
        for certificates in Certificates::ALL {
            for (monitoring, fail_closed, namespace) in
                [(true, false, None), (false, true, Some("openshift-multus"))]
            {
                let whereabouts = match namespace {
                    Some(_) => WhereaboutsMode::Serve,
                    None => WhereaboutsMode::Observe,
                };
                let settings = InstallSettings {
                    certificates: Some(certificates),
                    image: Some("registry.example:5000/nadmit@sha256:0".to_owned()),
                    replicas: Some(5),
                    monitoring: Some(monitoring),
                    fail_closed: Some(fail_closed),
                    whereabouts: Some(whereabouts),
                    whereabouts_namespace: namespace.map(str::to_owned),
                    ..InstallSettings::default()
                };
                assert_eq!(
                    ExistingInstallation::from_objects(&objects(&settings)).settings,
                    settings
                );
            }
        }
    }

    #[test]
    fn the_settings_say_whether_networks_of_whereabouts_are_served() {
        let serving = InstallSettings {
            whereabouts: Some(WhereaboutsMode::Serve),
            ..InstallSettings::default()
        };
        for (text, expected) in [
            ("whereabouts: observe\n", Some(WhereaboutsMode::Observe)),
            ("mode: deny\n", Some(WhereaboutsMode::Observe)),
            ("whereabouts: serve\n", Some(WhereaboutsMode::Serve)),
            ("whereabouts: sometimes\n", None),
        ] {
            let mut objects = objects(&serving);
            let Some(config) = &mut objects.config else {
                panic!("no ConfigMap");
            };
            config["data"][SETTINGS_KEY] = text.into();
            let found = ExistingInstallation::from_objects(&objects);
            assert_eq!(found.settings.whereabouts, expected, "{text}");
            assert_eq!(found.granted, BTreeSet::from(["kube-system".to_owned()]));
        }
    }

    #[test]
    fn the_image_of_the_manifests_is_not_one_that_somebody_set() {
        let earlier = ExistingInstallation::from_objects(&objects(&InstallSettings::default()));
        assert_eq!(earlier.settings.image, None);
        assert_eq!(earlier.settings.replicas, Some(2));
    }

    #[test]
    fn an_image_of_the_same_name_that_somebody_set_is_kept() {
        for (image, expected) in [
            ("nadmit:0.1.0", true),
            ("nadmit:12.0.3", true),
            ("nadmit:test", false),
            ("nadmit:0.2.0-rc.1", false),
            ("nadmit:v0.1.0", false),
            ("nadmit", false),
            ("nadmit@sha256:0", false),
            ("registry.example/nadmit:0.1.0", false),
        ] {
            assert_eq!(is_default(image), expected, "{image}");
        }
    }

    #[test]
    fn a_given_option_takes_precedence_and_the_others_stay() {
        let earlier = InstallSettings {
            image: Some("one".to_owned()),
            replicas: Some(3),
            fail_closed: Some(true),
            monitoring: Some(true),
            certificates: Some(Certificates::CertManager),
            ..InstallSettings::default()
        };
        let given = InstallSettings {
            image: Some("another".to_owned()),
            fail_closed: Some(false),
            ..InstallSettings::default()
        };
        let expected = InstallSettings {
            image: Some("another".to_owned()),
            fail_closed: Some(false),
            ..earlier.clone()
        };
        assert_eq!(given.or_existing(&earlier), expected);
    }

    #[test]
    fn a_helm_release_is_recognized() {
        let mut objects = objects(&InstallSettings::default());
        let Some(deployment) = &mut objects.deployment else {
            panic!("no Deployment");
        };
        deployment["metadata"]["annotations"] =
            serde_json::json!({RELEASE_NAME: "net", RELEASE_NAMESPACE: "nadmit"});
        let release = ExistingInstallation::from_objects(&objects)
            .release
            .expect("a release");
        assert_eq!((&*release.name, &*release.namespace), ("net", "nadmit"));
    }
}
