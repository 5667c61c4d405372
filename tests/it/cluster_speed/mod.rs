//! The cost of a binding in a cluster, in the API server's time: two replicas in process, the fake API
//! server, 2 ms per write, and a clock that is paused during computations.

mod fixture;

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use libtest_mimic::{Failed, Trial};
use tokio::time::Instant;

use self::fixture::SpeedFixture;
use crate::support::TestResult;

/// The API server's time for a write.
const WRITE_LATENCY: Duration = Duration::from_millis(2);
/// The number of pods in the burst, and of addresses in the pool.
const PODS: usize = 1000;
/// The maximum number of writes per allocation in the burst, in tenths.
const MAX_WRITES_TENTHS: u64 = 12;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::test("cluster_speed::a_bind_waits_for_one_write_more", || {
            fixture::paused(one())
        }),
        Trial::test(
            "cluster_speed::a_burst_on_a_pool_that_just_suffices",
            || fixture::paused(burst()),
        ),
    ]
}

/// Measures a binding without a pool's network, and with one.
async fn one() -> TestResult {
    let fixture = SpeedFixture::start("10.0.0.0/22", WRITE_LATENCY).await?;
    let mut took = Vec::new();
    for networks in ["plain-net", "storage-net"] {
        fixture.create(networks, Some(networks)).await?;
        let begun = Instant::now();
        fixture.bind(networks, "node-1").await?;
        took.push(begun.elapsed());
    }
    let [without, with] = [took[0], took[1]];
    println!("a bind took {without:?} without and {with:?} with an address");
    // tokio's timers count whole milliseconds, and may fire one late.
    let added = with.saturating_sub(without);
    if added > WRITE_LATENCY + Duration::from_millis(1) {
        return Err(format!("{added:?} more, for one write of {WRITE_LATENCY:?}").into());
    }
    Ok(())
}

/// Creates as many pods at once as there are addresses, through two replicas.
async fn burst() -> TestResult {
    // 1024 addresses without the first and the last, and 22 exclusions.
    let fixture = SpeedFixture::start("10.0.0.0/22", WRITE_LATENCY).await?;
    let names: Vec<String> = (0..PODS).map(|number| format!("pod-{number}")).collect();
    for name in &names {
        fixture.create(name, Some("storage-net")).await?;
    }
    fixture.settle().await;
    let before = fixture.writes();
    let binds = stream::iter(&names).map(|name| fixture.bind_until(name, "node-1"));
    let outcomes: Vec<Result<usize, Failed>> = binds.buffer_unordered(PODS).collect().await;
    let mut refused = 0;
    for outcome in outcomes {
        refused += outcome?;
    }
    let writes = fixture.writes() - before;
    println!("{PODS} binds: {writes} writes of allocations, {refused} binds tried again");
    let addresses: BTreeSet<String> = names
        .iter()
        .filter_map(|name| fixture.address(name))
        .collect();
    if addresses.len() != PODS {
        return Err(format!("{} addresses for {PODS} pods", addresses.len()).into());
    }
    let most = PODS as u64 * MAX_WRITES_TENTHS / 10;
    if writes > most {
        return Err(format!("{writes} writes, {most} at most").into());
    }
    Ok(())
}
