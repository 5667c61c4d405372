//! Compares the model of the plugins with the real ones on the same attachments, passed as libcni
//! does.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};

use super::{
    go_json::Json,
    model::outcome,
    multus::{MultusAttachment, PodAnnotations},
    plugins::{Mac, OnWire, with_runtime_config},
    scenario::WireScenario,
};
use crate::support::TestResult;
use crate::{
    plugins::host::{PluginChain, PluginHost},
    simulation::rng::Rng,
};

/// The number of generated attachments.
const GENERATED: usize = 30;

/// Compares a series of generated attachments.
pub(super) fn generated(host: &PluginHost, first: u64) -> TestResult {
    let mut compared = 0;
    for seed in first.. {
        let scenario = WireScenario::of(&Rng::of(seed));
        let pod = scenario.annotated();
        for started in outcome(pod, &scenario.nads).started {
            let named = format!(
                "again: NADMIT_WIRE_SEED={seed}\n{pod:?}\n{:?}",
                started.attachment
            );
            compare(host, &started.attachment, &started.on_wire)
                .map_err(|error| format!("{named}\n{error:?}"))?;
            compared += 1;
        }
        if compared >= GENERATED {
            break;
        }
    }
    Ok(())
}

/// Compares the attachments of one annotation.
pub(super) fn fixed(
    host: &PluginHost,
    pod: PodAnnotations<'_>,
    scenario: &WireScenario,
) -> TestResult {
    for started in outcome(pod, &scenario.nads).started {
        compare(host, &started.attachment, &started.on_wire)?;
    }
    Ok(())
}

fn compare(host: &PluginHost, attachment: &MultusAttachment, expected: &OnWire) -> TestResult {
    if attachment.plugins.iter().any(is_unknown_here) {
        return Ok(());
    }
    let plugins = attachment.plugins.iter().map(|plugin| {
        let config = with_runtime_config(plugin, attachment).to_string();
        let config = config
            .replace("MASTER", &host.master)
            .replace("BRIDGE", &host.bridge);
        serde_json::from_str(&config)
    });
    let chain = PluginChain {
        id: "wire",
        version: json!(attachment.cni_version),
        plugins: plugins.collect::<Result<_, _>>()?,
        args: &cni_args(attachment),
    };
    let seen = host.run(chain, |interface| Ok(interface.clone()))?;
    match (&expected.failure, seen) {
        (Some(_), Err(_)) => Ok(()),
        (None, Ok(interface)) => agree(&interface, expected),
        (None, Err(reported)) => {
            Err(format!("the model attaches, the plugins say {reported}").into())
        }
        // The name is checked by libcni, which is not run here.
        (Some(failure), Ok(_)) if is_of_name(attachment) => {
            let _ = failure;
            Ok(())
        }
        (Some(failure), Ok(interface)) => {
            Err(format!("the model fails ({failure:?}), the plugins make {interface}").into())
        }
    }
}

/// Returns true if the kernel lacks ipvlan, so that nothing can be compared.
fn is_unknown_here(plugin: &Json) -> bool {
    plugin.at("type").and_then(Json::text) == Some("ipvlan") && !PluginHost::knows("ipvlan")
}

fn is_of_name(attachment: &MultusAttachment) -> bool {
    let mut renamed = attachment.clone();
    "net1".clone_into(&mut renamed.interface);
    super::plugins::attach(&renamed).failure.is_none()
}

/// Returns CNI_ARGS as Multus and libcni write them.
fn cni_args(attachment: &MultusAttachment) -> String {
    let mut args = "IgnoreUnknown=true;K8S_POD_NAMESPACE=db;K8S_POD_NAME=p".to_owned();
    if !attachment.mac.is_empty() {
        args += &format!(";MAC={}", attachment.mac);
    }
    if let Some(ips) = &attachment.ips {
        args += &format!(";IP={}", ips.join(","));
    }
    args
}

fn agree(interface: &Value, expected: &OnWire) -> TestResult {
    let addresses = interface["addr_info"].as_array().into_iter().flatten();
    // The kernel adds a link-local address to every link.
    let given = addresses.filter(|one| one["scope"] != "link");
    let ips: BTreeSet<IpAddr> = given
        .filter_map(|one| one["local"].as_str()?.parse().ok())
        .collect();
    let same_ips = match expected.more {
        true => ips.is_superset(&expected.ips),
        false => ips == expected.ips,
    };
    let mac = interface["address"].as_str().unwrap_or_default();
    let chosen = expected.mac.map(describe);
    let same_mac = match &chosen {
        Some(chosen) => mac == chosen,
        // MACs that the kernel generates have none of these prefixes.
        None => !mac.starts_with("02:5e:00") && !mac.starts_with("02:aa:00"),
    };
    if same_ips && same_mac {
        return Ok(());
    }
    Err(format!("the model says {expected:?} ({chosen:?}), the plugins make {interface}").into())
}

fn describe(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
