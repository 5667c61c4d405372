//! Settings derived from Multus's objects: current and older upstream manifests, and OpenShift's.

use serde_json::json;

use super::*;

/// Returns a DaemonSet with this container, which mounts the ConfigMap `config` at `mount`.
fn set(container: Value, mount: &str) -> Value {
    let mut container = container;
    container["volumeMounts"] = json!([
        {"name": "cni", "mountPath": "/host/etc/cni/net.d"}, {"name": "config", "mountPath": mount},
    ]);
    json!({
        "metadata": {"name": "multus", "namespace": "kube-system"},
        "spec": {"template": {"spec": {
            "containers": [{"name": "other", "image": "registry.example/other:1"}, container],
            "volumes": [
                {"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}},
                {"name": "config", "configMap": {"name": "config", "items": [
                    {"key": "daemon-config.json", "path": "daemon-config.json"},
                    {"key": "cni-conf.json", "path": "70-multus.conf"},
                ]}},
            ],
        }}},
    })
}

fn thin(args: Value) -> Value {
    let container = json!({
        "name": "kube-multus", "image": "ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot",
        "command": ["/thin_entrypoint"], "args": args,
    });
    set(container, "/tmp/multus-conf")
}

fn thick(command: Value, args: Value) -> Value {
    let container = json!({
        "name": "kube-multus", "image": "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0",
        "command": command, "args": args,
    });
    set(container, "/etc/cni/net.d/multus.d")
}

fn upstream() -> Value {
    thick(json!(["/usr/src/multus-cni/bin/multus-daemon"]), json!([]))
}

fn config(data: Value) -> Value {
    json!({"metadata": {"name": "config", "namespace": "kube-system"}, "data": data})
}

fn daemon_config(text: &str) -> Value {
    config(json!({"daemon-config.json": text}))
}

fn read(sets: &[Value], maps: &[Value]) -> Result<(bool, Vec<String>), IsolationUnknown> {
    let objects = MultusObjects {
        daemon_sets: sets.to_vec(),
        config_maps: maps.to_vec(),
        ..MultusObjects::default()
    };
    let isolation = objects.isolation()?;
    Ok((isolation.isolates, isolation.global))
}

#[test]
fn the_arguments_of_the_thin_plugin_count() {
    let auto = "--multus-conf-file=auto";
    for (args, isolates, global) in [
        (json!([auto]), false, &[][..]),
        (json!([]), false, &[]),
        (json!([auto, "--namespace-isolation=true"]), true, &[]),
        (json!([auto, "--namespace-isolation"]), true, &[]),
        (
            json!(["--namespace-isolation=1", "--namespace-isolation=0"]),
            false,
            &[],
        ),
        (
            json!(["--namespace-isolation", "--global-namespaces=a, b"]),
            true,
            &["a", "b"],
        ),
        (
            json!(["--namespace-isolation", "--global-namespaces", "a,b"]),
            true,
            &["a", "b"],
        ),
        // Without isolation the list is ignored.
        (json!(["--global-namespaces=a,b"]), false, &[]),
        (json!(["--namespace-isolation-of-another=true"]), false, &[]),
    ] {
        let found = read(&[thin(args.clone())], &[]);
        let global = global.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, Ok((isolates, global)), "{args}");
    }
}

#[test]
fn the_script_of_older_releases_accepts_one_value_only() {
    for (word, isolates) in [
        ("--namespace-isolation=true", true),
        ("--namespace-isolation=1", false),
        ("--namespace-isolation", false),
    ] {
        let mut set = thin(json!([word]));
        set["spec"]["template"]["spec"]["containers"][1]["command"] = json!(["/entrypoint.sh"]);
        assert_eq!(read(&[set], &[]), Ok((isolates, vec![])), "{word}");
    }
}

#[test]
fn the_configuration_of_the_thick_plugins_daemon_counts() {
    for (text, isolates, global) in [
        (r#"{"socketDir": "/run"}"#, false, &[][..]),
        (
            r#"{"multusConfigFile": "auto", "namespaceIsolation": true}"#,
            true,
            &[],
        ),
        (
            r#"{"NAMESPACEISOLATION": true, "globalNamespaces": "a, b"}"#,
            true,
            &["a", "b"],
        ),
        (
            r#"{"namespaceIsolation": false, "globalNamespaces": "a"}"#,
            false,
            &[],
        ),
        // Go keeps the last of duplicate keys.
        (
            r#"{"namespaceIsolation": true, "namespaceIsolation": false}"#,
            false,
            &[],
        ),
    ] {
        let found = read(&[upstream()], &[daemon_config(text)]);
        let global = global.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, Ok((isolates, global)), "{text}");
    }
}

