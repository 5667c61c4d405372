//! The pool, and the holders of its addresses before the pod is created.

use std::sync::Arc;

use libtest_mimic::Failed;
use nadmit::{
    allocation::{
        Holder, NetworkRef, ParsedSpec, Pool, Reservation, Timestamp, Version,
        index::{AttachmentRequest, IndexGuard, MacRequest, Requester},
    },
    network::mac::Mac,
};
use serde_json::json;

use super::{generate::SERVED, pipeline::NAMESPACE, scenario::ScenarioSettings};

pub(super) const POOL: &str = "storage";
/// The holders: the last number of an address, and the MAC, if one was requested.
const HELD: [(u8, Option<Mac>); 2] = [(2, None), (3, Some(Mac([2, 0xaa, 0, 0, 0, 1])))];

pub(super) fn pool(settings: &ScenarioSettings) -> Result<Arc<Pool>, Failed> {
    let mut ranges = vec![json!({"range": "192.0.2.0/29", "gateway": "192.0.2.1"})];
    let v6 = || json!({"range": "2001:db8::/125"});
    ranges.extend(settings.has_ipv6.then(v6));
    let mut spec = json!({"ranges": ranges, "namespaceSelector": {}});
    if settings.has_macs {
        spec["macs"] = json!({"prefix": "02:5e:00"});
    }
    let pool = ParsedSpec::of_pool(&spec).pool(POOL);
    Ok(Arc::new(pool.map_err(|faults| format!("{faults:?}"))?))
}

/// Returns a reservation for another pod.
pub(super) fn reserved() -> Result<Arc<Reservation>, Failed> {
    let spec = json!({
        "network": SERVED, "holder": {"pod": "somebody"}, "ips": ["192.0.2.4"],
        "mac": "02:5e:00:00:00:04",
    });
    let spec = serde_json::from_value(spec)?;
    let made = Reservation::new(NAMESPACE, "r", &spec);
    Ok(Arc::new(made.map_err(|faults| format!("{faults:?}"))?))
}

/// Records what others hold; returns the number of versions that this took.
pub(super) fn by_others(pool: &Pool, index: &mut IndexGuard<'_>) -> Result<u64, Failed> {
    index.set_ready(POOL);
    let mut versions = (1..).map(Version);
    let mut last = 0;
    for (number, mac) in HELD {
        let asker = Requester {
            holder: Holder::Pod {
                namespace: NAMESPACE.into(),
                name: format!("victim-{number}").into(),
            },
            pod: None,
            node: None,
        };
        let v6 = format!("2001:db8::{number}");
        let v6 = (pool.ranges.len() > 1).then(|| v6.parse()).transpose()?;
        let ask = AttachmentRequest {
            pool: POOL.into(),
            network: NetworkRef {
                namespace: NAMESPACE.into(),
                name: SERVED.into(),
            },
            interface: "net1".into(),
            needs_ips: true,
            ips: [[192, 0, 2, number].into()].into_iter().chain(v6).collect(),
            mac: mac.map_or(MacRequest::Auto, MacRequest::Exact),
        };
        let planned = index.plan(&asker, &[ask], Timestamp(1));
        let planned = planned.map_err(|refused| format!("{refused:?}"))?;
        let written: Vec<Version> = versions.by_ref().take(planned.writes.len()).collect();
        last = written.last().map_or(last, |version| version.0);
        index.commit(planned.id, &written);
    }
    Ok(last)
}
