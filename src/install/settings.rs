//! What an installation may be told: where certificates come from, which image, and a few settings.
//!
//! An option that is not given is `None`. What stands in the cluster already is then kept
//! ([`Earlier`](super::Earlier)), and without it the manifests decide.

use serde_json::{Value, json};

use super::{
    CONFIG_MAP, InstallError, Isolation, SETTINGS_KEY, TlsProfile, config_text::ConfigText, object,
};
use crate::rules::Mode;

/// Where the certificate comes from: an overlay of `deploy/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificates {
    /// nadmit makes it, and renews it.
    #[default]
    SelfManaged,
    /// cert-manager does.
    CertManager,
    /// OpenShift's service CA does.
    OpenShift,
}

impl Certificates {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SelfManaged, Self::CertManager, Self::OpenShift];

    /// The overlay.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfManaged => "self-managed",
            Self::CertManager => "cert-manager",
            Self::OpenShift => "openshift",
        }
    }
}

/// The options of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstallSettings {
    /// Where the certificate comes from.
    pub certificates: Option<Certificates>,
    /// What comes of findings.
    pub mode: Option<Mode>,
    /// The image.
    pub image: Option<String>,
    /// How many replicas.
    pub replicas: Option<u32>,
    /// How Multus isolates namespaces.
    pub isolation: Option<Isolation>,
    /// The TLS security profile of the cluster, if it has one.
    pub tls: Option<TlsProfile>,
    /// Whether the Prometheus operator finds nadmit.
    pub monitoring: Option<bool>,
    /// Whether pods that ask for networks are refused while nadmit does not answer.
    pub fail_closed: Option<bool>,
}

impl InstallSettings {
    /// The overlay that is applied.
    pub fn certificates(&self) -> Certificates {
        self.certificates.unwrap_or_default()
    }
}

/// Changes the objects as the settings say.
pub(super) fn apply(settings: &InstallSettings, objects: &mut [Value]) -> Result<(), InstallError> {
    for one in objects {
        match (object::kind(one), object::name(one)) {
            ("Deployment", _) => deploy(settings, one),
            ("ConfigMap", CONFIG_MAP) => configure(settings, one)?,
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

/// Writes what is said into the settings of a ConfigMap; what else stands there stays.
pub(super) fn configure(
    settings: &InstallSettings,
    config: &mut Value,
) -> Result<(), InstallError> {
    let text = config["data"][SETTINGS_KEY].as_str().unwrap_or_default();
    let mut text = ConfigText(text.to_owned());
    if let Some(mode) = settings.mode {
        text.set_mode(mode);
    }
    text.check()?;
    if let Some(isolation) = &settings.isolation {
        // What comes of it is said by who reads the settings first.
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
