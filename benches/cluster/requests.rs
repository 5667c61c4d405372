//! Requests to the API server, from its metrics.

use std::{collections::BTreeMap, fmt};

use anyhow::Context as _;
use kube::Client;

/// The number of requests by verb and resource.
pub(crate) struct RequestCounts(pub(crate) BTreeMap<String, f64>);

impl RequestCounts {
    /// Reads the values since the server started.
    pub(crate) async fn read(client: &Client) -> anyhow::Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = client.request_text(request).await?;
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let Some((labels, count)) = line
                .strip_prefix("apiserver_request_total{")
                .and_then(|rest| rest.rsplit_once("} "))
            else {
                continue;
            };
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let (resource, sub) = (label("resource"), label("subresource"));
            let resource = resource.unwrap_or_default();
            let name = match sub.unwrap_or_default() {
                "" => resource.to_owned(),
                sub => format!("{resource}/{sub}"),
            };
            let name = format!("{} {name}", label("verb").unwrap_or_default());
            let count: f64 = count.trim().parse().context("a count")?;
            *counts.entry(name).or_default() += count;
        }
        Ok(Self(counts))
    }

    /// Returns the difference, per pod.
    pub(crate) fn since(&self, before: &Self, pods: usize) -> Self {
        let grown = self.0.iter().map(|(name, count)| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), (count - before) / pods as f64)
        });
        Self(grown.filter(|(_, count)| *count >= 0.01).collect())
    }
}

impl fmt::Display for RequestCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count:.2}")?;
        }
        Ok(())
    }
}
