//! Sizes of the catalog, read at each scrape: gauges would be a second copy of them.

use std::{fmt::Error as FmtError, sync::Arc};

use arc_swap::ArcSwapOption;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use nadmit_catalog::Catalog;

/// Collector of the catalog sizes.
#[derive(Debug)]
pub(super) struct CatalogSizes(pub(super) Arc<ArcSwapOption<Catalog>>);

impl Collector for CatalogSizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let catalog = self.0.load();
        let Some(catalog) = catalog.as_ref() else {
            return Ok(());
        };
        let sizes = [
            ("networks", catalog.network_count()),
            ("namespaces", catalog.namespace_count()),
            ("pods", catalog.pod_count()),
        ];
        for (name, size) in sizes {
            let gauge = ConstGauge::new(i64::try_from(size).unwrap_or(i64::MAX));
            let name = format!("catalog_{name}");
            let metric = encoder.encode_descriptor(
                &name,
                "Objects in the catalog.",
                None,
                gauge.metric_type(),
            )?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
