//! Pods: what they request, and what their network-status reports.

use std::collections::HashSet;

use nadmit_allocation::{Controller, Holder, RequesterIdentity};
use nadmit_cni::{
    Annotation, HardwareAddress, Mac, Selection, address::canonical, annotations, interface,
    status::AttachmentStatus,
};
use serde_json::Value;

use super::{SnapshotReader, ovn, some_text, text};
use crate::{ObjectRef, PodName, PodRecord, RequestedNetwork};

/// The namespace in which Multus looks up default networks, unless it is configured otherwise.
const MULTUS_NAMESPACE: &str = "kube-system";

impl SnapshotReader {
    pub(super) fn pod(&mut self, of: &ObjectRef, object: &Value) {
        let phase = text(object, &["status", "phase"]);
        let annotation = |key: &str| some_text(object, &["metadata", "annotations", key]);
        let host_network = object["spec"]["hostNetwork"] == true;
        let mut requested = Vec::new();
        for (key, home) in [
            (annotations::DEFAULT_NETWORK, MULTUS_NAMESPACE),
            (annotations::NETWORKS, &*of.namespace),
        ] {
            let Some(value) = annotation(key).filter(|_| !host_network) else {
                continue;
            };
            let parsed = Annotation::parse(&value);
            if !parsed.decode_errors.is_empty() {
                self.unreadable(
                    of,
                    format!("the annotation {key} is not a list of networks"),
                );
            }
            let selections = parsed.selections.iter();
            requested.extend(selections.filter_map(|selection| {
                let default = key == annotations::DEFAULT_NETWORK;
                self::requested(selection, home, default)
            }));
        }
        let status = annotation(annotations::NETWORK_STATUS).filter(|_| !host_network);
        let status = status.map(|value| network_status(&value));
        let (status, mistakes) = status.unwrap_or_default();
        let status_is_partial = !mistakes.is_empty();
        for mistake in mistakes {
            let reason = format!("the annotation network-status cannot be read: {mistake}");
            self.unreadable_with(of, reason, "create the pod again: its CNI plugins write it");
        }
        let assigned = annotation(ovn::POD_NETWORKS).filter(|_| !host_network);
        let assigned = assigned.map(|value| ovn::pod_networks(&value));
        let (assigned, mistakes) = assigned.unwrap_or_default();
        for mistake in mistakes {
            let reason = format!(
                "the annotation {} cannot be read: {mistake}",
                ovn::POD_NETWORKS
            );
            self.unreadable_with(of, reason, "create the pod again: OVN-Kubernetes writes it");
        }
        let created = text(object, &["metadata", "creationTimestamp"]);
        let uid = some_text(object, &["metadata", "uid"]);
        let holder = holder(of, object, uid.as_deref());
        if matches!(holder, Holder::VirtualMachine { .. }) && !is_launcher(object) {
            self.unproven.push(self.snapshot.pods.len());
        }
        let record = PodRecord {
            name: PodName {
                namespace: of.namespace.clone(),
                name: of.name.clone(),
            },
            node: some_text(object, &["spec", "nodeName"]),
            ended: matches!(phase, "Succeeded" | "Failed"),
            pending: phase == "Pending",
            terminating: !object["metadata"]["deletionTimestamp"].is_null(),
            host_network,
            created: (self.parse_time)(created),
            holder,
            uid,
            requested,
            status,
            ovn: assigned,
            primary_claim: annotation(ovn::PRIMARY_CLAIM).filter(|_| !host_network),
            status_is_partial,
        };
        self.snapshot.pods.push(record);
    }

