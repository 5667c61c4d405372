//! How full the pools are, read from the index at each scrape.

use std::{fmt::Error as FmtError, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::allocation::{SharedIndex, index::Usage};

/// The pools of an index.
#[derive(Debug)]
pub(super) struct Pools(pub(super) Arc<SharedIndex>);

/// One gauge of each pool.
type Gauge = (&'static str, &'static str, fn(&Usage, bool) -> f64);

/// What is shown of each pool. A /64 has more addresses than a whole number of 64 bits counts.
const GAUGES: [Gauge; 5] = [
    (
        "pool_capacity",
        "Addresses that a pool can give in all",
        |usage, _| usage.capacity as f64,
    ),
    (
        "pool_allocated",
        "Addresses of a pool that are held",
        |usage, _| usage.allocated as f64,
    ),
    (
        "pool_reserved",
        "Addresses of a pool that are set aside and taken by nobody",
        |usage, _| usage.reserved as f64,
    ),
    (
        "pool_free",
        "Addresses that a pool may still give",
        |usage, _| usage.free as f64,
    ),
    (
        "pool_ready",
        "1 if a pool gives addresses: all that is in use in its ranges is recorded",
        |_, ready| f64::from(u8::from(ready)),
    ),
];

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let pools = self.usages();
        if pools.is_empty() {
            return Ok(());
        }
        for (name, help, value) in GAUGES {
            let kind = ConstGauge::new(0.0).metric_type();
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (pool, usage, ready) in &pools {
                let labels = [("pool", pool.as_ref())];
                let gauge = ConstGauge::new(value(usage, *ready));
                gauge.encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Pools {
    fn usages(&self) -> Vec<(Arc<str>, Usage, bool)> {
        let index = self.0.lock();
        let pools = index.layout().pools.keys();
        let usage = |pool: &Arc<str>| {
            let usage = index.usage(pool)?;
            Some((Arc::clone(pool), usage, index.is_ready(pool)))
        };
        pools.filter_map(usage).collect()
    }
}
