//! Tests of several requests: addresses that are retained, released, and contended.

mod contention;
mod fixture;

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use self::fixture::{ServerFixture, creation, made_by, pod, replica, update};
use crate::curl::Curl;

/// A pool of six addresses, one of them the gateway, and the network that it serves.
const POOL_MANIFESTS: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/29, gateway: 192.0.2.1}]
  macs: {prefix: "02:5e:00"}
  quarantine: 0s
  namespaceSelector: {}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "plugins": [
      {"type": "macvlan", "master": "eth1", "capabilities": {"ips": true}, "ipam": {"type": "static"}},
      {"type": "tuning", "capabilities": {"mac": true}}]}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: l2-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "l2-net", "type": "bridge", "capabilities": {"mac": true}}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: reports, namespace: db}
spec: {network: storage-net, holder: {pod: reports}, ips: [192.0.2.4/29]}
"#;

/// A pool with two families, and its network.
const DUAL: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: storage}
spec:
  ranges: [{range: 192.0.2.0/29}, {range: "2001:db8::/64"}]
  networkName: example_net_common
  namespaceSelector: {}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage-net, namespace: db, annotations: {nadmit.io/address-pool: storage}}
spec:
  config: |
    {"cniVersion": "0.3.1", "name": "storage-net", "type": "macvlan", "master": "eth1",
     "capabilities": {"ips": true}, "ipam": {"type": "static"}}
"#;

type ScenarioFn = fn(&Curl) -> Result<()>;

const SCENARIOS: &[(&str, ScenarioFn)] = &[
    ("a_replica_keeps_its_address", replicas),
    ("a_manifest_is_applied_again", applied_again),
    ("a_pod_made_by_a_controller_claims_its_token", unnamed),
    ("a_machine_keeps_its_address", machine),
    ("a_reservation_waits_for_its_holder", reservation),
    ("a_pool_is_exhausted_with_numbers", exhaustion),
    ("a_holder_has_one_address_and_a_namespace_its_limit", limits),
    ("annotations_that_would_be_too_long_are_refused", too_long),
    ("a_pool_that_is_drawn_from_stays_as_it_is", pool_in_use),
    ("a_prefix_length_becomes_that_of_the_range", prefix),
    ("dual_stack_is_one_of_each_family_or_nothing", dual_stack),
    ("a_dry_run_allocates_nothing", dry_run),
    ("a_network_without_ipam_gets_a_mac", mac_only),
    ("no_request_bypasses_the_allocator", ways_round),
    (
        "no_change_bypasses_the_allocator",
        contention::no_change_leads_round,
    ),
    (
        "two_clients_get_one_answer_for_one_pod",
        contention::one_answer,
    ),
    (
        "of_twenty_pods_ten_get_the_ten_addresses",
        contention::twenty_and_ten,
    ),
    ("forged_annotations_are_removed", forged),
    ("a_killed_server_forgets_nothing", killed),
    ("an_address_removed_from_the_folder_is_free", dropped),
];

/// Returns a test for each scenario.
pub(crate) fn tests(curl: Option<&Curl>, elsewhere: bool) -> Vec<Trial> {
    let test = |(name, scenario): &(&str, ScenarioFn)| {
        let (curl, scenario) = (curl.cloned(), *scenario);
        let ignored = elsewhere || curl.is_none();
        let run = move || match curl {
            Some(curl) => scenario(&curl).map_err(|error| Failed::from(format!("{error:#}"))),
            None => Err("there is no curl".into()),
        };
        Trial::test(format!("scenarios::{name}"), run).with_ignored_flag(ignored)
    };
    SCENARIOS.iter().map(test).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    ensure!(found == expected, "{found:?} instead of {expected:?}");
    Ok(())
}

fn replicas(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    for (ordinal, address) in ["192.0.2.2/29", "192.0.2.3/29", "192.0.2.5/29"]
        .iter()
        .enumerate()
    {
        let ordinal = u32::try_from(ordinal)?;
        let reply = fixture.create(&replica(ordinal, "storage-net"))?;
        same(reply.addresses()?, vec![(*address).to_owned()])?;
    }
    let again = fixture.create(&replica(1, "storage-net"))?;
    same(again.addresses()?, vec!["192.0.2.3/29".to_owned()])?;
    same(&again.selections()?[0]["mac"], &json!("02:5e:00:00:00:03"))
}

