//! The settings that the server goes by, as their digest: whoever changes them sees when they are taken up.

use std::{fmt::Error as FmtError, sync::Arc};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::info::Info,
};

/// The digest of the settings, read at the scrape.
#[derive(Debug)]
pub struct SettingsDigest(pub Arc<ArcSwap<String>>);

impl Collector for SettingsDigest {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), FmtError> {
        let digest = self.0.load().to_string();
        let info = Info::new([("sha256", digest)]);
        let metric = encoder.encode_descriptor(
            "settings",
            "The SHA-256 of the text of nadmit.yaml that is in force",
            None,
            info.metric_type(),
        )?;
        info.encode(metric)
    }
}
