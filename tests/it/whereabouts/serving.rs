//! Whereabouts's own plugin on records that another writer made before its ADD: the facts on which serving
//! its networks in place rests.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use libtest_mimic::{Failed, Trial};
use serde_json::{Map, Value, json};

use super::real::{AddRequest, HOME, POOLS, RESERVATIONS, WhereaboutsRecords, missing, records};
use crate::{
    api_server::ForeignKind,
    support::{TestResult, same},
};

/// The range of each network: offsets 1 to 6 can be assigned.
const RANGE: &str = "192.0.2.0/29";
const FINALIZER: &str = "nadmit.io/test";

pub(super) fn tests() -> Vec<Trial> {
    let tests = tests!["whereabouts::serving";
        an_entry_with_its_reservation_is_adopted,
        an_entry_alone_is_adopted_and_gets_its_reservation,
        a_reservation_alone_is_not_adopted,
        a_reservation_of_another_pod_fails_the_pod,
        an_excluded_address_is_adopted,
        an_entry_with_another_id_survives_del,
        an_entry_without_a_pod_keeps_its_address,
        an_entry_without_a_pod_keeps_its_address_without_overlapping_ranges,
        a_reservation_with_a_finalizer_keeps_its_address,
        two_entries_of_two_ranges_are_adopted_together,
    ];
    let missing = missing();
    let tests = tests.into_iter().map(|test| match missing {
        Some(why) => test.with_kind(why).with_ignored_flag(true),
        None => test,
    });
    tests.collect()
}

/// A network of Whereabouts whose records are its own.
struct ServedNetwork {
    records: std::sync::Arc<WhereaboutsRecords>,
    name: &'static str,
    /// Members of `ipam` besides the range.
    ipam: Value,
}

impl ServedNetwork {
    fn new(name: &'static str, ipam: Value) -> Result<Self, Failed> {
        let records = records()?;
        Ok(Self {
            records,
            name,
            ipam,
        })
    }

    /// Returns the request of a pod's sandbox for `net1`.
    fn request<'c>(&self, podref: &'c str, container: &'c str) -> AddRequest<'c> {
        let mut ipam = Map::from_iter([("range".to_owned(), json!(RANGE))]);
        ipam.extend(self.ipam.as_object().cloned().unwrap_or_default());
        AddRequest {
            ipam: self.records.complete(ipam, self.name),
            args: "",
            podref,
            container,
            interface: "net1",
        }
    }

    fn add(&self, podref: &str, container: &str) -> Result<Result<String, String>, Failed> {
        self.records.add(&self.request(podref, container))
    }

    fn del(&self, podref: &str, container: &str) -> TestResult {
        self.records.del(&self.request(podref, container))
    }

    fn object_name(&self, what: &str) -> String {
        format!("{}-{}", self.name, what.replace([':', '/'], "-"))
    }

    fn create(&self, kind: ForeignKind, object: &Value) -> TestResult {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let api = kind.api(&self.records.server.client, HOME);
        let create = async { api.create(&PostParams::default(), &object).await };
        self.records.server.runtime.block_on(create)?;
        Ok(())
    }

    /// Creates the pool of a range with these entries.
    fn put_pool(&self, range: &str, entries: &Value) -> TestResult {
        self.create(
            POOLS,
            &json!({
                "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
                "metadata": {"name": self.object_name(range), "namespace": HOME},
                "spec": {"range": range, "allocations": entries},
            }),
        )
    }

    fn put_reservation(&self, address: &str, podref: &str, finalizers: &[&str]) -> TestResult {
        self.create(
            RESERVATIONS,
            &json!({
                "apiVersion": "whereabouts.cni.cncf.io/v1alpha1",
                "kind": "OverlappingRangeIPReservation",
                "metadata": {
                    "name": self.object_name(address), "namespace": HOME, "finalizers": finalizers,
                },
                "spec": {"podref": podref, "ifname": "net1"},
            }),
        )
    }

    fn patch(&self, kind: ForeignKind, what: &str, patch: &Value) -> TestResult {
        let api = kind.api(&self.records.server.client, HOME);
        let name = self.object_name(what);
        let patch = Patch::Merge(patch);
        let patched = async { api.patch(&name, &PatchParams::default(), &patch).await };
        self.records.server.runtime.block_on(patched)?;
        Ok(())
    }

    /// Returns an object; null if it does not exist.
    fn object(&self, kind: ForeignKind, what: &str) -> Result<Value, Failed> {
        let api = kind.api(&self.records.server.client, HOME);
        let name = self.object_name(what);
        let found = async { api.get_opt(&name).await };
        let found = self.records.server.runtime.block_on(found)?;
        Ok(serde_json::to_value(found)?)
    }

    /// Returns the entry at an offset; null if there is none.
    fn entry(&self, offset: &str) -> Result<Value, Failed> {
        Ok(self.object(POOLS, RANGE)?["spec"]["allocations"][offset].clone())
    }
}

fn entry(podref: &str) -> Value {
    let interface = if podref.is_empty() { "" } else { "net1" };
    json!({"id": "nadmit", "podref": podref, "ifname": interface})
}

fn an_entry_with_its_reservation_is_adopted() -> TestResult {
    let network = ServedNetwork::new("serving-both", json!({}))?;
    network.put_pool(RANGE, &json!({"5": entry("db/db-0")}))?;
    network.put_reservation("192.0.2.5", "db/db-0", &[])?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.5/29".to_owned()),
    )?;
    // The id becomes that of the sandbox.
    same(&network.entry("5")?["id"], &json!("c1"))?;
    same(
        &network.add("db/db-1", "c2")?,
        &Ok("192.0.2.1/29".to_owned()),
    )
}

