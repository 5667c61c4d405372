//! The model of the plugin in the cases that `tests/it/whereabouts/serving.rs` runs on the plugin itself.

use std::{net::IpAddr, rc::Rc};

use nadmit_whereabouts::{ip_pool_name, reservation_name};
use serde_json::{Value, json};

use super::{
    api_server::{ApiServer, Kind},
    plugin::{Add, AddError, Attachment, Del, PluginNetwork, new_pool},
};

const RANGE: &str = "192.0.2.0/29";

/// A network with its records.
struct Network {
    api: ApiServer,
    network: Rc<PluginNetwork>,
}

impl Network {
    fn of(network: PluginNetwork) -> Self {
        Self {
            api: ApiServer::default(),
            network: Rc::new(network),
        }
    }

    fn new(ranges: &[&str]) -> Self {
        Self::of(PluginNetwork::new("neta", ranges))
    }

    fn pool(&self, range: usize) -> String {
        ip_pool_name("neta", None, self.network.ranges[range].subnet)
    }

    fn put(&mut self, range: usize, entries: Value) {
        let name = self.pool(range);
        let mut pool = new_pool(&name, &self.network.ranges[range].subnet.to_string());
        pool["spec"]["allocations"] = entries;
        let created = self.api.create(Kind::IpPool, &name, pool);
        assert_eq!(created, Ok(()));
    }

    fn reserve(&mut self, last: u8, pod: &str, finalizers: &[&str]) {
        let name = reservation_name("neta", [192, 0, 2, last].into());
        let object = json!({"metadata": {"finalizers": finalizers},
            "spec": {"podref": pod, "ifname": "net1"}});
        let created = self.api.create(Kind::Reservation, &name, object);
        assert_eq!(created, Ok(()));
    }

    fn reservation(&self, last: u8) -> Value {
        let name = reservation_name("neta", [192, 0, 2, last].into());
        self.api
            .reservations
            .get(&name)
            .cloned()
            .unwrap_or_default()
    }

    fn entry(&self, range: usize, offset: &str) -> Value {
        self.api.pools[&self.pool(range)]["spec"]["allocations"][offset].clone()
    }

    fn change(&mut self, offset: &str, entry: &Value) {
        let patch = json!([{"op": "add", "path": format!("/spec/allocations/{offset}"),
            "value": entry}]);
        let name = self.pool(0);
        assert_eq!(self.api.patch(Kind::IpPool, &name, &patch), Ok(()));
    }

    fn add_all(&mut self, pod: &str, container: &str) -> Result<Vec<IpAddr>, AddError> {
        let mut add = Add::new(
            &self.network,
            Attachment {
                pod: pod.to_owned(),
                interface: "net1".to_owned(),
                container: container.to_owned(),
            },
        );
        loop {
            if let Some(result) = add.step(&mut self.api, 0) {
                return result;
            }
        }
    }

    /// Returns the last byte of the first address that the plugin gives.
    fn add(&mut self, pod: &str, container: &str) -> Result<u8, AddError> {
        let given = self.add_all(pod, container)?;
        match given.first() {
            Some(IpAddr::V4(address)) => Ok(address.octets()[3]),
            other => panic!("{other:?}"),
        }
    }

    fn del(&mut self, container: &str) {
        let mut del = Del::new(&self.network, "net1", container);
        while !del.step(&mut self.api) {}
    }
}

fn entry(pod: &str) -> Value {
    let interface = if pod.is_empty() { "" } else { "net1" };
    json!({"id": "nadmit", "podref": pod, "ifname": interface})
}

