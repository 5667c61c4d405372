//! `POST /mutate` with a durable allocation for each new pod, compared with `POST /validate` of the
//! same server: `cargo bench --bench load -- mutate`.
//!
//! Both get reviews of the same pod, each with another name. The result is the ratio of their
//! rates, measured alternately; and every address in a response has to be in the ledger afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use nadmit::ledger::{EmbeddedLedger, Store as _};
use serde_json::{Value, json};

use super::{
    child::ServerChild,
    fixture,
    wrk::{self, LoadResult},
};

/// The argument that selects this benchmark.
pub(crate) const FLAG: &str = "mutate";
/// The minimum number of allocations per validation.
const TARGET_RATIO: f64 = 0.35;

const POOL: &str = "apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 10.0.0.0/12}]
  macs: {prefix: \"02:5e:00\"}
  namespaceSelector: {}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: storage-net
  namespace: tenant-7
  annotations: {nadmit.io/address-pool: storage}
spec:
";

/// Measures in pairs.
pub(crate) fn run(seconds: u32, pairs: u32) -> anyhow::Result<()> {
    // The data is on the disk that programs are built on.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let manifests = folder.path().join("manifests");
    fixture::write_networks(&manifests)?;
    let pool = format!("{POOL}  config: '{}'\n", fixture::CONFIG);
    fs::write(manifests.join("storage.yaml"), pool)?;
    let server = ServerChild::nadmit(folder.path())?;
    println!(
        "64 connections, {pairs} pairs of {seconds} s; durable: a new pod with each request\n"
    );
    println!("           requests/s               CPU a request, µs    p50, ms           p99, ms");
    println!(
        "pair validate  mutate ratio     validate mutate     validate mutate   validate mutate"
    );
    let (mut ratios, mut answered) = (Vec::new(), 0.0);
    for pair in 0..pairs {
        let scripts = [
            script(folder.path(), pair, "validate", fixture::ANNOTATION)?,
            script(folder.path(), pair, "mutate", "storage-net")?,
        ];
        let load = |which: usize| {
            let webhook = ["/validate", "/mutate"][which];
            wrk::load(&server, webhook, &scripts[which], seconds)
        };
        // Alternately, so that neither always goes first.
        let first = pair as usize % 2;
        let one = load(first)?;
        let other = load(1 - first)?;
        let (validate, mutate) = if first == 0 {
            (one, other)
        } else {
            (other, one)
        };
        ratios.push(mutate.rate / validate.rate);
        answered += mutate.requests;
        print(pair + 1, &validate, &mutate);
    }
    let memory = server.memory_mib()?;
    drop(server);
    let recorded = recorded(&folder.path().join("data"))?;
    ensure!(
        recorded >= answered,
        "{answered} were answered, {recorded} recorded"
    );
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
    let reached = if median >= TARGET_RATIO {
        "reached"
    } else {
        "not reached"
    };
    println!("\nmedian ratio of requests/s: {median:.2}; aim {TARGET_RATIO}, {reached}");
    println!(
        "{answered} allocations were answered, all of them are in the ledger; {memory:.0} MiB"
    );
    Ok(())
}

fn print(pair: u32, validate: &LoadResult, mutate: &LoadResult) {
    let (v, m) = (validate, mutate);
    println!(
        "{pair:4} {:8.0} {:7.0} {:5.2}     {:8.1} {:6.1}     {:8.2} {:6.2}   {:8.2} {:6.2}",
        v.rate,
        m.rate,
        m.rate / v.rate,
        v.cpu,
        m.cpu,
        v.p50,
        m.p50,
        v.p99,
        m.p99
    );
}

/// Writes wrk's script, which sends the review with another name each time.
fn script(folder: &Path, pair: u32, name: &str, networks: &str) -> anyhow::Result<PathBuf> {
    const NAME: &str = "pod-of-this-number";
    let mut review: Value = serde_json::from_slice(&fixture::review(networks)?)?;
    let request = &mut review["request"];
    request["name"] = json!(NAME);
    let metadata = &mut request["object"]["metadata"];
    metadata["name"] = json!(NAME);
    // A pod has no UID before it is persisted.
    metadata.as_object_mut().map(|object| object.remove("uid"));
    let text = review.to_string();
    let parts: Vec<&str> = text.split(NAME).collect();
    ensure!(parts.len() == 3, "the name is {} times there", parts.len());
    let [a, b, c] = [0, 1, 2].map(|at| lua(parts[at]));
    let path = folder.join(format!("{name}.lua"));
    let script = format!(
        "local a, b, c = {a}, {b}, {c}\nlocal n = 0\n\
         local headers = {{[\"Content-Type\"] = \"application/json\"}}\n\
         function request()\n  n = n + 1\n  local name = \"pod-{pair}-\" .. n\n\
         \x20 return wrk.format(\"POST\", nil, headers, a .. name .. b .. name .. c)\nend\n"
    );
    fs::write(&path, script).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Quotes a text for Lua.
fn lua(text: &str) -> String {
    format!("[==[{text}]==]")
}

fn recorded(data: &Path) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let ledger = EmbeddedLedger::open(data)?;
        let all = ledger.list().await?;
        Ok(all.0.len() as f64)
    })
}
