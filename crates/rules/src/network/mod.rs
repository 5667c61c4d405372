//! Rules on a network's configuration, at its creation and when it changes.
//!
//! The rules read the configuration's text, so that findings have positions in it. [`invalid_config`]
//! reports what Multus and libcni reject; the other rules concern the behavior of plugins.

pub mod cni_version;
pub mod config_on_node;
pub mod duplicate_static_address;
pub mod fast_ipam;
mod fields;
pub mod gateway_outside_subnet;
pub mod ignored_capabilities;
pub mod in_use;
pub mod invalid_config;
pub mod ipam_dhcp;
pub mod ipam_host_local;
pub mod ipam_static;
pub mod missing_daemon;
pub mod overlapping_ranges;
pub mod ovn_conflict;
mod plain_attachment;
pub mod plugin;
pub mod plugin_order;
pub mod pool;
pub mod route_refused;
mod routes;
pub mod shared_master;
pub mod type_and_plugins;
pub mod unknown_option;
pub mod unknown_plugin;
pub mod whereabouts;
