//! The bytes of the objects in etcd.

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::Client;
use serde::Deserialize;
use serde_json::json;

use super::{
    real::RealServer,
    replica::{plain_client, sum},
};

/// The number of objects whose bytes are counted; the others are taken to be as large.
const SAMPLE: usize = 500;

/// The kinds of objects that grow with the cluster, and the keys that they begin with.
pub(crate) const KINDS: [StoredKind; 5] = [
    StoredKind::new(
        "AddressAllocation",
        "/registry/nadmit.io/addressallocations/",
    ),
    StoredKind::new("Pod", "/registry/pods/"),
    StoredKind::new("Node", "/registry/minions/"),
    StoredKind::new(
        "NetworkAttachmentDefinition",
        "/registry/k8s.cni.cncf.io/network-attachment-definitions/",
    ),
    StoredKind::new("StatefulSet", "/registry/statefulsets/"),
];

/// A kind of objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredKind {
    pub(crate) name: &'static str,
    prefix: &'static str,
}

/// The objects of a kind in etcd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredObjects {
    pub(crate) count: f64,
    /// Bytes of key and value of one object, on average.
    pub(crate) bytes: f64,
}

/// The etcd of a cluster.
pub(crate) struct Storage(Client);

#[derive(Deserialize)]
struct RangeResponse {
    #[serde(default)]
    kvs: Vec<KeyValue>,
    count: String,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    value: String,
}

impl StoredKind {
    const fn new(name: &'static str, prefix: &'static str) -> Self {
        Self { name, prefix }
    }
}

impl Storage {
    /// Returns the etcd of a cluster.
    pub(crate) fn of(cluster: &RealServer) -> anyhow::Result<Self> {
        let arguments = cluster.arguments.get("etcd").context("no etcd")?;
        let url = arguments
            .iter()
            .find_map(|one| one.strip_prefix("--advertise-client-urls="));
        Ok(Self(plain_client(url.context("no address of etcd")?)?))
    }

    /// Counts the objects of a kind, and their bytes.
    pub(crate) async fn objects(&self, kind: StoredKind) -> anyhow::Result<StoredObjects> {
        // The end of a range of keys with one prefix has its last character, `/`, raised to `0`.
        let end = format!("{}0", kind.prefix.trim_end_matches('/'));
        let body = json!({
            "key": BASE64_STANDARD.encode(kind.prefix), "range_end": BASE64_STANDARD.encode(end),
            "limit": SAMPLE,
        });
        let request = http::Request::post("/v3/kv/range").body(serde_json::to_vec(&body)?)?;
        let response: RangeResponse = self.0.request(request).await?;
        let mut bytes = 0;
        for one in &response.kvs {
            bytes += BASE64_STANDARD.decode(&one.key)?.len();
            bytes += BASE64_STANDARD.decode(&one.value)?.len();
        }
        Ok(StoredObjects {
            count: response.count.parse()?,
            bytes: bytes as f64 / response.kvs.len().max(1) as f64,
        })
    }

    /// Returns the bytes of the database that are in use, with the history that is not compacted yet.
    pub(crate) async fn bytes_in_use(&self) -> anyhow::Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.0.request_text(request).await?;
        Ok(sum(&text, "etcd_mvcc_db_total_size_in_use_in_bytes"))
    }
}
