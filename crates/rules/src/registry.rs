//! The registry of all rules, in the order in which they are run and listed.

use super::{
    allocation::{self, AllocationSubject},
    binding::{self, BindingSubject},
    finding::Report,
    level::Levels,
    network,
    network_subject::NetworkSubject,
    network_use::NetworkUseSubject,
    operator::{self, ConfigMapSubject, OperatorSubject},
    pod,
    pool::{self, PoolChangeSubject, PoolSubject},
    reservation::{self, ReservationSubject},
    subject::{PodSubject, UpdateSubject},
    update,
    workload::{self, MetadataSubject, TemplateSubject},
};

/// A rule: its code, levels, documentation and check.
#[derive(Debug)]
pub struct Rule {
    /// The stable code that identifies the rule in configuration, output and documentation.
    pub code: &'static str,
    /// The level in each profile.
    pub levels: Levels,
    /// One line that names the problem.
    pub summary: &'static str,
    /// The reason, the consequence without nadmit, and the source of the rule.
    pub explanation: &'static str,
    /// Manifests for which the rule reports a finding.
    pub wrong: Example,
    /// The corrected manifests, for which no rule reports a finding.
    pub right: Example,
    /// The function that checks, and the kind of its subject.
    pub check: Check,
}

/// An example as YAML documents.
///
/// For rules on pods: networks and one pod, or the pod before and after an update. For rules on networks:
/// other networks, and last the one to check (before and after, if it changes); for networks in use, the
/// pods are those that exist. Pools and reservations exist from the beginning; for rules on these, the
/// last one is checked.
#[derive(Debug, Clone, Copy)]
pub struct Example(pub &'static [&'static str]);

impl Example {
    /// Returns the documents as one YAML file.
    pub fn yaml(self) -> String {
        self.0.join("---\n")
    }
}

