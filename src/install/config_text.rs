//! Edits `nadmit.yaml` in the ConfigMap key by key, preserving comments and everything else.

use super::{InstallError, Isolation, SETTINGS_KEY};
use crate::{
    catalog::{InlinePools, WhereaboutsMode},
    config::Config,
    rules::{Injection, Mode},
};

const ISOLATION_KEY: &str = "namespaceIsolation";
const GLOBAL_KEY: &str = "globalNamespaces";
/// Comment after a value that was read from Multus. Only such values are updated later.
const READ_FROM_MULTUS: &str = "# read from Multus: ";

/// Outcome of adopting Multus's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IsolationAdoption {
    /// The setting was written.
    Written,
    /// An administrator has set another value, which stays.
    Differs {
        /// The value of `namespaceIsolation` that stays.
        isolates: bool,
    },
    /// An administrator has set the same value.
    Agrees,
    /// The settings are in a YAML form to which no key can be added by line.
    NotWritten,
}

/// The text of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigText(pub(super) String);

impl ConfigText {
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.0 = with_key(&self.0, "mode", mode.name());
    }

    /// Writes the treatment of networks of Whereabouts, unless it is set to this value already.
    pub(super) fn set_whereabouts(&mut self, mode: WhereaboutsMode) {
        if self.whereabouts() != Some(mode) {
            self.0 = with_key(&self.0, "whereabouts", mode.name());
        }
    }

    /// Writes whether ranges in a static IPAM are a pool.
    pub(super) fn set_inline_pools(&mut self, inline: InlinePools) {
        self.0 = with_key(&self.0, "inlinePools", inline.name());
    }

    /// Returns the treatment of networks of Whereabouts; `None` if the settings are invalid.
    pub(super) fn whereabouts(&self) -> Option<WhereaboutsMode> {
        let policy = Config::parse(&self.0, SETTINGS_KEY).ok()?.policy;
        Some(policy.pool_derivation.whereabouts)
    }

    /// Writes the time at which pods get addresses, unless it is set to this one already.
    pub(super) fn set_injection(&mut self, injection: Injection) {
        if self.injection() != Some(injection) {
            self.0 = with_key(&self.0, "injection", injection.name());
        }
    }

    /// Returns the time at which pods get addresses; `None` if it is not set or the settings are invalid.
    pub(super) fn injection(&self) -> Option<Injection> {
        Config::parse(&self.0, SETTINGS_KEY).ok()?.policy.injection
    }

    /// Writes Multus's setting unless an administrator has set one.
    pub(super) fn adopt_isolation(&mut self, isolation: &Isolation) -> IsolationAdoption {
        let set = self.isolates();
        if set.is_some() && !self.is_from_multus(ISOLATION_KEY) {
            // The two keys are adopted independently.
            self.adopt_global(isolation);
            return match set {
                Some(isolates) if isolates != isolation.isolates => {
                    IsolationAdoption::Differs { isolates }
                }
                _ => IsolationAdoption::Agrees,
            };
        }
        let before = self.0.clone();
        let value = format!(
            "{}  {READ_FROM_MULTUS}{}",
            isolation.isolates, isolation.source
        );
        self.0 = with_key(&self.0, ISOLATION_KEY, &value);
        self.adopt_global(isolation);
        if self.check().is_err() {
            self.0 = before;
            return IsolationAdoption::NotWritten;
        }
        IsolationAdoption::Written
    }

    fn adopt_global(&mut self, isolation: &Isolation) {
        if line(&self.0, GLOBAL_KEY).is_some() && !self.is_from_multus(GLOBAL_KEY) {
            return;
        }
        if isolation.global.is_empty() {
            self.0 = without_key(&self.0, GLOBAL_KEY);
            return;
        }
        let names: Vec<String> = isolation
            .global
            .iter()
            .map(|name| serde_json::json!(name).to_string())
            .collect();
        let value = format!(
            "[{}]  {READ_FROM_MULTUS}{}",
            names.join(", "),
            isolation.source
        );
        self.0 = with_key(&self.0, GLOBAL_KEY, &value);
    }

    /// Returns `namespaceIsolation`, if it is set.
    pub(super) fn isolates(&self) -> Option<bool> {
        let policy = Config::parse(&self.0, SETTINGS_KEY).ok()?.policy;
        let set = policy.namespace_isolation?;
        Some(set == crate::rules::NamespaceIsolation::On)
    }

    /// Returns whether `namespaceIsolation` was read from Multus and is updated by the next installation.
    pub(super) fn follows_multus(&self) -> bool {
        self.is_from_multus(ISOLATION_KEY)
    }

    /// Returns whether the value of this key was read from Multus.
    fn is_from_multus(&self, key: &str) -> bool {
        line(&self.0, key).is_some_and(|line| line.contains(READ_FROM_MULTUS))
    }

    /// Validates the settings like the server.
    pub(super) fn check(&self) -> Result<(), InstallError> {
        let read = Config::parse(&self.0, SETTINGS_KEY);
        read.map_err(|errors| InstallError::Settings(errors.to_string()))
            .map(drop)
    }
}

