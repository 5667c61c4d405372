//! An index of the pods that carry an address or a MAC, independent of pools.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    Catalog, Pod,
    shared_map::{HasName, SharedMap},
};
use nadmit_allocation::Address;
use nadmit_cni::{
    Annotation, Network,
    mac::{HardwareAddress, Mac},
    status,
};

/// The pods that carry one address, on any link.
#[derive(Debug, Clone)]
pub(super) struct Carriers {
    /// The key of the address ([`key_of`]).
    address: Box<str>,
    pods: CarrierPods,
}

impl HasName for Carriers {
    fn name(&self) -> &str {
        &self.address
    }
}

/// The namespace and name of a pod.
#[derive(Debug)]
struct PodKey {
    /// `namespace/name`
    id: Box<str>,
}

impl PodKey {
    fn of(pod: &Pod) -> Arc<Self> {
        let id = format!("{}/{}", pod.namespace, pod.name).into();
        Arc::new(Self { id })
    }
}

impl HasName for PodKey {
    fn name(&self) -> &str {
        &self.id
    }
}

/// A set of pods. Nearly every address has one, and a private address on many links may have thousands.
#[derive(Debug, Clone)]
enum CarrierPods {
    One(Arc<PodKey>),
    Many(SharedMap<Arc<PodKey>>),
}

impl CarrierPods {
    fn iter(&self) -> impl Iterator<Item = &Arc<PodKey>> {
        let (one, many) = match self {
            Self::One(pod) => (Some(pod), None),
            Self::Many(pods) => (None, Some(pods.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn insert(&mut self, pod: Arc<PodKey>) {
        if let Self::One(first) = self {
            let mut pods = SharedMap::default();
            pods.insert(Arc::clone(first));
            *self = Self::Many(pods);
        }
        if let Self::Many(pods) = self {
            pods.insert(pod);
        }
    }

    /// Removes a pod, and returns true if none is left.
    fn remove(&mut self, pod: &PodKey) -> bool {
        match self {
            Self::One(only) => only.id == pod.id,
            Self::Many(pods) => {
                pods.remove(&pod.id);
                pods.is_empty()
            }
        }
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
    /// Returns the first pod, by namespace and name, that carries an address on the link of a network,
    /// other than the pod `own` and those that `is_left_out` selects. Pods that are being deleted are
    /// skipped.
    pub fn carrier_on_link(
        &self,
        address: Address,
        network: &Network,
        own: (&str, &str),
        is_left_out: impl Fn(&Pod) -> bool,
    ) -> Option<&Arc<Pod>> {
        let carriers = self.carriers.get(&key_of(address))?;
        let keys = carriers.pods.iter();
        let mut keys: Vec<(&str, &str)> = keys.filter_map(|pod| pod.id.split_once('/')).collect();
        // The same one each time: a message names it.
        keys.sort_unstable();
        let mut pods = keys
            .into_iter()
            .filter_map(|(namespace, name)| self.pod(namespace, name));
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
        let (old, new) = (addresses(before), addresses(now));
        if let Some(pod) = before.map(PodKey::of) {
            for address in old.difference(&new) {
                self.remove_carrier(*address, &pod);
            }
        }
        if let Some(pod) = now.map(PodKey::of) {
            for address in new.difference(&old) {
                self.add_carrier(*address, &pod);
            }
        }
    }

    fn add_carrier(&mut self, address: Address, pod: &Arc<PodKey>) {
        let name = key_of(address);
        // In place: a set that no published catalog shares is not copied.
        match self.carriers.get_mut(&name) {
            Some(carriers) => Arc::make_mut(carriers).pods.insert(Arc::clone(pod)),
            None => {
                let carriers = Carriers {
                    address: name.into(),
                    pods: CarrierPods::One(Arc::clone(pod)),
                };
                self.carriers.insert(Arc::new(carriers));
            }
        }
    }

    fn remove_carrier(&mut self, address: Address, pod: &PodKey) {
        let name = key_of(address);
        let carriers = self.carriers.get_mut(&name);
        if carriers.is_some_and(|carriers| Arc::make_mut(carriers).pods.remove(pod)) {
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

    /// Otherwise the start takes the square of the number of pods with one address.
    #[test]
    fn a_pod_more_on_an_address_copies_few_of_its_pods() {
        let address = key_of(Address::Ip([192, 0, 2, 7].into()));
        let mut catalog = Catalog::default();
        for number in 0..4000 {
            catalog.put_pod(pod(&format!("a-{number}"), "a-net"));
        }
        let before = catalog.clone();
        catalog.put_pod(pod("z", "a-net"));
        let pods = |catalog: &Catalog| match catalog.carriers.get(&address).map(|one| &one.pods) {
            Some(CarrierPods::Many(pods)) => pods.clone(),
            other => panic!("{other:?}"),
        };
        let (then, now) = (pods(&before), pods(&catalog));
        assert_eq!((then.len(), now.len()), (4000, 4001));
        assert!(now.copied_since(&then) < 200);
        for number in 0..4000 {
            catalog.remove_pod("db", &format!("a-{number}"));
        }
        assert_eq!(pods(&catalog).len(), 1);
        catalog.remove_pod("db", "z");
        assert!(catalog.carriers.get(&address).is_none());
    }
}