/// The check of a rule, by the kind of its subject.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The annotations of a pod, at creation and when they change.
    Pod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// The annotations of a pod with `hostNetwork`, to which no other rule on pods applies.
    HostNetworkPod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// A network, at creation and when its configuration changes.
    Network(fn(&NetworkSubject<'_>, &mut Report<'_>)),
    /// The pod template of a workload, in addition to the rules on pods.
    Template(fn(&TemplateSubject<'_>, &mut Report<'_>)),
    /// The annotations of a workload's own metadata.
    Workload(fn(&MetadataSubject<'_>, &mut Report<'_>)),
    /// The deletion of a network, and the pods that use it.
    NetworkDelete(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// The change of a network, and the pods that use it.
    NetworkUpdate(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// The additional networks of OpenShift's Cluster Network Operator.
    Operator(fn(&OperatorSubject<'_>, &mut Report<'_>)),
    ConfigMap(fn(&ConfigMapSubject<'_>, &mut Report<'_>)),
    /// The errors of allocating for a pod's attachments. The first argument is the rule's code.
    Allocation(fn(&str, &AllocationSubject<'_, '_>, &mut Report<'_>)),
    /// A network, and the pods that name it.
    NetworkAndPod {
        /// Checks the network, at creation and when it changes.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// Checks the annotations of a pod.
        pod: fn(&PodSubject<'_>, &mut Report<'_>),
    },
    /// A network and an address pool, each at creation and when it changes.
    NetworkAndPool {
        /// Checks the network.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// Checks the pool.
        pool: fn(&PoolSubject<'_>, &mut Report<'_>),
    },
    /// An address pool, at creation and when it changes.
    Pool(fn(&PoolSubject<'_>, &mut Report<'_>)),
    /// The change or deletion of an address pool, and the addresses held from it.
    PoolChange(fn(&PoolChangeSubject<'_>, &mut Report<'_>)),
    /// A reservation, at creation and when it changes.
    Reservation(fn(&ReservationSubject<'_>, &mut Report<'_>)),
    /// A Binding, whose annotations the API server merges into the pod.
    Binding(fn(&BindingSubject<'_>, &mut Report<'_>)),
    /// The change of a pod's annotations by an update.
    Update(fn(&UpdateSubject<'_>, &mut Report<'_>)),
}

/// All rules, in the order of every output.
pub static RULES: &[&Rule] = &[
    // The text of the annotations.
    &pod::unread_annotation::RULE,
    &pod::malformed_annotation::RULE,
    &pod::null_selection::RULE,
    &pod::invalid_cni_args::RULE,
    &pod::invalid_network_name::RULE,
    &pod::qualified_name::RULE,
    &pod::invalid_namespace::RULE,
    &pod::fragile_name::RULE,
    &pod::keys::UNKNOWN_KEY,
    &pod::keys::REPEATED_KEY,
    &pod::keys::KEY_CASE,
    &pod::keys::OBSOLETE_KEY,
    &pod::empty_request::RULE,
    &pod::invalid_interface_name::RULE,
    &pod::reserved_interface_name::RULE,
    &pod::duplicate_interface::RULE,
    &pod::invalid_ip::RULE,
    &pod::unusable_ip::RULE,
    &pod::duplicate_ip::RULE,
    &pod::invalid_mac::RULE,
    &pod::invalid_infiniband_guid::RULE,
    &pod::invalid_port_mapping::RULE,
    &pod::invalid_bandwidth::RULE,
    &pod::default_route::INVALID,
    &pod::default_route::CONFLICT,
    &pod::default_route::EMPTY,
    &pod::default_route::MOVED,
    &pod::ips_with_claim::RULE,
    // The selected networks.
    &pod::unknown_network::RULE,
    &pod::cross_namespace_network::RULE,
    &pod::cross_namespace_default_network::RULE,
    &pod::broken_network::RULE,
    &pod::ip_without_prefix::RULE,
    &pod::ips::NO_ADDRESS,
    &pod::ips::TWO_FAMILIES,
    &pod::host_local::TOO_MANY,
    &pod::host_local::NOT_IN_RANGE,
    &pod::ips::IGNORED,
    &pod::ips::UNTRACKED,
    &pod::ips::REPLACED,
    &pod::mac_unsupported::RULE,
    &pod::duplicate_address::RULE,
    &pod::default_route_unreachable::RULE,
    &pod::capability::MISSING,
    &pod::capability::FALLBACK,
    &pod::fast_ipam::RULE,
    &pod::ovn_request::RULE,
    // Allocation from address pools.
    &allocation::BY_CNI_ARGS,
    &allocation::OF_POOL,
    &allocation::PREFIX,
    &allocation::UNREADABLE,
    &allocation::OUTSIDE,
    &allocation::EXCLUDED,
    &allocation::RESERVED,
    &allocation::IN_USE,
    &allocation::MAC_IN_USE,
    &allocation::HOLDS_ANOTHER,
    &allocation::LIMIT,
    &allocation::EXHAUSTED,
    &allocation::NOT_READY,
    &allocation::NOT_ALLOCATED,
    &allocation::NOT_INJECTED,
    &allocation::TOO_LONG,
    // Network configurations.
    &network::invalid_config::RULE,
    &network::cni_version::RULE,
    &network::type_and_plugins::RULE,
    &network::config_on_node::RULE,
    &network::ignored_capabilities::RULE,
    &network::unknown_plugin::RULE,
    &network::plugin_order::RULE,
    &network::plugin::RULE,
    &network::unknown_option::RULE,
    &network::ipam_static::INVALID,
    &network::ipam_static::REPEATED,
    &network::ipam_dhcp::RULE,
    &network::ipam_host_local::RULE,
    &network::whereabouts::range::RULE,
    &network::whereabouts::exclude::INVALID,
    &network::whereabouts::exclude::OUTSIDE,
    &network::whereabouts::no_address::RULE,
    &network::whereabouts::overlap::RULE,
    &network::whereabouts::slice::RULE,
    &network::whereabouts::clash::RULE,
    &network::whereabouts::network_name::RULE,
    &network::whereabouts::unknown_key::RULE,
    &network::whereabouts::gateway::RULE,
    &network::gateway_outside_subnet::RULE,
    &network::route_refused::RULE,
    // Networks that an address pool serves.
    &network::pool::unknown::RULE,
    &pod::pool_not_allowed::RULE,
    &pod::injection_not_enabled::RULE,
    &network::pool::needs_static::RULE,
    &network::pool::needs_capability::RULE,
    &network::pool::replaces_addresses::RULE,
    &network::pool::gateway_unused::RULE,
    &network::pool::route_without_gateway::RULE,
    // Address pools and reservations.
    &pool::invalid::RULE,
    &pool::unknown_key::RULE,
    &pool::overlap::RULE,
    &pool::mac_overlap::RULE,
    &pool::whereabouts::RULE,
    &pool::in_use::RULE,
    &reservation::invalid::RULE,
    &reservation::unknown_network::RULE,
    &reservation::outside_pool::RULE,
    &reservation::conflict::RULE,
    &reservation::limit::RULE,
    // Workloads.
    &workload::fixed_address::RULE,
    &workload::host_local::RULE,
    &workload::metadata::RULE,
    // Relations between networks, and to the operator.
    &network::overlapping_ranges::RULE,
    &network::duplicate_static_address::RULE,
    &network::ovn_conflict::RULE,
    &network::shared_master::RULE,
    &network::missing_daemon::RULE,
    &network::fast_ipam::NAMESPACE,
    &network::fast_ipam::CONTROLLER,
    &operator::invalid_additional_network::RULE,
    &operator::invalid_reconciler_schedule::RULE,
    &network::in_use::DELETED,
    &network::in_use::CHANGED,
    // Host network, Bindings and updates.
    &pod::host_network::RULE,
    &binding::CHANGES_NETWORKS,
    &update::attachments_changed::RULE,
];

/// Returns the rule with this code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}