    /// Makes the pods holders of their own addresses whose machine does not exist: anyone who can create
    /// a pod can write its owner.
    pub(super) fn check_machines(&mut self) {
        let machines = self.snapshot.machines.iter();
        let known: HashSet<(&str, &str)> = machines
            .map(|machine| (&*machine.namespace, &*machine.name))
            .collect();
        for at in self.unproven.drain(..) {
            let Some(pod) = self.snapshot.pods.get_mut(at) else {
                continue;
            };
            let is_known = match &pod.holder {
                Holder::VirtualMachine { namespace, name } => known.contains(&(namespace, name)),
                _ => true,
            };
            if !is_known {
                pod.holder = named(&pod.name);
            }
        }
    }
}

/// Reads a network-status element by element, and accepts addresses with a prefix length. Returns what
/// can be read, `None` if that is nothing, and what is wrong.
fn network_status(text: &str) -> (Option<Vec<AttachmentStatus>>, Vec<String>) {
    let elements: Vec<Value> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(error) => return (None, vec![error.to_string()]),
    };
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for (index, mut element) in elements.into_iter().enumerate() {
        if let Some(ips) = element.get_mut("ips").and_then(Value::as_array_mut) {
            ips.retain_mut(|ip| match ip.as_str().and_then(canonical) {
                Some(request) => {
                    *ip = request.address.to_string().into();
                    true
                }
                None => {
                    mistakes.push(format!("element {index}: {ip} is not an IP address"));
                    false
                }
            });
        }
        match serde_json::from_value(element) {
            Ok(status) => found.push(status),
            Err(error) => mistakes.push(format!("element {index}: {error}")),
        }
    }
    (Some(found), mistakes)
}

/// Returns the request of a selection; `None` if it names no network.
fn requested(selection: &Selection<'_>, home: &str, default: bool) -> Option<RequestedNetwork> {
    let interface = match (default, &selection.interface) {
        (true, None) => interface::CLUSTER.into(),
        _ => selection.interface_name(),
    };
    let ips = selection.ips.iter().flat_map(|ips| &ips.value);
    let mac = selection.mac.as_ref();
    let claim = selection.ipam_claim.as_ref();
    Some(RequestedNetwork {
        namespace: selection.namespace_or(home).into(),
        name: selection.network_name()?.into(),
        interface: interface.into(),
        is_default: default,
        ips: ips
            .filter_map(|ip| Some(canonical(&ip.text)?.address))
            .collect(),
        mac: mac.and_then(|mac| mac.ok()?.ethernet()),
        args_mac: args_mac(selection),
        claim: claim.map(|claim| claim.value.as_ref().into()),
    })
}

/// Returns the MAC of `cni-args`.
fn args_mac(selection: &Selection<'_>) -> Option<Mac> {
    let text = selection.cni_args.as_ref()?.text("mac")?.string()?;
    HardwareAddress::parse(&text).ok()?.ethernet()
}

fn holder(of: &ObjectRef, object: &Value, uid: Option<&str>) -> Holder {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    let controller = owners.find(|owner| owner["controller"] == true);
    let identity = RequesterIdentity {
        namespace: &of.namespace,
        name: &of.name,
        generate_name: "",
        uid,
        controller: controller.map(|owner| Controller {
            api_version: text(owner, &["apiVersion"]),
            kind: text(owner, &["kind"]),
            name: text(owner, &["name"]),
        }),
        token: None,
    };
    let own = named(&PodName {
        namespace: of.namespace.clone(),
        name: of.name.clone(),
    });
    identity
        .requester()
        .map_or(own, |requester| requester.holder)
}

/// Returns the holder of a pod's own addresses.
fn named(pod: &PodName) -> Holder {
    Holder::Pod {
        namespace: (&*pod.namespace).into(),
        name: (&*pod.name).into(),
    }
}

/// Returns true if a pod has a label of KubeVirt's launcher pods.
fn is_launcher(object: &Value) -> bool {
    let labels = object["metadata"]["labels"].as_object();
    let mut labels = labels.into_iter().flatten();
    labels.any(|(key, value)| {
        (key == "kubevirt.io" && value == "virt-launcher") || key.starts_with("kubevirt.io/domain")
    })
}
