//! Options of an installation: certificates, image, and a few settings.
//!
//! An option that is not given is `None`. Then the value in the cluster is kept
//! ([`ExistingInstallation`](super::ExistingInstallation)), or else that of the manifests.

use serde_json::{Value, json};

use super::{
    CONFIG_MAP, InstallError, Isolation, SETTINGS_KEY, TlsProfile, config_text::ConfigText, object,
};
use crate::{
    catalog::{InlinePools, WhereaboutsMode},
    rules::{Injection, Mode},
};

/// Name of the Role and RoleBinding in Whereabouts's namespace.
pub(super) const WHEREABOUTS_ROLE: &str = "nadmit-whereabouts";
/// Namespace of Whereabouts on OpenShift.
pub(super) const OPENSHIFT_WHEREABOUTS: &str = "openshift-multus";

/// Issuer of the certificate; selects an overlay of `deploy/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificates {
    /// nadmit creates and renews it.
    #[default]
    SelfManaged,
    /// cert-manager issues it.
    CertManager,
    /// OpenShift's service CA issues it.
    OpenShift,
}

impl Certificates {
    /// All issuers.
    pub const ALL: [Self; 3] = [Self::SelfManaged, Self::CertManager, Self::OpenShift];

    /// Returns the name of the overlay.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfManaged => "self-managed",
            Self::CertManager => "cert-manager",
            Self::OpenShift => "openshift",
        }
    }
}

/// Options of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstallSettings {
    /// Issuer of the certificate.
    pub certificates: Option<Certificates>,
    /// Mode: deny, warn or off.
    pub mode: Option<Mode>,
    /// Image of the container.
    pub image: Option<String>,
    /// Number of replicas.
    pub replicas: Option<u32>,
    /// Multus's namespace isolation.
    pub isolation: Option<Isolation>,
    /// TLS security profile of the cluster, if it has one.
    pub tls: Option<TlsProfile>,
    /// If true, the objects for the Prometheus operator are installed.
    pub monitoring: Option<bool>,
    /// If true, pods that request networks are rejected while nadmit does not respond.
    pub fail_closed: Option<bool>,
    /// Treatment of networks with IPAM Whereabouts.
    pub whereabouts: Option<WhereaboutsMode>,
    /// Namespace of Whereabouts's records; that of OpenShift or of upstream's manifests by default.
    pub whereabouts_namespace: Option<String>,
    /// Treatment of ranges in a static IPAM.
    pub inline_pools: Option<InlinePools>,
    /// Time at which pods get addresses.
    pub injection: Option<Injection>,
}

impl InstallSettings {
    /// Returns the effective issuer.
    pub fn certificates(&self) -> Certificates {
        self.certificates.unwrap_or_default()
    }

    /// Returns the namespace of Whereabouts's records; `None` for that of the manifests.
    pub(super) fn whereabouts_namespace(&self) -> Option<&str> {
        let on_openshift = self.certificates() == Certificates::OpenShift;
        let given = self.whereabouts_namespace.as_deref();
        given.or(on_openshift.then_some(OPENSHIFT_WHEREABOUTS))
    }

    /// Returns whether all new pods with networks are sent to nadmit.
    pub(super) fn injects_at_creation(&self) -> bool {
        self.injection == Some(Injection::Create)
    }

    /// Returns whether networks of Whereabouts are served.
    pub fn serves_whereabouts(&self) -> bool {
        self.whereabouts == Some(WhereaboutsMode::Serve)
    }
}

/// Applies the settings to the objects.
pub(super) fn apply(settings: &InstallSettings, objects: &mut [Value]) -> Result<(), InstallError> {
    for one in objects {
        match (object::kind(one), object::name(one)) {
            ("Deployment", _) => deploy(settings, one),
            ("ConfigMap", CONFIG_MAP) => configure(settings, one)?,
            ("Role" | "RoleBinding", WHEREABOUTS_ROLE) => {
                if let Some(namespace) = settings.whereabouts_namespace() {
                    one["metadata"]["namespace"] = json!(namespace);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn deploy(settings: &InstallSettings, deployment: &mut Value) {
    if let Some(replicas) = settings.replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    if let Some(image) = &settings.image {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    }
    if let Some(profile) = &settings.tls {
        profile.add_flags(deployment);
    }
}

/// Writes the given options to the settings of a ConfigMap; everything else in it stays.
pub(super) fn configure(
    settings: &InstallSettings,
    config: &mut Value,
) -> Result<(), InstallError> {
    let text = config["data"][SETTINGS_KEY].as_str().unwrap_or_default();
    let mut text = ConfigText(text.to_owned());
    if let Some(mode) = settings.mode {
        text.set_mode(mode);
    }
    if let Some(whereabouts) = settings.whereabouts {
        text.set_whereabouts(whereabouts);
    }
    if let Some(inline) = settings.inline_pools {
        text.set_inline_pools(inline);
    }
    if let Some(injection) = settings.injection {
        text.set_injection(injection);
    }
    text.check()?;
    if let Some(isolation) = &settings.isolation {
        // The outcome was reported when the settings were read first.
        text.adopt_isolation(isolation);
    }
    config["data"][SETTINGS_KEY] = json!(text.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        rules::{NamespaceIsolation, Policy},
    };

    fn policy(config: &Value) -> Policy {
        let text = config["data"][SETTINGS_KEY].as_str().unwrap_or_default();
        Config::parse(text, "").expect("settings").policy
    }

    #[test]
    fn what_an_administrator_has_set_stays() {
        let settings = InstallSettings {
            mode: Some(Mode::Deny),
            isolation: Some(Isolation {
                isolates: true,
                global: vec!["default".into(), "shared".into()],
                source: "a test".into(),
            }),
            ..InstallSettings::default()
        };
        let mut config = json!({"data": {SETTINGS_KEY: "profile: strict\nmode: warn\n"}});
        configure(&settings, &mut config).expect("settings");
        let policy = policy(&config);
        assert_eq!(policy.profile().name(), "strict");
        assert_eq!(policy.mode, Mode::Deny);
        assert_eq!(policy.namespace_isolation, Some(NamespaceIsolation::On));
        assert!(policy.global_namespaces.contains("shared"));
    }

    #[test]
    fn settings_that_are_broken_already_are_named_and_left_alone() {
        let mut config = json!({"data": {SETTINGS_KEY: "profil: strict\n"}});
        let error = configure(&InstallSettings::default(), &mut config).expect_err("an error");
        assert!(error.to_string().contains("profil"), "{error}");
        assert_eq!(config["data"][SETTINGS_KEY], "profil: strict\n");
    }
}
