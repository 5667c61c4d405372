//! The embedded ledger compared with its disk.
//!
//! `cargo bench --bench ledger`. Alternately, in one directory: records of a ledger's size are
//! appended to a file with an fdatasync each, and allocations are created in a ledger by 1, 8 and
//! 64 requesters at once, each waiting for its response before the next request. The result is the
//! number of durable allocations for each fdatasync of the same round; the target with 64
//! requesters is 20.
//!
//! `NADMIT_LEDGER_TURNS` (7) and `NADMIT_LEDGER_MILLIS` (500, of each measurement) shorten it;
//! `NADMIT_LEDGER_DIR` names a directory on the disk to measure (the target directory's).

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nadmit::{
    allocation::{Address, Allocation, Holder, NetworkRef, Space, Timestamp, Write},
    ledger::{EmbeddedLedger, Store as _},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The numbers of concurrent requesters.
const REQUESTERS: [usize; 3] = [1, 8, 64];
const TARGET: f64 = 20.0;

fn main() -> anyhow::Result<()> {
    let rounds = number("NADMIT_LEDGER_TURNS", 7);
    let time = Duration::from_millis(number("NADMIT_LEDGER_MILLIS", 500));
    let directory = env::var_os("NADMIT_LEDGER_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let runtime = tokio::runtime::Runtime::new()?;
    println!("{rounds} rounds, {} ms per measurement\n", time.as_millis());
    println!("           fdatasync/s       durable allocations/s, and per fdatasync");
    println!("round                          1              8             64");
    let mut ratios = [const { Vec::new() }; REQUESTERS.len()];
    for round in 1..=rounds {
        let folder = tempfile::tempdir_in(&directory)
            .with_context(|| format!("cannot use {}", directory.display()))?;
        // Before and after, because the speed of disks varies.
        let before = syncs_a_second(folder.path(), time / 2)?;
        let mut rates = [0.0; REQUESTERS.len()];
        for (rate, requesters) in rates.iter_mut().zip(REQUESTERS) {
            *rate = runtime.block_on(allocations_a_second(folder.path(), requesters, time))?;
        }
        let syncs = f64::midpoint(before, syncs_a_second(folder.path(), time / 2)?);
        print!("{round:5} {syncs:17.0}");
        for (rate, ratios) in rates.iter().zip(&mut ratios) {
            ratios.push(rate / syncs);
            print!(" {rate:8.0} {:5.1}", rate / syncs);
        }
        println!();
    }
    let medians = ratios.map(median);
    println!("\nmedian per fdatasync:");
    for (requesters, median) in REQUESTERS.iter().zip(medians) {
        println!("  {requesters:2} requesters: {median:5.1}");
    }
    let reached = medians[REQUESTERS.len() - 1] >= TARGET;
    println!(
        "target at 64: {TARGET}, {}",
        if reached { "reached" } else { "not reached" }
    );
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    let set = env::var(name).ok().and_then(|text| text.parse().ok());
    set.unwrap_or(default)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Measures the disk: a record is appended and synced.
fn syncs_a_second(folder: &Path, time: Duration) -> anyhow::Result<f64> {
    let record = serde_json::to_vec(&allocation(0))?;
    let mut file = fs::File::create(folder.join("appended"))?;
    let (start, mut count) = (Instant::now(), 0.0);
    while start.elapsed() < time {
        file.write_all(&record)?;
        file.sync_data()?;
        count += 1.0;
    }
    Ok(count / start.elapsed().as_secs_f64())
}

async fn allocations_a_second(
    folder: &Path,
    requesters: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let folder = folder.join(requesters.to_string());
    let ledger = Arc::new(EmbeddedLedger::open(&folder)?);
    let next = Arc::new(AtomicU32::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..requesters)
        .map(|_| {
            let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
            tokio::spawn(async move {
                while start.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    ledger
                        .write(vec![Write::Create(allocation(number))])
                        .await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let rate = f64::from(next.load(Ordering::Relaxed)) / start.elapsed().as_secs_f64();
    ledger.close().await;
    Ok(rate)
}

fn allocation(number: u32) -> Allocation {
    let [_, a, b, c] = number.to_be_bytes();
    Allocation {
        address: Address::Ip([10, a, b, c].into()),
        space: Space::new("example_net_common"),
        pool: "storage".into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        holder: Holder::Replica {
            namespace: "db".into(),
            stateful_set: "postgres".into(),
            ordinal: number,
        },
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(1_700_000_000),
    }
}
