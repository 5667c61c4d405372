//! Usage of Whereabouts's `IPPool`s, read from the catalog at each scrape.

use std::{fmt::Error as FmtError, sync::Arc};

use arc_swap::ArcSwapOption;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use nadmit_catalog::Catalog;
use nadmit_inspect::{PoolRow, ip_pools};

/// Collector of the usage of `IPPool`s.
#[derive(Debug)]
pub(super) struct IpPoolCollector(pub(super) Arc<ArcSwapOption<Catalog>>);

/// Name, help text and value of a gauge of one pool.
type IpPoolGauge = (&'static str, &'static str, fn(&PoolRow) -> f64);

/// Gauges of each pool. The values are floats because a /64 has more addresses than a 64-bit integer
/// counts.
const GAUGES: [IpPoolGauge; 5] = [
    (
        "ippool_capacity",
        "Addresses that Whereabouts assigns of an IPPool for its networks.",
        |row| row.capacity.unwrap_or_default() as f64,
    ),
    (
        "ippool_used",
        "Addresses that Whereabouts assigns of an IPPool and that have an entry there.",
        |row| row.used as f64,
    ),
    (
        "ippool_reserved",
        "Addresses that Whereabouts assigns of an IPPool, without an entry, that an OverlappingRangeIPReservation holds.",
        |row| row.reserved as f64,
    ),
    (
        "ippool_free",
        "Addresses that Whereabouts assigns of an IPPool and that are free.",
        |row| row.free.unwrap_or_default() as f64,
    ),
    (
        "ippool_outside",
        "Entries of an IPPool outside of what Whereabouts assigns for its networks.",
        |row| row.outside as f64,
    ),
];

impl Collector for IpPoolCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let catalog = self.0.load();
        let rows = catalog.as_deref().map(ip_pools).unwrap_or_default();
        if rows.is_empty() {
            return Ok(());
        }
        let kind = ConstGauge::new(0.0).metric_type();
        for (name, help, value) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for row in &rows {
                let gauge = ConstGauge::new(value(row));
                gauge.encode(metric.encode_family(&[("pool", &*row.name)])?)?;
            }
        }
        Ok(())
    }
}
