//! Rules on a pod's annotations: when it is created, and when they change.

pub mod cross_namespace_network;
pub mod duplicate_interface;
pub mod invalid_interface_name;
pub mod invalid_ip;
pub mod invalid_mac;
pub mod invalid_namespace;
pub mod invalid_network_name;
pub mod ip_without_prefix;
pub mod malformed_annotation;
pub mod null_selection;
pub mod qualified_name;
pub mod unknown_network;
