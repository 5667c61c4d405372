//! What an installation may be told: where certificates come from, which image, and a few settings.

use serde_json::{Value, json};

use super::{CONFIG, InstallError, Isolation, SETTINGS, object};
use crate::{config::Config, rules::Mode};

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
    /// The overlay.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfManaged => "self-managed",
            Self::CertManager => "cert-manager",
            Self::OpenShift => "openshift",
        }
    }
}

/// What is said of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Where the certificate comes from.
    pub certificates: Certificates,
    /// What comes of findings; as the manifests say, `warn`, if nothing is said.
    pub mode: Option<Mode>,
    /// The image, instead of that of the manifests.
    pub image: Option<String>,
    /// How many replicas, instead of two.
    pub replicas: Option<u32>,
    /// How Multus isolates namespaces.
    pub isolation: Option<Isolation>,
    /// Whether the Prometheus operator finds nadmit.
    pub monitoring: bool,
    /// Whether pods that ask for networks are refused while nadmit does not answer.
    pub fail_closed: bool,
}

/// Changes the objects as the settings say.
pub(super) fn apply(settings: &Settings, objects: &mut [Value]) -> Result<(), InstallError> {
    for one in objects {
        match (object::kind(one), object::name(one)) {
            ("Deployment", _) => deploy(settings, one),
            ("ConfigMap", CONFIG) => configure(settings, one)?,
            _ => {}
        }
    }
    Ok(())
}

fn deploy(settings: &Settings, deployment: &mut Value) {
    if let Some(replicas) = settings.replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    if let Some(image) = &settings.image {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    }
}

/// Writes what is said into the settings of a ConfigMap; what else stands there stays.
pub(super) fn configure(settings: &Settings, config: &mut Value) -> Result<(), InstallError> {
    let text = config["data"][SETTINGS].as_str().unwrap_or_default();
    let mut text = text.to_owned();
    if let Some(mode) = settings.mode {
        text = with_key(&text, "mode", mode.name());
    }
    if let Some(isolation) = &settings.isolation {
        text = with_key(&text, "namespaceIsolation", &isolation.isolates.to_string());
        if !isolation.global.is_empty() {
            let names: Vec<String> = isolation
                .global
                .iter()
                .map(|name| json!(name).to_string())
                .collect();
            text = with_key(
                &text,
                "globalNamespaces",
                &format!("[{}]", names.join(", ")),
            );
        }
    }
    Config::parse(&text, SETTINGS).map_err(|errors| InstallError::Settings(errors.to_string()))?;
    config["data"][SETTINGS] = json!(text);
    Ok(())
}

/// The text with this value at a key of its first level: in the place of what was there, or at the end.
fn with_key(text: &str, key: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    let mut written = false;
    let line = format!("{key}: {value}\n");
    while let Some(one) = lines.next() {
        let is_key = one
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with(':'));
        if !is_key {
            out.push_str(one);
            out.push('\n');
            continue;
        }
        out.push_str(&line);
        written = true;
        // What belonged to the value before.
        while lines
            .next_if(|next| next.starts_with([' ', '-', '\t']))
            .is_some()
        {}
    }
    if !written {
        out.push_str(&line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_where_it_stands_or_at_the_end() {
        let text = "# a comment\nmode: warn\nglobalNamespaces:\n- a\n- b\nprofile: strict\n";
        assert_eq!(
            with_key(text, "mode", "deny"),
            "# a comment\nmode: deny\nglobalNamespaces:\n- a\n- b\nprofile: strict\n"
        );
        assert_eq!(
            with_key(text, "globalNamespaces", "[c]"),
            "# a comment\nmode: warn\nglobalNamespaces: [c]\nprofile: strict\n"
        );
        assert_eq!(with_key("", "mode", "deny"), "mode: deny\n");
        assert_eq!(with_key("a: 1", "mode", "deny"), "a: 1\nmode: deny\n");
    }

    #[test]
    fn what_an_administrator_has_set_stays() {
        let settings = Settings {
            mode: Some(Mode::Deny),
            isolation: Some(Isolation {
                isolates: false,
                global: vec!["default".into(), "shared".into()],
                source: "a test".into(),
            }),
            ..Settings::default()
        };
        let mut config = json!({"data": {SETTINGS: "profile: strict\nmode: warn\n"}});
        configure(&settings, &mut config).expect("settings");
        let text = config["data"][SETTINGS].as_str().unwrap_or_default();
        let policy = Config::parse(text, "").expect("settings").policy;
        assert_eq!(policy.profile().name(), "strict");
        assert_eq!(policy.mode, Mode::Deny);
        assert!(!policy.namespace_isolation && policy.global_namespaces.contains("shared"));
    }

    #[test]
    fn settings_that_are_broken_already_are_named_and_left_alone() {
        let mut config = json!({"data": {SETTINGS: "profil: strict\n"}});
        let error = configure(&Settings::default(), &mut config).expect_err("an error");
        assert!(error.to_string().contains("profil"), "{error}");
        assert_eq!(config["data"][SETTINGS], "profil: strict\n");
    }
}
