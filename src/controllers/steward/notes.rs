//! What only people can mend: two users of one address, and pods that have something else than what
//! is recorded for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Inner, State, compare::Compared, report::Report};
use crate::{
    allocation::{
        Address, Allocation, Holder, NetworkRef,
        reconcile::{InUse, Reason},
    },
    catalog::{Catalog, Pod},
    controllers::{Gravity, ObjectRef},
    network::{
        mac::{HardwareAddress, Mac},
        status,
    },
};

/// A pod, and a sentence about it.
pub(super) type Note = (ObjectRef, String);

impl Inner {
    /// Tells of what was not told of before; what is over is forgotten.
    pub(super) fn tell_people(
        &self,
        state: &mut State,
        catalog: &Catalog,
        compared: &Compared,
        report: &mut Report,
    ) {
        let duplicates = duplicates(compared);
        report.duplicates = compared.duplicates();
        self.tell(&mut state.duplicates, duplicates, "DuplicateAddress");
        let drifted = drifted(catalog, compared);
        report.drifted = drifted.len();
        self.counted.set_drifted(drifted.len());
        self.tell(&mut state.drifted, drifted, "AddressDrift");
    }

    fn tell(&self, told: &mut BTreeSet<Note>, now: BTreeSet<Note>, reason: &'static str) {
        for (about, message) in now.difference(told) {
            tracing::warn!(
                namespace = about.namespace,
                pod = about.name,
                reason,
                "{message}"
            );
            self.counted.add(match reason {
                "AddressDrift" => "drift",
                _ => "duplicate",
            });
            let (about, message) = (about.clone(), message.clone());
            self.notices
                .notice(about, Gravity::Warning, reason, message);
        }
        *told = now;
    }
}

impl Compared {
    /// How many addresses more than one uses.
    pub(super) fn duplicates(&self) -> usize {
        let all = self.actions.iter();
        all.filter(|action| matches!(action.reason, Reason::Duplicate { .. }))
            .count()
    }
}

/// Who uses an address that others use, too, each with a sentence.
fn duplicates(compared: &Compared) -> BTreeSet<Note> {
    let mut notes = BTreeSet::new();
    for action in &compared.actions {
        let Reason::Duplicate { address, users } = &action.reason else {
            continue;
        };
        let words: Vec<String> = users.iter().map(ToString::to_string).collect();
        let message = format!(
            "{address} is used by {}; change the addresses of all but one of them",
            words.join(" and by ")
        );
        let used = compared.in_use.iter().filter(|one| one.address == *address);
        for one in used.filter(|one| users.contains(&one.holder)) {
            notes.extend(object(one).map(|about| (about, message.clone())));
        }
    }
    notes
}

fn object(one: &InUse) -> Option<ObjectRef> {
    let pod = one.pod.as_ref()?;
    let namespace = one.holder.namespace();
    Some(ObjectRef::pod(namespace, &pod.name, pod.uid.as_deref()))
}

/// An interface of a network as a pod has it.
type Interface<'a> = (&'a Holder, &'a NetworkRef, &'a str);

/// The bound pods whose network-status shows, for a network of a pool, other addresses than are recorded
/// for them, each with a sentence. What is recorded and not carried by the pod does not count: that is
/// on its way out.
fn drifted(catalog: &Catalog, compared: &Compared) -> BTreeSet<Note> {
    let mut recorded: HashMap<Interface<'_>, Vec<&Allocation>> = HashMap::new();
    for one in &compared.records {
        let record = &one.allocation;
        let interface = (&record.holder, &record.network, &*record.interface);
        recorded.entry(interface).or_default().push(record);
    }
    let mut carried: HashMap<Interface<'_>, BTreeSet<Address>> = HashMap::new();
    for one in &compared.in_use {
        let interface = (&one.holder, &one.network, &*one.interface);
        carried.entry(interface).or_default().insert(one.address);
    }
    let mut notes = BTreeSet::new();
    for pod in catalog.pods().filter(|pod| pod.node.is_some()) {
        for (network, interface, has) in reported(pod, catalog) {
            let key = (&pod.holder, &network, &*interface);
            let (Some(records), Some(carried)) = (recorded.get(&key), carried.get(&key)) else {
                continue;
            };
            let records = records.iter().copied();
            let expected = Has::of(records.filter(|record| carried.contains(&record.address)));
            if let Some(words) = expected.differs(&has) {
                let about = ObjectRef::pod(&pod.namespace, &pod.name, pod.uid.as_deref());
                let message = format!(
                    "interface {interface} of network {}/{} has {words}; the plugin does not give \
                     what it is asked for, or the annotation was changed past nadmit",
                    network.namespace, network.name
                );
                notes.insert((about, message));
            }
        }
    }
    notes
}

/// What an interface has.
#[derive(Default)]
struct Has {
    ips: BTreeSet<Address>,
    mac: Option<Mac>,
}

impl Has {
    fn of<'a>(records: impl Iterator<Item = &'a Allocation>) -> Self {
        let mut has = Self::default();
        for record in records {
            match record.address {
                Address::Ip(_) => {
                    has.ips.insert(record.address);
                    has.mac = has.mac.or(record.mac);
                }
                Address::Mac(mac) => has.mac = Some(mac),
            }
        }
        has
    }

    fn differs(&self, reported: &Self) -> Option<String> {
        let list = |ips: &BTreeSet<Address>| match ips.is_empty() {
            true => "no address".to_owned(),
            false => {
                let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
                ips.join(", ")
            }
        };
        if self.ips != reported.ips {
            let (has, expected) = (list(&reported.ips), list(&self.ips));
            return Some(format!("{has}, and {expected} is recorded for it"));
        }
        let (has, expected) = (reported.mac?, self.mac?);
        (has != expected).then(|| format!("MAC {has}, and {expected} is recorded for it"))
    }
}

/// What network-status shows of a pod's networks of pools: addresses in their pools' ranges.
fn reported(pod: &Pod, catalog: &Catalog) -> Vec<(NetworkRef, String, Has)> {
    let text = pod.network_status.as_deref().unwrap_or_default();
    let mut found: BTreeMap<(NetworkRef, String), Has> = BTreeMap::new();
    for attachment in status::parse(text).unwrap_or_default() {
        let own = (&*pod.namespace, &*attachment.name);
        let (namespace, name) = attachment.name.split_once('/').unwrap_or(own);
        let network = catalog.network(namespace, name);
        let pool = network.and_then(|network| {
            let pool = catalog.layout().pool(network.address_pool.as_deref()?)?;
            Some((NetworkRef::from(&**network), pool))
        });
        let Some((network, pool)) = pool else {
            continue;
        };
        let interface = attachment.interface.unwrap_or_default();
        let has = found.entry((network, interface)).or_default();
        let inside = attachment
            .ips
            .iter()
            .filter(|ip| pool.range_of(**ip).is_some());
        has.ips.extend(inside.map(|ip| Address::Ip(*ip)));
        let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
        has.mac = has.mac.or_else(|| mac?.ok()?.ethernet());
    }
    let found = found.into_iter();
    found
        .map(|((network, interface), has)| (network, interface, has))
        .collect()
}
