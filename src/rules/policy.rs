//! The settings that rules and decisions read.

use std::{collections::HashSet, str::FromStr};

use thiserror::Error;

use crate::catalog::Mode;

use super::{
    level::{Level, Profile},
    registry::{RULES, Rule},
};

/// The namespace in which Multus runs and finds cluster networks, by default.
const MULTUS_NAMESPACE: &str = "kube-system";
/// The namespace that Multus never isolates, unless others are named.
const GLOBAL_NAMESPACE: &str = "default";

/// nadmit's own ServiceAccount, as it is installed.
const OWN_USER: &str = "system:serviceaccount:nadmit:nadmit";
/// KubeVirt's controller, as KubeVirt and OpenShift Virtualization install it.
const KUBEVIRT_USERS: [&str; 2] = [
    "system:serviceaccount:kubevirt:kubevirt-controller",
    "system:serviceaccount:openshift-cnv:kubevirt-controller",
];

/// kubevirt-ipam-controller, as upstream, the cluster network addons operator and OpenShift
/// Virtualization install it.
const IPAM_CONTROLLERS: [&str; 3] = [
    "system:serviceaccount:kubevirt-ipam-controller-system:kubevirt-ipam-controller-manager",
    "system:serviceaccount:cluster-network-addons:kubevirt-ipam-controller-manager",
    "system:serviceaccount:openshift-cnv:kubevirt-ipam-controller-manager",
];

/// Where Whereabouts runs: upstream's manifests, and OpenShift.
const WHEREABOUTS_NAMESPACES: [&str; 2] = ["kube-system", "openshift-multus"];
/// What Kubernetes itself deletes with: whole namespaces, and what belonged to objects that are gone.
const DELETION_CONTROLLERS: [&str; 2] = [
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
];

/// How nadmit is set: what `nadmit.yaml` says, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    levels: Box<[Level]>,
    profile: Profile,
    /// How what is wrong is treated in namespaces that do not say so themselves.
    pub mode: Mode,
    /// Multus's `namespaceIsolation`; `None` is what suits where nadmit runs.
    pub namespace_isolation: Option<NamespaceIsolation>,
    /// The namespaces whose networks every pod may use all the same (Multus's `globalNamespaces`).
    pub global_namespaces: HashSet<Box<str>>,
    /// The namespaces whose pods are not checked.
    pub excluded_namespaces: HashSet<Box<str>>,
    /// Whether attachments may not change after creation.
    pub immutable_attachments: bool,
    /// The users who may change the attachments of any running pod: nadmit's own ServiceAccount, which
    /// puts addresses in.
    pub own_users: HashSet<Box<str>>,
    /// The users who may change those of KubeVirt's launcher pods: its controller, which hot-plugs
    /// interfaces.
    pub kubevirt_users: HashSet<Box<str>>,
    /// How loudly rules may speak of the templates of workloads, whose pods are judged once more.
    pub workload_level: Level,
    /// The users who may delete and change networks that pods use: operators that make them.
    pub operator_users: HashSet<Box<str>>,
    /// The namespaces in which Whereabouts runs: networks with slices belong there.
    pub whereabouts_namespaces: HashSet<Box<str>>,
    /// When addresses are put into pods; `None` is what suits where nadmit runs.
    pub injection: Option<Injection>,
    /// Where Multus looks for the network of `v1.multus-cni.io/default-network`.
    pub multus_namespace: Box<str>,
}

/// Multus's `namespaceIsolation`: a pod may use only the networks of its own namespace, and of
/// those that are global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceIsolation {
    /// Multus isolates namespaces.
    On,
    /// Multus isolates no namespace, which is its default.
    Off,
    /// Nobody has set it here, and Multus's own setting is not known: what fails in one of two
    /// worlds is warned of.
    Unknown,
}

impl NamespaceIsolation {
    /// The setting as a boolean.
    pub fn of(isolates: bool) -> Self {
        if isolates { Self::On } else { Self::Off }
    }
}

/// When addresses are put into pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// Never: addresses are written by people, and checked.
    Off,
    /// When a pod is created: the default without a cluster.
    Create,
    /// When the scheduler binds a pod to a node, whose name and UID are known then: the default in a
    /// cluster. A pod that is created with a node is given its addresses at once.
    Bind,
}

impl Injection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Create, Self::Bind];

    /// The word in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Create => "create",
            Self::Bind => "bind",
        }
    }
}

impl FromStr for Injection {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == text).ok_or(())
    }
}

/// Why a rule cannot have a level.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LevelError {
    /// There is no such rule.
    #[error(transparent)]
    Unknown(#[from] UnknownRule),
    /// The rule is a matter of authority.
    #[error(
        "{code} always denies: it guards who may have which address, and no setting lowers that; \
         remove it here, and change the pool instead"
    )]
    Authority {
        /// The rule.
        code: &'static str,
    },
}

/// A rule code that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule \"{code}\"{}", .similar.map_or(String::new(), |s| format!("; did you mean \"{s}\"?")))]
pub struct UnknownRule {
    /// The code as written.
    pub code: String,
    /// The most alike code, if one is like it.
    pub similar: Option<&'static str>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(Profile::Default)
    }
}

