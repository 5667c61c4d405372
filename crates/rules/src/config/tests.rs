//! Valid and invalid contents of `nadmit.yaml`.

use super::*;
use crate::{Level, Mode, NamespaceIsolation, Profile, RULES};

fn policy(text: &str) -> Policy {
    match Config::parse(text, "nadmit.yaml") {
        Ok(config) => config.policy,
        Err(errors) => panic!("{errors}"),
    }
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "nadmit.yaml").expect_err(text);
    errors.0.iter().map(ToString::to_string).collect()
}

/// Returns the code of an arbitrary rule.
fn a_rule() -> &'static str {
    RULES.first().expect("there are rules").code
}

fn level_of(policy: &Policy, code: &str) -> Level {
    let mut active = policy.active_rules().filter(|(rule, _)| rule.code == code);
    active.next().map_or(Level::Off, |(_, level)| level)
}

#[test]
fn the_example_has_every_key_and_says_the_default() {
    let mut default = Policy::default();
    default.injection = Some(default.injection());
    default.namespace_isolation = Some(default.namespace_isolation());
    assert_eq!(policy(Config::example()), default);
    let root = document::read(Config::example(), "", Booleans::Yaml12).next();
    let root = root.expect("a document").expect("YAML");
    let entries = root.entries().unwrap_or_default().iter();
    let written: Vec<_> = entries.filter_map(|entry| entry.key.string()).collect();
    assert_eq!(written, key_names().collect::<Vec<_>>());
}

#[test]
fn rules_that_guard_addresses_cannot_be_lowered() {
    let errors = errors("rules:\n  pool-not-allowed: warn\n  unknown-pool: deny\n");
    assert_eq!(
        errors,
        [
            "nadmit.yaml:2:3: pool-not-allowed always denies: it guards who may have which address, \
             and no setting lowers that; remove it here, and change the pool instead"
        ]
    );
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing\n", "---\n", "{}", "profile:\nrules:\n"] {
        assert_eq!(policy(text), Policy::default(), "{text:?}");
    }
}

#[test]
fn the_settings_are_read() {
    let policy = policy(
        "namespaceIsolation: false\nglobalNamespaces: [shared, default]\n\
         excludedNamespaces: [kube-system]\nimmutableAttachments: false\nmultusNamespace: multus\nwhereaboutsNamespaces: [ipam]\n\
         operatorUsers: [\"system:serviceaccount:sriov:operator\"]\n\
         profile: strict\nmode: warn\n",
    );
    assert_eq!(
        (policy.profile(), policy.mode),
        (Profile::Strict, Mode::Warn)
    );
    assert_eq!(policy.namespace_isolation, Some(NamespaceIsolation::Off));
    assert!(!policy.immutable_attachments);
    assert!(policy.global_namespaces.contains("shared"));
    assert_eq!(policy.global_namespaces.len(), 2);
    assert!(policy.excluded_namespaces.contains("kube-system"));
    assert_eq!(&*policy.multus_namespace, "multus");
    assert!(policy.whereabouts_namespaces.contains("ipam"));
    assert!(policy.may_change_used_networks("system:serviceaccount:sriov:operator"));
}

#[test]
fn no_global_namespace_means_the_default_of_multus() {
    assert!(
        policy("globalNamespaces: []")
            .global_namespaces
            .contains("default")
    );
    assert!(
        !policy("globalNamespaces: [a]")
            .global_namespaces
            .contains("default")
    );
}

#[test]
fn a_rules_level_wins_over_the_profile_in_either_order() {
    for level in ["off", "warn", "deny", "\"off\""] {
        let expected: Level = level.trim_matches('"').parse().expect("a level");
        let rules = format!("rules:\n  {}: {level}\n", a_rule());
        for text in [
            format!("{rules}profile: strict\n"),
            format!("profile: strict\n{rules}"),
        ] {
            let policy = policy(&text);
            assert_eq!(level_of(&policy, a_rule()), expected, "{text}");
            assert_eq!(policy.profile(), Profile::Strict);
        }
    }
}

#[test]
fn an_unknown_rule_suggests_a_similar_one() {
    assert_eq!(
        errors("rules:\n  unknown-netwrok: warn\n"),
        [
            "nadmit.yaml:2:3: there is no rule \"unknown-netwrok\"; did you mean \"unknown-network\"?"
        ]
    );
}

#[test]
fn an_unknown_level_lists_the_levels() {
    let text = format!("rules:\n  {}: wran\n", a_rule());
    let column = a_rule().len() + 5;
    let expected = format!(
        "nadmit.yaml:2:{column}: rules.{} is \"wran\"; levels are off, warn, deny",
        a_rule()
    );
    assert_eq!(errors(&text), [expected]);
    let text = format!("rules: {{{}: 1}}\n", a_rule());
    assert!(errors(&text)[0].ends_with("is a number; expected a level"));
}

#[test]
fn all_errors_are_reported_in_document_order() {
    let text = "\
multusNamespace: [kube-system]
profil: strict
globalNamespaces: default
excludedNamespaces: [kube-*, 5]
namespaceIsolation: yes
zzz: 1
rules: []
profile: loose
rules: {}
";
    assert_eq!(
        errors(text),
        [
            "nadmit.yaml:1:18: multusNamespace is a list; expected the name of a namespace, in \
             quotes",
            "nadmit.yaml:2:1: unknown key \"profil\"; did you mean \"profile\"?",
            "nadmit.yaml:3:19: globalNamespaces is a string; expected a list of namespaces",
            "nadmit.yaml:4:22: \"kube-*\" in excludedNamespaces is not a valid namespace: it contains '*', \
             which no name may have",
            "nadmit.yaml:4:30: excludedNamespaces is a number; expected the name of a namespace, \
             in quotes",
            "nadmit.yaml:5:21: namespaceIsolation is a string; expected true or false",
            "nadmit.yaml:6:1: unknown key \"zzz\"; the keys are profile, mode, rules, \
             namespaceIsolation, globalNamespaces, excludedNamespaces, immutableAttachments, ownUsers, kubevirtUsers, \
             operatorUsers, whereaboutsNamespaces, workloads, injection, inlinePools, whereabouts, multusNamespace",
            "nadmit.yaml:8:10: profile is \"loose\"; profiles are default, multus, strict",
            "nadmit.yaml:9:1: rules is written twice; keep one of them",
        ]
    );
}

#[test]
fn a_rule_given_twice_is_an_error() {
    let code = a_rule();
    let text = format!("rules:\n  {code}: warn\n  {code}: off\n");
    let expected = format!("nadmit.yaml:3:3: rules.{code} is written twice; keep one of them");
    assert_eq!(errors(&text), [expected]);
}

#[test]
fn a_key_that_is_not_a_string_is_unknown() {
    let errors_of_key = errors("1: a\n2: b\n");
    assert_eq!(errors_of_key.len(), 2);
    assert!(
        errors_of_key[1].starts_with("nadmit.yaml:2:1: unknown key \"a number\"; the keys are")
    );
}

#[test]
fn invalid_yaml_and_several_documents_are_errors() {
    assert_eq!(
        errors("profile: [\n")[0],
        "nadmit.yaml:1:10: unclosed bracket '['"
    );
    assert_eq!(
        errors("- profile\n"),
        ["nadmit.yaml:1:1: the file is a list; expected an object with the keys of nadmit.yaml"]
    );
    assert_eq!(
        errors("profile: strict\n---\nprofile: multus\n"),
        [
            "nadmit.yaml:3:1: a second document starts here; keep one document, without `---` after it"
        ]
    );
}
