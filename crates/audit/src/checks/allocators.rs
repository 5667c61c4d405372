//! `two-allocators`: ranges from which two allocators assign that do not know of each other.
//!
//! An AddressPool and Whereabouts meet in one address space, as the rule `pool-overlaps-whereabouts` has
//! it, or on one L2 segment. host-local and configured addresses have no address space: they meet others
//! on a segment. Ranges of Whereabouts know of each other by their `IPPool`, or by reservations.
//! Configured addresses are no conflict with a pool, which records them.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::AddressRange;
use nadmit_cni::{
    BoundedSubnet, IpRange, Network,
    assignable::{AssignableSource, assignable_ranges},
    ipam::{HostLocalRange, Ipam},
};
use nadmit_whereabouts::SpaceAddress;

use crate::{
    AddressPoolRecord, AuditCode, AuditFinding, ObjectRef, PodState, RecordKind,
    finding::{MAX_NAMES, some_of},
    fix,
    segment::Segment,
    view::{View, network_object},
};

/// The most blocks that a command excludes.
const MAX_BLOCKS: usize = 16;

/// An allocator, or a configuration that gives addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Allocator<'s> {
    /// An AddressPool: its index, and that of its range.
    Pool(usize, usize),
    /// The records of Whereabouts that ranges of one subnet share.
    Whereabouts {
        space: &'s str,
        subnet: IpRange,
        is_sliced: bool,
        /// True if reservations make addresses unique in the address space.
        overlapping: bool,
    },
    HostLocal,
    /// A configured address.
    Configured,
}

/// A range of an allocator on one segment.
struct Supply<'s> {
    allocator: Allocator<'s>,
    range: IpRange,
    /// The segment; `None` for a pool, whichever networks it serves.
    segment: Option<Segment<'s>>,
    object: ObjectRef,
    value: String,
}

/// Allocators that meet, each with a range.
type Members<'a, 's> = BTreeMap<Allocator<'s>, &'a Supply<'s>>;

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let supplies = supplies(view);
    // The allocators that meet, by segment and the addresses that they share.
    let mut groups: BTreeMap<(&Option<Segment<'_>>, IpRange), Members<'_, '_>> = BTreeMap::new();
    for (at, one) in supplies.iter().enumerate() {
        for other in supplies.iter().skip(at + 1) {
            // Sorted by first address: no later range overlaps.
            if other.range.first() > one.range.last() {
                break;
            }
            let (first, second) = if one.allocator <= other.allocator {
                (one, other)
            } else {
                (other, one)
            };
            let Some(shared) = shared(view, first, second) else {
                continue;
            };
            if meet(view, first, second) {
                let group = groups.entry((&second.segment, shared)).or_default();
                group.entry(first.allocator).or_insert(first);
                group.entry(second.allocator).or_insert(second);
            }
        }
    }
    // On another segment the same ones are not worth a second finding.
    let mut known: BTreeSet<(Vec<Allocator<'_>>, IpRange)> = BTreeSet::new();
    for ((_, shared), group) in groups {
        if known.insert((group.keys().copied().collect(), shared)) {
            let members: Vec<&Supply<'_>> = group.into_values().collect();
            findings.extend(finding(view, &members, shared));
        }
    }
}

/// Returns the ranges of all allocators, by their first address. Networks of one range on one segment
/// are one supply, which the first of them shows.
fn supplies<'s>(view: &View<'s>) -> Vec<Supply<'s>> {
    let mut known: BTreeMap<(IpRange, Allocator<'_>, Option<Segment<'_>>), Supply<'_>> =
        BTreeMap::new();
    let mut add = |supply: Supply<'s>| {
        let key = (supply.range, supply.allocator, supply.segment.clone());
        known.entry(key).or_insert(supply);
    };
    let mut networks: Vec<&Network> = view.snapshot.networks.iter().collect();
    networks.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    for network in networks {
        for (allocator, range, value) in of_network(network) {
            add(Supply {
                allocator,
                range,
                segment: Some(Segment::of(network)),
                object: network_object(network),
                value,
            });
        }
    }
    for (at, AddressPoolRecord { pool, .. }) in view.snapshot.address_pools.iter().enumerate() {
        let networks = view.snapshot.networks.iter();
        let served = networks.filter(|one| one.address_pool.as_deref() == Some(&*pool.name));
        let segments: BTreeSet<Segment<'_>> = served.map(Segment::of).collect();
        for (index, range) in pool.ranges.iter().enumerate() {
            for segment in std::iter::once(None).chain(segments.iter().cloned().map(Some)) {
                add(Supply {
                    allocator: Allocator::Pool(at, index),
                    range: range.window,
                    segment,
                    object: ObjectRef::new(RecordKind::AddressPool, "", &pool.name),
                    value: format!("spec.ranges[{index}] assigns {}", range.window.in_words()),
                });
            }
        }
    }
    known.into_values().collect()
}

