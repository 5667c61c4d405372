//! Contended addresses: changes to running pods, and many requests at the same time.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    POOL_MANIFESTS,
    fixture::{ServerFixture, creation, pod, update},
    same,
};
use crate::curl::Curl;

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// A namespace whose running pods may change their attachments.
const MUTABLE: &str = "
---
apiVersion: v1
kind: Namespace
metadata: {name: db, labels: {nadmit.io/attachments: mutable}}
";

/// If attachments may change, no change bypasses the allocator; nor does an update of the pod's
/// status, which can change annotations, too.
pub(super) fn no_change_leads_round(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, &format!("{POOL_MANIFESTS}{MUTABLE}"))?;
    let held = r#"[{"name":"storage-net","ips":["192.0.2.5/29"]}]"#;
    fixture.create(&pod("holder", held))?.addresses()?;
    let live = fixture.create(&pod("app", "storage-net"))?.object;
    let plain = fixture.create(&pod("plain", ""))?.object;
    for subresource in [None, Some("status")] {
        for before in [&live, &plain] {
            for (networks, code) in [
                (held, "address-in-use"),
                (
                    r#"[{"name":"storage-net","IPS":["192.0.2.5/29"]}]"#,
                    "address-in-use",
                ),
                (
                    r#"[{"name":"storage-net","ips":["192.0.2.6/29"]}]"#,
                    "address-not-allocated",
                ),
                (
                    r#"[{"name":"storage-net","ips":["192.0.2.1/29"]}]"#,
                    "address-excluded",
                ),
                (
                    r#"[{"name":"storage-net","ips":["192.0.2.4/29"]}]"#,
                    "address-in-use",
                ),
                (
                    r#"[{"name":"storage-net","ips":["192.0.2.2/29"],"mac":"02:5e:00:00:00:05"}]"#,
                    "mac-in-use",
                ),
                (
                    r#"[{"name":"storage-net","cni-args":{"ips":["192.0.2.5/29"]}}]"#,
                    "address-by-cni-args",
                ),
                (
                    r#"[{"name":"storage-net","interface":"net7"}]"#,
                    "address-not-injected",
                ),
            ] {
                let mut after = before.clone();
                after["metadata"]["annotations"][NETWORKS] = json!(networks);
                let mut request = update(before, &after);
                request["subResource"] = json!(subresource);
                let mutated = fixture.ask("/mutate", request.clone())?;
                request["object"] = mutated.object;
                let refused = fixture.ask("/validate", request)?;
                ensure!(
                    refused.denied.iter().any(|c| c == code),
                    "{subresource:?} {networks}: {refused:?}"
                );
            }
        }
    }
    // It may keep its addresses, or drop them.
    let mut without = live.clone();
    without["metadata"]["annotations"][NETWORKS] = json!("");
    let request = update(&live, &without);
    same(fixture.ask("/validate", request)?.denied, vec![])
}

pub(super) fn one_answer(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    for name in ["a", "b", "c"] {
        let request = creation(&pod(name, "storage-net"), false);
        let replies = fixture.ask_at_once("/mutate", vec![request; 2])?;
        let first = replies[0].selections()?;
        same(first[0]["ips"].as_array().map(Vec::len), Some(1))?;
        same(replies[1].selections()?, first)?;
    }
    Ok(())
}

pub(super) fn twenty_and_ten(curl: &Curl) -> Result<()> {
    let ten = "{range: 192.0.2.1-192.0.2.10/28}";
    let world = POOL_MANIFESTS.replace("{range: 192.0.2.0/29, gateway: 192.0.2.1}", ten);
    let (world, _) = world.rsplit_once("---").unwrap_or((&world, ""));
    let mut fixture = ServerFixture::new(curl, world)?;
    let pods = (0..20).map(|n| creation(&pod(&format!("p-{n}"), "storage-net"), false));
    let pods: Vec<Value> = pods.collect();
    let replies = fixture.ask_at_once("/mutate", pods)?;
    let (served, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|r| r.denied.is_empty());
    let mut given = BTreeSet::new();
    for reply in &served {
        given.extend(reply.addresses()?);
    }
    same((served.len(), given.len(), refused.len()), (10, 10, 10))?;
    for reply in refused {
        reply.denied_for("pool-exhausted")?;
    }
    Ok(())
}
