//! The registry: every rule there is, in the order in which they speak.

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

/// A rule: what it is called, how loudly it speaks, how it is explained, and how it checks.
#[derive(Debug)]
pub struct Rule {
    /// The stable code, by which configuration, output and documentation name the rule.
    pub code: &'static str,
    /// The level in each profile.
    pub levels: Levels,
    /// One line: what is wrong with what the rule finds.
    pub summary: &'static str,
    /// Why it is wrong, what happens without nadmit, and the source of the rule.
    pub explanation: &'static str,
    /// Manifests in which the rule finds something.
    pub wrong: Example,
    /// The same, mended: no rule finds anything.
    pub right: Example,
    /// The check itself.
    pub check: Check,
}

/// An example as YAML documents: networks and one pod, for an update the pod before and after, for a
/// network other networks and, last, the one in question (if it changes, before and after). Where a
/// network is in use, the pods are those that exist. Pools and reservations are there from the
/// beginning; of a rule on these the last one is in question.
#[derive(Debug, Clone, Copy)]
pub struct Example(pub &'static [&'static str]);

impl Example {
    /// The documents as one file.
    pub fn yaml(self) -> String {
        self.0.join("---\n")
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The annotations of a pod: when it is created, and when they change.
    Pod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// The same of a pod on the node's own network, of which no other rule speaks.
    HostNetworkPod(fn(&PodSubject<'_>, &mut Report<'_>)),
    /// A network: when it is created, and when its configuration changes.
    Network(fn(&NetworkSubject<'_>, &mut Report<'_>)),
    /// The template of a workload, beside what the rules on pods say of it.
    Template(fn(&TemplateSubject<'_>, &mut Report<'_>)),
    /// The annotations of a workload itself.
    Workload(fn(&MetadataSubject<'_>, &mut Report<'_>)),
    /// A network that is deleted, and who uses it.
    NetworkDelete(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// A network that is changed, and who uses it.
    NetworkUpdate(fn(&NetworkUseSubject<'_>, &mut Report<'_>)),
    /// The additional networks of OpenShift's operator.
    Operator(fn(&OperatorSubject<'_>, &mut Report<'_>)),
    /// A `ConfigMap`.
    ConfigMap(fn(&ConfigMapSubject<'_>, &mut Report<'_>)),
    /// What pools refused to a pod's attachments; the first argument is the rule's code.
    Allocation(fn(&str, &AllocationSubject<'_, '_>, &mut Report<'_>)),
    /// A network, and the pods that name it.
    NetworkAndPod {
        /// The network, when it is created, and when it changes.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// The annotations of a pod.
        pod: fn(&PodSubject<'_>, &mut Report<'_>),
    },
    /// A network, and an address pool: when one of them is created, and when it changes.
    NetworkAndPool {
        /// The network.
        network: fn(&NetworkSubject<'_>, &mut Report<'_>),
        /// The pool.
        pool: fn(&PoolSubject<'_>, &mut Report<'_>),
    },
    /// An address pool: when it is created, and when it changes.
    Pool(fn(&PoolSubject<'_>, &mut Report<'_>)),
    /// An address pool that changes or goes, and what is held from it.
    PoolChange(fn(&PoolChangeSubject<'_>, &mut Report<'_>)),
    /// A reservation of addresses: when it is created, and when it changes.
    Reservation(fn(&ReservationSubject<'_>, &mut Report<'_>)),
    /// What a Binding would make of a pod.
    Binding(fn(&BindingSubject<'_>, &mut Report<'_>)),
    /// What an update makes of a pod.
    Update(fn(&UpdateSubject<'_>, &mut Report<'_>)),
}

/// All rules. A rule's place here is its place in every output.
pub static RULES: &[&Rule] = &[
    // The text.
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
    // The networks.
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
    // What pools give.
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
    // A network's own configuration.
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
    // What makes pods.
    &workload::fixed_address::RULE,
    &workload::host_local::RULE,
    &workload::metadata::RULE,
    // Networks among each other.
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
    // The pod and its updates.
    &pod::host_network::RULE,
    &binding::CHANGES_NETWORKS,
    &update::attachments_changed::RULE,
];

/// The rule of this code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}
