//! The use of an address by a pod, as the API server has the pod.

use std::net::IpAddr;

use nadmit_cni::status;
use serde_json::Value;

/// The use of an address by a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodUse {
    /// The pod's containers may use the address: it reports the address, or does not report its interfaces
    /// yet, or is being deleted.
    Possible,
    /// The pod has ended, or reports its interfaces without the address.
    Excluded,
}

impl PodUse {
    /// Reads the use from a pod's object.
    pub fn of(pod: &Value, address: IpAddr) -> Self {
        if let Some("Succeeded" | "Failed") = pod["status"]["phase"].as_str() {
            return Self::Excluded;
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            return Self::Possible;
        }
        let annotations = &pod["metadata"]["annotations"];
        let reported = annotations["k8s.v1.cni.cncf.io/network-status"].as_str();
        match status::reports(reported, address) {
            Some(false) => Self::Excluded,
            Some(true) | None => Self::Possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_ended_pod_and_one_that_reports_others_exclude_an_address() {
        let with_status = |status: &str| json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": status}}});
        let other = r#"[{"name":"db/storage","interface":"net1","ips":["192.0.2.6"]}]"#;
        let own = r#"[{"name":"db/storage","interface":"net1","ips":["192.0.2.5"]}]"#;
        let mut deleted = with_status(other);
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let cases = [
            (json!({}), PodUse::Possible),
            (json!({"status": {"phase": "Pending"}}), PodUse::Possible),
            (json!({"status": {"phase": "Succeeded"}}), PodUse::Excluded),
            (json!({"status": {"phase": "Failed"}}), PodUse::Excluded),
            (with_status("[]"), PodUse::Possible),
            (with_status("{"), PodUse::Possible),
            (with_status(own), PodUse::Possible),
            (with_status(other), PodUse::Excluded),
            (deleted, PodUse::Possible),
        ];
        for (pod, expected) in cases {
            assert_eq!(PodUse::of(&pod, [192, 0, 2, 5].into()), expected, "{pod}");
        }
    }
}
