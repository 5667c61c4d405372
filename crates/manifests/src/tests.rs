//! Tests of reading manifests: objects, locations, errors.

use proptest::prelude::*;

use super::*;
use nadmit_cni::{ConfigState, Position};

const NAD: &str = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n";

fn errors(text: &str) -> Vec<String> {
    let read = read(text, "a.yaml");
    assert_eq!(read.objects, [], "{text}");
    read.errors.iter().map(ToString::to_string).collect()
}

fn networks(read: &ParsedManifests) -> Vec<String> {
    let networks = read
        .objects
        .iter()
        .filter_map(|object| match &object.value {
            Manifest::Network(manifest) => Some(&manifest.network),
            _ => None,
        });
    networks
        .map(|n| format!("{}/{}", n.namespace, n.name))
        .collect()
}

fn pod(text: &str) -> PodManifest {
    let read = read(text, "pod.yaml");
    assert_eq!(read.errors, []);
    match &read.objects[0].value {
        Manifest::Pod(pod) => pod.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_operators_additional_networks_are_read_with_their_locations() {
    let read = read(
        "apiVersion: operator.openshift.io/v1\nkind: Network\nmetadata: {name: cluster}\nspec:\n  \
         additionalNetworks:\n  - name: a\n    type: Raw\n    rawCNIConfig: '{\"type\": \"bridge\"}'\n  \
         - {name: b, namespace: db, type: SimpleMacvlan, simpleMacvlanConfig: {mtu: 9000}}\n",
        "cluster.yaml",
    );
    let [
        Located {
            value: Manifest::Operator(found),
            ..
        },
    ] = &read.objects[..]
    else {
        panic!("{read:?}")
    };
    let networks = found.entries.iter().filter_map(|entry| entry.network());
    let networks: Vec<_> = networks
        .map(|n| format!("{}/{}", n.namespace, n.name))
        .collect();
    assert_eq!(networks, ["default/a", "db/b"]);
    let lines: Vec<_> = found
        .configs
        .iter()
        .map(|text| text.as_ref().map(|t| t.location.position.line))
        .collect();
    assert_eq!(lines, [Some(8), None]);
}

#[test]
fn a_network_of_another_group_is_ignored() {
    let read = read(
        "apiVersion: config.openshift.io/v1\nkind: Network\n",
        "a.yaml",
    );
    assert!(read.objects.is_empty() && read.errors.is_empty());
}

#[test]
fn terminating_and_finished_objects_are_recognized() {
    let read = read(
        "{apiVersion: v1, kind: Namespace, metadata: {name: a}, status: {phase: Terminating}}\n---\n\
         {apiVersion: v1, kind: Namespace, metadata: {name: b, deletionTimestamp: x}}\n---\n\
         {apiVersion: v1, kind: Namespace, metadata: {name: c}, status: {phase: Active}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: a}, status: {phase: Failed}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: b}, status: {phase: Running}}\n",
        "a.yaml",
    );
    let ends = |object: &Located<Manifest>| match &object.value {
        Manifest::Namespace(namespace) => namespace.terminating,
        Manifest::Pod(pod) => pod.finished,
        other => panic!("{other:?}"),
    };
    let ends: Vec<_> = read.objects.iter().map(ends).collect();
    assert_eq!(ends, [true, true, false, true, false]);
}

#[test]
fn a_network_is_read_with_its_annotations_and_the_location_of_its_configuration() {
    let text = format!(
        "# a network\n---\n{NAD}metadata:\n  name: storage\n  namespace: db\n  annotations:\n    \
         nadmit.io/address-pool: blue\n    k8s.v1.cni.cncf.io/resourceName: intel.com/sriov\nspec:\n  \
         config: |\n    {{\"type\": \"macvlan\"}}\n"
    );
    let read = read(&text, "nets.yaml");
    let [
        Located {
            value: Manifest::Network(manifest),
            location,
        },
    ] = &read.objects[..]
    else {
        panic!("{read:?}")
    };
    assert_eq!(location.position, Position { line: 3, column: 1 });
    let network = &manifest.network;
    assert_eq!((&*network.namespace, &*network.name), ("db", "storage"));
    assert_eq!(network.address_pool.as_deref(), Some("blue"));
    assert_eq!(network.resource_name.as_deref(), Some("intel.com/sriov"));
    assert!(matches!(network.config, ConfigState::Loaded(_)));
    let config = manifest.config.as_ref().expect("a place").location;
    assert_eq!(
        config.position,
        Position {
            line: 13,
            column: 5
        }
    );
    let raw = &text[config.span.start as usize..config.span.end as usize];
    assert_eq!(raw, "{\"type\": \"macvlan\"}\n");
}

#[test]
fn a_broken_configuration_is_left_to_the_rules_and_an_absent_one_is_on_the_node() {
    let state = |spec: &str| {
        let read = read(&format!("{NAD}metadata: {{name: net}}\n{spec}"), "a.yaml");
        match &read.objects[0].value {
            Manifest::Network(manifest) => manifest.network.config.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(
        state("spec: {config: '{'}"),
        ConfigState::Broken(_)
    ));
    for none in [
        "",
        "spec: {}",
        "spec: {config: ''}",
        "spec:",
        "spec: {config: }",
    ] {
        assert_eq!(state(none), ConfigState::OnNode, "{none}");
    }
}

#[test]
fn all_kinds_of_lists_are_read_including_nested_ones() {
    let nad = |name: &str| {
        format!(
            "{{apiVersion: k8s.cni.cncf.io/v1, kind: NetworkAttachmentDefinition, metadata: {{name: {name}}}}}"
        )
    };
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- apiVersion: v1\n  kind: List\n  items: [{}]\n\
         ---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinitionList\nitems:\n\
         - metadata: {{name: c, namespace: db}}\n- {}\n---\nkind: List\nitems:\n",
        nad("a"),
        nad("b"),
        nad("d")
    );
    let read = read(&text, "a.yaml");
    assert_eq!(read.errors, []);
    assert_eq!(
        networks(&read),
        ["default/a", "default/b", "db/c", "default/d"]
    );
}

#[test]
fn json_manifests_are_read() {
    let text = "{\n\t\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [\n\t\t{\"metadata\": {\"name\": \"p\",\n\t\t\"annotations\": {\"k8s.v1.cni.cncf.io/networks\": \"[{\\\"name\\\": \\\"n\\\"}]\"}}}]}";
    let pod = pod(text);
    let networks = pod.annotation("k8s.v1.cni.cncf.io/networks").expect("it");
    assert_eq!(&*networks.value, "[{\"name\": \"n\"}]");
    assert_eq!(
        networks.location.position,
        Position {
            line: 4,
            column: 50
        }
    );
}

#[test]
fn a_pods_annotations_have_their_locations() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    a: net-a,net-b\n    b: \"net-c\"\n    c:\nspec:\n  hostNetwork: true\n";
    let pod = pod(text);
    assert_eq!(pod.name, PodName::Explicit("p".into()));
    assert_eq!((&*pod.namespace, pod.host_network), ("default", true));
    let raw = |key| {
        let location = pod.annotation(key).expect("it").location;
        (
            location.position.line,
            location.position.column,
            &text[location.span.start as usize..location.span.end as usize],
        )
    };
    assert_eq!(raw("a"), (6, 8, "net-a,net-b"));
    assert_eq!(raw("b"), (7, 8, "\"net-c\""));
    assert_eq!(pod.annotation("c").map(|c| &*c.value), Some(""));
}

#[test]
fn a_pod_may_have_a_generated_name() {
    let pod = pod("apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-, namespace: db}\n");
    assert_eq!(pod.name, PodName::Generated("web-".into()));
}

#[test]
fn a_namespaces_mode_is_stored_as_written() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: db\n  labels: {nadmit.io/mode: wran}\n";
    let read = read(text, "a.yaml");
    let Manifest::Namespace(namespace) = &read.objects[0].value else {
        panic!("{read:?}")
    };
    let mode = namespace.mode.as_ref().expect("the label");
    assert_eq!((&*mode.value, mode.location.position.column), ("wran", 28));
}

