//! Networks, claims and virtual machines.

use std::net::IpAddr;

use nadmit_cni::{ConfigState, HardwareAddress, Network, address::canonical, annotations};
use serde_json::Value;

use super::{SnapshotReader, some_text, text};
use crate::{ClaimRecord, MachineInterface, MachineRecord, ObjectRef};

impl SnapshotReader {
    pub(super) fn network(&mut self, of: &ObjectRef, object: &Value) {
        let config = some_text(object, &["spec", "config"]);
        let annotation = |key: &str| some_text(object, &["metadata", "annotations", key]);
        let network = Network {
            resource_name: annotation(annotations::RESOURCE_NAME),
            address_pool: annotation(annotations::ADDRESS_POOL),
            ..Network::new(&of.namespace, &of.name, config.as_deref())
        };
        if let ConfigState::Broken(error) = &network.config {
            self.unreadable(of, format!("spec.config: {error}"));
        }
        self.snapshot.networks.push(network);
    }

    pub(super) fn claim(&mut self, of: &ObjectRef, object: &Value) {
        let listed = object["status"]["ips"].as_array();
        let mut ips: Vec<IpAddr> = Vec::new();
        for (index, value) in listed.into_iter().flatten().enumerate() {
            match value.as_str().and_then(canonical) {
                Some(request) => ips.push(request.address),
                None => {
                    let reason = format!("status.ips[{index}] {value} is not an IP address");
                    self.unreadable(of, reason);
                }
            }
        }
        ips.sort_unstable();
        let metadata = &object["metadata"];
        let owners = metadata["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten();
        let owner = owners.find(|owner| owner["kind"] == "VirtualMachine");
        let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
        self.snapshot.claims.push(ClaimRecord {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            network: some_text(object, &["spec", "network"]),
            machine: owner.and_then(|owner| some_text(owner, &["name"])),
            finalizers: finalizers.filter_map(|one| some_text(one, &[])).collect(),
            terminating: !metadata["deletionTimestamp"].is_null(),
            ips,
        });
    }

    pub(super) fn machine(&mut self, of: &ObjectRef, object: &Value) {
        let spec = &object["spec"];
        let strategy = text(spec, &["runStrategy"]);
        let configured =
            spec["running"] == true || matches!(strategy, "Always" | "RerunOnFailure" | "Once");
        let running = match text(object, &["status", "printableStatus"]) {
            "" => configured,
            status => !matches!(status, "Stopped" | "Halted"),
        };
        let template = &spec["template"]["spec"];
        let networks = template["networks"].as_array();
        let listed = template["domain"]["devices"]["interfaces"].as_array();
        let mut interfaces = Vec::new();
        for (index, interface) in listed.into_iter().flatten().enumerate() {
            let Some(mac_text) = some_text(interface, &["macAddress"]) else {
                continue;
            };
            let parsed = HardwareAddress::parse(&mac_text).ok();
            let Some(mac) = parsed.and_then(|mac| mac.ethernet()) else {
                let field = format!("spec.template.spec.domain.devices.interfaces[{index}]");
                self.unreadable(of, format!("{field}.macAddress {mac_text:?} is not a MAC"));
                continue;
            };
            let name = text(interface, &["name"]);
            let mut named = networks.into_iter().flatten();
            let network = named.find(|network| text(network, &["name"]) == name);
            let network = network.map(|network| text(network, &["multus", "networkName"]));
            let Some(network) = network.filter(|network| !network.is_empty()) else {
                continue;
            };
            let (namespace, name) = network.split_once('/').unwrap_or((&of.namespace, network));
            interfaces.push(MachineInterface {
                index,
                network_namespace: namespace.into(),
                network: name.into(),
                mac,
                mac_text,
            });
        }
        self.snapshot.machines.push(MachineRecord {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            running,
            interfaces,
        });
    }
}