/// Returns the ranges that a network's configuration assigns.
fn of_network(network: &Network) -> Vec<(Allocator<'_>, IpRange, String)> {
    let Some(config) = network.config.loaded() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for assignable in assignable_ranges(config) {
        let ipam = config
            .plugins
            .get(assignable.plugin)
            .and_then(|one| one.ipam.as_ref());
        let (range, words) = (assignable.range, assignable.range.in_words());
        match (assignable.source, ipam) {
            (AssignableSource::Range { index, .. }, Some(Ipam::Whereabouts(ipam))) => {
                let subnet = ipam.ranges.get(index).map(|one| one.range.trim());
                let subnet = subnet.and_then(|text| BoundedSubnet::parse(text).ok());
                let allocator = Allocator::Whereabouts {
                    space: ipam.network_name.as_deref().unwrap_or_default(),
                    subnet: subnet.map_or(range, |one| one.subnet.range()),
                    is_sliced: ipam.node_slice_size.is_some(),
                    overlapping: ipam.overlapping_ranges,
                };
                found.push((allocator, range, format!("Whereabouts assigns {words}")));
            }
            (AssignableSource::Configured { .. }, _) => {
                let value = format!("its configuration has the address {words}");
                found.push((Allocator::Configured, range, value));
            }
            _ => {}
        }
    }
    if let Some(Ipam::HostLocal(ipam)) = config.ipam() {
        let ranges = ipam
            .sets
            .iter()
            .flatten()
            .filter_map(HostLocalRange::window);
        found.extend(ranges.map(|range| {
            let value = format!("host-local assigns {} on each node", range.in_words());
            (Allocator::HostLocal, range, value)
        }));
    }
    found
}

/// Returns the range of a pool that a supply is of.
fn pool_range<'v>(view: &'v View<'_>, supply: &Supply<'_>) -> Option<&'v AddressRange> {
    let Allocator::Pool(at, index) = supply.allocator else {
        return None;
    };
    view.snapshot.address_pools.get(at)?.pool.ranges.get(index)
}

/// Returns the addresses that both assign; of a pool, excluded ones do not count.
fn shared(view: &View<'_>, first: &Supply<'_>, second: &Supply<'_>) -> Option<IpRange> {
    let shared = first.range.intersection(second.range)?;
    match pool_range(view, first) {
        Some(range) => {
            let given = range.free_numbers().lowest_within(shared.numbers());
            given.map(|_| shared)
        }
        None => Some(shared),
    }
}

/// Returns true if the two assign for one address space or L2 segment, without knowing of each other.
/// The first is the lesser allocator.
fn meet(view: &View<'_>, first: &Supply<'_>, second: &Supply<'_>) -> bool {
    let on_segment = first.segment.is_some() && first.segment == second.segment;
    match (first.allocator, second.allocator) {
        (Allocator::Pool(at, _), Allocator::Whereabouts { space, .. }) => {
            let pool = view.snapshot.address_pools.get(at);
            on_segment || pool.is_some_and(|one| one.pool.space.network_name() == space)
        }
        (Allocator::Pool(..) | Allocator::Whereabouts { .. }, Allocator::HostLocal) => on_segment,
        (Allocator::Whereabouts { space, .. }, Allocator::Configured) => {
            on_segment && !is_kept(view, space, second)
        }
        (
            Allocator::Whereabouts {
                space,
                subnet,
                is_sliced,
                overlapping,
            },
            Allocator::Whereabouts {
                space: other_space,
                subnet: other_subnet,
                is_sliced: other_sliced,
                overlapping: other_overlapping,
            },
        ) => {
            let one_pool = subnet == other_subnet && is_sliced == other_sliced;
            let is_shared = one_pool || (overlapping && other_overlapping);
            on_segment && !(space == other_space && is_shared)
        }
        _ => false,
    }
}

