//! `k8s.ovn.org/pod-networks`: the addresses that OVN-Kubernetes has assigned to a pod, before its CNI
//! plugin configures them.

use nadmit_cni::address::canonical;
use serde_json::Value;

use crate::OvnAssignment;

/// The pod's annotation with the assigned addresses.
pub(super) const POD_NETWORKS: &str = "k8s.ovn.org/pod-networks";
/// The pod's annotation with the claim of its primary network; `ipam-claim-reference` of the default
/// network takes precedence.
pub(super) const PRIMARY_CLAIM: &str = "k8s.ovn.org/primary-udn-ipamclaim";

/// Reads the annotation. Returns what can be read, and what is wrong.
pub(super) fn pod_networks(text: &str) -> (Vec<OvnAssignment>, Vec<String>) {
    let networks: serde_json::Map<String, Value> = match serde_json::from_str(text) {
        Ok(networks) => networks,
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for (key, network) in networks {
        // Older releases write a single address, and newer ones both.
        let listed = network["ip_addresses"].as_array().map(Vec::as_slice);
        let single = std::slice::from_ref(&network["ip_address"]);
        let listed = listed.filter(|listed| !listed.is_empty());
        let mut ips = Vec::new();
        for ip in listed.unwrap_or(single).iter().filter(|ip| !ip.is_null()) {
            match ip.as_str().and_then(canonical) {
                Some(request) => ips.push(request.address),
                None => mistakes.push(format!("network {key}: {ip} is not an IP address")),
            }
        }
        ips.sort_unstable();
        found.push(OvnAssignment {
            is_primary: network["role"] == "primary" && key != "default",
            key: key.into(),
            ips,
        });
    }
    (found, mistakes)
}
