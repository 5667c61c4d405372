//! Properties of the indices and counts, for generated pools.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    /// States of two pools one after the other; `07` is another key of offset 7.
    #[test]
    fn the_indices_are_those_of_the_entries(
        steps in proptest::collection::vec(
            (0..2usize, proptest::collection::vec((0..12u32, any::<bool>(), 0..3u32), 0..8)),
            1..12,
        ),
    ) {
        let mut catalog = Catalog::default();
        for (at, entries) in steps {
            let entries = entries.into_iter().map(|(offset, padded, pod)| {
                let key = if padded { format!("0{offset}") } else { offset.to_string() };
                let pod = if pod == 0 { String::new() } else { format!("db/db-{pod}") };
                (key, entry(&pod, "net1"))
            });
            let entries: Map<_, _> = entries.collect();
            let name = ["10.0.0.0-24", "10.0.0.0-16"][at];
            put(&mut catalog, pool(name, &name.replace('-', "/"), entries.into()));
            let records = catalog.whereabouts();
            let all = || records.pools().flat_map(|found| {
                let name = found.pool.name.to_string();
                found.pool.entries.iter().map(move |entry| (name.clone(), entry.clone()))
            });
            let listed = |found: Vec<ObservedEntry<'_>>| {
                let pairs = found.into_iter().map(|one| (one.pool.pool.name.to_string(), one.entry.clone()));
                let mut pairs: Vec<_> = pairs.collect();
                pairs.sort_by(|a, b| (&a.0, &a.1.key).cmp(&(&b.0, &b.1.key)));
                pairs
            };
            let wanted = |is_wanted: &dyn Fn(&PoolEntry) -> bool| {
                let mut pairs: Vec<_> = all().filter(|(_, entry)| is_wanted(entry)).collect();
                pairs.sort_by(|a, b| (&a.0, &a.1.key).cmp(&(&b.0, &b.1.key)));
                pairs
            };
            for last in 0..12u8 {
                let address: IpAddr = [10, 0, 0, last].into();
                let found = listed(records.entries_at(address).collect());
                prop_assert_eq!(found, wanted(&|entry| entry.address == address));
            }
            for number in 1..3 {
                let pod = PodName { namespace: "db".into(), name: format!("db-{number}").into() };
                let found = listed(records.entries_of(&pod).collect());
                prop_assert_eq!(found, wanted(&|entry| entry.pod.as_ref() == Some(&pod)));
            }
        }
    }

    #[test]
    fn used_and_free_addresses_are_the_capacity(
        offsets in proptest::collection::btree_set(0..300u32, 0..80),
        windows in proptest::collection::vec((0..=255u8, 0..=255u8, proptest::option::of(0..=255u8)), 0..4),
        prefix in 24..=30u8,
    ) {
        let mut catalog = Catalog::default();
        for (at, (first, last, excluded)) in windows.iter().enumerate() {
            let exclude = excluded.map(|last| format!("\"10.0.0.{last}\"")).unwrap_or_default();
            let ipam = format!(
                r#""range":"10.0.0.0/{prefix}","range_start":"10.0.0.{first}","range_end":"10.0.0.{last}","exclude":[{exclude}]"#
            );
            catalog.put_network(network(&format!("net-{at}"), &ipam));
        }
        let entries: Map<_, _> = offsets.iter()
            .map(|offset| (offset.to_string(), entry("db/db-0", "net1")))
            .collect();
        let name = format!("10.0.0.0-{prefix}");
        put(&mut catalog, pool(&name, &format!("10.0.0.0/{prefix}"), entries.into()));
        let records = catalog.whereabouts();
        let found = records.pool("kube-system", &name);
        let Some(found) = found else { panic!("no pool") };
        prop_assert_eq!(found.usage.networks.len(), windows.len());
        let counts = found.counts();
        // The model: each address of the range by itself.
        let width = 1u32 << (32 - u32::from(prefix));
        let assigned: BTreeSet<u32> = (0..width)
            .filter(|at| {
                let address = [10, 0, 0, u8::try_from(*at).unwrap_or_default()].into();
                match windows.is_empty() {
                    true => *at > 0 && *at < width - 1,
                    false => catalog.networks().any(|network| {
                        nadmit_whereabouts::WhereaboutsNetwork::of(network)
                            .is_some_and(|one| one.assigns(address))
                    }),
                }
            })
            .collect();
        let used = offsets.intersection(&assigned).count();
        prop_assert_eq!(counts.capacity, assigned.len() as u128);
        prop_assert_eq!(counts.used, used as u64);
        prop_assert_eq!(counts.outside, (offsets.len() - used) as u64);
        prop_assert_eq!(u128::from(counts.used) + counts.free, counts.capacity);
    }
}
