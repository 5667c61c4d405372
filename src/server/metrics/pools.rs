//! How full the pools are, read from the index at each scrape.

use std::{fmt::Error as FmtError, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::{
    allocation::{SharedIndex, index::Usage},
    inspect::range_names,
};

/// The pools of an index.
#[derive(Debug)]
pub(super) struct PoolCollector(pub(super) Arc<SharedIndex>);

/// One gauge of each range.
type PoolGauge = (&'static str, &'static str, fn(&Usage) -> f64);

/// A range of a pool.
struct PoolSample {
    pool: Arc<str>,
    range: String,
    usage: Usage,
}

/// What is shown of each range of each pool: an attachment needs an address of each, so that a pool is
/// as full as the fullest of them. A /64 has more than a whole number of 64 bits counts.
const GAUGES: [PoolGauge; 4] = [
    (
        "pool_capacity",
        "Addresses that a range of a pool can give in all",
        |usage| usage.capacity as f64,
    ),
    (
        "pool_allocated",
        "Addresses of a range of a pool that are held",
        |usage| usage.allocated as f64,
    ),
    (
        "pool_reserved",
        "Addresses of a range of a pool that are set aside and taken by nobody",
        |usage| usage.reserved as f64,
    ),
    (
        "pool_free",
        "Addresses that a range of a pool may still give",
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
        let help = "1 if a pool gives addresses: all that is in use in its ranges is recorded";
        let mut metric = encoder.encode_descriptor("pool_ready", help, None, kind)?;
        for (pool, ready) in &pools {
            let gauge = ConstGauge::new(i64::from(*ready));
            gauge.encode(metric.encode_family(&[("pool", &**pool)])?)?;
        }
        Ok(())
    }
}

impl PoolCollector {
    /// The pools, whether each is ready, and their ranges.
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
