//! The keys of `nadmit.yaml`: this table is the one place that knows them.

use crate::{
    document::{DocumentNode, ObjectEntry},
    rules::{Injection, Level, Mode, NamespaceIsolation, Policy, Profile},
};

use super::reading::Reading;

/// How alike two keys must be to suggest one for the other (Jaro-Winkler, 0 to 1).
const LIKENESS: f64 = 0.8;

/// A key.
pub(super) struct ConfigKey {
    /// What it is called.
    pub name: &'static str,
    /// Takes its value; reports what is wrong with it.
    pub read: fn(&mut Reading, &str, &DocumentNode<'_>),
}

/// All keys, in the order in which they are applied.
pub(super) static KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "profile",
        read: profile,
    },
    ConfigKey {
        name: "mode",
        read: |reading, key, value| {
            let names = Mode::ALL.map(Mode::name);
            if let Some(mode) = reading.choice(key, value, "a mode", "modes", &names) {
                reading.policy.mode = mode;
            }
        },
    },
    ConfigKey {
        name: "rules",
        read: rules,
    },
    ConfigKey {
        name: "namespaceIsolation",
        read: |reading, key, value| {
            if let Some(value) = reading.boolean(key, value) {
                let value = NamespaceIsolation::of(value);
                reading.policy.namespace_isolation = Some(value);
            }
        },
    },
    ConfigKey {
        name: "globalNamespaces",
        read: |reading, key, value| {
            // Of none at all Multus makes its own default, which the policy already has.
            let namespaces = reading.namespaces(key, value);
            if !namespaces.is_empty() {
                reading.policy.global_namespaces = namespaces;
            }
        },
    },
    ConfigKey {
        name: "excludedNamespaces",
        read: |reading, key, value| {
            reading.policy.excluded_namespaces = reading.namespaces(key, value);
        },
    },
    ConfigKey {
        name: "immutableAttachments",
        read: |reading, key, value| {
            if let Some(value) = reading.boolean(key, value) {
                reading.policy.immutable_attachments = value;
            }
        },
    },
    ConfigKey {
        name: "ownUsers",
        read: |reading, key, value| {
            reading.policy.own_users = reading.users(key, value);
        },
    },
    ConfigKey {
        name: "kubevirtUsers",
        read: |reading, key, value| {
            reading.policy.kubevirt_users = reading.users(key, value);
        },
    },
    ConfigKey {
        name: "operatorUsers",
        read: |reading, key, value| {
            reading.policy.operator_users = reading.users(key, value);
        },
    },
    ConfigKey {
        name: "whereaboutsNamespaces",
        read: |reading, key, value| {
            reading.policy.whereabouts_namespaces = reading.namespaces(key, value);
        },
    },
    ConfigKey {
        name: "workloads",
        read: |reading, key, value| {
            let levels = [Level::Off, Level::Warn, Level::Deny].map(Level::name);
            if let Some(level) = reading.choice(key, value, "a level", "levels", &levels) {
                reading.policy.workload_level = level;
            }
        },
    },
    ConfigKey {
        name: "injection",
        read: |reading, key, value| {
            let names = Injection::ALL.map(Injection::name);
            let injection = reading.choice(key, value, "a moment", "the choices", &names);
            reading.policy.injection = injection.or(reading.policy.injection);
        },
    },
    ConfigKey {
        name: "multusNamespace",
        read: |reading, key, value| {
            if let Some(namespace) = reading.namespace(key, value) {
                reading.policy.multus_namespace = namespace;
            }
        },
    },
];

fn profile(reading: &mut Reading, key: &str, value: &DocumentNode<'_>) {
    let names = Profile::ALL.map(Profile::name);
    if let Some(profile) = reading.choice(key, value, "a profile", "profiles", &names) {
        reading.policy = Policy::of(profile);
    }
}

fn rules(reading: &mut Reading, key: &str, value: &DocumentNode<'_>) {
    let Some(entries) = value.entries() else {
        return reading.wrong_kind(value, key, "an object of rules and their levels");
    };
    let levels = [Level::Off, Level::Warn, Level::Deny].map(Level::name);
    for ObjectEntry { key: code, value } in reading.unique(key, entries) {
        let field = format!("{key}.{code}", code = code.string().unwrap_or_default());
        let level = reading.choice(&field, value, "a level", "levels", &levels);
        // A level that is none does not hide that the rule is none either.
        let level = level.unwrap_or(Level::Deny);
        let Some(code_text) = code.string() else {
            reading.wrong_kind(code, "this key", "the code of a rule");
            continue;
        };
        if let Err(error) = reading.policy.set_level(code_text, level) {
            reading.fault(code, error.into());
        }
    }
}

/// The key most like `text`, if one is like it.
pub(super) fn similar(text: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(key.name, text), key.name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
