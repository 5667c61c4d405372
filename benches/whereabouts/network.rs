//! The ways to give addresses that are compared, and a network of each.

use std::path::Path;

use serde_json::{Value, json};

/// The name of a network in its namespace.
pub(crate) const NETWORK: &str = "storage";

/// A way to give addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Whereabouts's plugin.
    Alone,
    /// The plugin gives what nadmit chose.
    Served,
    /// The plugin `static` gives what nadmit chose.
    OneWord,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Alone, Self::Served, Self::OneWord];

    /// Returns the name of the mode in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Served => "served",
            Self::OneWord => "one word",
        }
    }
}

/// The files that the configuration of a network names.
pub(crate) struct NodeFiles<'f> {
    /// The parent interface.
    pub(crate) master: &'f str,
    pub(crate) kubeconfig: &'f Path,
    /// The settings of Whereabouts on the node.
    pub(crate) settings: &'f Path,
}

/// A network in a namespace of its own, with a range of its own.
#[derive(Debug, Clone)]
pub(crate) struct BenchNetwork {
    pub(crate) mode: Mode,
    pub(crate) namespace: String,
    /// The second octet of its range, `10.OCTET.0.0/16`.
    octet: u8,
}

impl BenchNetwork {
    pub(crate) fn new(mode: Mode, octet: u8) -> Self {
        let namespace = format!("bench-{octet}");
        Self {
            mode,
            namespace,
            octet,
        }
    }

    /// Returns the name of its `IPPool`.
    pub(crate) fn ip_pool(&self) -> String {
        format!("10.{}.0.0-16", self.octet)
    }

    /// Returns true if an address is of its range.
    pub(crate) fn has(&self, address: &str) -> bool {
        address.starts_with(&format!("10.{}.", self.octet))
    }

    /// Returns the address of an entry of its `IPPool`.
    pub(crate) fn address(&self, offset: u16) -> String {
        let [high, low] = offset.to_be_bytes();
        format!("10.{}.{high}.{low}", self.octet)
    }

    /// Returns the configuration of the network: in each mode the same but for the word.
    pub(crate) fn config(&self, files: &NodeFiles<'_>) -> Value {
        let word = match self.mode {
            Mode::Alone | Mode::Served => "whereabouts",
            Mode::OneWord => "static",
        };
        json!({
            "cniVersion": "0.3.1", "name": NETWORK, "type": "macvlan", "mode": "bridge",
            "master": files.master,
            "ipam": {
                "type": word, "range": format!("10.{}.0.0/16", self.octet),
                "kubernetes": {"kubeconfig": files.kubeconfig},
                // On a node this is a file at a fixed path.
                "configuration_path": files.settings,
            },
        })
    }

    /// Returns its namespace and its definition.
    pub(crate) fn objects(&self, files: &NodeFiles<'_>) -> [Value; 2] {
        let label = match self.mode {
            Mode::Alone => "disabled",
            Mode::Served | Mode::OneWord => "enabled",
        };
        [
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": self.namespace, "labels": {"nadmit.io/injection": label},
                },
            }),
            json!({
                "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
                "metadata": {"name": NETWORK, "namespace": self.namespace},
                "spec": {"config": self.config(files).to_string()},
            }),
        ]
    }
}

/// Returns the definitions of Whereabouts's kinds, with the fields of its manifests.
pub(crate) fn definitions() -> [Value; 3] {
    let texts = |names: &[&str]| {
        let each = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": "string"})));
        Value::Object(each.collect())
    };
    let entry = json!({
        "type": "object", "required": ["id", "podref"],
        "properties": texts(&["id", "ifname", "podref"]),
    });
    let pool = json!({
        "type": "object", "required": ["allocations", "range"],
        "properties": {
            "allocations": {"type": "object", "additionalProperties": entry},
            "range": {"type": "string"},
        },
    });
    let reservation = json!({
        "type": "object", "required": ["podref"],
        "properties": texts(&["containerid", "ifname", "podref"]),
    });
    let slices = json!({
        "type": "object", "required": ["range", "sliceSize"],
        "properties": texts(&["range", "sliceSize"]),
    });
    [
        definition("IPPool", "ippools", &pool),
        definition(
            "OverlappingRangeIPReservation",
            "overlappingrangeipreservations",
            &reservation,
        ),
        definition("NodeSlicePool", "nodeslicepools", &slices),
    ]
}

fn definition(kind: &str, plural: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.whereabouts.cni.cncf.io")},
        "spec": {
            "group": "whereabouts.cni.cncf.io", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    })
}
