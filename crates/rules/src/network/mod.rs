//! Rules on a network's configuration, at its creation and when it changes.
//!
//! The rules read the configuration's text, so that findings have positions in it. [`invalid_config`]
//! reports what Multus and libcni reject; the other rules concern the behavior of plugins.

pub mod cni_version;
pub(crate) mod config_on_node;
pub(crate) mod duplicate_static_address;
pub(crate) mod fast_ipam;
mod fields;
pub(crate) mod gateway_outside_subnet;
pub(crate) mod ignored_capabilities;
pub mod in_use;
pub(crate) mod invalid_config;
pub(crate) mod ipam_dhcp;
pub(crate) mod ipam_host_local;
pub mod ipam_static;
pub(crate) mod missing_daemon;
mod other_networks;
pub mod overlapping_ranges;
pub(crate) mod ovn_conflict;
mod plain_attachment;
pub mod plugin;
pub(crate) mod plugin_order;
pub mod pool;
mod range_overlaps;
pub(crate) mod route_refused;
mod routes;
pub(crate) mod shared_master;
pub(crate) mod type_and_plugins;
pub(crate) mod unknown_option;
pub(crate) mod unknown_plugin;
pub mod whereabouts;
