//! Tests of the JSON form: positions, decode errors, and keys as Multus reads them.

use super::{super::ValueKind, *};

fn only(text: &str) -> Selection<'_> {
    let annotation = Annotation::parse(text);
    assert_eq!(annotation.decode_errors, [], "{text}");
    annotation
        .selections
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("{text}: no selection"))
}

fn faults(text: &str) -> Vec<(String, DecodeErrorKind)> {
    Annotation::parse(text)
        .decode_errors
        .into_iter()
        .map(|f| (f.path, f.kind))
        .collect()
}

#[test]
fn every_key_of_the_spec_is_read() {
    let s = only(
        r#"[{"name":"n","namespace":"ns","interface":"eth1","ips":["192.0.2.5/24"],
            "mac":"02:00:00:00:00:01","infiniband-guid":"24:8a:07:03:00:8d:ae:2f",
            "portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}],
            "bandwidth":{"ingressRate":2048,"ingressBurst":300},
            "default-route":["192.0.2.1"],"cni-args":{"a":1},"ipam-claim-reference":"c",
            "deviceID":"0000:00:01.0","example.com/x":1}]"#,
    );
    assert_eq!((s.network_name(), s.namespace_or("own")), (Some("n"), "ns"));
    assert_eq!(s.interface_name(), "eth1");
    assert_eq!(s.ips.as_ref().map(|ips| ips.value.len()), Some(1));
    assert!(s.mac.is_some() && s.infiniband_guid.is_some() && s.cni_args.is_some());
    let mapping = &s
        .port_mappings
        .as_ref()
        .unwrap_or_else(|| panic!("ports"))
        .value[0];
    assert_eq!(mapping.host_port.as_ref().map(|p| p.value), Some(80));
    let rate = s
        .bandwidth
        .as_ref()
        .and_then(|b| b.value.ingress_rate.as_ref());
    assert_eq!(rate.map(|r| r.value), Some(2048));
    assert_eq!(s.default_route.as_ref().map(|r| r.value.len()), Some(1));
    assert_eq!(s.ipam_claim.as_ref().map(|c| &*c.value), Some("c"));
    assert_eq!(s.members.len(), 13);
}