impl Policy {
    /// The settings of a profile, nothing changed.
    pub fn of(profile: Profile) -> Self {
        Self {
            levels: RULES.iter().map(|rule| rule.levels.of(profile)).collect(),
            profile,
            mode: Mode::Deny,
            namespace_isolation: None,
            global_namespaces: HashSet::from([GLOBAL_NAMESPACE.into()]),
            excluded_namespaces: HashSet::new(),
            immutable_attachments: true,
            own_users: HashSet::from([OWN_USER.into()]),
            kubevirt_users: KUBEVIRT_USERS.into_iter().map(Into::into).collect(),
            workload_level: Level::Warn,
            operator_users: HashSet::new(),
            whereabouts_namespaces: WHEREABOUTS_NAMESPACES.into_iter().map(Into::into).collect(),
            injection: None,
            multus_namespace: MULTUS_NAMESPACE.into(),
        }
    }

    /// When addresses are put into pods.
    pub fn injection(&self) -> Injection {
        self.injection.unwrap_or(Injection::Create)
    }

    /// The profile that the levels started from.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Sets the level of one rule.
    ///
    /// # Errors
    /// When there is no such rule, with a suggestion if one is alike; when it may not be lowered.
    pub fn set_level(&mut self, code: &str, level: Level) -> Result<(), LevelError> {
        let Some(index) = RULES.iter().position(|rule| rule.code == code) else {
            return Err(LevelError::Unknown(UnknownRule {
                code: code.to_owned(),
                similar: similar_code(code),
            }));
        };
        let rule = RULES[index];
        if rule.levels.is_authority() && level < Level::Deny {
            return Err(LevelError::Authority { code: rule.code });
        }
        self.levels[index] = level;
        Ok(())
    }

    /// The rules that speak, each with its level.
    pub fn active_rules(&self) -> impl Iterator<Item = (&'static Rule, Level)> {
        let all = RULES.iter().copied().zip(self.levels.iter().copied());
        all.filter(|(_, level)| *level > Level::Off)
    }

    /// Whether `user` may change the attachments of a running pod.
    pub fn may_change_attachments(&self, user: &str, virt_launcher: bool) -> bool {
        self.own_users.contains(user) || (virt_launcher && self.kubevirt_users.contains(user))
    }

    /// Whether `user` writes the annotations of launcher pods on KubeVirt's behalf.
    pub fn is_kubevirt(&self, user: &str) -> bool {
        self.kubevirt_users.contains(user) || IPAM_CONTROLLERS.contains(&user)
    }

    /// When addresses are put into the pods of a namespace. In an excluded one what pods name is recorded
    /// all the same: who may have an address is no matter of settings.
    pub fn injection_in(&self, namespace: &str) -> Injection {
        match self.excluded_namespaces.contains(namespace) {
            true => Injection::Off,
            false => self.injection(),
        }
    }

    /// Whether `user` may delete and change networks that pods use: Kubernetes's own cleaners, and
    /// operators.
    pub fn may_change_used_networks(&self, user: &str) -> bool {
        DELETION_CONTROLLERS.contains(&user) || self.operator_users.contains(user)
    }

    /// The namespaces in which Whereabouts runs, for messages.
    pub fn describe_whereabouts_namespaces(&self) -> String {
        let names = self.whereabouts_namespaces.iter().map(|name| &**name);
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.join(" or ")
    }

    /// Multus's `namespaceIsolation`: on, where nothing is said.
    pub fn namespace_isolation(&self) -> NamespaceIsolation {
        self.namespace_isolation.unwrap_or(NamespaceIsolation::On)
    }

    /// Whether a pod of namespace `own` may use the networks of `other` (Multus's rule).
    pub fn may_use(&self, own: &str, other: &str) -> bool {
        self.namespace_isolation() != NamespaceIsolation::On || self.may_use_if_isolated(own, other)
    }

    /// Whether a pod of namespace `own` may use the networks of `other` even where Multus isolates
    /// namespaces.
    pub fn may_use_if_isolated(&self, own: &str, other: &str) -> bool {
        own == other || self.global_namespaces.contains(other)
    }
}

/// The code most like `code`, if one is like it.
pub fn similar_code(code: &str) -> Option<&'static str> {
    crate::catalog::most_similar(code, RULES.iter().map(|rule| rule.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_gets_a_suggestion() {
        let error = Policy::default()
            .set_level("unknown-netwrok", Level::Warn)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no rule \"unknown-netwrok\"; did you mean \"unknown-network\"?"
        );
        let error = Policy::default().set_level("zzz", Level::Warn).unwrap_err();
        assert_eq!(error.to_string(), "there is no rule \"zzz\"");
    }

    #[test]
    fn authority_rules_cannot_be_lowered() {
        let guarded: Vec<&Rule> = RULES
            .iter()
            .copied()
            .filter(|rule| rule.levels.is_authority())
            .collect();
        assert!(!guarded.is_empty());
        for rule in guarded {
            for profile in Profile::ALL {
                let mut policy = Policy::of(profile);
                for level in [Level::Off, Level::Warn] {
                    let error = policy.set_level(rule.code, level).unwrap_err();
                    assert!(error.to_string().contains("always denies"), "{error}");
                }
                assert_eq!(policy.set_level(rule.code, Level::Deny), Ok(()));
                let active = policy.active_rules().find(|(r, _)| r.code == rule.code);
                assert_eq!(active.map(|(_, level)| level), Some(Level::Deny));
            }
        }
    }

    #[test]
    fn isolation_exempts_own_and_global_namespaces() {
        let mut policy = Policy::default();
        assert!(policy.may_use("db", "db") && policy.may_use("db", "default"));
        assert!(!policy.may_use("db", "web"));
        for set in [NamespaceIsolation::Off, NamespaceIsolation::Unknown] {
            policy.namespace_isolation = Some(set);
            assert!(policy.may_use("db", "web"));
        }
    }
}
