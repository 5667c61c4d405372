//! `pool-overlaps-whereabouts`: a pool whose addresses Whereabouts assigns, too.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{PoolSubject, spec_field};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, POOLED_NET, pool},
    network_subject::MAX_COMPARISONS,
};
use nadmit_allocation::{AddressRange, Pool, PoolOrigin, Space};
use nadmit_catalog::{Catalog, LiveRead, whereabouts_space};
use nadmit_cni::{
    IpRange, Network,
    assignable::{AssignableRange, AssignableSource},
    cni::NetworkConfig,
    ipam::{Ipam, WhereaboutsIpam},
};

/// The maximum number of networks or pools that are reported.
const MAX_NAMED: usize = 10;
/// The number of overlapping ranges up to which each is compared.
const MAX_COMPARED: usize = 256;

pub(crate) const RULE: Rule = Rule {
    code: "pool-overlaps-whereabouts",
    levels: Levels::FAILS,
    summary: "Whereabouts and an address pool assign the same addresses",
    docs: RuleDocs {
        checks: "A range of a pool has addresses that Whereabouts assigns on a network of the \
            same address space. The address space is the same if networkName of the pool is \
            network_name of Whereabouts, or if neither is set. Excluded addresses, gateways and \
            addresses outside of start and end do not overlap. The rule checks pools and \
            networks, whichever is created or changed.",
        consequence: "nadmit and Whereabouts do not know of each other, so two pods would get \
            one address. While such a network exists, the pool is not Ready and assigns nothing.",
        fix: "Change the network to static IPAM and add the annotation nadmit.io/address-pool \
            before you create the pool. nadmit adopts the addresses of running pods before it \
            assigns others. Or exclude the addresses from the pool or from the network.",
        source: "docs/how-to/migrate-from-whereabouts.md.",
    },
    wrong: Example(&[
        MACVLAN_CONF,
        pool!("backup", "  ranges: [{range: 192.0.2.208/28}]"),
    ]),
    right: Example(&[
        POOLED_NET,
        pool!(
            "storage",
            "  ranges: [{range: 192.0.2.208/28}]\n  macs: {prefix: \"02:5e:00\"}"
        ),
    ]),
    check: Check::NetworkAndPool {
        network: check_network,
        pool: check_pool,
    },
};

/// A network of Whereabouts that assigns addresses of a pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WhereaboutsOverlap {
    /// The index of the pool's range.
    pub range: usize,
    /// The namespace of the network.
    pub namespace: Box<str>,
    /// The name of the network.
    pub network: Box<str>,
    /// The first range of addresses that both assign.
    pub shared: IpRange,
}

impl fmt::Display for WhereaboutsOverlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace, network, ..
        } = self;
        write!(
            f,
            "network {namespace}/{network} ({})",
            self.shared.in_words()
        )
    }
}

/// Returns the networks of Whereabouts that assign addresses of a pool in its address space: one entry
/// for each range and network, in this order. While there is one, the pool must not allocate.
pub fn whereabouts_overlaps(catalog: &Catalog, pool: &Pool) -> Vec<WhereaboutsOverlap> {
    let mut found = BTreeMap::new();
    // nadmit writes Whereabouts's own records for the addresses of such a pool.
    if pool.origin == PoolOrigin::Whereabouts {
        return Vec::new();
    }
    for (at, range) in pool.ranges.iter().enumerate() {
        for (network, assignable) in catalog
            .networks_assigning(range.window)
            .take(MAX_COMPARISONS)
        {
            let config = network.config.loaded();
            let in_space = config.and_then(|config| whereabouts_ipam(config, assignable));
            if !in_space.is_some_and(|ipam| shares_address_space(ipam, pool)) {
                continue;
            }
            let Some(shared) = shared(range, assignable.range) else {
                continue;
            };
            let key = (at, &network.namespace, &network.name);
            let known = found.entry(key).or_insert(shared);
            *known = shared.min(*known);
        }
    }
    let overlaps = found.into_iter();
    overlaps
        .map(|((range, namespace, network), shared)| WhereaboutsOverlap {
            range,
            namespace: namespace.clone(),
            network: network.clone(),
            shared,
        })
        .collect()
}

