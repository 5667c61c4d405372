//! Usage of the pools, read from the index at each scrape: gauges would be a second copy of it.

use std::{fmt::Error as FmtError, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use nadmit_allocation::{SharedIndex, index::Usage};
use nadmit_inspect::range_names;

/// Collector of pool usage.
#[derive(Debug)]
pub(super) struct PoolCollector(pub(super) Arc<SharedIndex>);

/// Name, help text and value of a gauge of one range.
type PoolGauge = (&'static str, &'static str, fn(&Usage) -> f64);

/// Usage of one range of a pool.
struct PoolSample {
    pool: Arc<str>,
    range: String,
    usage: Usage,
}

/// Gauges of each range. An attachment needs one address of every range, so a pool is as full as
/// its fullest range. The values are floats because a /64 has more addresses than a 64-bit integer
/// counts.
const GAUGES: [PoolGauge; 4] = [
    (
        "pool_capacity",
        "Allocatable addresses of a range of a pool.",
        |usage| usage.capacity as f64,
    ),
    (
        "pool_allocated",
        "Held addresses of a range of a pool.",
        |usage| usage.allocated as f64,
    ),
    (
        "pool_reserved",
        "Reserved addresses of a range of a pool that are not taken.",
        |usage| usage.reserved as f64,
    ),
    (
        "pool_free",
        "Free addresses of a range of a pool.",
        |usage| usage.free as f64,
    ),
];

impl Collector for PoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let (pools, rows) = self.read();
        if pools.is_empty() {
            return Ok(());
        }
        let kind = ConstGauge::new(0.0).metric_type();
        for (name, help, value) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for row in &rows {
                let labels = [("pool", &*row.pool), ("range", &row.range)];
                let gauge = ConstGauge::new(value(&row.usage));
                gauge.encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "1 if a pool allocates addresses: everything in use in its ranges is recorded.";
        let mut metric = encoder.encode_descriptor("pool_ready", help, None, kind)?;
        for (pool, ready) in &pools {
            let gauge = ConstGauge::new(i64::from(*ready));
            gauge.encode(metric.encode_family(&[("pool", &**pool)])?)?;
        }
        Ok(())
    }
}

impl PoolCollector {
    /// Returns the pools with their readiness, and the usage of their ranges.
    fn read(&self) -> (Vec<(Arc<str>, bool)>, Vec<PoolSample>) {
        let index = self.0.lock();
        let (mut pools, mut rows) = (Vec::new(), Vec::new());
        for (name, pool) in &index.pool_config().pools {
            pools.push((Arc::clone(name), index.is_ready(name)));
            let usages = range_names(pool).into_iter().zip(index.range_usages(name));
            rows.extend(usages.map(|(range, usage)| PoolSample {
                pool: Arc::clone(name),
                range,
                usage,
            }));
        }
        (pools, rows)
    }
}
