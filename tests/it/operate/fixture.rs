//! A cluster for operators' commands: a fake API server, and a folder for the commands.

use std::{fs, path::Path};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::server::WorkFolder;
use crate::api_server::{ApiServer, FaultRule, InjectedFailure, SeedObjects};
pub(super) use crate::support::same;

pub(super) const RECORDS: &str = "addressallocations.nadmit.io";
/// The prefix of the records' names in the fixtures' address space.
const NAME_PREFIX: &str = "example-net-common-5ef15fa086aaa63f";

/// A cluster with the fixtures, and a folder for the commands.
pub(crate) struct OperatorFixture {
    pub(crate) server: ApiServer,
    pub(crate) place: WorkFolder,
}

impl OperatorFixture {
    pub(crate) fn new() -> Result<Self, Failed> {
        Self::without(&[])
    }

    /// Returns a cluster without some resources.
    pub(super) fn without(resources: &[&str]) -> Result<Self, Failed> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/operate/world.yaml");
        let mut store = SeedObjects::of_text(&fs::read_to_string(file)?)?;
        for resource in resources {
            store = store.without(resource);
        }
        let place = WorkFolder::new()?;
        let server = ApiServer::start(store, 2, Vec::new())?;
        server.kubeconfig(&place.path("kubeconfig"))?;
        let fixture = Self { server, place };
        fixture
            .judge(json!({"type": "Ready", "status": "True", "reason": "Adopted", "message": ""}));
        Ok(fixture)
    }

    /// Writes the pool's condition, as the leader does.
    pub(super) fn judge(&self, condition: Value) {
        if let Some(mut pool) = self.server.stored("addresspools.nadmit.io", "", "storage") {
            pool["status"] = json!({"conditions": [condition]});
            self.server.put(pool);
        }
    }

    /// Records an address as nadmit does.
    pub(crate) fn record(&self, address: &str, mut spec: Value) {
        spec["address"] = json!(address);
        spec["networkName"] = json!("example_net_common");
        spec["pool"] = json!("storage");
        spec["network"] = json!({"namespace": "db", "name": "storage-net"});
        spec["interface"] = json!("net1");
        spec["since"] = json!("2026-03-01T12:00:00Z");
        self.server.put(json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
            "metadata": {"name": format!("{NAME_PREFIX}.{address}")}, "spec": spec,
        }));
    }

    pub(super) fn holder(&self, address: &str) -> Option<Value> {
        let name = format!("{NAME_PREFIX}.{address}");
        let record = self.server.stored(RECORDS, "", &name)?;
        Some(record["spec"]["holder"].clone())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, Failed> {
        self.place.run(&asking(arguments))
    }

    pub(super) fn refused(&self, arguments: &[&str]) -> Result<String, Failed> {
        self.place.refused(&asking(arguments))
    }

    /// Returns the output with the warnings.
    pub(super) fn output(&self, arguments: &[&str]) -> Result<String, Failed> {
        self.place.output(&asking(arguments))
    }

    pub(super) fn forbid(&self, verb: &str, resource: &str) {
        let rule = FaultRule::of(verb, resource, InjectedFailure::Forbidden.into());
        self.server.fault(rule);
    }

    /// Returns the resources listed since the last call, in order and each once.
    pub(super) fn listed(&self, before: usize) -> Vec<String> {
        let seen = self.server.request_paths().split_off(before);
        let mut resources: Vec<String> = Vec::new();
        for path in seen {
            let path = path.split('?').next().unwrap_or_default();
            let resource = path.rsplit('/').next().unwrap_or_default().to_owned();
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        resources
    }
}

fn asking<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let cluster = ["--cluster", "--kubeconfig", "kubeconfig"];
    arguments.iter().copied().chain(cluster).collect()
}

pub(crate) fn replica(pod: &str) -> Value {
    json!({
        "holder": {"replica": {"namespace": "db", "statefulSet": "db", "ordinal": 0}},
        "pod": {"name": pod},
    })
}

pub(super) fn pod(name: &str) -> Value {
    json!({"holder": {"pod": {"namespace": "db", "name": name}}, "pod": {"name": name}})
}
