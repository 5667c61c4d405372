//! TLS versions and cipher suites that the server offers.
//!
//! They use the names of OpenShift's TLS security profiles: versions as in Go, suites by their IANA
//! or OpenSSL names. As in Go, all TLS 1.3 suites are offered unless the list names some of them.

use rustls::{
    SupportedCipherSuite, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use thiserror::Error;

use nadmit_pki::provider;

/// A TLS version, by its name in Go and OpenShift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// `VersionTLS10`
    Tls10,
    /// `VersionTLS11`
    Tls11,
    /// `VersionTLS12`
    Tls12,
    /// `VersionTLS13`
    Tls13,
}

/// TLS versions and cipher suites on offer; by default all that rustls supports.
#[derive(Debug, Clone)]
pub struct TlsPolicy {
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<SupportedCipherSuite>,
    warnings: Vec<String>,
}

/// Error about a TLS policy that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsPolicyError {
    /// An unknown version name.
    #[error(
        "{name:?} is not a TLS version; write VersionTLS12 or VersionTLS13 (VersionTLS10 and VersionTLS11 \
         mean VersionTLS12)"
    )]
    Version {
        /// Name as given.
        name: String,
    },
    /// None of the named suites is supported.
    #[error(
        "--tls-cipher-suites {}: nadmit supports none of these; use at least one of {}",
        .named.join(","), .offered.join(", ")
    )]
    NoSuite {
        /// Names as given.
        named: Vec<String>,
        /// Names of the supported suites.
        offered: Vec<String>,
    },
}

impl std::str::FromStr for TlsVersion {
    type Err = TlsPolicyError;

    fn from_str(name: &str) -> Result<Self, TlsPolicyError> {
        Ok(match name {
            "VersionTLS10" => Self::Tls10,
            "VersionTLS11" => Self::Tls11,
            "VersionTLS12" => Self::Tls12,
            "VersionTLS13" => Self::Tls13,
            _ => {
                return Err(TlsPolicyError::Version {
                    name: name.to_owned(),
                });
            }
        })
    }
}

impl Default for TlsPolicy {
    fn default() -> Self {
        Self {
            versions: vec![&TLS13, &TLS12],
            suites: provider().cipher_suites.clone(),
            warnings: Vec::new(),
        }
    }
}

impl TlsPolicy {
    /// Creates a policy with the supported ones of the named suites (all, if none is named) from
    /// `min_version` on.
    ///
    /// # Errors
    /// Fails if suites are named and none of them is supported.
    pub fn new(min_version: TlsVersion, named: &[String]) -> Result<Self, TlsPolicyError> {
        let mut policy = Self::default();
        if min_version < TlsVersion::Tls12 {
            let warning = "nadmit does not support TLS before 1.2, and uses VersionTLS12 as --tls-min-version";
            policy.warnings.push(warning.to_owned());
        }
        let named: Vec<&str> = named.iter().map(|name| name.trim()).collect();
        let named: Vec<&str> = named.into_iter().filter(|name| !name.is_empty()).collect();
        if !named.is_empty() {
            policy.retain_named(&named)?;
        }
        let has_old = policy.suites.iter().any(|suite| !is_of_tls13(suite));
        if min_version == TlsVersion::Tls13 || !has_old {
            policy.versions = vec![&TLS13];
        }
        Ok(policy)
    }

    /// Removes suites that are not named.
    fn retain_named(&mut self, named: &[&str]) -> Result<(), TlsPolicyError> {
        let iana_names: Vec<&str> = named.iter().map(|name| iana_name(name)).collect();
        let offered: Vec<String> = self.suites.iter().map(name_of).collect();
        let missing: Vec<&str> = named
            .iter()
            .zip(&iana_names)
            .filter(|(_, iana)| !offered.iter().any(|name| name == *iana))
            .map(|(name, _)| *name)
            .collect();
        if missing.len() == named.len() {
            return Err(TlsPolicyError::NoSuite {
                named: named.iter().map(|&name| name.to_owned()).collect(),
                offered,
            });
        }
        if !missing.is_empty() {
            self.warnings.push(format!(
                "nadmit does not support these cipher suites of --tls-cipher-suites, and offers the others: {}",
                missing.join(", ")
            ));
        }
        let is_named =
            |suite: &SupportedCipherSuite| iana_names.iter().any(|name| *name == name_of(suite));
        let names_new = self
            .suites
            .iter()
            .any(|suite| is_of_tls13(suite) && is_named(suite));
        self.suites
            .retain(|suite| is_named(suite) || (is_of_tls13(suite) && !names_new));
        Ok(())
    }

