//! The settings that rules and admission decisions depend on.

use std::{collections::HashSet, str::FromStr};

use nadmit_catalog::{Mode, PoolDerivation};

use super::level::{Level, Profile};

/// The default namespace of Multus, in which it looks up cluster networks.
const MULTUS_NAMESPACE: &str = "kube-system";
/// The default of Multus's `globalNamespaces`.
const GLOBAL_NAMESPACE: &str = "default";

/// The ServiceAccount of nadmit in a default installation.
const OWN_USER: &str = "system:serviceaccount:nadmit:nadmit";
/// The controller of KubeVirt, as installed by KubeVirt and OpenShift Virtualization.
const KUBEVIRT_USERS: [&str; 2] = [
    "system:serviceaccount:kubevirt:kubevirt-controller",
    "system:serviceaccount:openshift-cnv:kubevirt-controller",
];

/// The kubevirt-ipam-controller, as installed by upstream, the cluster network addons operator and
/// OpenShift Virtualization.
const IPAM_CONTROLLERS: [&str; 3] = [
    "system:serviceaccount:kubevirt-ipam-controller-system:kubevirt-ipam-controller-manager",
    "system:serviceaccount:cluster-network-addons:kubevirt-ipam-controller-manager",
    "system:serviceaccount:openshift-cnv:kubevirt-ipam-controller-manager",
];

/// The namespaces in which upstream's manifests and OpenShift run Whereabouts.
const WHEREABOUTS_NAMESPACES: [&str; 2] = ["kube-system", "openshift-multus"];
/// The controllers of Kubernetes that delete the contents of namespaces and the dependents of deleted
/// objects.
const DELETION_CONTROLLERS: [&str; 2] = [
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
];

/// The validated settings of `nadmit.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) levels: Box<[Level]>,
    profile: Profile,
    /// The mode of namespaces without the label `nadmit.io/mode`.
    pub mode: Mode,
    /// Multus's `namespaceIsolation`; `None` selects the default of the environment in which nadmit runs.
    pub namespace_isolation: Option<NamespaceIsolation>,
    /// The namespaces whose networks pods of every namespace may use (Multus's `globalNamespaces`).
    pub global_namespaces: HashSet<Box<str>>,
    /// The namespaces whose pods are not checked.
    pub excluded_namespaces: HashSet<Box<str>>,
    /// Set if the attachments of a pod may not change after its creation.
    pub immutable_attachments: bool,
    /// The users who may change the attachments of any running pod: nadmit's own ServiceAccount, which
    /// injects addresses.
    pub own_users: HashSet<Box<str>>,
    /// The users who may change the attachments of KubeVirt's launcher pods: KubeVirt's controller, which
    /// hot-plugs interfaces.
    pub kubevirt_users: HashSet<Box<str>>,
    /// The maximum level of findings on workload templates. The pods themselves are checked when they are
    /// created.
    pub workload_level: Level,
    /// The users who may delete and change networks in use: operators that manage the networks.
    pub operator_users: HashSet<Box<str>>,
    /// The namespaces in which Whereabouts runs. Networks with node slices work only there.
    pub whereabouts_namespaces: HashSet<Box<str>>,
    /// The time of injection; `None` selects the default of the environment in which nadmit runs.
    pub injection: Option<Injection>,
    /// The namespace in which Multus looks up the network of `v1.multus-cni.io/default-network`.
    pub multus_namespace: Box<str>,
    /// The settings by which networks define pools by themselves.
    pub pool_derivation: PoolDerivation,
}

/// Multus's `namespaceIsolation`: with it, a pod may use only the networks of its own namespace and of the
/// global namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceIsolation {
    /// Multus isolates namespaces.
    On,
    /// Multus does not isolate namespaces, which is its default.
    Off,
    /// The setting is missing and Multus's own configuration is not known. Selections that fail only with
    /// isolation are warned about.
    Unknown,
}

impl NamespaceIsolation {
    /// Converts the boolean of Multus's setting.
    pub fn of(isolates: bool) -> Self {
        if isolates { Self::On } else { Self::Off }
    }
}

/// The time at which addresses are injected into pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// Never. Addresses that users write are only checked.
    Off,
    /// At the creation of a pod. The default without a cluster.
    Create,
    /// At the binding of a pod to a node, when the pod's name and UID are known. The default in a cluster.
    /// Pods that are created with a node get their addresses at creation.
    Bind,
}

impl Injection {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Off, Self::Create, Self::Bind];

    /// Returns the name in the settings.
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

impl Policy {
    /// Returns the default settings with these levels, one a rule of the registry.
    pub(crate) fn with_levels(profile: Profile, levels: Box<[Level]>) -> Self {
        Self {
            levels,
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
            pool_derivation: PoolDerivation::default(),
        }
    }

    /// Returns the time of injection, by default at creation.
    pub fn injection(&self) -> Injection {
        self.injection.unwrap_or(Injection::Create)
    }

    /// Returns the profile from which the levels were preset.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Returns true if `user` may change the attachments of a running pod.
    pub fn may_change_attachments(&self, user: &str, virt_launcher: bool) -> bool {
        self.own_users.contains(user) || (virt_launcher && self.kubevirt_users.contains(user))
    }

    /// Returns true if `user` is one of KubeVirt's controllers, which write the annotations of launcher
    /// pods.
    pub fn is_kubevirt(&self, user: &str) -> bool {
        self.kubevirt_users.contains(user) || IPAM_CONTROLLERS.contains(&user)
    }

    /// Returns the time of injection for pods of a namespace. It is off in excluded namespaces, but
    /// addresses that their pods name are recorded all the same: settings do not decide who may have an
    /// address.
    pub fn injection_in(&self, namespace: &str) -> Injection {
        match self.excludes(namespace) {
            true => Injection::Off,
            false => self.injection(),
        }
    }

    /// Returns true if the rules and injection are off in a namespace.
    pub fn excludes(&self, namespace: &str) -> bool {
        self.excluded_namespaces.contains(namespace)
    }

    /// Returns true if `user` may delete and change networks in use: the deletion controllers of
    /// Kubernetes and the configured operators.
    pub fn may_change_used_networks(&self, user: &str) -> bool {
        DELETION_CONTROLLERS.contains(&user) || self.operator_users.contains(user)
    }

    /// Returns the namespaces in which Whereabouts runs, joined for messages.
    pub(crate) fn describe_whereabouts_namespaces(&self) -> String {
        let names = self.whereabouts_namespaces.iter().map(|name| &**name);
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.join(" or ")
    }

    /// Returns Multus's `namespaceIsolation`, by default on.
    pub fn namespace_isolation(&self) -> NamespaceIsolation {
        self.namespace_isolation.unwrap_or(NamespaceIsolation::On)
    }

    /// Returns true if Multus lets pods of the namespace `own` use networks of the namespace `other`.
    pub(crate) fn may_use(&self, own: &str, other: &str) -> bool {
        self.namespace_isolation() != NamespaceIsolation::On || self.may_use_if_isolated(own, other)
    }

    /// Returns true if pods of the namespace `own` may use networks of the namespace `other` even if Multus
    /// isolates namespaces.
    pub(crate) fn may_use_if_isolated(&self, own: &str, other: &str) -> bool {
        own == other || self.global_namespaces.contains(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
