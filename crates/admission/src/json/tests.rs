//! Comparison with `serde_json`: whatever this parser reads, `serde_json` reads with the same
//! result; and this parser reads every text without white space.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestRunner};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json, value::RawValue};

use super::{read, scan::JsonScan};

const CAPTURED: [&str; 3] = [
    include_str!("../../../../tests/fixtures/reviews/pod-create-name.validate.json"),
    include_str!("../../../../tests/fixtures/reviews/pod-update-annotations.validate.json"),
    include_str!("../../../../tests/fixtures/reviews/nad-update.validate.json"),
];
/// The fragments that are inserted into documents.
const FRAGMENTS: [&str; 24] = [
    "{", "}", "[", "]", ":", ",", "\"", "\\", "\\\"", "\\u12", "\\u00e9", "\\n", "1", "-", "0",
    ".5", "e+7", "true", "nul", "é", " ", "\n", "\"a\":", "\"b\"",
];

fn run<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn minified(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    value.to_string()
}

/// Returns a strategy for objects with every kind of value, and arbitrary strings of any length.
fn document() -> impl Strategy<Value = Value> {
    let word = prop_oneof!["[a-z]{0,3}", "[\\\\\"a-z\u{0}-\u{1f}é𝄞,:{}\\[\\]]{0,80}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    value.prop_map(|value| match value {
        Value::Object(_) => value,
        other => json!({ "a": other }),
    })
}

/// Some places of a text are replaced by bits, or lost.
fn worsened(text: &str, edits: &[(prop::sample::Index, usize, usize)]) -> String {
    let mut text = text.to_owned();
    for (at, lost, bit) in edits {
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        let end = text.ceil_char_boundary((at + lost).min(text.len()));
        text.replace_range(at..end, FRAGMENTS.get(*bit).copied().unwrap_or_default());
    }
    text
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, usize)>> {
    let edit = (
        any::<prop::sample::Index>(),
        0..3usize,
        0..FRAGMENTS.len() + 4,
    );
    prop::collection::vec(edit, 1..4)
}

/// Read here as by `serde_json`: each member of it, as it is written.
fn assert_same(text: &str) {
    let Some(ours) = read::<BTreeMap<String, &RawValue>>(text) else {
        return;
    };
    let theirs: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let written = |members: BTreeMap<String, &RawValue>| -> Vec<_> {
        let members = members.into_iter();
        members
            .map(|(name, raw)| (name, raw.get().to_owned()))
            .collect()
    };
    assert_eq!(written(ours), written(theirs), "{text}");
}

#[test]
fn reads_every_object_without_white_space() {
    run(1000, document(), |value| {
        let text = value.to_string();
        assert!(JsonScan::of(&text).is_some(), "{text}");
        assert_same(&text);
    });
    for captured in CAPTURED {
        assert!(JsonScan::of(&minified(captured)).is_some());
    }
}

#[test]
fn scans_only_json() {
    run(4000, (document(), edits()), |(value, edits)| {
        let text = worsened(&value.to_string(), &edits);
        assert!(JsonScan::of(&text).is_none() || is_json(&text), "{text}");
        assert_same(&text);
    });
    let captured = prop::sample::select(CAPTURED.map(minified).to_vec());
    run(1000, (captured, edits()), |(text, edits)| {
        let text = worsened(&text, &edits);
        assert!(JsonScan::of(&text).is_none() || is_json(&text), "{text}");
        assert_same(&text);
    });
}

#[test]
fn scans_short_token_sequences_only_if_they_are_json() {
    let tokens = [
        "{", "}", "[", "]", ":", ",", "\"a\"", "1", "\"\\\"\"", "null",
    ];
    let texts = prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..12);
    // Before them so much that they lie across two blocks.
    run(20_000, (texts, 0..64usize), |(tokens, width)| {
        let text = format!("{{\"{}\":[{}]}}", "x".repeat(width), tokens.concat());
        assert_eq!(JsonScan::of(&text).is_some(), is_json(&text), "{text}");
        let text = format!("{{\"{}\":1,{}}}", "x".repeat(width), tokens.concat());
        assert_eq!(JsonScan::of(&text).is_some(), is_json(&text), "{text}");
    });
}

#[test]
fn brackets_match_at_any_depth() {
    let objects = prop::collection::vec(any::<bool>(), 0..150);
    run(
        20_000,
        (objects, 0..4usize, 0..200usize),
        |(objects, left_open, mixed_up)| {
            let mut text = r#"{"a":"#.to_owned();
            text.extend(
                objects
                    .iter()
                    .map(|object| if *object { r#"{"":"# } else { "[" }),
            );
            text.push('1');
            let closed = objects.iter().enumerate().rev().map(|(depth, object)| {
                if *object != (depth == mixed_up) {
                    '}'
                } else {
                    ']'
                }
            });
            text.extend(closed.chain(['}']).skip(left_open));
            let scanned = JsonScan::of(&text).is_some();
            assert!(!scanned || is_json(&text), "{text}");
            assert!(scanned || objects.len() > 55 || !is_json(&text), "{text}");
        },
    );
}

#[test]
fn leaves_unsupported_input_to_serde_json() {
    for text in ["", "[]", "1", "{ }", "{\"a\":\t1}", "{\"a\": 1}"] {
        assert!(JsonScan::of(text).is_none(), "{text}");
    }
    let deep = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(JsonScan::of(&deep(50)).is_some());
    assert!(JsonScan::of(&deep(100)).is_none());
    // However deep: an object far inside is not taken for the end.
    for (outer, inner) in [(40, 40), (60, 50), (70, 3), (10, 120)] {
        let inside = format!("{{\"\":{}{}}}", "[".repeat(inner), "]".repeat(inner));
        let text = format!("{{\"a\":{}{inside}", "[".repeat(outer));
        assert!(JsonScan::of(&text).is_none(), "{text}");
    }
    assert!(read::<IgnoredAny>(" {\"a\":1}\n").is_some());
    assert!(read::<IgnoredAny>("{\"a\":1}x").is_none());
    assert!(read::<Map<String, Value>>("{\"a\":[]}").is_none());
}