#[test]
fn objects_of_other_kinds_are_ignored() {
    for text in [
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, a: 2}\n",
        "apiVersion: example.com/v1\nkind: Pod\n",
        "apiVersion: example.com/v1\nkind: PodList\nitems: 5\n",
        "rules: {}\n",
        "kind: [Pod]\n",
        "- a\n",
        "just text\n",
    ] {
        assert_eq!(errors(text), [] as [String; 0], "{text}");
    }
}

#[test]
fn objects_that_kubernetes_rejects_are_errors_with_a_remedy() {
    let cases = [
        (
            format!("{NAD}metadata: {{name: net}}\nspec:\n  config: {{type: macvlan}}\n"),
            "a.yaml:5:11: spec.config is an object, but has to be a string with JSON in it: write \
             `config: |` and the JSON indented below it",
        ),
        (
            format!("{NAD}spec: {{}}\n"),
            "a.yaml:1:1: metadata.name is missing: write `name:` under `metadata:`",
        ),
        (
            format!("{NAD}metadata:\n  namespace: db\n"),
            "a.yaml:4:3: metadata.name is missing: write `name:` under `metadata:`",
        ),
        (
            format!("{NAD}metadata: {{name: 5}}\n"),
            "a.yaml:3:18: metadata.name is a number, but has to be a string: put it in quotes",
        ),
        (
            format!("{NAD}metadata: {{name: Net}}\n"),
            "a.yaml:3:18: metadata.name \"Net\" contains 'N', which no name may have",
        ),
        (
            format!("{NAD}metadata: {{name: net, namespace: a.b}}\n"),
            "a.yaml:3:34: metadata.namespace \"a.b\" contains '.', which no name may have",
        ),
        (
            format!("{NAD}metadata: {{name: net, name: met}}\n"),
            "a.yaml:3:23: metadata.name is given twice: keep one of them",
        ),
        (
            "kind: Pod\nmetadata: {name: p}\n".to_owned(),
            "a.yaml:1:1: apiVersion is missing: write `apiVersion: v1`",
        ),
        (
            "apiVersion: v2\nkind: Pod\n".to_owned(),
            "a.yaml:1:13: apiVersion is \"v2\", but nadmit reads a Pod only as `apiVersion: v1`",
        ),
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: db, labels: {nadmit.io/mode: off}}"
                .to_owned(),
            "a.yaml:3:47: metadata.labels[nadmit.io/mode] is a boolean, but has to be a string: \
             put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: []\n".to_owned(),
            "a.yaml:3:11: metadata is a list, but has to be an object",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {hostNetwork: 1}}]\n"
                .to_owned(),
            "a.yaml:3:78: items[0].spec.hostNetwork is a number, but has to be true or false",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&text)[0], expected);
    }
}

