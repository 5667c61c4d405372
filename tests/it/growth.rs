//! The growth of costs with the size of an input, in instructions as valgrind counts them. No seconds:
//! what else a machine does changes nothing.
//!
//! A case doubles its input and may cost 2.5 times as much. `nadmit check` is run as it is; a review is
//! answered by this binary, which runs itself for it.

use std::{
    env,
    path::Path,
    process::{Command, Output},
};

use libtest_mimic::{Failed, Trial};
use nadmit::{catalog::Catalog, network::Network, rules::Policy};
use serde_json::json;

use crate::{command, support, support::TestResult};

/// The maximum cost at twice the size, in tenths of the cost at the size itself.
const MAX_GROWTH_TENTHS: u64 = 25;
/// The size of the annotation that this binary answers a review of.
const REVIEWED_BYTES: &str = "NADMIT_GROWTH_REVIEWED_BYTES";
/// The text that the annotation repeats.
const REPEATED: &str = "NADMIT_GROWTH_REPEATED";

const VALGRIND: &str = "valgrind";

/// Objects of which `nadmit check` has to say much.
struct CheckCase {
    name: &'static str,
    /// The number of objects, which is doubled.
    size: usize,
    format: &'static str,
    /// The code that the output has to name.
    code: &'static str,
    object: fn(usize) -> String,
}