    pub(super) fn versions(&self) -> &[&'static SupportedProtocolVersion] {
        &self.versions
    }

    pub(super) fn suites(&self) -> &[SupportedCipherSuite] {
        &self.suites
    }

    /// Returns warnings about requested versions and suites that are not offered.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn is_of_tls13(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

/// Returns the IANA name; rustls writes `TLS13_` where IANA writes `TLS_`.
fn name_of(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name.to_owned(),
    }
}

/// Maps OpenSSL names and old Go names of suites to IANA names; returns other names unchanged.
fn iana_name(name: &str) -> &str {
    match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256" => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384" => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384" => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => {
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        "ECDHE-RSA-CHACHA20-POLY1305" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => {
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenShift's profile Intermediate.
    const INTERMEDIATE: &str = "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256,\
        ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256,ECDHE-ECDSA-AES256-GCM-SHA384,\
        ECDHE-RSA-AES256-GCM-SHA384,ECDHE-ECDSA-CHACHA20-POLY1305,ECDHE-RSA-CHACHA20-POLY1305,\
        DHE-RSA-AES128-GCM-SHA256,DHE-RSA-AES256-GCM-SHA384";

    fn policy(min_version: &str, suites: &str) -> Result<TlsPolicy, TlsPolicyError> {
        let named: Vec<String> = suites.split(',').map(str::to_owned).collect();
        TlsPolicy::new(min_version.parse()?, &named)
    }

    fn offered(policy: &TlsPolicy) -> (usize, usize) {
        let new = policy.suites.iter().filter(|suite| is_of_tls13(suite));
        let new = new.count();
        (policy.suites.len() - new, new)
    }

    #[test]
    fn profiles_keep_supported_suites_and_warn_of_the_rest() {
        // least version, suites: versions, suites of TLS 1.2 and 1.3, what the warnings name
        let cases = [
            ("VersionTLS12", "", 2, (6, 3), ""),
            (
                "VersionTLS12",
                INTERMEDIATE,
                2,
                (6, 3),
                "DHE-RSA-AES128-GCM-SHA256, DHE-RSA-AES256-GCM-SHA384",
            ),
            (
                "VersionTLS10",
                "ECDHE-RSA-AES128-GCM-SHA256,DES-CBC3-SHA",
                2,
                (1, 3),
                "DES-CBC3-SHA",
            ),
            ("VersionTLS11", "", 2, (6, 3), "before 1.2"),
            ("VersionTLS13", "TLS_AES_128_GCM_SHA256", 1, (0, 1), ""),
            ("VersionTLS12", "TLS_AES_128_GCM_SHA256", 1, (0, 1), ""),
            (
                "VersionTLS12",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                2,
                (2, 3),
                "",
            ),
            // As in Go: the suites of TLS 1.3 are not those of this list.
            ("VersionTLS13", "ECDHE-RSA-AES128-GCM-SHA256", 1, (1, 3), ""),
        ];
        for (min_version, suites, versions, counts, warned) in cases {
            let policy = policy(min_version, suites).unwrap();
            assert_eq!(policy.versions.len(), versions, "{min_version} {suites}");
            assert_eq!(offered(&policy), counts, "{min_version} {suites}");
            let warnings = policy.warnings.join("; ");
            assert_eq!(warnings.is_empty(), warned.is_empty(), "{warnings}");
            assert!(warnings.contains(warned), "{warnings}");
        }
    }

    #[test]
    fn nothing_left_and_unknown_versions_are_errors_that_say_what_to_write() {
        let error = policy("VersionTLS12", "DES-CBC3-SHA,DHE-RSA-AES128-GCM-SHA256").unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("DES-CBC3-SHA,DHE-RSA-AES128-GCM-SHA256"),
            "{message}"
        );
        assert!(
            message.contains("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            "{message}"
        );
        let message = policy("1.2", "").unwrap_err().to_string();
        assert!(
            message.contains("\"1.2\"") && message.contains("VersionTLS12"),
            "{message}"
        );
    }
}
