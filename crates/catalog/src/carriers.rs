//! An index of the pods that carry an address or a MAC, independent of pools.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Catalog, Pod, shared_map::HasName};
use nadmit_allocation::Address;
use nadmit_cni::{
    Annotation, Network,
    mac::{HardwareAddress, Mac},
    status,
};

/// A pod's namespace and name.
type PodKey = (Box<str>, Box<str>);

/// The pods that carry one address, on any link.
#[derive(Debug, Clone)]
pub(super) struct Carriers {
    /// The key of the address ([`key_of`]).
    address: Box<str>,
    /// A change copies the set if a published catalog shares it; the keys are shared anyway.
    pods: BTreeSet<Arc<PodKey>>,
}

impl HasName for Carriers {
    fn name(&self) -> &str {
        &self.address
    }
}

/// The addresses of a pod's interface, from its annotations or from Multus's network-status.
struct CarriedInterface {
    network: (Box<str>, Box<str>),
    ips: Vec<IpAddr>,
    mac: Option<Mac>,
}

impl CarriedInterface {
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let ips = self.ips.iter().copied().map(Address::Ip);
        ips.chain(self.mac.map(Address::Mac))
    }
}

impl Catalog {
    /// Returns a pod that carries an address on the link of a network, other than the pod `own` and
    /// those that `is_left_out` selects. Pods that are being deleted are skipped.
    pub fn carrier_on_link(
        &self,
        address: Address,
        network: &Network,
        own: (&str, &str),
        is_left_out: impl Fn(&Pod) -> bool,
    ) -> Option<&Arc<Pod>> {
        let carriers = self.carriers.get(&key_of(address))?;
        let pods = carriers.pods.iter();
        let mut pods = pods.filter_map(|pod| self.pod(&pod.0, &pod.1));
        pods.find(|pod| {
            (&*pod.namespace, &*pod.name) != own
                && !pod.terminating
                && !is_left_out(pod)
                && self.carries_on_link(pod, address, network)
        })
    }

    fn carries_on_link(&self, pod: &Pod, address: Address, network: &Network) -> bool {
        let carried = carried_interfaces(pod);
        let mut with_it = carried
            .iter()
            .filter(|one| one.addresses().any(|its| its == address));
        with_it.any(|one| {
            let (namespace, name) = &one.network;
            let theirs = self.network(namespace, name);
            theirs.is_some_and(|theirs| {
                (&theirs.namespace, &theirs.name) == (&network.namespace, &network.name)
                    || theirs.shares_link(network)
            })
        })
    }

    /// Updates the index when a pod changes, appears or disappears.
    pub(super) fn update_carriers(&mut self, before: Option<&Pod>, now: Option<&Pod>) {
        let addresses = |pod: Option<&Pod>| -> BTreeSet<Address> {
            let carried = pod.map(carried_interfaces).unwrap_or_default();
            carried
                .iter()
                .flat_map(CarriedInterface::addresses)
                .collect()
        };
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        let (old, new) = (addresses(before), addresses(now));
        if let Some(pod) = before {
            for address in old.difference(&new) {
                self.change_carriers(*address, |pods| {
                    pods.remove(&key(pod));
                });
            }
        }
        if let Some(pod) = now {
            for address in new.difference(&old) {
                self.change_carriers(*address, |pods| {
                    pods.insert(Arc::new(key(pod)));
                });
            }
        }
    }

    fn change_carriers(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut BTreeSet<Arc<PodKey>>),
    ) {
        let name = key_of(address);
        if self.carriers.get(&name).is_none() {
            let address = name.clone().into();
            let pods = BTreeSet::new();
            self.carriers.insert(Arc::new(Carriers { address, pods }));
        }
        let Some(carriers) = self.carriers.get_mut(&name) else {
            return;
        };
        let carriers = Arc::make_mut(carriers);
        change(&mut carriers.pods);
        if carriers.pods.is_empty() {
            self.carriers.remove(&name);
        }
    }
}

/// Returns the key of an address: its bits in hexadecimal digits, whose number depends on the family. Each
/// address that a new pod names is looked up, and its usual form takes longer to write.
fn key_of(address: Address) -> String {
    let digits = address.family().bits() as usize / 4;
    format!("{:0digits$x}", address.number())
}

/// Returns the addresses of a pod's interfaces, except those on the cluster network.
fn carried_interfaces(pod: &Pod) -> Vec<CarriedInterface> {
    let mut found = Vec::new();
    if pod.host_network {
        return found;
    }
    if let Some(text) = pod.networks.as_deref().filter(|text| text.contains('"')) {
        for selection in &Annotation::parse(text).selections {
            let ips = selection.ips.iter().flat_map(|ips| &ips.value);
            let one = CarriedInterface {
                network: (
                    selection.namespace_or(&pod.namespace).into(),
                    selection.network_name().unwrap_or_default().into(),
                ),
                ips: ips.filter_map(|ip| Some(ip.ok()?.address)).collect(),
                mac: selection.mac.as_ref().and_then(|mac| mac.ok()?.ethernet()),
            };
            found.push(one);
        }
    }
    // Without the networks annotation, the status reports the cluster network only.
    let reported = pod
        .network_status
        .as_deref()
        .filter(|_| pod.networks.is_some());
    for attachment in reported
        .map(status::parse)
        .and_then(Result::ok)
        .unwrap_or_default()
    {
        let Some((namespace, name)) = attachment.name.split_once('/') else {
            continue;
        };
        let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
        found.push(CarriedInterface {
            network: (namespace.into(), name.into()),
            ips: attachment.ips.clone(),
            mac: mac.and_then(|mac| mac.ok()?.ethernet()),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, network: &str) -> Arc<Pod> {
        let networks = format!(r#"[{{"name":"{network}","ips":["192.0.2.7/24"]}}]"#);
        Arc::new(Pod {
            networks: Some(networks.into()),
            ..Pod::new("db", name)
        })
    }

    /// Private ranges are used on many links: pods on other links hide no carrier on this one.
    #[test]
    fn a_carrier_is_found_among_many_on_other_links() {
        let network = Network::new("db", "z-net", None);
        let mut catalog = Catalog::default();
        for number in 0..20 {
            catalog.put_pod(pod(&format!("a-{number}"), &format!("net-{number}")));
        }
        catalog.put_pod(pod("z", "z-net"));
        let address = Address::Ip([192, 0, 2, 7].into());
        catalog.put_network(Arc::new(network.clone()));
        let found = |catalog: &Catalog| {
            let carrier = catalog.carrier_on_link(address, &network, ("db", "new"), |_| false);
            carrier.map(|pod| pod.name.clone())
        };
        assert_eq!(found(&catalog).as_deref(), Some("z"));
        catalog.remove_pod("db", "z");
        assert_eq!(found(&catalog), None);
    }
}
