//! The addresses that pods and networks use, cached for each version of a pod.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use nadmit_allocation::{Address, NetworkRef, reconcile::InUse};
use nadmit_catalog::{Catalog, Pod};
use nadmit_cni::{
    mac::{HardwareAddress, Mac},
    status,
};

/// The addresses in use in a catalog.
#[derive(Debug, Default)]
pub(crate) struct ObservedAddresses {
    catalog: Option<Arc<Catalog>>,
    multus_namespace: Box<str>,
    pods: HashMap<PodPointer, PodAddresses>,
    networks: Vec<InUse>,
    generation: u64,
}

/// The address of a pod in memory. It is unique as long as the pod is kept.
type PodPointer = usize;

#[derive(Debug)]
struct PodAddresses {
    _kept: Arc<Pod>,
    in_use: Vec<InUse>,
    /// The interfaces whose network-status may differ from the records; usually none.
    mismatches: Vec<ReportedInterface>,
    /// True if its namespace had the label for injection.
    is_labelled: bool,
    /// The generation of the last update that contained the pod.
    generation: u64,
}

/// The network-status of an interface on a pool's network.
#[derive(Debug)]
pub(crate) struct ReportedInterface {
    /// The network, which a pool serves.
    pub(crate) network: NetworkRef,
    /// The name of the interface in the pod.
    pub(crate) interface: String,
    /// The addresses in the pool's ranges.
    pub(crate) ips: BTreeSet<Address>,
    /// The MAC, if the pool assigns MACs.
    pub(crate) mac: Option<Mac>,
}

impl ObservedAddresses {
    /// Updates the addresses from a catalog. `multus_namespace` is the namespace of default networks
    /// that name none.
    pub(crate) fn update(&mut self, catalog: &Arc<Catalog>, multus_namespace: &str) {
        let same = self.catalog.as_ref().is_some_and(|before| {
            before.has_same_networks(catalog)
                && Arc::ptr_eq(before.pool_config(), catalog.pool_config())
        });
        if !same || *self.multus_namespace != *multus_namespace {
            self.pods.clear();
            self.networks = catalog.addresses_of_networks();
            self.multus_namespace = multus_namespace.into();
        }
        self.generation += 1;
        let mut count = 0;
        for pod in catalog.pods() {
            let new = || PodAddresses::new(pod, catalog, multus_namespace);
            let carries = self.pods.entry(pod_pointer(pod)).or_insert_with(new);
            if carries.is_labelled != is_labelled(pod, catalog) {
                *carries = new();
            }
            carries.generation = self.generation;
            count += 1;
        }
        if self.pods.len() > count {
            let generation = self.generation;
            self.pods
                .retain(|_, carries| carries.generation == generation);
        }
        self.catalog = Some(Arc::clone(catalog));
    }

    /// Iterates over the addresses in use from pools, in an order that depends on names only.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &InUse> {
        let pods = self.catalog.iter().flat_map(|catalog| catalog.pods());
        let addresses = pods.filter_map(|pod| self.pods.get(&pod_pointer(pod)));
        addresses
            .flat_map(|carries| &carries.in_use)
            .chain(&self.networks)
    }

    /// Iterates over the interfaces of bound pods whose network-status may differ from the records,
    /// each with the addresses the pod uses on it. Where usage and network-status agree, the records
    /// either agree too, or belong to another holder.
    pub(crate) fn mismatches(
        &self,
    ) -> impl Iterator<Item = (&Arc<Pod>, Vec<&InUse>, &ReportedInterface)> {
        let pods = self.catalog.iter().flat_map(|catalog| catalog.pods());
        let bound = pods.filter(|pod| pod.node.is_some());
        let addresses = bound.filter_map(|pod| Some((pod, self.pods.get(&pod_pointer(pod))?)));
        addresses.flat_map(|(pod, carries)| {
            let mismatches = carries.mismatches.iter();
            mismatches.map(move |mismatches| {
                (
                    pod,
                    mismatches.used_of(&carries.in_use).collect(),
                    mismatches,
                )
            })
        })
    }
}

impl PodAddresses {
    fn new(pod: &Arc<Pod>, catalog: &Catalog, multus_namespace: &str) -> Self {
        let in_use = catalog.addresses_of_pod(pod, multus_namespace);
        let mut mismatches = reported_interfaces(pod, catalog);
        mismatches.retain(|reported_interfaces| reported_interfaces.differs_from(&in_use));
        Self {
            _kept: Arc::clone(pod),
            in_use,
            mismatches,
            is_labelled: is_labelled(pod, catalog),
            generation: 0,
        }
    }
}

/// Returns true if networks can define pools and the pod's namespace has the label for injection, on which
/// the pods of such pools depend.
fn is_labelled(pod: &Pod, catalog: &Catalog) -> bool {
    catalog.derives_pools() && catalog.has_injection_label(&pod.namespace)
}

impl ReportedInterface {
    /// Returns the addresses a pod uses on this interface.
    fn used_of<'a>(&self, in_use: &'a [InUse]) -> impl Iterator<Item = &'a InUse> {
        let on_it = |one: &&InUse| one.network == self.network && *one.interface == *self.interface;
        in_use.iter().filter(on_it)
    }

    /// Returns true if the pod requested something else than it has.
    fn differs_from(&self, in_use: &[InUse]) -> bool {
        let used = || self.used_of(in_use);
        let mut ips = used().filter(|one| one.address.ip().is_some());
        let macs = used().filter_map(|one| match one.address {
            Address::Mac(mac) => Some(mac),
            Address::Ip(_) => one.mac,
        });
        let macs: BTreeSet<Mac> = macs.collect();
        let same_mac = self.mac.is_none_or(|mac| macs == BTreeSet::from([mac]));
        !same_mac || !ips.all(|one| self.ips.contains(&one.address))
    }
}

fn pod_pointer(pod: &Arc<Pod>) -> PodPointer {
    Arc::as_ptr(pod).addr()
}

fn reported_interfaces(pod: &Pod, catalog: &Catalog) -> Vec<ReportedInterface> {
    let text = pod.network_status.as_deref().unwrap_or_default();
    let mut found: BTreeMap<(NetworkRef, String), ReportedInterface> = BTreeMap::new();
    for attachment in status::parse(text).unwrap_or_default() {
        let own = (&*pod.namespace, &*attachment.name);
        let (namespace, name) = attachment.name.split_once('/').unwrap_or(own);
        let network = catalog.network(namespace, name);
        let served = network.and_then(|network| {
            let pool = catalog.pool_config().pool(network.pool()?)?;
            Some((NetworkRef::from(&**network), pool))
        });
        let Some((network, pool)) = served else {
            continue;
        };
        let interface = attachment.interface.unwrap_or_default();
        let key = (network.clone(), interface.clone());
        let one = found.entry(key).or_insert_with(|| ReportedInterface {
            network,
            interface,
            ips: BTreeSet::new(),
            mac: None,
        });
        let ips = attachment.ips.iter();
        let inside = ips.filter(|ip| pool.range_of(**ip).is_some());
        one.ips.extend(inside.map(|ip| Address::Ip(*ip)));
        let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
        let mac = mac.and_then(|mac| mac.ok()?.ethernet());
        one.mac = one.mac.or(mac.filter(|_| pool.macs.is_some()));
    }
    found.into_values().collect()
}
