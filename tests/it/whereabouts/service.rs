//! Allocation: the lowest free address, or the pod's existing one.

use std::sync::Arc;

use libtest_mimic::Failed;
use nadmit::allocation::{
    Address, Allocation, AllocationError, Holder, Index, NetworkRef, Pool, PoolConfig, Space,
    Stored, Timestamp, Version, Write,
    index::{AttachmentRequest, MacRequest, Requester},
    reconcile::{ClusterObserver, InUse, PodState, WorkloadState, reconcile},
    spec::{PoolSpec, RangeSpec},
};
use serde_json::Value;

use super::{CaseResults, array, text};
use crate::support::TestResult;

pub(super) const NOW: Timestamp = Timestamp(1_000_000);
const POOL: &str = "storage";

/// Returns the lowest free address of a range in which others hold addresses.
pub(super) fn lowest(case: &Value) -> Result<CaseResults, Failed> {
    let range = RangeSpec {
        range: text(&case["range"])?.to_owned(),
        range_start: case["range_start"].as_str().map(str::to_owned),
        range_end: case["range_end"].as_str().map(str::to_owned),
        exclude: array(&case["exclude"])
            .iter()
            .map(|e| text(e).map(str::to_owned))
            .collect::<Result<_, _>>()?,
        gateway: None,
    };
    let (mut nadmit, count) = match pool(vec![range]) {
        Err(results) => (results, String::new()),
        Ok(pool) => {
            let mut index = index_of(&pool);
            for (held, version) in array(&case["reservations"]).iter().zip(1..) {
                let (ip, interface) = (text(&held["ip"])?, format!("net{version}"));
                index.apply(Stored {
                    allocation: record(ip.parse()?, pod(&held["podref"])?, &interface),
                    version: Version(version),
                });
            }
            let given = ask(&mut index, "ns/p", "net1")?;
            let given = given.split_once('/').map_or(&*given, |(ip, _)| ip);
            (given.to_owned(), index.recorded().count().to_string())
        }
    };
    let mut whereabouts = match case["expected_ip"].as_str() {
        Some(ip) => ip.to_owned(),
        None => outcome(&case["error_prefix"]),
    };
    if let Some(expected) = case["expected_reservation_count"].as_u64() {
        nadmit += &format!(", {count} records");
        whereabouts += &format!(", {expected} records");
    }
    Ok(CaseResults {
        nadmit,
        whereabouts,
    })
}

/// Returns the allocation of a pod with an earlier record, which nadmit learns of from the pod's
/// use.
pub(super) fn adoption(case: &Value) -> Result<CaseResults, Failed> {
    let range = RangeSpec {
        range: text(&case["range_config"]["range"])?.to_owned(),
        ..RangeSpec::default()
    };
    let request = &case["request"];
    let nadmit = match pool(vec![range]) {
        Err(results) => results,
        Ok(pool) => {
            let mut index = index_of(&pool);
            adopt(&mut index, &pool, array(&case["reservations"]))?;
            ask(
                &mut index,
                text(&request["podref"])?,
                text(&request["ifname"])?,
            )?
        }
    };
    let whereabouts = match case["expected_ip"].as_str() {
        Some(ip) => format!("{ip}/{}", case["expected_mask_bits"]),
        None => outcome(&case["error_prefix"]),
    };
    Ok(CaseResults {
        nadmit,
        whereabouts,
    })
}

fn adopt(index: &mut Index, pool: &Pool, records: &[Value]) -> TestResult {
    let mut in_use = Vec::new();
    for one in records {
        let address: Address = text(&one["ip"])?.parse()?;
        if address.ip().and_then(|ip| pool.range_of(ip)).is_none() {
            continue;
        }
        in_use.push(InUse {
            pool: POOL.into(),
            address,
            network: network(),
            interface: text(&one["ifname"])?.into(),
            holder: pod(&one["podref"])?,
            pod: None,
            assigned: true,
            mac: None,
        });
    }
    let layout = Arc::clone(index.pool_config());
    let actions = reconcile([], &layout, &in_use, &EveryPodExists, NOW);
    for (action, version) in actions.into_iter().zip(1..) {
        let Some(Write::Create(allocation)) = action.write else {
            return Err(format!("{:?}", action.reason).into());
        };
        index.apply(Stored {
            allocation,
            version: Version(version),
        });
    }
    Ok(())
}

/// A cluster in which every pod exists.
struct EveryPodExists;

impl ClusterObserver for EveryPodExists {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Present
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Present
    }
}

/// Returns a pool of these ranges, or its error.
pub(super) fn pool(ranges: Vec<RangeSpec>) -> Result<Arc<Pool>, String> {
    let spec = PoolSpec {
        ranges,
        ..PoolSpec::default()
    };
    let made = Pool::new(POOL, &spec).map_err(|_| "refused".to_owned())?;
    Ok(Arc::new(made))
}

pub(super) fn index_of(pool: &Arc<Pool>) -> Index {
    let pool_config = PoolConfig::new([Arc::clone(pool)], [], |_| None);
    let mut index = Index::of(&Arc::new(pool_config));
    index.set_ready(POOL);
    index
}

/// Returns the record of an address.
pub(super) fn record(address: Address, holder: Holder, interface: &str) -> Allocation {
    Allocation {
        address,
        space: Space::default(),
        pool: POOL.into(),
        network: network(),
        interface: interface.into(),
        holder,
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(NOW.0 - 1000),
    }
}

/// Parses `namespace/name`; any other reference stands for the network.
pub(super) fn pod(reference: &Value) -> Result<Holder, Failed> {
    let reference = text(reference)?;
    Ok(match reference.split_once('/') {
        Some((namespace, name)) => Holder::Pod {
            namespace: namespace.into(),
            name: name.into(),
        },
        None => Holder::Network {
            namespace: "ns".into(),
            name: "net".into(),
        },
    })
}

pub(super) fn network() -> NetworkRef {
    NetworkRef {
        namespace: "ns".into(),
        name: "net".into(),
    }
}

fn ask(index: &mut Index, pod_reference: &str, interface: &str) -> Result<String, Failed> {
    let asker = Requester {
        holder: pod(&pod_reference.into())?,
        pod: None,
        node: None,
    };
    let ask = AttachmentRequest {
        pool: POOL.into(),
        network: network(),
        interface: interface.into(),
        needs_ips: true,
        ips: Vec::new(),
        mac: MacRequest::None,
    };
    let pool_config = Arc::clone(index.pool_config());
    Ok(match index.synced(&pool_config).plan(&asker, &[ask], NOW) {
        Ok(planned) => {
            let versions = vec![Version(1_000); planned.writes.len()];
            index.commit(planned.id, &versions);
            let ips = planned.assignments.iter().flat_map(|given| &given.ips);
            let ips: Vec<String> = ips.map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
            ips.join(" ")
        }
        Err(refused) => match &refused[0].error {
            AllocationError::Exhausted(_) => "exhausted".to_owned(),
            other => other.to_string(),
        },
    })
}

/// Returns whether an error comes from the configuration or from a full range.
pub(super) fn outcome(error: &Value) -> String {
    match error.as_str() {
        Some(text) if text.starts_with("Could not allocate") => "exhausted",
        _ => "refused",
    }
    .to_owned()
}