/// Returns the IPAM of an assignable range, if it is a range of Whereabouts.
fn whereabouts_ipam<'c>(
    config: &'c NetworkConfig,
    assignable: &AssignableRange,
) -> Option<&'c WhereaboutsIpam> {
    let AssignableSource::Range { .. } = assignable.source else {
        return None;
    };
    match &config.plugins.get(assignable.plugin)?.ipam {
        Some(Ipam::Whereabouts(ipam)) => Some(ipam),
        _ => None,
    }
}

/// Returns true if network and pool have the same `network_name`, or neither has one; for a pool that a
/// network defines, if both have one address space.
fn shares_address_space(ipam: &WhereaboutsIpam, pool: &Pool) -> bool {
    match pool.origin {
        PoolOrigin::AddressPool => {
            ipam.network_name.as_deref().unwrap_or_default() == pool.space.network_name()
        }
        _ => whereabouts_space(ipam).as_ref() == Some(&pool.space),
    }
}

/// Returns the intersection of a pool's range with another range, if the pool assigns any address of it.
fn shared(range: &AddressRange, other: IpRange) -> Option<IpRange> {
    let shared = range.window.intersection(other)?;
    let given = range.free_numbers().lowest_within(shared.numbers());
    given.map(|_| shared)
}

/// Returns the first of [`whereabouts_overlaps`], without the others if there are very many.
fn first_overlaps(catalog: &Catalog, pool: &Pool) -> Vec<WhereaboutsOverlap> {
    let windows = pool.ranges.iter().map(|range| range.window);
    let all: usize = windows.map(|window| catalog.count_assigning(window)).sum();
    let grouped = all > MAX_COMPARED && pool.origin == PoolOrigin::AddressPool;
    let mut found = match grouped {
        true => grouped_overlaps(catalog, pool),
        false => whereabouts_overlaps(catalog, pool),
    };
    found.truncate(MAX_NAMED);
    found
}

/// Returns the first of [`whereabouts_overlaps`] of an AddressPool, found by group: as many as messages
/// name, or more.
fn grouped_overlaps(catalog: &Catalog, pool: &Pool) -> Vec<WhereaboutsOverlap> {
    let groups = catalog.whereabouts_groups();
    let mut found = Vec::new();
    for (at, range) in pool.ranges.iter().enumerate() {
        let overlap = |(network, ranges): (&Arc<Network>, &[AssignableRange])| {
            let config = network.config.loaded()?;
            let in_space = |one: &&AssignableRange| {
                whereabouts_ipam(config, one).is_some_and(|ipam| shares_address_space(ipam, pool))
            };
            let ranges = ranges.iter().filter(in_space);
            Some(WhereaboutsOverlap {
                range: at,
                namespace: network.namespace.clone(),
                network: network.name.clone(),
                shared: ranges.filter_map(|one| shared(range, one.range)).min()?,
            })
        };
        let named = groups.named(pool.space.network_name(), range.window);
        found.extend(named.filter_map(overlap).take(MAX_NAMED));
        found.extend(groups.irregular().filter_map(overlap));
    }
    found.sort_unstable();
    found
}

fn check_pool(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    let Ok(pool) = &subject.pool else { return };
    for overlap in first_overlaps(subject.catalog, pool) {
        let subnet = pool.ranges.get(overlap.range).map(|range| range.subnet);
        let subnet = subnet.map_or(String::new(), |subnet| subnet.to_string());
        report.add_after_live_read(
            LiveRead::Network {
                namespace: overlap.namespace.clone(),
                name: overlap.network.clone(),
            },
            spec_field(&format!("ranges[{}].range", overlap.range)),
            format!(
                "Whereabouts assigns addresses of {subnet} on {overlap} in {}",
                pool.space
            ),
            format!(
                "change the network to static IPAM with nadmit.io/address-pool: {}, or exclude its \
                 addresses",
                pool.name
            ),
        );
    }
}