/// Most networks are compared with each other, and above some hundreds by index.
const CASES: &[CheckCase] = &[
    CheckCase {
        name: "pods_with_a_warning",
        size: 400,
        format: "human",
        code: "key-case",
        object: pod_with_a_warning,
    },
    CheckCase {
        name: "warnings_in_json",
        size: 200,
        format: "json",
        code: "key-case",
        object: pod_with_a_warning,
    },
    CheckCase {
        name: "warnings_in_sarif",
        size: 200,
        format: "sarif",
        code: "key-case",
        object: pod_with_a_warning,
    },
    CheckCase {
        name: "warnings_for_github",
        size: 200,
        format: "github",
        code: "key-case",
        object: pod_with_a_warning,
    },
    CheckCase {
        name: "objects_of_one_name",
        size: 400,
        format: "human",
        code: "duplicate-object",
        object: |_| pod("p", "a"),
    },
    CheckCase {
        name: "networks_with_one_range",
        size: 300,
        format: "human",
        code: "overlapping-ranges",
        object: |i| whereabouts(i, "eth1", "10.0.0.0/16", ""),
    },
    CheckCase {
        name: "networks_with_one_range_and_many_names",
        size: 300,
        format: "human",
        code: "overlapping-ranges",
        object: |i| {
            whereabouts(
                i,
                "eth1",
                "10.0.0.0/16",
                &format!(r#", "network_name": "n{i}""#),
            )
        },
    },
    CheckCase {
        name: "networks_with_one_range_on_many_segments",
        size: 300,
        format: "human",
        code: "overlapping-ranges",
        object: |i| {
            let master = format!("eth{i}");
            whereabouts(
                i,
                &master,
                "10.0.0.0/16",
                &format!(r#", "network_name": "n{i}""#),
            )
        },
    },
    CheckCase {
        name: "networks_with_one_address",
        size: 300,
        format: "human",
        code: "duplicate-static-address",
        object: |i| {
            let ipam = r#"{"type": "static", "addresses": [{"address": "10.0.0.1/24"}]}"#;
            network(i, r#""type": "macvlan", "master": "eth1""#, ipam)
        },
    },
    CheckCase {
        name: "networks_with_one_master",
        size: 300,
        format: "human",
        code: "shared-master",
        object: |i| {
            let kind = ["macvlan", "ipvlan"][i % 2];
            let plugin = format!(r#""type": "{kind}", "master": "eth1""#);
            network(i, &plugin, r#"{"type": "static"}"#)
        },
    },
    CheckCase {
        name: "pods_with_one_address",
        size: 200,
        format: "human",
        code: "address-in-use",
        object: |i| match i {
            0 => POOL.to_owned() + "---\n" + SERVED_NETWORK,
            _ => pod(
                &format!("p{i}"),
                r#"[{"name": "served", "ips": ["10.0.0.9/16"]}]"#,
            ),
        },
    },
    CheckCase {
        name: "reservations_of_one_address",
        size: 120,
        format: "human",
        code: "reservation-conflict",
        object: |i| match i {
            0 => POOL.to_owned() + "---\n" + SERVED_NETWORK,
            _ => reservation(i, "10.0.0.9"),
        },
    },
    CheckCase {
        name: "reservations_apart",
        size: 300,
        format: "human",
        code: "key-case",
        object: |i| match i {
            0 => POOL.to_owned() + "---\n" + SERVED_NETWORK + "---\n" + &pod_with_a_warning(0),
            _ => reservation(i, &format!("10.0.{}.{}", i / 250, 1 + i % 250)),
        },
    },
    CheckCase {
        name: "pools_apart",
        size: 300,
        format: "human",
        code: "key-case",
        object: |i| match i {
            0 => pod_with_a_warning(0),
            _ => pool(i, &format!("10.{}.{}.0/24", i / 256, i % 256)),
        },
    },
];

const POOL: &str = "apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 10.0.0.0/16}]
  namespaceSelector: {}
";

const SERVED_NETWORK: &str = "apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: served, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec: {config: '{\"cniVersion\": \"0.3.1\", \"type\": \"macvlan\", \"master\": \"eth1\",
  \"capabilities\": {\"ips\": true}, \"ipam\": {\"type\": \"static\"}}'}
";

pub(crate) fn tests() -> Vec<Trial> {
    let counts = Command::new(VALGRIND).arg("--version").output().is_ok();
    let checks = CASES
        .iter()
        .map(|case| Trial::test(format!("growth::files::{}", case.name), || check(case)));
    let texts = [
        ("commas", ","),
        ("nulls", "null,"),
        ("entries_without_a_name", "{},"),
        ("broken_entries", r#"{"ips":[1],"mac":2,"name":3},"#),
        ("invalid_addresses", r#"{"name":"a","ips":["x"]},"#),
    ];
    let reviews = texts
        .map(|(name, text)| Trial::test(format!("growth::review::{name}"), move || review(text)));
    let all = checks.chain(reviews);
    all.map(|test| match counts {
        true => test,
        false => test.with_kind("needs valgrind").with_ignored_flag(true),
    })
    .collect()
}

/// Checks that twice as many objects cost at most 2.5 times as much.
fn check(case: &CheckCase) -> TestResult {
    let folder = tempfile::tempdir()?;
    let cost = |size: usize| -> Result<u64, Failed> {
        let objects: Vec<String> = (0..size).map(case.object).collect();
        let path = folder.path().join(format!("{size}.yaml"));
        std::fs::write(&path, objects.join("---\n"))?;
        let mut nadmit = counted(Path::new(env!("CARGO_BIN_EXE_nadmit")));
        nadmit.env_remove("NADMIT_CONFIG");
        nadmit.args(["check", "--format", case.format]).arg(path);
        let output = command::run(&mut nadmit, "")?;
        if !String::from_utf8_lossy(&output.stdout).contains(case.code) {
            return Err(format!("no {} in {output:?}", case.code).into());
        }
        instructions(&output)
    };
    grows_little(cost(case.size)?, cost(case.size * 2)?)
}

/// Checks that the review of an annotation of the maximum size costs at most 2.5 times as much as that of
/// one of half the size.
fn review(repeated: &'static str) -> TestResult {
    let cost = |bytes: usize| -> Result<u64, Failed> {
        let mut reviewer = counted(&env::current_exe()?);
        reviewer.env(REPEATED, repeated);
        reviewer.env(REVIEWED_BYTES, bytes.to_string());
        instructions(&command::run(&mut reviewer, "")?)
    };
    // What the process costs by itself is no part of a review.
    let (process, half, whole) = (cost(0)?, cost(100 * 1024)?, cost(200 * 1024)?);
    grows_little(half - process, whole - process)
}

/// Answers a review, if this process was started for that.
pub(crate) fn run_as_reviewer() -> bool {
    let (Ok(bytes), Ok(repeated)) = (env::var(REVIEWED_BYTES), env::var(REPEATED)) else {
        return false;
    };
    let count = bytes.parse().unwrap_or(0) / repeated.len();
    let text = repeated.repeat(count);
    let networks = match repeated.contains(['{', 'n']) {
        true => format!("[{}]", text.trim_end_matches(',')),
        false => text,
    };
    let pod = json!({"metadata": {"name": "p", "namespace": "db", "uid": "p",
        "annotations": {"k8s.v1.cni.cncf.io/networks": networks}}});
    let config = r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static"}}"#;
    let network = Network::new("db", "a", Some(config)).into();
    let catalog = Catalog::new([], [network], []);
    let answer = support::answer(&support::create(&pod), &catalog, &Policy::default());
    println!("{}", answer.is_ok());
    true
}

/// Returns the command by which valgrind runs a program and counts its instructions.
fn counted(program: &Path) -> Command {
    let mut command = Command::new(VALGRIND);
    command.args(["--tool=cachegrind", "--cache-sim=no"]);
    command.arg("--cachegrind-out-file=/dev/null");
    command.arg(program);
    command
}

/// Returns the number of instructions, from the line `==PID== I refs: 1,234`.
fn instructions(output: &Output) -> Result<u64, Failed> {
    let report = String::from_utf8_lossy(&output.stderr);
    let count = report.lines().find_map(|line| {
        let (name, count) = line.split_once("refs:")?;
        name.trim_end()
            .ends_with('I')
            .then(|| count.trim().replace(',', ""))
    });
    let count = count.ok_or_else(|| format!("no instructions in {output:?}"))?;
    Ok(count.parse()?)
}

fn grows_little(once: u64, twice: u64) -> TestResult {
    println!("{once} instructions, {twice} at twice the size");
    match twice * 10 > once * MAX_GROWTH_TENTHS {
        true => Err(format!("{twice} is more than 2.5 times {once}").into()),
        false => Ok(()),
    }
}

fn pod(name: &str, networks: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: db\n  annotations:\n    \
         k8s.v1.cni.cncf.io/networks: '{networks}'\nspec: {{}}\n"
    )
}

fn pod_with_a_warning(index: usize) -> String {
    let networks = r#"[{"name": "a", "IPs": ["10.0.0.2/24"]}]"#;
    pod(&format!("p{index}"), networks)
}

fn network(index: usize, plugin: &str, ipam: &str) -> String {
    format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {{name: n{index}, \
         namespace: db}}\nspec:\n  config: '{{\"cniVersion\": \"0.3.1\", \"name\": \"n{index}\", {plugin}, \
         \"ipam\": {ipam}}}'\n"
    )
}

fn whereabouts(index: usize, master: &str, range: &str, more: &str) -> String {
    let plugin = format!(r#""type": "macvlan", "master": "{master}""#);
    let ipam = format!(r#"{{"type": "whereabouts", "range": "{range}"{more}}}"#);
    network(index, &plugin, &ipam)
}

fn pool(index: usize, range: &str) -> String {
    format!(
        "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {{name: p{index}}}\nspec:\n  \
         ranges: [{{range: {range}}}]\n  namespaceSelector: {{}}\n"
    )
}

fn reservation(index: usize, ip: &str) -> String {
    format!(
        "apiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\nmetadata: {{name: r{index}, namespace: \
         db}}\nspec:\n  network: served\n  ips: [{ip}]\n  holder: {{pod: p{index}}}\n"
    )
}