fn applied_again(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let networks = r#"[{"x.y/z":1,"name":"storage-net","interface":"data"}]"#;
    let live = fixture.create(&pod("app", networks))?.object;
    let kept = &live["metadata"]["annotations"]["nadmit.io/requested-networks"];
    same(kept, &json!(networks))?;
    // As written, and as it might be written the next time.
    for text in [
        networks,
        r#"[{"interface":"data","name":"storage-net","x.y/z":1}]"#,
    ] {
        let mut applied = live.clone();
        applied["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = json!(text);
        let mutated = fixture.ask("/mutate", update(&live, &applied))?;
        same(&mutated.object, &live)?;
        same(
            fixture
                .ask("/validate", update(&live, &mutated.object))?
                .denied,
            vec![],
        )?;
    }
    // The user's own annotations stay, and another network is a real change.
    let mut changed = live.clone();
    changed["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": "l2-net"});
    let mutated = fixture.ask("/mutate", update(&live, &changed))?;
    let own = &mutated.object["metadata"]["annotations"]["nadmit.io/requested-networks"];
    same(own, &json!(networks))?;
    let mut bare = live.clone();
    bare["metadata"]["annotations"] = Value::Null;
    let bare = fixture.ask("/mutate", update(&live, &bare))?.object;
    same(
        &bare["metadata"]["annotations"],
        &json!({"nadmit.io/requested-networks": networks}),
    )?;
    let refused = fixture.ask("/validate", update(&live, &mutated.object))?;
    ensure!(
        refused.denied.contains(&"attachments-changed".to_owned()),
        "{refused:?}"
    );
    Ok(())
}

fn unnamed(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let web = made_by("apps/v1", "ReplicaSet", "web", "storage-net");
    let first = fixture.create(&web)?;
    same(first.addresses()?, vec!["192.0.2.2/29".to_owned()])?;
    same(fixture.addresses_of(&web)?, vec!["192.0.2.3/29".to_owned()])?;
    // A repeated call (reinvocation) changes nothing.
    let reviewed = fixture.ask("/mutate", creation(&web, false))?.object;
    let again = fixture.ask("/mutate", creation(&reviewed, false))?;
    ensure!(!again.patched, "{again:?}");
    // A copy of an existing pod has a token that is in use.
    let mut copy = first.object.clone();
    copy["metadata"]["name"] = Value::Null;
    copy["metadata"]["uid"] = Value::Null;
    fixture.create(&copy)?.denied_for("address-in-use")?;
    let mut past = first.object;
    past["metadata"]["name"] = json!("web-other");
    past["metadata"]["uid"] = json!("another");
    fixture
        .ask("/validate", creation(&past, false))?
        .denied_for("address-in-use")
}

fn machine(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let launcher = made_by(
        "kubevirt.io/v1",
        "VirtualMachineInstance",
        "vm1",
        "storage-net",
    );
    let first = fixture.create(&launcher)?;
    let second = fixture.create(&launcher)?;
    same(first.selections()?, second.selections()?)?;
    ensure!(first.object["metadata"]["name"] != second.object["metadata"]["name"]);
    Ok(())
}