#[test]
fn one_bad_document_does_not_affect_the_others_of_its_file() {
    let good = |name: &str| format!("{NAD}metadata: {{name: {name}}}\n");
    let bad = format!("{NAD}metadata: {{name: [}}\n");
    let wrong = format!("{NAD}metadata: {{name: 1}}\n");
    let text = [good("a"), bad, good("b"), wrong, good("c")].join("---\n");
    let read = read(&text, "a.yaml");
    assert_eq!(networks(&read), ["default/a", "default/b", "default/c"]);
    let lines: Vec<usize> = read.errors.iter().map(|e| e.position.line).collect();
    assert_eq!(lines, [7, 15]);
}

#[test]
fn the_number_of_listed_errors_is_limited() {
    let read = read(&"---\n@\n".repeat(1_000), "a.yaml");
    assert_eq!(read.errors.len(), 101);
    assert_eq!(read.errors[100].fault, ManifestFault::TooManyErrors);
}

fn hostile() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "---\n",
        "apiVersion: v1\n",
        "kind: Pod\n",
        "kind: List\n",
        "kind: PodList\n",
        "items:\n",
        "- ",
        "  ",
        "metadata:\n",
        "metadata: {",
        "name: ",
        "p\n",
        "}\n",
        "&a ",
        "*a\n",
        "<<: *a\n",
        "annotations:\n",
        "spec: ",
        "config: |\n",
        "{",
        "\"",
        "1\n",
        "\n",
        "[",
        "]",
        "apiVersion: k8s.cni.cncf.io/v1\n",
        "kind: NetworkAttachmentDefinition\n",
    ];
    prop::collection::vec(prop::sample::select(WORDS), 0..40).prop_map(|w| w.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        read(&String::from_utf8_lossy(&bytes), "a.yaml");
    }

    #[test]
    fn no_words_panic(text in hostile()) {
        read(&text, "a.yaml");
        read(&text, "a.json");
    }
}

