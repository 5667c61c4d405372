//! Properties of the pure modules for generated input, and the fuzz targets on their stored corpus.

use std::{fs, path::Path, sync::Arc};

use libtest_mimic::Trial;
use nadmit::{catalog::Catalog, network::Network, rules::Policy};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use crate::support::TestResult;
use crate::{support, targets, wire};

pub(crate) fn tests() -> Vec<Trial> {
    let corpus = [
        ("annotation", targets::annotation as fn(&[u8])),
        ("rules", targets::rules),
        ("nad_config", targets::nad_config),
        ("review", targets::review),
        ("cni_args", targets::cni_args),
        ("wire", wire::any_annotation),
    ];
    let mut tests = tests!["properties";
        generated_annotations_keep_the_promises,
        any_text_keeps_the_promises,
        mutated_reviews_keep_the_promises,
        order_and_white_space_change_no_verdict,
    ];
    tests.extend(corpus.map(|(name, target)| {
        Trial::test(format!("properties::corpus::{name}"), move || {
            kept_corpus(name, target)
        })
    }));
    tests
}

fn kept_corpus(name: &str, target: fn(&[u8])) -> TestResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder)? {
        target(&fs::read(entry?.path())?);
        count += 1;
    }
    if count == 0 {
        Err(format!("{} is empty", folder.display()).into())
    } else {
        Ok(())
    }
}

/// Runs a property on generated input.
pub(crate) fn run<S: Strategy>(
    cases: u32,
    strategy: S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> TestResult {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&strategy, check)
        .map_err(|error| error.to_string().into())
}

/// Values that are valid, invalid, or of the wrong type, in the members where users write them.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..70_000).prop_map(Value::from),
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("db/a"),
            Just("net1"),
            Just("eth0"),
            Just(""),
            Just("10.1.0.5/16"),
            Just("10.1.0.5"),
            Just("2001:db8::5/64"),
            Just("10.1.0.256"),
            Just("02:5e:00:00:00:01"),
            Just("01:00:00:00:00:00"),
            Just("tcp"),
            Just("ſ\u{212a}"),
        ]
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ]
    .prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("name"),
        Just("namespace"),
        Just("ips"),
        Just("IPs"),
        Just("mac"),
        Just("interface"),
        Just("interfaceRequest"),
        Just("portMappings"),
        Just("hostPort"),
        Just("containerPort"),
        Just("protocol"),
        Just("bandwidth"),
        Just("ingressRate"),
        Just("ingressBurst"),
        Just("default-route"),
        Just("cni-args"),
        Just("cni"),
        Just("infiniband-guid"),
        Just("ipam-claim-reference"),
        Just("example.com/x"),
        Just("gateway"),
    ]
    .prop_map(str::to_owned)
}

fn selections() -> impl Strategy<Value = Vec<Vec<(String, Value)>>> {
    prop::collection::vec(prop::collection::vec((key(), value()), 0..6), 0..4)
}

fn generated_annotations_keep_the_promises() -> TestResult {
    run(500, selections(), |selections| {
        let text = written(&selections, "");
        targets::annotation(text.as_bytes());
        targets::rules(text.as_bytes());
        Ok(())
    })
}

fn any_text_keeps_the_promises() -> TestResult {
    let text = prop_oneof![
        "\\PC{0,40}",
        "[a-z0-9/@, .-]{0,40}",
        r#"[\[\]{}":,a-z0-9 \\]{0,40}"#
    ];
    run(500, text, |text| {
        targets::annotation(text.as_bytes());
        targets::rules(text.as_bytes());
        targets::nad_config(text.as_bytes());
        targets::review(text.as_bytes());
        Ok(())
    })
}

/// Captured reviews with a few bytes changed.
fn mutated_reviews_keep_the_promises() -> TestResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reviews");
    let mut reviews = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            reviews.push(fs::read(path)?);
        }
    }
    reviews.sort();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    run(
        2000,
        (any::<prop::sample::Index>(), edits),
        |(which, edits)| {
            let mut body = which.get(&reviews).clone();
            for (at, byte) in edits {
                let at = at.index(body.len());
                body[at] = byte;
            }
            targets::review(&body);
            Ok(())
        },
    )
}

/// Members in another order (unless one is repeated) and more white space: the same findings, apart
/// from their positions and their order.
fn order_and_white_space_change_no_verdict() -> TestResult {
    let networks = [Arc::new(Network::new(
        "db",
        "a",
        Some(r#"{"type":"bridge","ipam":{"type":"static"}}"#),
    ))];
    let catalog = Catalog::new([], networks, []);
    let policy = Policy::default();
    run(400, selections(), move |mut selections| {
        for members in &mut selections {
            let mut seen = std::collections::HashSet::new();
            members.retain(|(key, _)| seen.insert(key.to_lowercase()));
        }
        let plain = written(&selections, "");
        selections.iter_mut().for_each(|members| members.reverse());
        let turned = written(&selections, " \n\t ");
        let findings = |text: &str| {
            let pod = json!({"metadata": {"name": "p", "namespace": "db",
                "annotations": {"k8s.v1.cni.cncf.io/networks": text}}});
            let answer =
                support::answer(&support::create(&pod), &catalog, &policy).expect("an answer");
            let mut seen: Vec<_> = answer
                .findings()
                .iter()
                .map(|f| (f.code, f.level, f.field.clone()))
                .collect();
            seen.sort();
            seen
        };
        prop_assert_eq!(findings(&plain), findings(&turned), "{}", plain);
        Ok(())
    })
}

/// Writes the selections as JSON, with `space` wherever JSON allows it.
fn written(selections: &[Vec<(String, Value)>], space: &str) -> String {
    let objects: Vec<String> = selections
        .iter()
        .map(|members| {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{space}{}{space}:{space}{value}", json!(key)))
                .collect();
            format!(
                "{space}{{{}{space}}}{space}",
                members.join(&format!("{space},"))
            )
        })
        .collect();
    format!("{space}[{}]{space}", objects.join(","))
}