fn has_key(line: &str, key: &str) -> bool {
    let rest = line.strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
}

fn line<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find(|line| has_key(line, key))
}

/// Returns the text with this value of a top-level key, replaced in place or appended.
fn with_key(text: &str, key: &str, value: &str) -> String {
    replaced(text, key, Some(&format!("{key}: {value}\n")))
}

/// Returns the text without a top-level key.
fn without_key(text: &str, key: &str) -> String {
    replaced(text, key, None)
}

fn replaced(text: &str, key: &str, line: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    let mut rest = line;
    while let Some(one) = lines.next() {
        if !has_key(one, key) {
            out.push_str(one);
            out.push('\n');
            continue;
        }
        out.push_str(rest.take().unwrap_or_default());
        // Lines of the old value.
        while lines
            .next_if(|next| next.starts_with([' ', '-', '\t']))
            .is_some()
        {}
    }
    out.push_str(rest.unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multus(isolates: bool, global: &[&str]) -> Isolation {
        Isolation {
            isolates,
            global: global.iter().map(|name| (*name).to_owned()).collect(),
            source: "DaemonSet kube-system/multus".to_owned(),
        }
    }

    fn adopted(text: &str, isolation: &Isolation) -> (IsolationAdoption, String) {
        let mut config = ConfigText(text.to_owned());
        let adopted = config.adopt_isolation(isolation);
        (adopted, config.0)
    }

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
        assert_eq!(
            without_key(text, "globalNamespaces"),
            "# a comment\nmode: warn\nprofile: strict\n"
        );
    }

    #[test]
    fn multus_setting_is_written_unless_an_administrator_has_set_one() {
        let (done, text) = adopted("mode: warn\n", &multus(true, &["default", "shared"]));
        assert_eq!(done, IsolationAdoption::Written);
        assert_eq!(
            text,
            "mode: warn\n\
             namespaceIsolation: true  # read from Multus: DaemonSet kube-system/multus\n\
             globalNamespaces: [\"default\", \"shared\"]  # read from Multus: DaemonSet kube-system/multus\n"
        );
        // Later installations update it.
        let (done, text) = adopted(&text, &multus(false, &[]));
        assert_eq!(done, IsolationAdoption::Written);
        assert_eq!(
            text,
            "mode: warn\nnamespaceIsolation: false  # read from Multus: DaemonSet kube-system/multus\n"
        );
    }

    #[test]
    fn what_somebody_has_set_stays() {
        let text = "namespaceIsolation: true\nglobalNamespaces: [mine]\n";
        for (isolation, expected) in [
            (
                multus(false, &[]),
                IsolationAdoption::Differs { isolates: true },
            ),
            (multus(true, &["other"]), IsolationAdoption::Agrees),
        ] {
            assert_eq!(adopted(text, &isolation), (expected, text.to_owned()));
        }
        let (done, text) = adopted("globalNamespaces:\n- mine\n", &multus(true, &["other"]));
        assert_eq!(done, IsolationAdoption::Written);
        assert!(text.contains("- mine") && !text.contains("other"), "{text}");
    }

    #[test]
    fn a_form_without_lines_is_left_alone() {
        let text = "{mode: warn}\n";
        let (done, after) = adopted(text, &multus(true, &[]));
        assert_eq!((done, &*after), (IsolationAdoption::NotWritten, text));
    }
}
