//! Misspelt annotation keys, and the keys that were likely intended.

use super::annotations::{DEFAULT_NETWORK, NETWORK_STATUS, NETWORKS, RESOURCE_NAME};

/// Keys with these prefixes that other components than Multus read or write.
const FOREIGN_KEYS: [&str; 5] = [
    NETWORK_STATUS,
    "k8s.v1.cni.cncf.io/networks-status",
    RESOURCE_NAME,
    "k8s.v1.cni.cncf.io/policy-for",
    "k8s.v1.cni.cncf.io/nodeSelector",
];
/// The prefixes of the keys that Multus reads.
const PREFIXES: [&str; 2] = ["k8s.v1.cni.cncf.io", "v1.multus-cni.io"];
/// The minimum similarity of a prefix or name (Jaro-Winkler, 0 to 1).
const SIMILARITY_THRESHOLD: f64 = 0.88;
/// The maximum length of a key that is compared.
const MAX_KEY_LENGTH: usize = 64;

/// Returns the annotation that was likely intended by `key`: one by which a pod requests networks,
/// if `key` is similar to it and no component reads `key` itself.
///
/// This is called for each annotation of each pod; most keys are rejected at their second byte.
pub fn intended_key(key: &str) -> Option<&'static str> {
    let bytes = key.as_bytes();
    let begins = match bytes.first()? | 0x20 {
        b'k' => bytes.get(1) == Some(&b'8'),
        b'v' => bytes.get(1) == Some(&b'1'),
        b'm' | b'c' => starts(key, "multus") || starts(key, "cni.cncf"),
        _ => false,
    };
    if !begins || key == NETWORKS || key == DEFAULT_NETWORK || FOREIGN_KEYS.contains(&key) {
        return None;
    }
    compare(key)
}

/// Returns true if an annotation belongs on a pod: it requests networks, or is a misspelt key that
/// was intended to.
pub fn is_for_pods(key: &str) -> bool {
    key == NETWORKS || key == DEFAULT_NETWORK || intended_key(key).is_some()
}

fn starts(key: &str, start: &str) -> bool {
    let found = key.as_bytes().get(..start.len());
    found.is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes()))
}

fn compare(key: &str) -> Option<&'static str> {
    if key.len() > MAX_KEY_LENGTH {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let (prefix, name) = key.split_once('/')?;
    let alike = |one: &str, other: &str| strsim::jaro_winkler(one, other) >= SIMILARITY_THRESHOLD;
    let is_ours = PREFIXES.iter().any(|known| alike(prefix, known))
        || prefix.contains("cni.cncf")
        || prefix.contains("multus");
    // A status reports networks and does not request them.
    if !is_ours || name.contains("status") {
        return None;
    }
    if name.starts_with("default-") || name.ends_with("-default") || alike(name, "default-network")
    {
        return name.contains("net").then_some(DEFAULT_NETWORK);
    }
    let is_plain = alike(name, "networks") || alike(name, "network-attachment");
    is_plain.then_some(NETWORKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_keys_suggest_the_intended_one() {
        for key in [
            "k8s.v1.cni.cncf.io/network",
            "k8s.v1.cni.cncf.io/Networks",
            "K8S.v1.cni.cncf.io/networks",
            "k8s.v1.cni.cncf.io/netwroks",
            "k8s.v1.cni.cncf.io/network-attachments",
            "k8s.v1.cni.cncf.com/networks",
            "k8s.v1.cncf.io/networks",
            "k8s.cni.cncf.io/networks",
            "k8s.v1.cni.cnfc.io/networks",
            "cni.cncf.io/networks",
            "v1.multus-cni.io/networks",
        ] {
            assert_eq!(intended_key(key), Some(NETWORKS), "{key}");
        }
        for key in [
            "k8s.v1.cni.cncf.io/networks-default",
            "k8s.v1.cni.cncf.io/default-network",
            "v1.multus-cni.io/default-networks",
            "v1.multus-cni.io/Default-Network",
            "multus-cni.io/default-network",
        ] {
            assert_eq!(intended_key(key), Some(DEFAULT_NETWORK), "{key}");
        }
    }

    #[test]
    fn others_keys_are_left_alone() {
        for key in [
            NETWORKS,
            DEFAULT_NETWORK,
            NETWORK_STATUS,
            "k8s.v1.cni.cncf.io/networks-status",
            "k8s.v1.cni.cncf.io/network-status-old",
            RESOURCE_NAME,
            "k8s.v1.cni.cncf.io/policy-for",
            "k8s.v1.cni.cncf.io/nodeSelector",
            "k8s.ovn.org/pod-networks",
            "k8s.ovn.org/primary-udn-ipamclaim",
            "cni.projectcalico.org/podIP",
            "networks.example.com/networks",
            "kubernetes.io/networks",
            "networks",
            "",
            "k",
            "k8",
            "k8s.v1.cni.cncf.io",
            "v1.\u{e9}/networks",
        ] {
            assert_eq!(intended_key(key), None, "{key}");
        }
    }
}
