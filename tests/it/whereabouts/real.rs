//! Cases of `whereabouts` through Whereabouts's own plugin (`tests/real/build.sh whereabouts`) and a real
//! API server: it has to return the same address, or the same error. This verifies the expectations
//! that nadmit is compared with.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::api::{DynamicObject, PostParams};
use libtest_mimic::{Failed, Trial};
use nadmit::network::range::Subnet;
use serde_json::{Map, Value, json};

use super::{array, text};
use crate::support::TestResult;
use crate::{
    api_server::{ForeignKind, IGNORE_REASON, RealServer, SharedServer, shared},
    command::{self, CniCall},
    components,
    shared::SharedValue,
};

/// The namespace of its records.
pub(super) const HOME: &str = "kube-system";
/// The test's own network namespace: IPAM does not change it.
const NAMESPACE: &str = "/proc/self/ns/net";

/// The kinds of its records.
pub(crate) const KINDS: [ForeignKind; 3] =
    [POOLS, RESERVATIONS, kind("NodeSlicePool", "nodeslicepools")];
pub(super) const POOLS: ForeignKind = kind("IPPool", "ippools");
pub(super) const RESERVATIONS: ForeignKind = kind(
    "OverlappingRangeIPReservation",
    "overlappingrangeipreservations",
);

const fn kind(kind: &'static str, plural: &'static str) -> ForeignKind {
    ForeignKind {
        group: "whereabouts.cni.cncf.io",
        version: "v1alpha1",
        kind,
        plural,
    }
}

/// The API server with the plugin's kinds.
pub(super) struct WhereaboutsRecords {
    pub(super) server: Arc<SharedServer>,
    /// An empty settings file of the plugin on a node.
    settings: tempfile::NamedTempFile,
}

/// A request to the plugin.
pub(super) struct AddRequest<'c> {
    pub(super) ipam: Value,
    pub(super) args: &'c str,
    pub(super) podref: &'c str,
    pub(super) container: &'c str,
    pub(super) interface: &'c str,
}

pub(super) fn tests(all: &Value) -> Vec<Trial> {
    let missing = missing();
    let sections = ["allocate_iterate", "assign_ip", "config"];
    let cases = sections.iter().flat_map(|section| {
        let cases = array(&all[*section]).iter().enumerate();
        cases.map(move |(index, case)| (*section, index, case.clone()))
    });
    let tests = cases.map(|(section, index, case)| {
        let name = format!("{section}::{}", case["name"].as_str().unwrap_or_default());
        let network_name = format!("{}-{index}", section.replace('_', "-"));
        let test = Trial::test(format!("whereabouts::plugin::{name}"), move || {
            compare(section, &network_name, &case)
        });
        match missing {
            Some(why) => test.with_kind(why).with_ignored_flag(true),
            None => test,
        }
    });
    tests.collect()
}

fn plugin() -> Option<PathBuf> {
    let path = components::folder("whereabouts")?.join("whereabouts");
    path.is_file().then_some(path)
}

pub(super) fn missing() -> Option<&'static str> {
    match (RealServer::is_there(), plugin()) {
        (false, _) => Some(IGNORE_REASON),
        (true, None) => Some("needs tests/real/build.sh whereabouts"),
        (true, Some(_)) => None,
    }
}

fn compare(section: &str, network_name: &str, case: &Value) -> TestResult {
    let records = records()?;
    let printed = match section {
        "allocate_iterate" => iterate(&records, network_name, case)?,
        "assign_ip" => assign(&records, network_name, case)?,
        _ => configure(&records, network_name, case)?,
    };
    let fits = match (case["error_prefix"].as_str(), &printed) {
        (Some(prefix), Err(error)) => error.contains(prefix),
        (None, Ok(ip)) => match case["expected_ip"].as_str() {
            Some(expected) if section == "assign_ip" => {
                *ip == format!("{expected}/{}", case["expected_mask_bits"])
            }
            Some(expected) => ip.split('/').next() == Some(expected),
            // It is accepted, and allocates from its range.
            None => true,
        },
        // A range that is too small to allocate from is accepted.
        (None, Err(error)) => section == "config" && error.contains("too short"),
        (Some(_), Ok(_)) => false,
    };
    match fits {
        true => Ok(()),
        false => Err(format!("{printed:?}").into()),
    }
}

/// The first address, or the error message.
pub(super) type AddResult = Result<String, String>;

fn iterate(
    records: &WhereaboutsRecords,
    network_name: &str,
    case: &Value,
) -> Result<AddResult, Failed> {
    let mut ipam = Map::new();
    for key in ["range", "range_start", "range_end", "exclude"] {
        if !case[key].is_null() {
            ipam.insert(key.into(), case[key].clone());
        }
    }
    records.put(
        network_name,
        text(&case["range"])?,
        array(&case["reservations"]),
    )?;
    let add = AddRequest {
        ipam: records.complete(ipam, network_name),
        args: "",
        podref: "ns/p",
        container: "c1",
        interface: "net1",
    };
    records.add(&add)
}

fn assign(
    records: &WhereaboutsRecords,
    network_name: &str,
    case: &Value,
) -> Result<AddResult, Failed> {
    let range = text(&case["range_config"]["range"])?;
    records.put(network_name, range, array(&case["reservations"]))?;
    let request = &case["request"];
    let range = case["range_config"].as_object().cloned();
    let add = AddRequest {
        ipam: records.complete(range.unwrap_or_default(), network_name),
        args: "",
        podref: text(&request["podref"])?,
        container: text(&request["container_id"])?,
        interface: text(&request["ifname"])?,
    };
    records.add(&add)
}

