//! The annotation `k8s.v1.cni.cncf.io/network-status`: the networks that a pod is attached to
//! (spec, section 5).

use std::net::IpAddr;

use serde::Deserialize;
use thiserror::Error;

/// One attachment of a running pod, as reported by Multus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AttachmentStatus {
    /// The network: `namespace/name`, or the cluster network's own name.
    pub name: String,
    /// The interface inside the pod.
    #[serde(default)]
    pub interface: Option<String>,
    /// The addresses, without prefix.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// The MAC, as written.
    #[serde(default)]
    pub mac: Option<String>,
    /// True if this is the pod's default network.
    #[serde(default)]
    pub default: bool,
    /// The gateways of the default route; present only on the attachment that got it.
    #[serde(default, rename = "default-route")]
    pub default_route: Option<Vec<IpAddr>>,
}

/// The annotation does not have the format of the spec.
#[derive(Debug, Error)]
#[error("the annotation network-status cannot be read: {0}")]
pub struct StatusError(#[from] serde_json::Error);

/// Parses the annotation's value.
///
/// # Errors
/// Returns an error if it is not a JSON list of the objects that the spec describes.
pub fn parse(text: &str) -> Result<Vec<AttachmentStatus>, StatusError> {
    Ok(serde_json::from_str(text)?)
}

/// Returns whether a pod with this annotation reports an address; `None` if it reports no attachment yet.
pub fn reports(network_status: Option<&str>, address: IpAddr) -> Option<bool> {
    let attachments = parse(network_status?).ok()?;
    let mut ips = attachments.iter().flat_map(|one| &one.ips);
    (!attachments.is_empty()).then(|| ips.any(|ip| *ip == address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_with_the_default_route_is_known_by_the_key() {
        let status = parse(
            r#"[{"name":"cluster","interface":"eth0","ips":["10.1.0.7"],"default":true,"dns":{}},
                {"name":"db/storage-net","interface":"net1","ips":["192.0.2.205"],
                 "mac":"ca:fe:c0:ff:ee:00","default-route":["192.0.2.1"],"mtu":9000}]"#,
        )
        .unwrap_or_else(|e| panic!("{e}"));
        assert!(status[0].default && status[0].default_route.is_none());
        assert_eq!(
            status[1].default_route.as_deref(),
            Some(&["192.0.2.1".parse().unwrap_or_else(|e| panic!("{e}"))][..])
        );
        assert!(parse("{}").is_err());
    }
}