fn check_network(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let mut found: BTreeMap<(&str, usize), (usize, IpRange)> = BTreeMap::new();
    let mut left = MAX_COMPARISONS;
    for assignable in subject.assignable_ranges(config) {
        let Some(ipam) = whereabouts_ipam(config, &assignable) else {
            continue;
        };
        let space = Space::new(ipam.network_name.as_deref().unwrap_or_default());
        let range = std::iter::once(assignable.range);
        let pools = subject.catalog.pools_overlapping(&space, range);
        let mut named = 0;
        for pool in pools.filter(|pool| pool.origin == PoolOrigin::AddressPool) {
            // Later ones come after those of this range that messages name.
            if named >= MAX_NAMED {
                break;
            }
            for (at, range) in pool.ranges.iter().enumerate().take(left) {
                left -= 1;
                if let Some(shared) = shared(range, assignable.range) {
                    named += 1;
                    let known = found
                        .entry((&pool.name, at))
                        .or_insert((assignable.plugin, shared));
                    *known = (assignable.plugin, shared.min(known.1));
                }
            }
        }
    }
    for ((name, _), (plugin, shared)) in found.into_iter().take(MAX_NAMED) {
        let Some(plugin) = subject.plugins().get(plugin) else {
            continue;
        };
        let path = format!("{}.ipam", plugin.path);
        let span = plugin
            .ipam()
            .map(|(node, _)| node.span())
            .unwrap_or_default();
        report.add_after_live_read(
            LiveRead::Pool {
                name: name.into(),
                namespace: None,
            },
            subject.field_ref(&path, span),
            format!(
                "Whereabouts would assign {}, which pool {name:?} also assigns, so two pods would \
                 get one address",
                shared.in_words()
            ),
            format!(
                "write static IPAM and the annotation nadmit.io/address-pool: {name}, or a range that \
                 does not overlap"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use nadmit_allocation::ParsedSpec;

    fn found(pool: serde_json::Value, ipam: &str) -> Vec<String> {
        let config = format!(r#"{{"type":"macvlan","ipam":{{{ipam}}}}}"#);
        let network = Network::new("db", "old", Some(&config));
        let catalog = Catalog::new([], [Arc::new(network)], []);
        let pool = ParsedSpec::of_pool(&pool).pool("new");
        let pool = pool.unwrap_or_else(|e| panic!("{e:?}"));
        let overlaps = whereabouts_overlaps(&catalog, &pool);
        assert_eq!(grouped_overlaps(&catalog, &pool), overlaps);
        overlaps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn networks_overlap_only_within_one_address_space() {
        let range = r#""type":"whereabouts","range":"192.0.2.192/27""#;
        let pool = json!({"ranges": [{"range": "192.0.2.208/28"}]});
        let shared = ["network db/old (192.0.2.209 to 192.0.2.222)"];
        assert_eq!(found(pool.clone(), range), shared);
        let empty = format!(r#"{range},"network_name":"""#);
        assert_eq!(found(pool.clone(), &empty), shared);
        let named = format!(r#"{range},"network_name":"blue""#);
        assert_eq!(found(pool, &named), [""; 0]);
        let blue = json!({"ranges": [{"range": "192.0.2.208/28"}], "networkName": "blue"});
        assert_eq!(found(blue.clone(), &named), shared);
        assert_eq!(found(blue, range), [""; 0]);
    }

    #[test]
    fn unassignable_addresses_do_not_overlap() {
        let range = r#""type":"whereabouts","range":"192.0.2.0/28""#;
        let excluded = json!({"ranges": [{"range": "192.0.2.0/24", "exclude": ["192.0.2.0/28"]}]});
        assert_eq!(found(excluded, range), [""; 0]);
        let begun = json!({"ranges": [{"range": "192.0.2.0/24", "rangeStart": "192.0.2.16"}]});
        assert_eq!(found(begun, range), [""; 0]);
        let whole = json!({"ranges": [{"range": "192.0.2.0/24"}]});
        let theirs = format!(r#"{range},"exclude":["192.0.2.0/28"]"#);
        assert_eq!(found(whole.clone(), &theirs), [""; 0]);
        let fixed = r#""type":"static","addresses":[{"address":"192.0.2.5/24"}]"#;
        assert_eq!(found(whole.clone(), fixed), [""; 0]);
        // The overlap has two parts, of which the first is reported.
        let theirs = format!(r#"{range},"exclude":["192.0.2.4/30"]"#);
        let first = ["network db/old (192.0.2.1 to 192.0.2.3)"];
        assert_eq!(found(whole, &theirs), first);
    }

    #[test]
    fn each_range_is_compared() {
        let pool = json!({"ranges": [{"range": "192.0.2.0/24"}, {"range": "2001:db8::/64"}]});
        let range = r#""type":"whereabouts","range":"2001:db8::/120""#;
        let shared = ["network db/old (2001:db8::1 to 2001:db8::fe)"];
        assert_eq!(found(pool, range), shared);
    }
}