/// Returns true if an entry keeps Whereabouts from assigning a configured address: it has no pod, or one
/// that gets the address by the configuration. The entry of any other pod shows a conflict.
fn is_kept(view: &View<'_>, space: &str, configured: &Supply<'_>) -> bool {
    let address = configured.range.first();
    let gives = |network: &Network| {
        let mut supplies = of_network(network).into_iter();
        configured.segment == Some(Segment::of(network))
            && supplies.any(|(allocator, range, _)| {
                allocator == Allocator::Configured && range.contains(address)
            })
    };
    view.entries(SpaceAddress { space, address })
        .iter()
        .any(|one| {
            one.entry
                .pod
                .as_ref()
                .is_none_or(|pod| match view.pod(pod) {
                    PodState::Live(pod) => {
                        let requested = pod.requested.iter();
                        let mut networks =
                            requested.filter_map(|one| view.network(&one.namespace, &one.name));
                        networks.any(gives)
                    }
                    PodState::Unknown => true,
                    PodState::Ended(_) | PodState::Absent => false,
                })
        })
}

/// Returns the finding about allocators that share addresses; the first is the least.
fn finding(view: &View<'_>, members: &[&Supply<'_>], shared: IpRange) -> Option<AuditFinding> {
    let (first, second) = (members.first()?, members.get(1)?);
    let words = shared.in_words();
    let message = match members {
        [_, _] => format!(
            "two allocators assign {words}: {} and {}",
            first.object, second.object
        ),
        all => {
            let names = some_of(all.iter().map(|one| one.object.to_string()));
            format!("{} allocators assign {words}: {names}", all.len())
        }
    };
    let mut finding = AuditFinding::new(AuditCode::TwoAllocators, message);
    for one in members.iter().take(MAX_NAMES) {
        finding = finding.with(one.object.clone(), &*one.value);
    }
    if let Some(command) = exclusion(view, first, shared) {
        return Some(finding.command(command).help(format!(
            "or change the configuration of {} so that it does not assign {words}",
            second.object
        )));
    }
    let finding = match members {
        [_, _] => finding.command(fix::edit(&second.object)),
        _ => finding,
    };
    let is_whole = members.iter().all(|one| one.range == shared);
    Some(finding.help(match is_whole {
        true => whole_range_help(members).to_owned(),
        false => format!("exclude {words} from one of them, or change its range"),
    }))
}

/// Returns the action if nothing would be left of a range: none can be excluded.
fn whole_range_help(members: &[&Supply<'_>]) -> &'static str {
    let space = |one: &&Supply<'_>| match one.allocator {
        Allocator::Whereabouts { space, .. } => Some(space.to_owned()),
        _ => None,
    };
    let spaces: BTreeSet<Option<String>> = members.iter().map(space).collect();
    match spaces.len() {
        _ if spaces.contains(&None) => "use other ranges or links",
        1 => "enable overlapping ranges for all of them, or use other ranges or links",
        _ => "use one network_name for all of them, or other ranges or links",
    }
}

/// Returns the command that excludes the addresses from the range of a pool; `None` if nothing would
/// be left of it, or the first allocator is not a pool.
fn exclusion(view: &View<'_>, first: &Supply<'_>, shared: IpRange) -> Option<String> {
    let Allocator::Pool(at, index) = first.allocator else {
        return None;
    };
    let record = view.snapshot.address_pools.get(at)?;
    let range = record.pool.ranges.get(index)?;
    let blocks = fix::blocks(shared);
    if blocks.len() > MAX_BLOCKS || range.free_numbers().free() <= shared.count() {
        return None;
    }
    let known = record.exclusions.get(index)?;
    let path = format!("/spec/ranges/{index}/exclude");
    let before = (!known.is_empty()).then(|| fix::test(&path, known.clone()));
    let all: Vec<String> = known.iter().cloned().chain(blocks).collect();
    let operations: Vec<_> = before.into_iter().chain([fix::add(&path, all)]).collect();
    fix::patch(&first.object, &operations)
}