fn reservation(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let named = pod("app", r#"[{"name":"storage-net","ips":["192.0.2.4/29"]}]"#);
    fixture.create(&named)?.denied_for("address-reserved")?;
    let reports = pod("reports", "storage-net");
    same(
        fixture.addresses_of(&reports)?,
        vec!["192.0.2.4/29".to_owned()],
    )
}

fn exhaustion(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    for name in ["a", "b", "c", "d"] {
        same(fixture.addresses_of(&pod(name, "storage-net"))?.len(), 1)?;
    }
    let refused = fixture.create(&pod("e", "storage-net"))?;
    refused.denied_for("pool-exhausted")?;
    for part in [
        "all 5 addresses of 192.0.2.0/29 are in use",
        "nadmit pools --cluster storage --map",
    ] {
        ensure!(refused.message.contains(part), "{}", refused.message);
    }
    // Only the causes have the number, which changes.
    let number = "most by namespace db: 5";
    ensure!(refused.causes.contains(number), "{}", refused.causes);
    ensure!(!refused.message.contains(number), "{}", refused.message);
    // The reserved address is still free for its holder.
    same(
        fixture.addresses_of(&pod("reports", "storage-net"))?.len(),
        1,
    )
}

fn limits(curl: &Curl) -> Result<()> {
    let limited = POOL_MANIFESTS.replace("quarantine: 0s", "quarantine: 0s\n  maxPerNamespace: 2");
    let mut fixture = ServerFixture::new(curl, &limited)?;
    // One is held by the reservation of the same namespace.
    same(fixture.addresses_of(&pod("a", "storage-net"))?.len(), 1)?;
    let refused = fixture.create(&pod("b", "storage-net"))?;
    refused.denied_for("namespace-limit")?;
    ensure!(
        refused.message.contains("maxPerNamespace: 2"),
        "{}",
        refused.message
    );
    let other = pod("a", r#"[{"name":"storage-net","ips":["192.0.2.6/29"]}]"#);
    fixture.create(&other)?.denied_for("holds-another-address")
}

/// A pod whose annotations would become too long is refused, and nothing is recorded for it.
fn too_long(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let mut long = pod("long", "storage-net");
    let notes = "x".repeat((256 << 10) - 120);
    long["metadata"]["annotations"]["example.com/notes"] = json!(notes);
    fixture.create(&long)?.denied_for("annotations-too-long")?;
    same(
        fixture.addresses_of(&pod("short", "storage-net"))?,
        vec!["192.0.2.2/29".to_owned()],
    )
}

fn pool_in_use(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let pool = |range: &str, name: &str| {
        json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": "storage"},
            "spec": {"ranges": [{"range": range}], "networkName": name, "namespaceSelector": {}},
        })
    };
    let change = |after: Value| {
        json!({
            "operation": "UPDATE", "name": "storage", "object": after,
            "oldObject": pool("192.0.2.0/29", ""),
        })
    };
    fixture.addresses_of(&pod("a", "storage-net"))?;
    // A MAC that a pod sets itself does not block changes of the pool.
    let brought = pod("b", r#"[{"name":"storage-net","mac":"ca:fe:c0:ff:ee:00"}]"#);
    fixture.addresses_of(&brought)?;
    for after in [pool("192.0.2.0/29", "blue"), pool("198.51.100.0/24", "")] {
        fixture
            .ask_of_pool(change(after))?
            .denied_for("pool-in-use")?;
    }
    same(
        fixture
            .ask_of_pool(change(pool("192.0.2.0/28", "")))?
            .denied,
        vec![],
    )?;
    let gone =
        json!({"operation": "DELETE", "name": "storage", "oldObject": pool("192.0.2.0/29", "")});
    fixture.ask_of_pool(gone)?.denied_for("pool-in-use")
}

fn prefix(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let asked = r#"[{"name":"storage-net","ips":["192.0.2.3/24"]}]"#;
    let reply = fixture.create(&pod("a", asked))?;
    same(reply.addresses()?, vec!["192.0.2.3/29".to_owned()])?;
    let kept = &reply.object["metadata"]["annotations"]["nadmit.io/requested-networks"];
    ensure!(*kept == asked, "{kept}");
    // There is nothing to correct.
    let right = r#"[{"name":"storage-net","ips":["192.0.2.5/29"]}]"#;
    same(
        fixture.addresses_of(&pod("b", right))?,
        vec!["192.0.2.5/29".to_owned()],
    )
}

fn dual_stack(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, DUAL)?;
    let both = ["192.0.2.1/29", "2001:db8::1/64"]
        .map(str::to_owned)
        .to_vec();
    same(fixture.addresses_of(&pod("a", "storage-net"))?, both)?;
    // One is named, the other allocated.
    let named = pod("b", r#"[{"name":"storage-net","ips":["2001:DB8::9"]}]"#);
    let mixed = ["2001:DB8::9/64", "192.0.2.2/29"]
        .map(str::to_owned)
        .to_vec();
    same(fixture.addresses_of(&named)?, mixed)?;
    for name in ["c", "d", "e", "f"] {
        same(fixture.addresses_of(&pod(name, "storage-net"))?.len(), 2)?;
    }
    // Only one family, bypassing the mutating webhook.
    let half = fixture.persisted(&pod(
        "a",
        r#"[{"name":"storage-net","ips":["192.0.2.1/29"]}]"#,
    ));
    let refused = fixture.ask("/validate", creation(&half, false))?;
    refused.denied_for("address-not-injected")?;
    // IPv6 has free addresses, but a pod gets both families or none.
    fixture
        .create(&pod("g", "storage-net"))?
        .denied_for("pool-exhausted")
}

fn dry_run(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    for name in ["a", "b"] {
        let shown = fixture.ask("/mutate", creation(&pod(name, "storage-net"), true))?;
        same(shown.addresses()?, vec!["192.0.2.2/29".to_owned()])?;
        let persisted = fixture.persisted(&shown.object);
        same(
            fixture.ask("/validate", creation(&persisted, true))?.denied,
            vec![],
        )?;
    }
    same(
        fixture.addresses_of(&pod("c", "storage-net"))?,
        vec!["192.0.2.2/29".to_owned()],
    )
}

fn mac_only(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let reply = fixture.create(&pod("a", "l2-net"))?;
    let selection = reply.selections()?[0].clone();
    // After the eight that are derived from addresses.
    same(
        selection,
        json!({"name": "l2-net", "mac": "02:5e:00:00:00:08"}),
    )
}

fn ways_round(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    fixture
        .create(&pod(
            "holder",
            r#"[{"name":"storage-net","ips":["192.0.2.5/29"]}]"#,
        ))?
        .addresses()?;
    for (networks, code) in [
        (
            r#"[{"name":"storage-net","ips":["192.0.2.5/29"]}]"#,
            "address-in-use",
        ),
        (
            r#"[{"name":"storage-net","IPS":["192.0.2.5"]}]"#,
            "address-in-use",
        ),
        (
            r#"[{"name":"storage-net","ips":["192.0.2.1/29"]}]"#,
            "address-excluded",
        ),
        (
            r#"[{"name":"storage-net","ips":["198.51.100.5/24"]}]"#,
            "address-outside-pool",
        ),
        (
            r#"[{"name":"storage-net","mac":"02:5e:00:00:00:05"}]"#,
            "mac-in-use",
        ),
        (
            r#"[{"name":"storage-net","cni-args":{"ips":["192.0.2.5/29"]}}]"#,
            "address-by-cni-args",
        ),
    ] {
        let refused = fixture.create(&pod("thief", networks))?;
        ensure!(
            refused.denied.iter().any(|c| c == code),
            "{networks}: {refused:?}"
        );
    }
    // Bypassing the mutating webhook.
    for (networks, code) in [
        (
            r#"[{"name":"storage-net","ips":["192.0.2.6/29"]}]"#,
            "address-not-allocated",
        ),
        (
            r#"[{"name":"storage-net","ips":["192.0.2.5/29"]}]"#,
            "address-in-use",
        ),
    ] {
        let past = fixture.persisted(&pod("thief", networks));
        let refused = fixture.ask("/validate", creation(&past, false))?;
        ensure!(
            refused.denied.iter().any(|c| c == code),
            "{networks}: {refused:?}"
        );
    }
    // In the default-network annotation, whose network is named with its namespace.
    let mut other = pod("thief", "");
    other["metadata"]["annotations"] = json!({
        "v1.multus-cni.io/default-network":
            r#"[{"name":"storage-net","namespace":"db","ips":["192.0.2.5/29"]}]"#,
    });
    let refused = fixture.create(&other)?;
    ensure!(
        refused.denied.iter().any(|c| c == "address-in-use"),
        "{refused:?}"
    );
    // None of these requests has allocated anything.
    same(
        fixture.addresses_of(&pod("honest", "storage-net"))?,
        vec!["192.0.2.2/29".to_owned()],
    )
}

fn forged(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let mut forger = pod("app", "storage-net");
    forger["metadata"]["annotations"]["nadmit.io/requested-networks"] = json!("other-net");
    forger["metadata"]["annotations"]["nadmit.io/holder-token"] = json!("guess");
    let made = fixture.create(&forger)?.object;
    let own = &made["metadata"]["annotations"];
    same(&own["nadmit.io/requested-networks"], &json!("storage-net"))?;
    same(&own["nadmit.io/holder-token"], &Value::Null)?;
    // Without a network there is nothing to keep.
    let mut bare = forger;
    bare["metadata"]["annotations"]
        .as_object_mut()
        .map(|a| a.remove("k8s.v1.cni.cncf.io/networks"));
    let made = fixture.ask("/mutate", creation(&bare, false))?.object;
    same(&made["metadata"]["annotations"], &json!({}))
}

fn killed(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let first = fixture.addresses_of(&replica(0, "storage-net"))?;
    let second = fixture.addresses_of(&pod("app", "storage-net"))?;
    fixture.kill();
    fixture.start()?;
    same(fixture.addresses_of(&replica(0, "storage-net"))?, first)?;
    same(
        fixture.addresses_of(&pod("app", "storage-net"))?,
        second.clone(),
    )?;
    let thief = format!(r#"[{{"name":"storage-net","ips":["{}"]}}]"#, second[0]);
    fixture
        .create(&pod("thief", &thief))?
        .denied_for("address-in-use")
}

fn dropped(curl: &Curl) -> Result<()> {
    let mut fixture = ServerFixture::new(curl, POOL_MANIFESTS)?;
    let running = fixture.create(&pod("app", "storage-net"))?;
    let thief = pod(
        "thief",
        r#"[{"name":"storage-net","ips":["192.0.2.2/29"]}]"#,
    );
    fixture.write("app.json", &running.object.to_string())?;
    // The folder is read every two seconds.
    thread::sleep(Duration::from_secs(5));
    fixture.create(&thief)?.denied_for("address-in-use")?;
    fixture.remove("app.json")?;
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(500));
        if fixture.create(&thief)?.denied.is_empty() {
            return Ok(());
        }
    }
    fixture.create(&thief)?.addresses().map(drop)
}
