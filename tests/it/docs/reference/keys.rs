//! docs/reference/labels-and-annotations.md: the keys that nadmit reads and writes.

use std::collections::BTreeSet;

use libtest_mimic::Failed;

use super::{agree, code, sources, table};
use crate::support::TestResult;

const HEAD: &str = "# Labels and annotations

Each label and annotation that nadmit reads or writes. This page is made from a table that a test compares with the sources.
";

const TAIL: &str = "
## Annotations of the audit log
The API server adds them to the audit events of requests with findings. The prefix is the name of the webhook.

| key | values |
|---|---|
| `pods.nadmit.io/decision` | `allow`, `warn` or `deny` |
| `pods.nadmit.io/findings` | the codes of the findings |
";

/// A label or an annotation.
struct Key {
    key: &'static str,
    /// The object that has it.
    on: &'static str,
    /// The form of its values.
    values: &'static str,
    meaning: &'static str,
}

/// Titles and introductions of sections, with their keys.
const SECTIONS: &[(&str, &str, &[Key])] = &[
    (
        "Labels that you set",
        "How: [Change the mode of one namespace](../how-to/change-settings.md#change-the-mode-of-one-namespace).",
        &[
            Key {
                key: "nadmit.io/mode",
                on: "Namespace",
                values: "`deny`, `warn` or `off`",
                meaning: "The mode for the objects of this namespace (pods, templates, networks, reservations), instead of the setting \
                          [`mode`](settings.md#mode).",
            },
            Key {
                key: "nadmit.io/injection",
                on: "Namespace",
                values: "`enabled`; `disabled` is the default",
                meaning: "nadmit assigns addresses of pools to the pods of this namespace when they are bound to nodes. \
                          The webhook for bindings is called only for these namespaces.",
            },
            Key {
                key: "nadmit.io/attachments",
                on: "Namespace",
                values: "`mutable`; `immutable` is the default",
                meaning: "`mutable`: the networks of existing pods may be changed, because another component attaches \
                          networks to running pods.",
            },
        ],
    ),
    (
        "Annotations that you set",
        "",
        &[
            Key {
                key: "nadmit.io/address-pool",
                on: "NetworkAttachmentDefinition",
                values: "name of an AddressPool",
                meaning: "The pool that assigns the addresses of this network. More: [Pools](../pools.md).",
            },
            Key {
                key: "nadmit.io/serve",
                on: "NetworkAttachmentDefinition with IPAM Whereabouts",
                values: "`false`",
                meaning: "nadmit does not serve the network, whatever the setting `whereabouts` is. More: \
                          [Serve Whereabouts networks](../how-to/serve-whereabouts.md).",
            },
        ],
    ),
    (
        "Annotations that nadmit writes",
        "Do not set them. nadmit removes or restores forged values on pods.",
        &[
            Key {
                key: "nadmit.io/requested-networks",
                on: "Pod",
                values: "text",
                meaning: "The value of `k8s.v1.cni.cncf.io/networks` before nadmit injected addresses into it.",
            },
            Key {
                key: "nadmit.io/requested-default-network",
                on: "Pod",
                values: "text",
                meaning: "The value of `v1.multus-cni.io/default-network` before nadmit injected addresses into it.",
            },
            Key {
                key: "nadmit.io/holder-token",
                on: "Pod",
                values: "random text",
                meaning: "Identifies a pod with a generated name as a holder of addresses, before its name is known.",
            },
            Key {
                key: "nadmit.io/written-by",
                on: "AddressAllocation",
                values: "ID of a batch of writes",
                meaning: "The batch that wrote the object last. nadmit recognizes its own write by it when a response is \
                          lost.",
            },
            Key {
                key: "nadmit.io/whereabouts",
                on: "OverlappingRangeIPReservation (a finalizer)",
                values: "-",
                meaning: "nadmit keeps the reservation: it outlives its deletion by the plugin. Removed when the \
                          address is released.",
            },
            Key {
                key: "nadmit.io/full-comparison",
                on: "Lease `nadmit`, in nadmit's namespace",
                values: "JSON: `due`, `started`, `ended`, `succeeded`, `message`",
                meaning: "The last run of [the full comparison](../explanation/failure-modes.md#the-full-comparison).",
            },
            Key {
                key: "nadmit.io/settings",
                on: "Pod of nadmit",
                values: "SHA-256 of `nadmit.yaml`",
                meaning: "Written by `nadmit install`. The change makes the kubelet deliver new settings at once.",
            },
        ],
    ),
    (
        "Labels that nadmit writes",
        "Use them to list allocations, such as `kubectl get addressallocations -l nadmit.io/pool=storage`. nadmit decides \
         nothing by them.",
        &[
            Key {
                key: "nadmit.io/pool",
                on: "AddressAllocation",
                values: "name of the pool; a hash if the name is too long for a label",
                meaning: "The pool of the address.",
            },
            Key {
                key: "nadmit.io/holder",
                on: "AddressAllocation",
                values: "16 hexadecimal digits",
                meaning: "A hash of the holder. Two holders can have the same value: compare `spec.holder`.",
            },
            Key {
                key: "nadmit.io/pod-uid",
                on: "AddressAllocation",
                values: "UID",
                meaning: "The pod that uses the address, as soon as its UID is known.",
            },
            Key {
                key: "app.kubernetes.io/managed-by",
                on: "Secret with the certificate",
                values: "`nadmit`",
                meaning: "nadmit created the Secret.",
            },
        ],
    ),
    (
        "Keys of Multus and the network plumbing specification",
        "",
        &[
            Key {
                key: "k8s.v1.cni.cncf.io/networks",
                on: "Pod, pod template",
                values: "names, or a JSON list of network entries",
                meaning: "The additional networks of the pod. You write it; nadmit checks it, and injects addresses and MACs.",
            },
            Key {
                key: "v1.multus-cni.io/default-network",
                on: "Pod, pod template",
                values: "one network",
                meaning: "The network of `eth0`. You write it; nadmit checks it, and injects addresses and MACs.",
            },
            Key {
                key: "k8s.v1.cni.cncf.io/network-status",
                on: "Pod",
                values: "JSON",
                meaning: "The interfaces of the pod. Multus writes it; nadmit reads the addresses in use.",
            },
            Key {
                key: "k8s.v1.cni.cncf.io/resourceName",
                on: "NetworkAttachmentDefinition",
                values: "name of a resource",
                meaning: "The resource of a device plugin behind the network. You write it; nadmit checks it.",
            },
        ],
    ),
    (
        "Keys of Kubernetes, KubeVirt and Spiderpool",
        "nadmit only reads them.",
        &[
            Key {
                key: "kubernetes.io/metadata.name",
                on: "Namespace",
                values: "name of the namespace",
                meaning: "A label that the `namespaceSelector` of a pool can select.",
            },
            Key {
                key: "kubernetes.io/config.mirror",
                on: "Pod",
                values: "text",
                meaning: "Marks the API server's copy of a static pod. The kubelet writes it.",
            },
            Key {
                key: "node.kubernetes.io/out-of-service",
                on: "Node, as a taint",
                values: "text",
                meaning: "An administrator says that the node is down. Its pods count as ended.",
            },
            Key {
                key: "kubevirt.io",
                on: "Pod, as a label",
                values: "`virt-launcher`",
                meaning: "Marks the launcher pod of a VM.",
            },
            Key {
                key: "kubevirt.io/domain",
                on: "Pod, as a label",
                values: "name of a VM",
                meaning: "Marks the launcher pod of a VM, for the audit.",
            },
            Key {
                key: "kubevirt.io/migrationJobName",
                on: "Pod",
                values: "name of a migration",
                meaning: "The migration of a VM whose target is this launcher pod.",
            },
            Key {
                key: "kubevirt.io/migrationJobUID",
                on: "Pod, as a label",
                values: "UID of a migration",
                meaning: "The same migration, by its UID.",
            },
            Key {
                key: "kubevirt.io/persistent-ipam",
                on: "IPAMClaim (a finalizer)",
                values: "-",
                meaning: "Keeps the claim of a VM until the VM is gone. Read by `nadmit audit`.",
            },
            Key {
                key: "app.kubernetes.io/name",
                on: "Pod of nadmit, as a label",
                values: "`nadmit`",
                meaning: "`nadmit install` and `nadmit status` find the replicas by it.",
            },
            Key {
                key: "multus.spidernet.io/cr-name",
                on: "SpiderMultusConfig",
                values: "name of a network",
                meaning: "The name of the NetworkAttachmentDefinition that Spiderpool makes. Read by `nadmit check`.",
            },
        ],
    ),
];

