//! Annotation keys that nobody reads, and the ones that were meant.

use super::annotations::{DEFAULT_NETWORK, NETWORK_STATUS, NETWORKS, RESOURCE_NAME};

/// Keys of these prefixes that others than Multus read or write.
const OTHERS: [&str; 5] = [
    NETWORK_STATUS,
    "k8s.v1.cni.cncf.io/networks-status",
    RESOURCE_NAME,
    "k8s.v1.cni.cncf.io/policy-for",
    "k8s.v1.cni.cncf.io/nodeSelector",
];
/// The prefixes of the keys that Multus reads.
const PREFIXES: [&str; 2] = ["k8s.v1.cni.cncf.io", "v1.multus-cni.io"];
/// How alike a prefix or a name has to be (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.88;
/// A longer key is none of these, misspelt or not.
const LONGEST: usize = 64;

/// Returns the annotation that was meant by `key`, if nobody reads that, and it is much like one by which a
/// pod asks for networks.
///
/// This is asked of each annotation of each pod: most keys are done with at their second byte.
pub fn meant(key: &str) -> Option<&'static str> {
    let bytes = key.as_bytes();
    let begins = match bytes.first()? | 0x20 {
        b'k' => bytes.get(1) == Some(&b'8'),
        b'v' => bytes.get(1) == Some(&b'1'),
        b'm' | b'c' => starts(key, "multus") || starts(key, "cni.cncf"),
        _ => false,
    };
    if !begins || key == NETWORKS || key == DEFAULT_NETWORK || OTHERS.contains(&key) {
        return None;
    }
    compare(key)
}

/// Whether an annotation was meant for pods: one by which they ask for networks, or one that is much like
/// it.
pub fn is_for_pods(key: &str) -> bool {
    key == NETWORKS || key == DEFAULT_NETWORK || meant(key).is_some()
}

fn starts(key: &str, start: &str) -> bool {
    let found = key.as_bytes().get(..start.len());
    found.is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes()))
}

fn compare(key: &str) -> Option<&'static str> {
    if key.len() > LONGEST {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let (prefix, name) = key.split_once('/')?;
    let alike = |one: &str, other: &str| strsim::jaro_winkler(one, other) >= ALIKE;
    let is_ours = PREFIXES.iter().any(|known| alike(prefix, known))
        || prefix.contains("cni.cncf")
        || prefix.contains("multus");
    // What somebody got, not what is asked for.
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
    fn what_nobody_reads_is_known_by_what_was_meant() {
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
            assert_eq!(meant(key), Some(NETWORKS), "{key}");
        }
        for key in [
            "k8s.v1.cni.cncf.io/networks-default",
            "k8s.v1.cni.cncf.io/default-network",
            "v1.multus-cni.io/default-networks",
            "v1.multus-cni.io/Default-Network",
            "multus-cni.io/default-network",
        ] {
            assert_eq!(meant(key), Some(DEFAULT_NETWORK), "{key}");
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
            assert_eq!(meant(key), None, "{key}");
        }
    }
}