#[test]
fn entries_and_reservations_decide_what_the_plugin_adopts() {
    type Case<'c> = (&'c str, bool, Option<&'c str>, bool, Result<u8, AddError>);
    // An entry of the pod; a reservation; whether the address is excluded and behind the range's end.
    let table: &[Case<'_>] = &[
        ("both", true, Some("db/db-0"), false, Ok(5)),
        ("an entry alone", true, None, false, Ok(5)),
        ("a reservation alone", false, Some("db/db-0"), false, Ok(1)),
        (
            "another's reservation",
            true,
            Some("db/other"),
            false,
            Err(AddError::NoTime),
        ),
        (
            "a reservation of nobody",
            true,
            Some(""),
            false,
            Err(AddError::NoTime),
        ),
        ("an excluded address", true, None, true, Ok(5)),
    ];
    for (name, has_entry, reservation, excluded, expected) in table {
        let mut network = PluginNetwork::new("neta", &[RANGE]);
        if *excluded {
            network.ranges[0].last = 3;
            network.ranges[0].excluded = vec![4, 5];
        }
        let mut network = Network::of(network);
        if *has_entry {
            network.put(0, json!({"5": entry("db/db-0")}));
        }
        if let Some(pod) = reservation {
            network.reserve(5, pod, &[]);
        }
        assert_eq!(network.add("db/db-0", "c1"), *expected, "{name}");
        if *expected == Ok(5) {
            assert_eq!(network.entry(0, "5")["id"], "c1", "{name}");
            assert_eq!(
                network.reservation(5)["spec"]["podref"],
                "db/db-0",
                "{name}"
            );
            assert_eq!(network.add("db/db-1", "c2"), Ok(1), "{name}");
        }
    }
}

#[test]
fn an_entry_with_another_id_survives_del() {
    let mut network = Network::new(&[RANGE]);
    assert_eq!(network.add("db/db-0", "c1"), Ok(1));
    network.change("1", &entry("db/db-0"));
    network.del("c1");
    assert_eq!(network.entry(0, "1"), entry("db/db-0"));
    assert_eq!(network.add("db/db-0", "c2"), Ok(1));
    network.del("c2");
    assert_eq!(network.entry(0, "1"), Value::Null);
    assert_eq!(network.reservation(1), Value::Null);
}

#[test]
fn an_entry_without_a_pod_keeps_its_address() {
    for overlapping in [true, false] {
        let mut network = PluginNetwork::new("neta", &[RANGE]);
        network.overlapping = overlapping;
        let mut network = Network::of(network);
        assert_eq!(network.add("db/db-0", "c1"), Ok(1));
        network.change("1", &entry(""));
        network.del("c1");
        assert_eq!(network.entry(0, "1"), entry(""));
        for last in 2..7 {
            let added = network.add(&format!("db/x-{last}"), &format!("x{last}"));
            assert_eq!(added, Ok(last));
        }
        assert_eq!(network.add("db/y", "c3"), Err(AddError::Full));
        network.change("1", &entry("db/db-0"));
        assert_eq!(network.add("db/db-0", "c4"), Ok(1));
    }
}

#[test]
fn a_reservation_with_a_finalizer_keeps_its_address() {
    let mut network = Network::new(&[RANGE]);
    network.put(0, json!({"1": entry("db/db-0")}));
    network.reserve(1, "db/db-0", &["nadmit.io/test"]);
    assert_eq!(network.add("db/db-0", "c1"), Ok(1));
    network.del("c1");
    assert_eq!(network.entry(0, "1"), Value::Null);
    assert!(!network.reservation(1)["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(network.add("db/other", "c2"), Ok(2));
}

#[test]
fn two_entries_of_two_ranges_are_adopted_together() {
    let mut network = Network::new(&[RANGE, "2001:db8:29::/64"]);
    network.put(0, json!({"5": entry("db/db-0")}));
    network.put(1, json!({"77": entry("db/db-0")}));
    let given = network.add_all("db/db-0", "c1").unwrap_or_default();
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    assert_eq!(given, ["192.0.2.5", "2001:db8:29::4d"]);
    for (range, offset) in [(0, "5"), (1, "77")] {
        assert_eq!(network.entry(range, offset)["id"], "c1");
    }
}
