//! OpenShift's TLS security profile, and the flags that make nadmit follow it.
//!
//! The named profiles are defined in openshift/api (`config/v1`, `TLSProfiles`); the default is
//! Intermediate.

use kube::Client;
use serde_json::{Value, json};

use super::{InstallError, object::api_of};

/// Flags of `nadmit serve`.
const MIN_VERSION: &str = "--tls-min-version=";
const CIPHER_SUITES: &str = "--tls-cipher-suites=";

const MODERN: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
/// Suites of Intermediate and Old that nadmit supports; nadmit would warn about the others at each start.
const INTERMEDIATE: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// TLS versions and cipher suites that a cluster requires of its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProfile {
    /// Name: Old, Intermediate, Modern or Custom.
    pub name: String,
    /// Oldest version, such as `VersionTLS12`.
    pub min_version: String,
    /// Cipher suites by IANA or OpenSSL name.
    pub cipher_suites: Vec<String>,
}

impl TlsProfile {
    /// Reads the profile of the API servers: `tlsSecurityProfile` of APIServer `cluster`.
    ///
    /// # Errors
    /// When the object cannot be read.
    pub(super) async fn read(client: &Client) -> Result<Self, InstallError> {
        let servers = api_of(client, "config.openshift.io/v1", "APIServer", None);
        let server = servers.get("cluster").await;
        let server = server.map_err(|error| InstallError::of("read APIServer cluster", &error))?;
        Ok(Self::of(&server.data["spec"]["tlsSecurityProfile"]))
    }

    /// Returns the profile of a `tlsSecurityProfile`.
    fn of(profile: &Value) -> Self {
        let name = profile["type"].as_str().unwrap_or("Intermediate");
        let (least, suites) = match name {
            "Custom" => {
                let custom = &profile["custom"];
                let suites = custom["ciphers"].as_array().into_iter().flatten();
                let suites = suites.filter_map(|suite| Some(suite.as_str()?.to_owned()));
                let least = custom["minTLSVersion"].as_str().unwrap_or("VersionTLS12");
                (least, suites.collect())
            }
            "Modern" => ("VersionTLS13", owned(MODERN)),
            // Old requires TLS 1.0 and suites that nadmit does not support.
            _ => ("VersionTLS12", owned(INTERMEDIATE)),
        };
        Self {
            name: name.to_owned(),
            min_version: least.to_owned(),
            cipher_suites: suites,
        }
    }

    /// Returns the profile in the flags of the Deployment's first container.
    pub(super) fn of_flags(deployment: &Value) -> Option<Self> {
        let args = deployment.pointer("/spec/template/spec/containers/0/args")?;
        let flag = |flag: &str| {
            let mut args = args.as_array()?.iter().filter_map(Value::as_str);
            args.find_map(|arg| arg.strip_prefix(flag))
        };
        let suites = flag(CIPHER_SUITES).unwrap_or_default().split(',');
        let suites = suites.filter(|suite| !suite.is_empty());
        Some(Self {
            name: "of the installation".to_owned(),
            min_version: flag(MIN_VERSION)?.to_owned(),
            cipher_suites: suites.map(str::to_owned).collect(),
        })
    }

    /// Sets the flags of the Deployment's first container.
    pub(super) fn add_flags(&self, deployment: &mut Value) {
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        let Some(args) = container["args"].as_array_mut() else {
            return;
        };
        let is_ours = |arg: &Value| {
            let arg = arg.as_str().unwrap_or_default();
            arg.starts_with(MIN_VERSION) || arg.starts_with(CIPHER_SUITES)
        };
        args.retain(|arg| !is_ours(arg));
        args.push(json!(format!("{MIN_VERSION}{}", self.min_version)));
        if !self.cipher_suites.is_empty() {
            args.push(json!(format!(
                "{CIPHER_SUITES}{}",
                self.cipher_suites.join(",")
            )));
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_becomes_flags() {
        let custom = json!({"type": "Custom", "custom": {
            "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"],
            "minTLSVersion": "VersionTLS11",
        }});
        let intermediate = INTERMEDIATE.join(",");
        let modern = MODERN.join(",");
        let cases = [
            (Value::Null, "Intermediate", "VersionTLS12", &*intermediate),
            (
                json!({"type": "Old", "old": {}}),
                "Old",
                "VersionTLS12",
                &*intermediate,
            ),
            (
                json!({"type": "Modern", "modern": {}}),
                "Modern",
                "VersionTLS13",
                &*modern,
            ),
            (
                custom,
                "Custom",
                "VersionTLS11",
                "ECDHE-RSA-AES128-GCM-SHA256,DHE-RSA-AES128-GCM-SHA256",
            ),
        ];
        for (profile, name, least, suites) in cases {
            let profile = TlsProfile::of(&profile);
            assert_eq!(profile.name, name);
            let args = json!([
                "serve",
                "--tls-min-version=VersionTLS10",
                "--tls-cipher-suites=x"
            ]);
            let mut deployment =
                json!({"spec": {"template": {"spec": {"containers": [{"args": args}]}}}});
            profile.add_flags(&mut deployment);
            let kept = TlsProfile::of_flags(&deployment).map(|kept| kept.cipher_suites);
            assert_eq!(kept.as_ref(), Some(&profile.cipher_suites));
            assert_eq!(
                deployment["spec"]["template"]["spec"]["containers"][0]["args"],
                json!([
                    "serve",
                    format!("--tls-min-version={least}"),
                    format!("--tls-cipher-suites={suites}"),
                ])
            );
        }
    }
}
