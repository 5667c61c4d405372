//! The registry of all rules, in the order in which they are run and listed.

use super::{
    allocation, binding, network, operator, pod, pool, reservation, rule::Rule, update, workload,
};

/// A group of rules with one subject.
#[derive(Debug)]
pub struct RuleGroup {
    /// The heading of the group.
    pub title: &'static str,
    /// The rules of the group.
    pub rules: &'static [&'static Rule],
}

macro_rules! rule_groups {
    ($($title:literal: [$($rule:path),+ $(,)?]),+ $(,)?) => {
        /// All rules, in the order of every output.
        pub static RULES: &[&Rule] = &[$($(&$rule),+),+];
        /// The groups of rules, in the order of [`RULES`].
        pub static RULE_GROUPS: &[RuleGroup] = &[$(RuleGroup {
            title: $title,
            rules: &[$(&$rule),+],
        }),+];
    };
}

rule_groups! {
    "The annotations of a pod": [
        pod::unread_annotation::RULE,
        pod::malformed_annotation::RULE,
        pod::null_selection::RULE,
        pod::invalid_cni_args::RULE,
        pod::invalid_network_name::RULE,
        pod::qualified_name::RULE,
        pod::invalid_namespace::RULE,
        pod::fragile_name::RULE,
        pod::keys::UNKNOWN_KEY,
        pod::keys::REPEATED_KEY,
        pod::keys::KEY_CASE,
        pod::keys::OBSOLETE_KEY,
        pod::empty_request::RULE,
        pod::invalid_interface_name::RULE,
        pod::reserved_interface_name::RULE,
        pod::duplicate_interface::RULE,
        pod::invalid_ip::RULE,
        pod::unusable_ip::RULE,
        pod::duplicate_ip::RULE,
        pod::invalid_mac::RULE,
        pod::invalid_infiniband_guid::RULE,
        pod::invalid_port_mapping::RULE,
        pod::invalid_bandwidth::RULE,
        pod::default_route::INVALID,
        pod::default_route::CONFLICT,
        pod::default_route::EMPTY,
        pod::default_route::MOVED,
        pod::ips_with_claim::RULE,
    ],
    "The networks that a pod names": [
        pod::unknown_network::RULE,
        pod::cross_namespace_network::RULE,
        pod::cross_namespace_default_network::RULE,
        pod::broken_network::RULE,
        pod::ip_without_prefix::RULE,
        pod::ips::NO_ADDRESS,
        pod::ips::TWO_FAMILIES,
        pod::host_local::TOO_MANY,
        pod::host_local::NOT_IN_RANGE,
        pod::ips::IGNORED,
        pod::ips::UNTRACKED,
        pod::ips::REPLACED,
        pod::mac_unsupported::RULE,
        pod::duplicate_address::RULE,
        pod::default_route_unreachable::RULE,
        pod::capability::MISSING,
        pod::capability::FALLBACK,
        pod::fast_ipam::RULE,
        pod::ovn_request::RULE,
    ],
    "Addresses of pools": [
        allocation::BY_CNI_ARGS,
        allocation::OF_POOL,
        allocation::PREFIX,
        allocation::UNREADABLE,
        allocation::OUTSIDE,
        allocation::EXCLUDED,
        allocation::RESERVED,
        allocation::IN_USE,
        allocation::MAC_IN_USE,
        allocation::HOLDS_ANOTHER,
        allocation::LIMIT,
        allocation::EXHAUSTED,
        allocation::NOT_READY,
        allocation::NOT_ALLOCATED,
        allocation::NOT_INJECTED,
        allocation::TOO_LONG,
    ],
    "The configuration of a network": [
        network::invalid_config::RULE,
        network::cni_version::RULE,
        network::type_and_plugins::RULE,
        network::config_on_node::RULE,
        network::ignored_capabilities::RULE,
        network::unknown_plugin::RULE,
        network::plugin_order::RULE,
        network::plugin::RULE,
        network::unknown_option::RULE,
        network::ipam_static::INVALID,
        network::ipam_static::REPEATED,
        network::ipam_dhcp::RULE,
        network::ipam_host_local::RULE,
        network::whereabouts::range::RULE,
        network::whereabouts::exclude::INVALID,
        network::whereabouts::exclude::OUTSIDE,
        network::whereabouts::no_address::RULE,
        network::whereabouts::overlap::RULE,
        network::whereabouts::slice::RULE,
        network::whereabouts::clash::RULE,
        network::whereabouts::network_name::RULE,
        network::whereabouts::unknown_key::RULE,
        network::whereabouts::gateway::RULE,
        network::gateway_outside_subnet::RULE,
        network::route_refused::RULE,
    ],
    "Networks with an address pool": [
        network::pool::unknown::RULE,
        pod::pool_not_allowed::RULE,
        pod::injection_not_enabled::RULE,
        network::pool::inline_ignored::RULE,
        network::pool::needs_static::RULE,
        network::pool::needs_capability::RULE,
        network::pool::replaces_addresses::RULE,
        network::pool::gateway_unused::RULE,
        network::pool::route_without_gateway::RULE,
    ],
    "Address pools and reservations": [
        pool::invalid::RULE,
        pool::unknown_key::RULE,
        pool::overlap::RULE,
        pool::mac_overlap::RULE,
        pool::whereabouts::RULE,
        pool::settings_overlap::RULE,
        pool::in_use::RULE,
        reservation::invalid::RULE,
        reservation::unknown_network::RULE,
        reservation::outside_pool::RULE,
        reservation::conflict::RULE,
        reservation::limit::RULE,
    ],
    "Workloads": [
        workload::fixed_address::RULE,
        workload::host_local::RULE,
        workload::metadata::RULE,
    ],
    "Networks among each other, and operators": [
        network::overlapping_ranges::RULE,
        network::duplicate_static_address::RULE,
        network::ovn_conflict::RULE,
        network::shared_master::RULE,
        network::missing_daemon::RULE,
        network::fast_ipam::NAMESPACE,
        network::fast_ipam::CONTROLLER,
        operator::invalid_additional_network::RULE,
        operator::invalid_reconciler_schedule::RULE,
        network::in_use::DELETED,
        network::in_use::CHANGED,
    ],
    "Host network, Bindings and updates": [
        pod::host_network::RULE,
        binding::CHANGES_NETWORKS,
        update::attachments_changed::RULE,
    ],
}

/// Returns the rule with this code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}