/// The literals of the sources that look like keys, and are not labels or annotations that nadmit uses.
const NOT_KEYS: &[&str] = &[
    "k8s.v1.cni.cncf.io/networks-status", // Known only so that it is not taken for a spelling mistake.
    "k8s.v1.cni.cncf.io/nodeSelector",    // The same.
    "k8s.v1.cni.cncf.io/policy-for",      // The same.
    "kubernetes.io/tls",                  // A type of Secrets.
    "nadmit.io/allocations",              // The kind of exported files.
    "nadmit.io/nadmit",                   // The reporting controller of events.
];

/// The domains of keys.
const DOMAINS: [&str; 6] = [
    "nadmit.io",
    "cni.cncf.io",
    "multus-cni.io",
    "kubernetes.io",
    "kubevirt.io",
    "spidernet.io",
];

pub(super) fn page() -> Result<String, Failed> {
    let mut page = HEAD.to_owned();
    for (title, introduction, keys) in SECTIONS {
        page.push_str(&format!("\n## {title}\n"));
        if !introduction.is_empty() {
            page.push_str(&format!("{introduction}\n\n"));
        }
        let rows = keys.iter().map(|key| {
            let [on, values, meaning] = [key.on, key.values, key.meaning].map(str::to_owned);
            [code(key.key), on, values, meaning]
        });
        page.push_str(&table(["key", "on", "values", "meaning"], rows));
    }
    Ok(page + TAIL)
}

/// Returns the key in a literal that is one, or that begins with one, as a selector does.
fn key_in(literal: &str) -> Option<&str> {
    let key = literal.split('=').next()?;
    let (domain, name) = key.split_once('/')?;
    let is_known = DOMAINS
        .iter()
        .any(|known| domain == *known || domain.ends_with(&format!(".{known}")));
    let is_version = name.starts_with('v') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_key = is_known && !is_version && !name.is_empty() && name.chars().all(is_name);
    is_key.then_some(key)
}

pub(super) fn all_keys_are_documented() -> TestResult {
    let literals = sources::all_literals(&["src", "crates"])?;
    let found: BTreeSet<&str> = literals.iter().filter_map(|text| key_in(text)).collect();
    let documented = SECTIONS.iter().flat_map(|(_, _, keys)| *keys);
    let documented = documented
        .map(|key| key.key)
        .filter(|key| key.contains('/'));
    let others = NOT_KEYS.iter().copied();
    agree(&found, &documented.chain(others).collect())
}