fn configure(
    records: &WhereaboutsRecords,
    network_name: &str,
    case: &Value,
) -> Result<AddResult, Failed> {
    let mut add = AddRequest {
        ipam: case["ipam"].clone(),
        args: text(&case["cni_args"])?,
        podref: "ns/p",
        container: "c1",
        interface: "net1",
    };
    if add.ipam["type"] == "whereabouts" {
        add.ipam["configuration_path"] = json!(records.settings.path());
    }
    if let Some(kubernetes) = add.ipam.get_mut("kubernetes") {
        kubernetes["kubeconfig"] = json!(records.server.kubeconfig);
        add.ipam["network_name"] = json!(network_name);
    }
    records.add(&add)
}

impl WhereaboutsRecords {
    fn new() -> Result<Self, Failed> {
        let server = shared()?;
        for kind in KINDS {
            server.runtime.block_on(kind.define(&server.client))?;
        }
        let mut settings = tempfile::NamedTempFile::new()?;
        settings.write_all(b"{}")?;
        Ok(Self { server, settings })
    }

    /// Completes an `ipam` section with common members. The name separates the records of cases.
    pub(super) fn complete(&self, mut ipam: Map<String, Value>, network_name: &str) -> Value {
        ipam.insert("type".into(), json!("whereabouts"));
        ipam.insert("network_name".into(), json!(network_name));
        ipam.insert(
            "kubernetes".into(),
            json!({"kubeconfig": self.server.kubeconfig}),
        );
        ipam.insert("configuration_path".into(), json!(self.settings.path()));
        ipam.into()
    }

    /// Writes a pool with others' records.
    fn put(&self, network_name: &str, range: &str, reservations: &[Value]) -> TestResult {
        if reservations.is_empty() {
            return Ok(());
        }
        let subnet = Subnet::parse(range).map_err(|e| e.to_string())?;
        let first = subnet.range().first();
        let mut allocations = Map::new();
        for one in reservations {
            let ip = text(&one["ip"])?.parse()?;
            allocations.insert(
                offset(first, ip).to_string(),
                json!({
                    "id": one["id"].as_str().unwrap_or("other"), "podref": one["podref"],
                    "ifname": one["ifname"].as_str().unwrap_or("net9"),
                }),
            );
        }
        let masked = subnet.to_string();
        let name = format!("{network_name}-{}", masked.replace([':', '/'], "-"));
        let pool: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
            "metadata": {"name": name, "namespace": HOME},
            "spec": {"range": masked, "allocations": allocations},
        }))?;
        let pools = POOLS.api(&self.server.client, HOME);
        let create = async { pools.create(&PostParams::default(), &pool).await };
        self.server.runtime.block_on(create)?;
        Ok(())
    }

    /// Runs the plugin's ADD as libcni does; returns the first address, or its error.
    pub(super) fn add(&self, add: &AddRequest<'_>) -> Result<AddResult, Failed> {
        let answer = match self.run("ADD", add)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let address = answer["ips"][0]["address"].as_str();
        Ok(Ok(address
            .ok_or_else(|| format!("no address: {answer}"))?
            .to_owned()))
    }

    /// Runs the plugin's DEL as libcni does.
    pub(super) fn del(&self, add: &AddRequest<'_>) -> TestResult {
        self.run("DEL", add)?.map(drop).map_err(Failed::from)
    }

    /// Runs the plugin; returns what it prints, or its error.
    fn run(&self, verb: &str, add: &AddRequest<'_>) -> Result<Result<Value, String>, Failed> {
        let config = json!({
            "cniVersion": "0.3.1", "name": "net", "type": "macvlan", "ipam": add.ipam,
        });
        let (namespace, pod) = add.podref.split_once('/').ok_or("no podref")?;
        let args = match add.args {
            "" => format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod}"),
            args => args.to_owned(),
        };
        let program = plugin().ok_or("no plugin")?;
        let call = CniCall {
            program: &program,
            verb,
            container: add.container,
            namespace: Path::new(NAMESPACE),
            interface: add.interface,
            args: &args,
            plugins: Path::new("/nowhere"),
        };
        let mut command = call.command();
        command.env("CNI_NETNS_OVERRIDE", "true");
        let output = command::run(&mut command, &config.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: Value = serde_json::from_str(&printed).unwrap_or_default();
        if !output.status.success() {
            return Ok(Err(answer["msg"].as_str().unwrap_or(&printed).to_owned()));
        }
        Ok(Ok(answer))
    }
}

fn offset(first: std::net::IpAddr, ip: std::net::IpAddr) -> i128 {
    let number = |ip: std::net::IpAddr| match ip {
        std::net::IpAddr::V4(ip) => i128::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => i128::from_be_bytes(ip.octets()),
    };
    number(ip) - number(first)
}

static RECORDS: SharedValue<WhereaboutsRecords> = SharedValue::new();

/// Returns the records; the first caller defines their kinds.
pub(super) fn records() -> Result<Arc<WhereaboutsRecords>, Failed> {
    RECORDS.get(WhereaboutsRecords::new)
}

/// Releases the shared server after the last test.
pub(crate) fn end() {
    RECORDS.end();
}
