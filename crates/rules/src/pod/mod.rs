//! Rules on a pod's annotations, at its creation and when they change.
//!
//! Each file has one rule, except [`keys`], [`default_route`], [`capability`], [`ips`] and
//! [`host_local`], whose rules share their input.

pub(crate) mod broken_network;
pub mod capability;
pub(super) mod configured_attachment;
pub(crate) mod cross_namespace_default_network;
pub(crate) mod cross_namespace_network;
pub mod default_route;
pub(crate) mod default_route_unreachable;
pub(crate) mod duplicate_address;
pub(crate) mod duplicate_interface;
pub(crate) mod duplicate_ip;
pub(crate) mod empty_request;
pub(crate) mod fast_ipam;
pub(crate) mod fragile_name;
pub mod host_local;
pub mod host_network;
pub(crate) mod injection_not_enabled;
pub(crate) mod invalid_bandwidth;
pub(crate) mod invalid_cni_args;
pub(crate) mod invalid_infiniband_guid;
pub(crate) mod invalid_interface_name;
pub(crate) mod invalid_ip;
pub(crate) mod invalid_mac;
pub(crate) mod invalid_namespace;
pub(crate) mod invalid_network_name;
pub(crate) mod invalid_port_mapping;
pub(crate) mod ip_without_prefix;
pub mod ips;
pub(crate) mod ips_with_claim;
pub mod keys;
pub(crate) mod mac_unsupported;
pub(crate) mod malformed_annotation;
pub(crate) mod null_selection;
pub(crate) mod ovn_request;
pub(crate) mod pool_not_allowed;
pub(crate) mod qualified_name;
pub(crate) mod reserved_interface_name;
pub(crate) mod unknown_network;
pub(crate) mod unread_annotation;
pub(crate) mod unusable_ip;
