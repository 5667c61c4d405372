//! Digest of the active settings, which shows when a change has taken effect. It is read at each scrape: a
//! registered `Info` cannot change.

use std::{fmt::Error as FmtError, sync::Arc};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::info::Info,
};

/// Collector of the settings digest.
#[derive(Debug)]
pub struct SettingsDigest(pub Arc<ArcSwap<String>>);

impl Collector for SettingsDigest {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let digest = self.0.load().to_string();
        let info = Info::new([("sha256", digest)]);
        let metric = encoder.encode_descriptor(
            "settings",
            "SHA-256 of the nadmit.yaml in effect.",
            None,
            info.metric_type(),
        )?;
        info.encode(metric)
    }
}
