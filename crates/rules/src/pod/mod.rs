//! Rules on a pod's annotations, at its creation and when they change.
//!
//! Each file has one rule, except [`keys`], [`default_route`], [`capability`], [`ips`] and
//! [`host_local`], whose rules share their input.

pub mod broken_network;
pub mod capability;
pub(super) mod configured_attachment;
pub mod cross_namespace_default_network;
pub mod cross_namespace_network;
pub mod default_route;
pub mod default_route_unreachable;
pub mod duplicate_address;
pub mod duplicate_interface;
pub mod duplicate_ip;
pub mod empty_request;
pub mod fast_ipam;
pub mod fragile_name;
pub mod host_local;
pub mod host_network;
pub mod injection_not_enabled;
pub mod invalid_bandwidth;
pub mod invalid_cni_args;
pub mod invalid_infiniband_guid;
pub mod invalid_interface_name;
pub mod invalid_ip;
pub mod invalid_mac;
pub mod invalid_namespace;
pub mod invalid_network_name;
pub mod invalid_port_mapping;
pub mod ip_without_prefix;
pub mod ips;
pub mod ips_with_claim;
pub mod keys;
pub mod mac_unsupported;
pub mod malformed_annotation;
pub mod null_selection;
pub mod ovn_request;
pub mod pool_not_allowed;
pub mod qualified_name;
pub mod reserved_interface_name;
pub mod unknown_network;
pub mod unread_annotation;
pub mod unusable_ip;