#[test]
fn openshifts_daemon_is_started_by_a_shell() {
    let script = "source /entrypoint/cnibincopy.sh; exec /usr/src/multus-cni/bin/multus-daemon";
    let set = thick(json!(["/bin/bash", "-ec", "--"]), json!([script]));
    let text = r#"{"namespaceIsolation": true,
        "globalNamespaces": "default,openshift-multus,openshift-sriov-network-operator,openshift-cnv"}"#;
    let global = GLOBAL_ON_OPENSHIFT.map(str::to_owned).into();
    assert_eq!(read(&[set], &[daemon_config(text)]), Ok((true, global)));
}

#[test]
fn the_flags_of_the_thick_plugin_before_4_0_count() {
    let command = json!(["/usr/src/multus-cni/bin/multus-daemon"]);
    let set = thick(
        command,
        json!(["-cni-version=0.3.1", "-namespace-isolation=true"]),
    );
    assert_eq!(read(&[set], &[]), Ok((true, vec![])));
}

#[test]
fn a_file_that_is_mounted_from_a_config_map_counts() {
    let args = json!([
        "--multus-conf-file=/tmp/multus-conf/70-multus.conf",
        "--namespace-isolation"
    ]);
    let conf = |text: &str| config(json!({"cni-conf.json": text}));
    let found = read(&[thin(args.clone())], &[conf(r#"{"type": "multus"}"#)]);
    assert_eq!(found, Ok((false, vec![])));
    let list =
        r#"{"plugins": [{"type": "tuning"}, {"type": "multus", "namespaceIsolation": true}]}"#;
    assert_eq!(read(&[thin(args)], &[conf(list)]), Ok((true, vec![])));
}

#[test]
fn the_daemons_members_take_the_place_of_those_of_the_file_that_it_copies() {
    let copied = r#"{"type": "multus-shim", "namespaceIsolation": true}"#;
    for (own, isolates) in [
        (
            r#"{"multusConfigFile": "/etc/cni/net.d/multus.d/70-multus.conf"}"#,
            true,
        ),
        (
            r#"{"multusConfigFile": "/etc/cni/net.d/multus.d/70-multus.conf", "namespaceIsolation": false}"#,
            false,
        ),
    ] {
        let config = config(json!({"daemon-config.json": own, "cni-conf.json": copied}));
        assert_eq!(
            read(&[upstream()], &[config]),
            Ok((isolates, vec![])),
            "{own}"
        );
    }
}

#[test]
fn an_unknown_setting_is_explained() {
    let on_node = thin(json!([
        "--multus-conf-file=/host/etc/cni/net.d/00-multus.conf"
    ]));
    let strict = thin(json!(["--namespace-isolation"]));
    for (sets, maps, expected) in [
        (vec![], vec![], "no DaemonSet of Multus was found"),
        (
            vec![json!({"spec": {}})],
            vec![],
            "no DaemonSet of Multus was found",
        ),
        (
            vec![on_node],
            vec![],
            "which is not mounted from a ConfigMap",
        ),
        (
            vec![upstream()],
            vec![],
            "ConfigMap kube-system/config has no key \"daemon-config.json\"",
        ),
        (
            vec![upstream()],
            vec![daemon_config("{")],
            "is not a configuration of Multus",
        ),
        (
            vec![upstream()],
            vec![daemon_config(r#"{"namespaceIsolation": "true"}"#)],
            "is not a configuration of Multus",
        ),
        (vec![thin(json!([])), strict], vec![], "are set differently"),
    ] {
        let error = read(&sets, &maps).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn openshift_counts_as_a_setting_where_its_objects_cannot_be_read() {
    let objects = MultusObjects {
        is_openshift: true,
        unread: Some("cannot list the DaemonSets".to_owned()),
        ..MultusObjects::default()
    };
    let isolation = objects.isolation().expect("a setting");
    assert!(isolation.isolates && isolation.global.contains(&"openshift-cnv".to_owned()));
    let elsewhere = MultusObjects {
        is_openshift: false,
        ..objects
    };
    let error = elsewhere.isolation().expect_err("unknown");
    assert_eq!(error.to_string(), "cannot list the DaemonSets");
}

#[test]
fn explicit_settings_are_kept() {
    let isolation = Isolation {
        isolates: false,
        global: vec!["shared".to_owned()],
        source: String::new(),
    };
    let mut policy = Policy::default();
    isolation.fill_in(&mut policy);
    assert_eq!(policy.namespace_isolation, Some(NamespaceIsolation::Off));
    assert!(policy.global_namespaces.contains("shared"));
    let mut policy = Policy::default();
    policy.namespace_isolation = Some(NamespaceIsolation::On);
    policy.global_namespaces = ["mine".into()].into();
    isolation.fill_in(&mut policy);
    assert_eq!(policy.namespace_isolation, Some(NamespaceIsolation::On));
    assert!(policy.global_namespaces.contains("mine"));
}
