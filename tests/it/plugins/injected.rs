//! The selection that nadmit injects, passed to the real plugins as libcni does, is what the
//! interface gets.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    admission::{Decision, Review, ReviewContext, Webhook, decide},
    allocation::{ParsedSpec, SharedIndex},
    catalog::Catalog,
    network::{Network, annotations},
    rules::Policy,
};
use serde_json::{Value, json};

use super::{
    SharedHost,
    host::{PluginHost, PluginRelease},
    made,
};
use crate::support;
use crate::support::TestResult;

/// macvlan with static addresses, then tuning, which sets the MAC.
const CONFIG: &str = r#"{
    "cniVersion": "0.3.1", "name": "storage-net",
    "plugins": [
        {"type": "macvlan", "master": "MASTER", "mode": "bridge", "capabilities": {"ips": true},
         "ipam": {"type": "static"}},
        {"type": "tuning", "capabilities": {"mac": true}}
    ]
}"#;

pub(super) fn test(group: &str, plugins: Option<PluginRelease>, host: SharedHost) -> Trial {
    let missing = plugins.is_none();
    let name = format!("{group}::what_is_injected_is_on_the_interface");
    let test = Trial::test(name, move || {
        on_the_interface(made(&host, &plugins.ok_or("no plugins")?)?)
    });
    if missing {
        let why = "without root, ip or the plugins";
        return test.with_kind(why).with_ignored_flag(true);
    }
    test
}

fn on_the_interface(host: &PluginHost) -> TestResult {
    let injected = injected()?;
    let ips: BTreeSet<String> = texts(&injected["ips"]);
    let expected = ["192.0.2.2/28", "2001:db8::1/64"].map(str::to_owned);
    if ips != BTreeSet::from(expected) || injected["mac"] != "02:5e:00:00:00:02" {
        return Err(format!("injected {injected}").into());
    }
    let mut config: Value = serde_json::from_str(&CONFIG.replace("MASTER", &host.master))?;
    for plugin in config["plugins"].as_array_mut().into_iter().flatten() {
        hand_over(plugin, &injected);
    }
    let seen = host.add_then("injected", &config.to_string(), |interface| {
        Ok(interface.clone())
    })??;
    let addresses = seen["addr_info"].as_array().into_iter().flatten();
    // The kernel adds a link-local address to every link.
    let given = addresses.filter(|one| one["scope"] != "link");
    let found: BTreeSet<String> = given
        .map(|one| {
            let local = one["local"].as_str().unwrap_or_default();
            format!("{local}/{}", one["prefixlen"])
        })
        .collect();
    if found != ips || seen["address"] != injected["mac"] {
        return Err(format!("injected {injected}, but the interface is {seen}").into());
    }
    Ok(())
}

/// Passes the requested capabilities to each plugin that declares them, as `runtimeConfig`
/// (libcni).
fn hand_over(plugin: &mut Value, injected: &Value) {
    let capabilities = plugin["capabilities"].as_object().cloned();
    for (capability, has) in capabilities.into_iter().flatten() {
        if has == true && !injected[&capability].is_null() {
            plugin["runtimeConfig"][&capability] = injected[&capability].clone();
        }
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

/// Returns the selection that `/mutate` writes for a pod of a pool with two families.
fn injected() -> Result<Value, Failed> {
    let mut network = Network::new("db", "storage-net", Some(CONFIG));
    network.address_pool = Some("storage".into());
    let spec = json!({
        "ranges": [{"range": "192.0.2.0/28", "gateway": "192.0.2.1"}, {"range": "2001:db8::/64"}],
        "macs": {"prefix": "02:5e:00"}, "namespaceSelector": {},
    });
    let pool = ParsedSpec::of_pool(&spec).pool("storage");
    let pool = Arc::new(pool.map_err(|faults| format!("{faults:?}"))?);
    let catalog = Catalog::new([("db".into(), Default::default())], [Arc::new(network)], [])
        .with_pools([("storage".into(), Ok(pool))], [], &Arc::default());
    let index = SharedIndex::default();
    index.lock().set_ready("storage");
    let mut pod = json!({"metadata": {"name": "app", "namespace": "db", "annotations": {}}});
    pod["metadata"]["annotations"][annotations::NETWORKS] = json!("storage-net");
    let body = support::create(&pod);
    let review = Review::parse(&body).map_err(|error| error.to_string())?;
    let policy = Policy::default();
    let context = ReviewContext::authoritative(&catalog, &policy, &index);
    let answer = match decide(Webhook::Mutate, &review.request, &context) {
        Decision::Commit(plan) => plan.response,
        other => return Err(format!("{other:?}").into()),
    };
    let answer: Value = serde_json::from_slice(&answer.to_json("test"))?;
    let patch = answer["response"]["patch"].as_str().ok_or("no patch")?;
    let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch)?)?;
    json_patch::patch(&mut pod, &patch)?;
    let text = pod["metadata"]["annotations"][annotations::NETWORKS].as_str();
    let selections: Vec<Value> = serde_json::from_str(text.ok_or("no networks")?)?;
    Ok(selections.into_iter().next().ok_or("no selection")?)
}