fn an_entry_alone_is_adopted_and_gets_its_reservation() -> TestResult {
    let network = ServedNetwork::new("serving-entry", json!({}))?;
    network.put_pool(RANGE, &json!({"5": entry("db/db-0")}))?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.5/29".to_owned()),
    )?;
    let reservation = network.object(RESERVATIONS, "192.0.2.5")?;
    same(&reservation["spec"]["podref"], &json!("db/db-0"))
}

fn a_reservation_alone_is_not_adopted() -> TestResult {
    let network = ServedNetwork::new("serving-reservation", json!({}))?;
    network.put_reservation("192.0.2.5", "db/db-0", &[])?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.1/29".to_owned()),
    )
}

fn a_reservation_of_another_pod_fails_the_pod() -> TestResult {
    let network = ServedNetwork::new("serving-other", json!({}))?;
    network.put_pool(RANGE, &json!({"5": entry("db/db-0")}))?;
    network.put_reservation("192.0.2.5", "db/other", &[])?;
    match network.add("db/db-0", "c1")? {
        Err(_) => Ok(()),
        Ok(address) => Err(format!("it gets {address}").into()),
    }
}

fn an_excluded_address_is_adopted() -> TestResult {
    let exclude = json!({"exclude": ["192.0.2.4/31"], "range_end": "192.0.2.3"});
    let network = ServedNetwork::new("serving-excluded", exclude)?;
    network.put_pool(RANGE, &json!({"5": entry("db/db-0")}))?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.5/29".to_owned()),
    )
}

fn an_entry_with_another_id_survives_del() -> TestResult {
    let network = ServedNetwork::new("serving-del", json!({}))?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.1/29".to_owned()),
    )?;
    let renamed = json!({"spec": {"allocations": {"1": {"id": "nadmit"}}}});
    network.patch(POOLS, RANGE, &renamed)?;
    network.del("db/db-0", "c1")?;
    same(&network.entry("1")?, &entry("db/db-0"))?;
    // The next sandbox of the pod gets the address again.
    same(
        &network.add("db/db-0", "c2")?,
        &Ok("192.0.2.1/29".to_owned()),
    )?;
    network.del("db/db-0", "c2")?;
    same(&network.entry("1")?, &Value::Null)
}

fn an_entry_without_a_pod_keeps_its_address() -> TestResult {
    keeps_its_address(&ServedNetwork::new("serving-hold", json!({}))?)
}

fn an_entry_without_a_pod_keeps_its_address_without_overlapping_ranges() -> TestResult {
    let ipam = json!({"enable_overlapping_ranges": false});
    keeps_its_address(&ServedNetwork::new("serving-hold-alone", ipam)?)
}

/// The entry of a pod becomes one without a pod before the sandbox's DEL: no other pod gets the address,
/// and the next pod of the holder does.
fn keeps_its_address(network: &ServedNetwork) -> TestResult {
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.1/29".to_owned()),
    )?;
    let held = json!({"spec": {"allocations": {"1": entry("")}}});
    network.patch(POOLS, RANGE, &held)?;
    network.del("db/db-0", "c1")?;
    same(&network.entry("1")?, &entry(""))?;
    for last in 2..7 {
        let added = network.add(&format!("db/x-{last}"), &format!("x{last}"))?;
        same(&added, &Ok(format!("192.0.2.{last}/29")))?;
    }
    match network.add("db/y", "c3")? {
        Err(_) => {}
        Ok(address) => return Err(format!("it gets {address}").into()),
    }
    let next = json!({"spec": {"allocations": {"1": entry("db/db-0")}}});
    network.patch(POOLS, RANGE, &next)?;
    same(
        &network.add("db/db-0", "c4")?,
        &Ok("192.0.2.1/29".to_owned()),
    )
}

fn a_reservation_with_a_finalizer_keeps_its_address() -> TestResult {
    let network = ServedNetwork::new("serving-finalizer", json!({}))?;
    network.put_pool(RANGE, &json!({"1": entry("db/db-0")}))?;
    network.put_reservation("192.0.2.1", "db/db-0", &[FINALIZER])?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.1/29".to_owned()),
    )?;
    network.del("db/db-0", "c1")?;
    same(&network.entry("1")?, &Value::Null)?;
    let reservation = network.object(RESERVATIONS, "192.0.2.1")?;
    if reservation["metadata"]["deletionTimestamp"].is_null() {
        return Err(format!("{reservation} is not being deleted").into());
    }
    same(
        &network.add("db/other", "c2")?,
        &Ok("192.0.2.2/29".to_owned()),
    )?;
    let released = json!({"metadata": {"finalizers": null}});
    network.patch(RESERVATIONS, "192.0.2.1", &released)
}

fn two_entries_of_two_ranges_are_adopted_together() -> TestResult {
    const SIX: &str = "2001:db8:29::/64";
    let network = ServedNetwork::new("serving-dual", json!({"ipRanges": [{"range": SIX}]}))?;
    network.put_pool(RANGE, &json!({"5": entry("db/db-0")}))?;
    network.put_pool(SIX, &json!({"77": entry("db/db-0")}))?;
    same(
        &network.add("db/db-0", "c1")?,
        &Ok("192.0.2.5/29".to_owned()),
    )?;
    for (range, offset) in [(RANGE, "5"), (SIX, "77")] {
        let pool = network.object(POOLS, range)?;
        same(&pool["spec"]["allocations"][offset]["id"], &json!("c1"))?;
    }
    Ok(())
}
