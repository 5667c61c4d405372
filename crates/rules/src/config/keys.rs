//! The keys of `nadmit.yaml`: the only table that lists them.

use crate::{Injection, Level, Mode, NamespaceIsolation, Policy, Profile};
use nadmit_catalog::{InlinePools, WhereaboutsMode};
use nadmit_cni::document::{DocumentNode, ObjectEntry};

use super::reader::ConfigReader;

/// Minimum similarity of a suggested key (Jaro-Winkler, 0 to 1).
const SIMILARITY_THRESHOLD: f64 = 0.8;

/// A key with its reader.
pub(super) struct ConfigKey {
    /// Name of the key.
    pub name: &'static str,
    /// Applies the value; reports what is wrong with it.
    pub read: fn(&mut ConfigReader, &str, &DocumentNode<'_>),
}

/// All keys, in the order in which they are applied.
pub(super) static KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "profile",
        read: profile,
    },
    ConfigKey {
        name: "mode",
        read: |reader, key, value| {
            let names = Mode::ALL.map(Mode::name);
            if let Some(mode) = reader.choice(key, value, "a mode", "modes", &names) {
                reader.policy.mode = mode;
            }
        },
    },
    ConfigKey {
        name: "rules",
        read: rules,
    },
    ConfigKey {
        name: "namespaceIsolation",
        read: |reader, key, value| {
            if let Some(value) = reader.checker.boolean(value, key) {
                let value = NamespaceIsolation::of(value);
                reader.policy.namespace_isolation = Some(value);
            }
        },
    },
    ConfigKey {
        name: "globalNamespaces",
        read: |reader, key, value| {
            // For an empty list Multus uses its own default, which the policy already has.
            let namespaces = reader.namespaces(key, value);
            if !namespaces.is_empty() {
                reader.policy.global_namespaces = namespaces;
            }
        },
    },
    ConfigKey {
        name: "excludedNamespaces",
        read: |reader, key, value| {
            reader.policy.excluded_namespaces = reader.namespaces(key, value);
        },
    },
    ConfigKey {
        name: "immutableAttachments",
        read: |reader, key, value| {
            if let Some(value) = reader.checker.boolean(value, key) {
                reader.policy.immutable_attachments = value;
            }
        },
    },
    ConfigKey {
        name: "ownUsers",
        read: |reader, key, value| {
            reader.policy.own_users = reader.users(key, value);
        },
    },
    ConfigKey {
        name: "kubevirtUsers",
        read: |reader, key, value| {
            reader.policy.kubevirt_users = reader.users(key, value);
        },
    },
    ConfigKey {
        name: "operatorUsers",
        read: |reader, key, value| {
            reader.policy.operator_users = reader.users(key, value);
        },
    },
    ConfigKey {
        name: "whereaboutsNamespaces",
        read: |reader, key, value| {
            reader.policy.whereabouts_namespaces = reader.namespaces(key, value);
        },
    },
    ConfigKey {
        name: "workloads",
        read: |reader, key, value| {
            let levels = [Level::Off, Level::Warn, Level::Deny].map(Level::name);
            if let Some(level) = reader.choice(key, value, "a level", "levels", &levels) {
                reader.policy.workload_level = level;
            }
        },
    },
    ConfigKey {
        name: "injection",
        read: |reader, key, value| {
            let names = Injection::ALL.map(Injection::name);
            let injection = reader.choice(key, value, "a moment", "the choices", &names);
            reader.policy.injection = injection.or(reader.policy.injection);
        },
    },
    ConfigKey {
        name: "inlinePools",
        read: |reader, key, value| {
            let names = InlinePools::ALL.map(InlinePools::name);
            if let Some(inline) = reader.choice(key, value, "a choice", "the choices", &names) {
                reader.policy.pool_derivation.inline = inline;
            }
        },
    },
    ConfigKey {
        name: "whereabouts",
        read: |reader, key, value| {
            let names = WhereaboutsMode::ALL.map(WhereaboutsMode::name);
            if let Some(mode) = reader.choice(key, value, "a mode", "modes", &names) {
                reader.policy.pool_derivation.whereabouts = mode;
            }
        },
    },
    ConfigKey {
        name: "multusNamespace",
        read: |reader, key, value| {
            if let Some(namespace) = reader.namespace(key, value) {
                reader.policy.multus_namespace = namespace;
            }
        },
    },
];

fn profile(reader: &mut ConfigReader, key: &str, value: &DocumentNode<'_>) {
    let names = Profile::ALL.map(Profile::name);
    if let Some(profile) = reader.choice(key, value, "a profile", "profiles", &names) {
        reader.policy = Policy::of(profile);
    }
}

fn rules(reader: &mut ConfigReader, key: &str, value: &DocumentNode<'_>) {
    let Some(entries) = value.entries() else {
        return reader
            .checker
            .wrong_type(value, key, "an object of rules and their levels");
    };
    let levels = [Level::Off, Level::Warn, Level::Deny].map(Level::name);
    for ObjectEntry { key: code, value } in reader.unique(key, entries) {
        let field = format!("{key}.{code}", code = code.string().unwrap_or_default());
        let level = reader.choice(&field, value, "a level", "levels", &levels);
        // An invalid level must not hide that the rule is unknown as well.
        let level = level.unwrap_or(Level::Deny);
        let Some(code_text) = code.string() else {
            reader
                .checker
                .wrong_type(code, "this key", "the code of a rule");
            continue;
        };
        if let Err(error) = reader.policy.set_level(code_text, level) {
            reader.checker.fault(code, error.into());
        }
    }
}

/// Returns the key most similar to `text`, if one is similar enough.
pub(super) fn similar(text: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(key.name, text), key.name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_THRESHOLD)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