#[test]
fn pools_and_reservations_are_read_with_the_location_of_every_value() {
    let text = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: storage}\nspec:\n  \
                ranges:\n  - range: 192.0.2.0/24\n    excludes: [192.0.2.1]\n    exclude: [192.0.2.2, 7]\n\
                ---\napiVersion: nadmit.io/v1alpha1\nkind: AddressReservation\nmetadata: {name: db-0}\n\
                spec: {network: storage-net, holder: {pod: db-0}, ips: [192.0.2.205/24]}\n";
    let read = read(text, "pools.yaml");
    assert_eq!(read.errors, []);
    let [
        Located {
            value: Manifest::Pool(pool),
            ..
        },
        Located {
            value: Manifest::Reservation(reservation),
            ..
        },
    ] = &read.objects[..]
    else {
        panic!("{read:?}")
    };
    assert_eq!(pool.parsed.spec.ranges[0].range, "192.0.2.0/24");
    assert_eq!(
        (&*reservation.namespace, &*reservation.name),
        ("default", "db-0")
    );
    let at = |locations: &FieldLocations, field: &str| {
        let location = locations.nearest(field).expect("a place").span;
        text[location.start as usize..location.end as usize].to_owned()
    };
    assert_eq!(
        at(&pool.locations, "spec.ranges[0].exclude[0]"),
        "192.0.2.2"
    );
    assert_eq!(at(&pool.locations, "spec.ranges[0].exclude[1]"), "7");
    // For an unknown key, the location of the key.
    assert_eq!(at(&pool.locations, "spec.ranges[0].excludes"), "excludes");
    // For an absent value, the location of the object that lacks it.
    let range = pool
        .locations
        .nearest("spec.ranges[0].gateway")
        .expect("it");
    assert_eq!(range.position, Position { line: 6, column: 5 });
    assert_eq!(pool.locations.nearest("metadata.name"), None);
    assert_eq!(at(&reservation.locations, "spec.ips[0]"), "192.0.2.205/24");
}

#[test]
fn a_key_that_a_pool_has_twice_is_an_error() {
    let text = "apiVersion: nadmit.io/v1alpha1\nkind: AddressPool\nmetadata: {name: a}\nspec:\n  \
                ranges:\n  - range: 192.0.2.0/24\n    range: 192.0.3.0/24\n";
    assert_eq!(
        errors(text),
        ["a.yaml:7:5: spec.ranges[0].range is given twice: keep one of them"]
    );
}

fn warnings(text: &str) -> Vec<String> {
    let read = read_all(text, "a.yaml");
    read.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_misspelt_kind_causes_a_warning_with_the_intended_one() {
    for (version, kind, intended) in [
        (
            "k8s.cni.cncf.io/v1",
            "NetworkAttachementDefinition",
            Some("NetworkAttachmentDefinition"),
        ),
        (
            "k8s.cni.cncf.io/v1",
            "networkattachmentdefinition",
            Some("NetworkAttachmentDefinition"),
        ),
        ("nadmit.io/v1alpha1", "AdressPool", Some("AddressPool")),
        ("k8s.cni.cncf.io/v1beta2", "MultiNetworkPolicy", None),
        ("k8s.cni.cncf.io/v1alpha1", "IPAMClaim", None),
        ("k8s.cni.cncf.io/v1alpha1", "IPAMClaimList", None),
        ("nadmit.io/v1alpha1", "AddressAllocation", None),
        ("example.com/v1", "NetworkAttachementDefinition", None),
        ("apps/v1", "Deploymant", None),
    ] {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let found = warnings(&text);
        let said = intended.map(|intended| format!("did you mean {intended}?"));
        assert_eq!(found.len(), usize::from(intended.is_some()), "{found:?}");
        assert!(
            said.is_none_or(|said| found[0].ends_with(&said)),
            "{found:?}"
        );
    }
}

#[test]
fn a_configuration_outside_of_spec_causes_a_warning() {
    let found = warnings(&format!(
        "{NAD}metadata: {{name: a}}\nspec:\nconfig: '{{}}'\n"
    ));
    assert!(
        matches!(&found[..], [one] if one.starts_with("a.yaml:5:9: config is outside of spec")),
        "{found:?}"
    );
    let whole = format!("{NAD}metadata: {{name: a}}\nspec: {{config: '{{}}'}}\n");
    assert_eq!(warnings(&whole), [""; 0]);
}

#[test]
fn a_network_of_another_group_causes_a_warning() {
    let text = "apiVersion: k8s.v1.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                metadata: {name: a}\n";
    let found = warnings(text);
    assert!(
        matches!(&found[..], [one] if one.contains("write `apiVersion: k8s.cni.cncf.io/v1`")),
        "{found:?}"
    );
}

#[test]
fn kubevirts_older_version_is_read() {
    let read = read_all(
        "apiVersion: kubevirt.io/v1alpha3\nkind: VirtualMachine\nmetadata: {name: vm}\n",
        "a.yaml",
    );
    assert!(
        read.errors.is_empty() && read.objects.len() == 1,
        "{read:?}"
    );
}
