//! The whole index: a plan, its commit, and the ledger's delete event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nadmit::allocation::{
    Address, Holder, Index, NetworkRef, Pool, PoolConfig, Space, Timestamp, Version,
    index::{AttachmentRequest, MacRequest, Requester},
    spec::{PoolSpec, RangeSpec},
};
use stats_alloc::Region;

use super::{ALLOCATOR, SplitMix, drawn, each, median};

const NOW: Timestamp = Timestamp(1_700_000_000);
const POOL: &str = "storage";

/// An address and the version of its record.
type HeldAddress = (Address, Version);

pub(crate) fn table(time: Duration) {
    println!("\nnanoseconds, medians          plan+confirm        gone   bytes a live one");
    println!("the whole index, a holder each");
    for (name, range, live) in [
        ("/16,  0 %", "10.0.0.0/16", 0),
        ("/16, 50 %", "10.0.0.0/16", 32_767),
        ("/16, 99.9 %", "10.0.0.0/16", 65_469),
        ("/64, a million", "2001:db8::/64", 1_000_000),
    ] {
        measure(name, range, live, time);
    }
}

fn measure(name: &str, range: &str, live: usize, time: Duration) {
    let (mut index, mut next) = (index(range), 0);
    let region = Region::new(ALLOCATOR);
    let mut held: Vec<HeldAddress> = (0..live).map(|_| allocate(&mut index, &mut next)).collect();
    let change = region.change();
    let own = held.capacity() * size_of::<HeldAddress>();
    let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64 - own as f64;
    let batch_size = match live {
        65_469 => 32,
        _ => 500,
    };
    let mut rng = SplitMix(7);
    let (mut planned, mut gone) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < time || planned.len() < 5 {
        planned.push(each(batch_size, || {
            held.extend((0..batch_size).map(|_| allocate(&mut index, &mut next)));
        }));
        let out = drawn(&mut held, batch_size, &mut rng);
        let space = Space::default();
        gone.push(each(batch_size, || {
            for (address, version) in &out {
                index.apply_delete(&space, *address, *version);
            }
        }));
    }
    let each = match live {
        0 => String::from("-"),
        live => format!("{:.0}", bytes / live as f64),
    };
    println!(
        "  {name:26} {:13.0} {:11.0} {each:>18}",
        median(planned),
        median(gone)
    );
}

fn index(range: &str) -> Index {
    let range = RangeSpec {
        range: range.to_owned(),
        ..RangeSpec::default()
    };
    let spec = PoolSpec {
        ranges: vec![range],
        ..PoolSpec::default()
    };
    let pool = Pool::new(POOL, &spec).unwrap_or_else(|faults| panic!("{faults:?}"));
    let pool_config = PoolConfig::new([Arc::new(pool)], [], |_| None);
    let mut index = Index::of(&Arc::new(pool_config));
    index.set_ready(POOL);
    index
}

fn allocate(index: &mut Index, next: &mut u64) -> HeldAddress {
    *next += 1;
    let asker = Requester {
        holder: Holder::Pod {
            namespace: "db".into(),
            name: format!("pod-{next}").into(),
        },
        pod: None,
        node: None,
    };
    let ask = AttachmentRequest {
        pool: POOL.into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        needs_ips: true,
        ips: Vec::new(),
        mac: MacRequest::None,
    };
    let pool_config = Arc::clone(index.pool_config());
    let planned = index.synced(&pool_config).plan(&asker, &[ask], NOW);
    let planned = planned.unwrap_or_else(|refused| panic!("{refused:?}"));
    let version = Version(*next);
    index.commit(planned.id, &[version]);
    (planned.assignments[0].ips[0].0.into(), version)
}
