//! What pods carry, read once for each state of a pod: most of them stay as they are for long.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    allocation::{Address, NetworkRef, reconcile::InUse},
    catalog::{Catalog, Pod},
    network::{
        mac::{HardwareAddress, Mac},
        status,
    },
};

/// What the pods and networks of a catalog use.
#[derive(Default)]
pub(super) struct Carried {
    catalog: Option<Arc<Catalog>>,
    default_home: Box<str>,
    pods: HashMap<Place, Carries>,
    networks: Vec<InUse>,
    round: u64,
}

/// Where a pod lies in memory: that is its own as long as it is kept.
type Place = usize;

/// What a pod carries.
struct Carries {
    _kept: Arc<Pod>,
    in_use: Vec<InUse>,
    reported: Vec<Reported>,
    /// The last look that saw it.
    round: u64,
}

/// What network-status shows of an interface on a network of a pool.
pub(super) struct Reported {
    pub(super) network: NetworkRef,
    pub(super) interface: String,
    /// The addresses in the pool's ranges.
    pub(super) ips: BTreeSet<Address>,
    pub(super) mac: Option<Mac>,
}

impl Carried {
    /// Looks at a catalog. `default_home` is the namespace in which pods' default networks are looked
    /// up.
    pub(super) fn look(&mut self, catalog: &Arc<Catalog>, default_home: &str) {
        let same = self.catalog.as_ref().is_some_and(|before| {
            before.has_networks_of(catalog) && Arc::ptr_eq(before.layout(), catalog.layout())
        });
        if !same || *self.default_home != *default_home {
            self.pods.clear();
            self.networks = catalog.addresses_of_networks();
            self.default_home = default_home.into();
        }
        self.round += 1;
        let mut seen = 0;
        for pod in catalog.pods() {
            let carries = self.pods.entry(place(pod)).or_insert_with(|| Carries {
                in_use: catalog.addresses_of_pod(pod, default_home),
                reported: reported(pod, catalog),
                _kept: Arc::clone(pod),
                round: 0,
            });
            carries.round = self.round;
            seen += 1;
        }
        if self.pods.len() > seen {
            let round = self.round;
            self.pods.retain(|_, carries| carries.round == round);
        }
        self.catalog = Some(Arc::clone(catalog));
    }

    /// The addresses of pools that are in use, in an order that only names decide.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &InUse> {
        let pods = self.catalog.iter().flat_map(|catalog| catalog.pods());
        let carried = pods.filter_map(|pod| self.pods.get(&place(pod)));
        carried
            .flat_map(|carries| &carries.in_use)
            .chain(&self.networks)
    }

    /// What network-status shows of a pod's networks of pools.
    pub(super) fn reported(&self, pod: &Arc<Pod>) -> &[Reported] {
        let carries = self.pods.get(&place(pod));
        carries.map_or(&[], |carries| &carries.reported)
    }
}

fn place(pod: &Arc<Pod>) -> Place {
    Arc::as_ptr(pod).addr()
}

fn reported(pod: &Pod, catalog: &Catalog) -> Vec<Reported> {
    let text = pod.network_status.as_deref().unwrap_or_default();
    let mut found: BTreeMap<(NetworkRef, String), Reported> = BTreeMap::new();
    for attachment in status::parse(text).unwrap_or_default() {
        let own = (&*pod.namespace, &*attachment.name);
        let (namespace, name) = attachment.name.split_once('/').unwrap_or(own);
        let network = catalog.network(namespace, name);
        let served = network.and_then(|network| {
            let pool = catalog.layout().pool(network.address_pool.as_deref()?)?;
            Some((NetworkRef::from(&**network), pool))
        });
        let Some((network, pool)) = served else {
            continue;
        };
        let interface = attachment.interface.unwrap_or_default();
        let key = (network.clone(), interface.clone());
        let one = found.entry(key).or_insert_with(|| Reported {
            network,
            interface,
            ips: BTreeSet::new(),
            mac: None,
        });
        let ips = attachment.ips.iter();
        let inside = ips.filter(|ip| pool.range_of(**ip).is_some());
        one.ips.extend(inside.map(|ip| Address::Ip(*ip)));
        let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
        one.mac = one.mac.or_else(|| mac?.ok()?.ethernet());
    }
    found.into_values().collect()
}
