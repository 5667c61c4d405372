//! Objects that cannot be read are findings.

use serde_json::{Value, json};

use super::world::{World, consistent, own_pool, pod, set};
use crate::in_both;

#[test]
fn unreadable_records() {
    let object = |value: Value| {
        let lines = World::of([value]).lines();
        lines.last().cloned().unwrap_or_default()
    };
    let pool = |pointer: &str, value: Value| object(set(own_pool(&[]), pointer, value));
    let status = "/metadata/annotations/k8s.v1.cni.cncf.io~1network-status";
    for (found, expected) in [
        (
            pool("/spec/range", "10.0.0.0".into()),
            "spec.range \"10.0.0.0\" has no prefix length",
        ),
        (
            pool("/spec/allocations", json!([])),
            "spec.allocations is not an object",
        ),
        (
            pool("/spec/allocations/x", json!({})),
            "spec.allocations[x] has a key that is not an offset",
        ),
        (
            pool("/spec/allocations/-1", json!({})),
            "spec.allocations[-1] has a key that is not an offset",
        ),
        (
            pool("/spec/allocations/4294967296", json!({"podref": "a/b"})),
            "spec.allocations[4294967296] is behind the last address after 10.0.0.0/24",
        ),
        (
            pool("/spec/allocations/5", json!({"podref": "a"})),
            "spec.allocations[5] has podref \"a\", which is not namespace/name",
        ),
        (
            pool("/spec/allocations/5", json!("a")),
            "spec.allocations[5] has no podref",
        ),
        (pool("/metadata/name", json!(7)), "metadata.name is empty"),
        (
            pool("/metadata/namespace", "--all".into()),
            "metadata.namespace must begin and end with a letter or a digit",
        ),
        (
            object(set(pod("a", &[]), status, "{".into())),
            "network-status cannot be read",
        ),
    ] {
        assert!(found.starts_with("warn unreadable-record: "), "{found}");
        assert!(found.contains(expected), "{found}: {expected}");
    }
}

#[test]
fn other_kinds_and_groups_are_ignored() {
    let calico = json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "x"}});
    let service = json!({"apiVersion": "v1", "kind": "Service"});
    assert_eq!(World::of([calico, service, json!(7)]).lines(), [""; 0]);
}

#[test]
fn findings_of_both_readings_are_kept() {
    let leak = |pod: &str| {
        consistent()
            .with(super::world::reservation("10.0.0.7", pod))
            .findings()
    };
    assert_eq!(in_both(&leak("db/x"), leak("db/x")).len(), 1);
    assert_eq!(in_both(&leak("db/x"), leak("db/y")).len(), 0);
}

#[test]
fn findings_concern_the_namespaces_of_their_evidence() {
    let findings = World::of([own_pool(&[("5", "db/a")])]).findings();
    let leak = findings
        .iter()
        .find(|one| one.code == crate::AuditCode::LeakedEntry);
    let concerns = |namespace: &str| leak.is_some_and(|one| one.concerns(namespace));
    assert!(concerns("db") && concerns("kube-system") && !concerns("web"));
}

#[test]
fn elements_of_network_status_are_read_one_by_one() {
    let element = |ips: Value| json!({"name": "db/net", "interface": "net1", "ips": ips});
    let world = |elements: Value| {
        let mut world = consistent();
        for object in &mut world.0 {
            if object["kind"] == "Pod" {
                let status = elements.to_string().into();
                *object = set(
                    object.take(),
                    "/metadata/annotations/k8s.v1.cni.cncf.io~1network-status",
                    status,
                );
            }
        }
        world
    };
    let broken = |what: &str| {
        format!(
            "warn unreadable-record: Pod db/a has a value that cannot be read: the annotation network-status cannot be read: {what}"
        )
    };
    let leak = "deny leaked-entry: 10.0.0.5 is recorded for pod db/a, which does not have it";
    for (elements, expected) in [
        (json!([element(json!(["10.0.0.5/24"]))]), vec![]),
        (json!([element(json!([]))]), vec![leak.to_owned()]),
        // The address may be in what cannot be read.
        (
            json!([element(json!([])), 7]),
            vec![broken(
                "element 1: invalid type: integer `7`, expected struct AttachmentStatus",
            )],
        ),
        (
            json!([element(json!(["x", "10.0.0.5"]))]),
            vec![broken("element 0: \"x\" is not an IP address")],
        ),
    ] {
        let world = world(elements);
        assert_eq!(world.lines(), expected);
        // Multus writes the annotation.
        let commands = world.commands();
        assert!(
            commands.iter().all(|command| !command.contains("edit")),
            "{commands:?}"
        );
    }
    // What can be read counts.
    let second = pod("b", &["10.0.0.5"]);
    let found = world(json!([7, element(json!(["10.0.0.5/24"]))]))
        .with(second)
        .codes();
    assert_eq!(found, ["duplicate-address", "unreadable-record"]);
    // An object that is defined twice is not edited.
    let twice = consistent().with(pod("a", &["10.0.0.5"]));
    assert_eq!(
        (twice.codes(), twice.commands()),
        (vec!["unreadable-record"], vec![])
    );
}

#[test]
fn objects_with_invalid_names_get_no_command() {
    for (path, value) in [
        ("/metadata/name", "--kubeconfig=x"),
        ("/metadata/name", "-A"),
        ("/metadata/name", "\u{e9}"),
        ("/metadata/namespace", "--all"),
        ("/metadata/namespace", "$(x)"),
    ] {
        let world = consistent().with(set(pod("b", &["10.0.0.5"]), path, value.into()));
        let found = world.findings();
        assert_eq!(world.codes(), ["unreadable-record"], "{value}");
        assert_eq!(found[0].commands, [""; 0], "{value}");
        assert!(!found[0].help.is_empty(), "{value}");
    }
}
