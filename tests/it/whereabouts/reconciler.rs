//! Release of addresses by the reconciler.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use libtest_mimic::Failed;
use nadmit::allocation::{
    Address, Allocation, Holder, PoolConfig, Timestamp, Version, Write,
    reconcile::{ClusterObserver, InUse, PodState, WorkloadState, reconcile},
    spec::RangeSpec,
};
use serde_json::{Map, Value};

use super::{
    CaseResults, array,
    service::{NOW, network, pod, pool, record},
    text,
};
use crate::support::TestResult;

/// Returns the released addresses. nadmit has one record for each address of a space, like
/// Whereabouts's second kind: where a case has those, they are the records.
pub(super) fn cleaned(case: &Value) -> Result<CaseResults, Failed> {
    let none = Map::new();
    let pools = case["pools"].as_object().unwrap_or(&none);
    let widest = pools
        .values()
        .min_by_key(|pool| prefix(&pool["range"]))
        .ok_or("no pool")?;
    let range = RangeSpec {
        range: text(&widest["range"])?.to_owned(),
        ..RangeSpec::default()
    };
    let made = pool(vec![range])?;
    let records = records(case, pools)?;
    let watched = ReportedPods(array(&case["pods"]));
    let in_use = watched.in_use()?;
    let layout = PoolConfig::new([Arc::clone(&made)], [], |_| None);
    let known = records.values().map(|record| (record, Version(7)));
    let actions = reconcile(known, &layout, &in_use, &watched, NOW);
    let freed: Vec<String> = actions
        .iter()
        .filter_map(|action| match &action.write {
            Some(Write::Delete(record, _)) => Some(record.address.to_string()),
            _ => None,
        })
        .collect();
    let expected = match case["expected_cleaned"].as_array() {
        Some(cleaned) => cleaned
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        None => {
            let left = array(&case["expected_remaining_overlapping"]);
            let all = records.keys().map(ToString::to_string);
            all.filter(|one| !left.iter().any(|l| l == one)).collect()
        }
    };
    let results = |list: Vec<String>| format!("cleaned [{}]", list.join(", "));
    Ok(CaseResults {
        nadmit: results(freed),
        whereabouts: results(expected),
    })
}

fn prefix(range: &Value) -> u8 {
    let length = range
        .as_str()
        .and_then(|r| r.split_once('/')?.1.parse().ok());
    length.unwrap_or(u8::MAX)
}

fn records(
    case: &Value,
    pools: &Map<String, Value>,
) -> Result<BTreeMap<Address, Allocation>, Failed> {
    let mut records = BTreeMap::new();
    let mut add = |address: Address, of: &Value| -> TestResult {
        let interface = of["ifname"].as_str().unwrap_or("net1");
        records.insert(address, record(address, pod(&of["podref"])?, interface));
        Ok(())
    };
    let overlapping = case["overlapping"].as_object().filter(|o| !o.is_empty());
    if let Some(overlapping) = overlapping {
        for (address, of) in overlapping {
            add(address.parse()?, of)?;
        }
        return Ok(records);
    }
    for pool in pools.values() {
        let base = text(&pool["range"])?.split('/').next().unwrap_or_default();
        let base = Address::Ip(base.parse::<IpAddr>()?);
        for (offset, of) in pool["allocations"].as_object().into_iter().flatten() {
            let number = base.number() + offset.parse::<u128>()?;
            add(base.family().address(number), of)?;
        }
    }
    Ok(records)
}

/// The pods of a case, as a cluster reports them.
struct ReportedPods<'a>(&'a [Value]);

impl ReportedPods<'_> {
    fn has_ended(pod: &Value) -> bool {
        matches!(pod["phase"].as_str(), Some("Succeeded" | "Failed"))
    }

    fn in_use(&self) -> Result<Vec<InUse>, Failed> {
        let mut all = Vec::new();
        for one in self.0.iter().filter(|pod| !Self::has_ended(pod)) {
            for ip in array(&one["network_status_ips"]) {
                all.push(InUse {
                    pool: "storage".into(),
                    address: text(ip)?.parse()?,
                    network: network(),
                    interface: "net1".into(),
                    holder: pod(&one["podref"])?,
                    pod: None,
                    assigned: true,
                    mac: None,
                });
            }
        }
        Ok(all)
    }
}

impl ClusterObserver for ReportedPods<'_> {
    fn pod(&self, allocation: &Allocation) -> PodState {
        let mine = |one: &&Value| pod(&one["podref"]).ok().as_ref() == Some(&allocation.holder);
        match self.0.iter().find(mine) {
            Some(pod) if !Self::has_ended(pod) => PodState::Present,
            _ => PodState::Gone(Timestamp(NOW.0 - 500)),
        }
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }
}
