//! The parameters of a scenario, drawn once at its start.

use serde_json::{Value, json};

use super::rng::Rng;

/// The namespaces of all scenarios; bindings are reviewed in both.
pub(super) const NAMESPACES: [&str; 2] = ["db", "web"];
pub(super) const POOL: &str = "storage";
pub(super) const NETWORK: &str = "storage-net";

/// The amount of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultProfile {
    Calm,
    Rough,
    Storm,
}

/// The actors of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actors {
    /// Pods and StatefulSets.
    Pods,
    /// Pods, StatefulSets and virtual machines.
    Machines,
}

/// The parameters of a scenario.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) replicas: usize,
    pub(super) nodes: usize,
    /// Set if addresses are injected when a pod is created, instead of when it is bound.
    pub(super) at_creation: bool,
    pub(super) fault_profile: FaultProfile,
    pub(super) steps: u64,
    /// In seconds.
    pub(super) quarantine: u64,
    /// In seconds.
    pub(super) lost_node: u64,
    pub(super) pool: Value,
    /// The number of addresses of each attachment.
    pub(super) families: usize,
    pub(super) sticky: bool,
    /// Set if the scenario appoints leaders, at times two or none, and no Lease is used.
    pub(super) leaders_appointed: bool,
    pub(super) actors: Actors,
}

impl Scenario {
    pub(super) fn draw(rng: &Rng, actors: Actors) -> Self {
        let sliced = rng.percent(20);
        let families = if rng.percent(30) { 2 } else { 1 };
        let quarantine = rng.between(45, 90);
        let lost_node = rng.between(120, 400);
        let fault_profile = match rng.below(4) {
            0 => FaultProfile::Calm,
            1 | 2 => FaultProfile::Rough,
            _ => FaultProfile::Storm,
        };
        let sticky = !sliced && rng.percent(80);
        let mut scenario = Self {
            replicas: if rng.percent(50) { 2 } else { 3 },
            nodes: 3,
            at_creation: !sliced && rng.percent(20),
            fault_profile,
            steps: rng.between(20, 50),
            quarantine,
            lost_node,
            pool: Value::Null,
            families,
            sticky,
            leaders_appointed: rng.percent(30),
            actors,
        };
        scenario.pool = scenario.draw_pool(rng, sliced);
        if actors == Actors::Machines {
            scenario.draw_machines(rng);
        }
        scenario
    }

    /// Draws the settings for machines: there are MACs, and sometimes machines retain addresses,
    /// too.
    fn draw_machines(&mut self, rng: &Rng) {
        if self.pool["macs"].is_null() {
            self.pool["macs"] = json!({"prefix": "02:5e:00"});
        }
        if !self.is_sliced() && rng.percent(30) {
            self.pool["virtualMachines"] = json!("MACAndIPs");
        }
    }

    fn is_sliced(&self) -> bool {
        self.pool["nodeSliceSize"].is_string()
    }

    /// Returns true if there are MACs that are not derived from an address.
    fn has_spare(&self) -> bool {
        let exact = self.pool["macs"]["end"].is_string()
            && self.pool["ranges"][0]["range"]
                .as_str()
                .is_some_and(|range| range.ends_with("/28"));
        !exact
    }

    /// Returns true if a machine retains its addresses without a pod.
    pub(super) fn vms_retain_ips(&self) -> bool {
        self.sticky && (self.pool["virtualMachines"] == "MACAndIPs" || !self.has_spare())
    }

    /// Returns true if a machine retains its MAC without a pod.
    pub(super) fn machines_keep_macs(&self) -> bool {
        self.sticky || (self.is_sliced() && self.has_spare())
    }

    fn draw_pool(&self, rng: &Rng, sliced: bool) -> Value {
        let ranges: &[Value] = &[
            json!({"range": if sliced { "192.0.2.0/28" } else { "192.0.2.0/29" }}),
            json!({"range": "192.0.2.16/28", "exclude": ["192.0.2.24/29"], "gateway": "192.0.2.17"}),
        ];
        let first = if sliced || rng.percent(50) { 0 } else { 1 };
        let mut spec = json!({
            "ranges": [ranges[first]],
            "quarantine": format!("{}s", self.quarantine),
            "lostNodeQuarantine": format!("{}s", self.lost_node),
            "namespaceSelector": {},
        });
        if self.families == 2 {
            let second = json!({"range": "2001:db8::/120"});
            spec["ranges"]
                .as_array_mut()
                .into_iter()
                .for_each(|r| r.push(second.clone()));
        }
        if rng.percent(50) {
            spec["networkName"] = json!("example_net_common");
        }
        match rng.below(3) {
            0 => spec["macs"] = json!({"prefix": "02:5e:00"}),
            1 => spec["macs"] = json!({"start": "02:5e:00:00:00:00", "end": "02:5e:00:00:00:0f"}),
            _ => {}
        }
        if rng.percent(30) {
            spec["maxPerNamespace"] = json!(rng.between(3, 5) * self.families as u64);
        }
        if sliced {
            spec["nodeSliceSize"] = json!("/30");
            spec["strictSlices"] = json!(rng.percent(30));
        } else if !self.sticky {
            spec["retention"] = json!("Pod");
        }
        spec
    }

    /// Returns the address space of the pool.
    pub(super) fn space(&self) -> &str {
        self.pool["networkName"].as_str().unwrap_or_default()
    }

    /// Returns the objects that exist at the start.
    pub(super) fn objects(&self) -> Vec<Value> {
        let config = json!({
            "cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true},
            "ipam": {"type": "static"},
        });
        let network = |namespace: &str| {
            json!({
                "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
                "metadata": {
                    "name": NETWORK, "namespace": namespace,
                    "annotations": {"nadmit.io/address-pool": POOL},
                },
                "spec": {"config": config.to_string()},
            })
        };
        let pool = json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": POOL}, "spec": self.pool,
        });
        let networks = NAMESPACES.iter().map(|namespace| network(namespace));
        networks.chain([pool]).collect()
    }
}