#[test]
fn keys_are_read_in_any_case_and_the_last_counts() {
    let s = only(r#"[{"NAME":"a","name":"b","Name":null,"ips":["10.0.0.1"],"IPS":null}]"#);
    assert_eq!(s.network_name(), Some("b"));
    assert!(s.ips.is_none(), "null empties a list");
}

#[test]
fn the_obsolete_interface_key_counts_where_the_new_one_is_absent() {
    assert_eq!(
        only(r#"[{"name":"n","interfaceRequest":"foo0"}]"#).interface_name(),
        "foo0"
    );
    let both = only(r#"[{"name":"n","interface":"a","interfaceRequest":"b"}]"#);
    assert_eq!(both.interface_name(), "a");
}

#[test]
fn a_repeated_bandwidth_is_merged() {
    let s = only(r#"[{"name":"n","bandwidth":{"ingressRate":1},"bandwidth":{"egressRate":2}}]"#);
    let merged = s
        .bandwidth
        .clone()
        .unwrap_or_else(|| panic!("bandwidth"))
        .value;
    assert!(merged.ingress_rate.is_some() && merged.egress_rate.is_some());
}

/// The expectations were produced with Go's `encoding/json`.
#[test]
fn null_elements_keep_the_previous_values() {
    for (members, expected) in [
        (r#""ips":["a","b"],"ips":[null]"#, vec!["a"]),
        (
            r#""ips":["a","b"],"ips":["c"],"ips":[null,null,null]"#,
            vec!["c", "b", ""],
        ),
        (
            r#""ips":["a","b"],"ips":null,"ips":[null,null]"#,
            vec!["", ""],
        ),
        (r#""ips":["a","b"],"ips":[],"ips":[null]"#, vec![""]),
        (
            r#""ips":["a"],"IPS":["c","d"],"ip\u017f":[null,null,null]"#,
            vec!["c", "d", ""],
        ),
        (r#""default-route":["a"],"default-route":[null]"#, vec![]),
    ] {
        let text = format!(r#"[{{"name":"n",{members}}}]"#);
        let selection = only(&text);
        let ips = selection.ips.iter().flat_map(|ips| &ips.value);
        let ips: Vec<&str> = ips.map(|ip| &*ip.text).collect();
        assert_eq!(ips, expected, "{text}");
    }
}

#[test]
fn port_mappings_may_be_null_and_are_merged_when_repeated() {
    let s = only(
        r#"[{"name":"n","portMappings":[{"hostPort":1},{"hostPort":2}],"portMappings":[{"containerPort":3},null,null]}]"#,
    );
    let ports = s
        .port_mappings
        .clone()
        .unwrap_or_else(|| panic!("ports"))
        .value;
    let numbers = ports.iter().map(|port| {
        let number = |n: &Option<Spanned<i64>>| n.as_ref().map(|n| n.value);
        (number(&port.host_port), number(&port.container_port))
    });
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers, [(Some(1), Some(3)), (None, None), (None, None)]);
}

#[test]
fn repeated_cni_args_are_merged_by_exact_keys_in_the_order_of_their_bytes() {
    let args = |text: &str| {
        let args = only(text).cni_args.clone().unwrap_or_default();
        let members = args.members.iter();
        members
            .map(|m| format!("{}={}", m.name.value, m.value.text()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        args(
            r#"[{"name":"n","cni-args":{"ips":["x"],"m":{"a":1}},"CNI-ARGS":{"m":{"b":1},"IPS":[1]}}]"#
        ),
        ["IPS=[1]", r#"ips=["x"]"#, r#"m={"b":1}"#]
    );
    assert_eq!(
        args(r#"[{"name":"n","cni-args":{"ips":["x"]},"cni-args":null,"cni-args":{"b":1}}]"#),
        ["b=1"]
    );
}

#[test]
fn decode_errors_have_paths_and_the_rest_is_still_read() {
    let text = r#"[{"name":1,"ips":"10.0.0.1","mac":"zz"},{"name":"b","portMappings":[{"hostPort":"80"}]}]"#;
    let annotation = Annotation::parse(text);
    let paths: Vec<_> = annotation.decode_errors.iter().map(|f| &*f.path).collect();
    assert_eq!(
        paths,
        ["[0].name", "[0].ips", "[1].portMappings[0].hostPort"]
    );
    assert!(
        annotation.selections[0]
            .mac
            .as_ref()
            .is_some_and(|mac| mac.value.is_err())
    );
    assert_eq!(annotation.selections[1].network_name(), Some("b"));
}

#[test]
fn numbers_must_be_whole() {
    assert_eq!(
        faults(r#"[{"name":"n","bandwidth":{"ingressRate":1.5}}]"#),
        [(
            "[0].bandwidth.ingressRate".to_owned(),
            DecodeErrorKind::NotAnInteger
        )]
    );
}

#[test]
fn the_list_itself_may_be_wrong() {
    let kind = |found| DecodeErrorKind::Kind {
        expected: "a list of objects",
        found,
    };
    assert_eq!(
        faults(r#"{"name":"n"}"#),
        [(String::new(), kind(ValueKind::Object))]
    );
    assert_eq!(
        faults(r#""net1""#),
        [(String::new(), kind(ValueKind::String))]
    );
    assert_eq!(
        faults("[null]"),
        [("[0]".to_owned(), DecodeErrorKind::NullSelection)]
    );
    assert!(matches!(
        &*faults("[adsf]"),
        [(_, DecodeErrorKind::Syntax(_))]
    ));
    assert!(matches!(
        &*faults(r#"[{"name":"n"}] x"#),
        [(_, DecodeErrorKind::Syntax(_))]
    ));
    assert_eq!(faults("[]"), []);
}
