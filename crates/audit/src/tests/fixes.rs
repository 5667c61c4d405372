//! The commands of findings, run on the world that has them: the findings are gone afterwards.

use serde_json::{Value, json};

use super::world::{
    World, consistent, ipam, network_on, own_pool, pod, pod_on, pool, requesting, reservation, set,
    whereabouts,
};
use crate::RecordKind;

/// Returns true if the words of a command name the object: the resource, `-n` and the namespace, the name.
fn is_named(object: &Value, words: &[&str]) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = RecordKind::of(&text(&object["apiVersion"]), &text(&object["kind"]));
    let metadata = &object["metadata"];
    let Some(kind) = kind else { return false };
    let own = (
        kind.resource(),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    );
    match words {
        [resource, "-n", namespace, name, ..] => {
            own == ((*resource).into(), (*namespace).into(), (*name).into())
        }
        [resource, name, ..] => own == ((*resource).into(), String::new(), (*name).into()),
        _ => false,
    }
}

/// Runs a command on a world; panics if it would fail.
fn run(world: &mut World, command: &str) {
    let words = shlex::split(command).unwrap_or_else(|| panic!("{command}"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["kubectl", "delete", of @ ..] => {
            let count = world.0.len();
            world.0.retain(|object| !is_named(object, of));
            assert_eq!(world.0.len() + 1, count, "{command}");
        }
        ["kubectl", "patch", of @ .., "--type=json", "-p", patch] => {
            let patch: json_patch::Patch =
                serde_json::from_str(patch).unwrap_or_else(|e| panic!("{command}: {e}"));
            let object = world.0.iter_mut().find(|object| is_named(object, of));
            let object = object.unwrap_or_else(|| panic!("{command}: no such object"));
            json_patch::patch(object, &patch).unwrap_or_else(|e| panic!("{command}: {e}"));
        }
        [
            "printf",
            "%s\\n",
            object,
            "|",
            "kubectl",
            "create",
            "-f",
            "-",
        ] => {
            let object = serde_json::from_str(object);
            world
                .0
                .push(object.unwrap_or_else(|e| panic!("{command}: {e}")));
        }
        _ => panic!("{command}"),
    }
}

/// Runs the commands of all findings, audits again, and returns the codes of both audits.
fn fixed(mut world: World) -> (Vec<&'static str>, Vec<&'static str>) {
    let before = world.codes();
    for command in world.commands() {
        run(&mut world, &command);
    }
    (before, world.codes())
}

#[test]
fn commands_remove_their_findings() {
    let fixed_net = network_on("eth1", "net", ipam(json!({"range": "10.0.0.0/30"})));
    let asks = json!({"name": "net", "ips": ["10.0.0.9/24"]});
    let address_pool = json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "storage"}, "spec": {"ranges": [{"range": "10.0.0.0/24"}]},
    });
    let own = |entries: &[(&str, &str)]| World::of([whereabouts(), own_pool(entries)]);
    let reserved = || reservation("10.0.0.5", "db/a");
    let on_other = {
        let entry = own_pool(&[("5", "db/a")]);
        set(entry, "/spec/allocations/5/ifname", "net7".into())
    };
    let claim = json!({
        "apiVersion": "k8s.cni.cncf.io/v1alpha1", "kind": "IPAMClaim",
        "metadata": {
            "name": "vm.net", "namespace": "db", "finalizers": ["kubevirt.io/persistent-ipam"],
            "ownerReferences": [{"kind": "VirtualMachine", "name": "vm"}],
        },
        "spec": {"network": "x"}, "status": {"ips": ["10.0.0.5/24"]},
    });
    let half = || network_on("eth1", "half", ipam(json!({"range": "10.0.0.0/25"})));
    let silent = |network: &str, name: &str| {
        let pod = pod_on(network, name, json!({}));
        let status = "/metadata/annotations/k8s.v1.cni.cncf.io~1network-status";
        set(pod, status, "".into())
    };
    let asks_mac = {
        let pod = pod_on("net", "b", json!({"mac": "02:00:00:00:00:02"}));
        requesting(pod, json!({"name": "net", "mac": "02:00:00:00:00:01"}))
    };
    let worlds: [(World, &[&str]); 14] = [
        (
            own(&[("5", "db/a")])
                .with(half())
                .with(pool("10.0.0.0-25", "10.0.0.0/25", &[("5", "db/b")]))
                .with(silent("net", "a"))
                .with(silent("half", "b"))
                .with(reserved()),
            &["conflicting-records"],
        ),
        (
            own(&[("5", "db/a")])
                .with(silent("net", "a"))
                .with(silent("net", "b"))
                .with(reservation("10.0.0.5", "db/b")),
            &["conflicting-records"],
        ),
        (World::of([whereabouts(), asks_mac]), &["drift"]),
        (World::of([claim]), &["orphaned-claim"]),
        (
            own(&[("5", "db/a")]).with(reserved()),
            &["leaked-entry", "orphaned-reservation"],
        ),
        (
            own(&[]).with(pod("a", &["10.0.0.5"])).with(reserved()),
            &["missing-entry"],
        ),
        (
            own(&[("5", "db/a")]).with(pod("a", &["10.0.0.5"])),
            &["missing-reservation"],
        ),
        (
            own(&[("4", "db/a")])
                .with(pod("a", &["10.0.0.5"]))
                .with(reserved()),
            &["drift"],
        ),
        (
            own(&[("5", "db/b")])
                .with(pod("a", &["10.0.0.5"]))
                .with(reserved()),
            &["drift"],
        ),
        (
            World::of([whereabouts(), on_other, pod("a", &["10.0.0.5"]), reserved()]),
            &["drift"],
        ),
        (
            own(&[("5", "db/a")])
                .with(requesting(pod("a", &["10.0.0.5", "10.0.0.9"]), asks))
                .with(reserved())
                .with(reservation("10.0.0.9", "db/a")),
            &["untracked-address"],
        ),
        (
            consistent().with(pod("b", &["10.0.0.5"])),
            &["duplicate-address"],
        ),
        (World::of([fixed_net, address_pool]), &["two-allocators"]),
        (
            consistent().with(pool("old-10.9.0.0-24", "10.9.0.0/24", &[])),
            &["unused-pool"],
        ),
    ];
    for (world, expected) in worlds {
        let (before, after) = fixed(world);
        assert_eq!(before, expected);
        assert_eq!(after, [""; 0], "{expected:?}");
    }
}

#[test]
fn a_late_command_fails() {
    let world = World::of([whereabouts(), own_pool(&[("5", "db/a")])]);
    let commands = world.commands();
    let command = commands.first().map(String::as_str).unwrap_or_default();
    // Whereabouts has given the address to another pod since.
    let mut later = World::of([whereabouts(), own_pool(&[("5", "db/b")])]);
    let failed = std::panic::catch_unwind(move || run(&mut later, command));
    assert!(failed.is_err());
}
