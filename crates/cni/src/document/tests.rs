//! Tests of YAML and JSON trees: values, locations, limits.

use proptest::prelude::*;

use super::*;

fn only(text: &str) -> DocumentNode<'_> {
    let mut documents = read(text, "a.yaml", Booleans::Yaml11);
    let document = documents.next().expect("a document").expect("no error");
    assert_eq!(documents.next(), None);
    document
}

fn errors(text: &str, name: &str) -> Vec<(usize, usize, String)> {
    let results = read(text, name, Booleans::Yaml11).filter_map(Result::err);
    results
        .map(|e| (e.position.line, e.position.column, e.reason))
        .collect()
}

/// Returns the raw text of the value of `key`, its line and its column.
fn raw<'t>(text: &'t str, root: &DocumentNode<'_>, key: &str) -> (&'t str, usize, usize) {
    let location = root.get(key).expect("the key").location;
    let (start, end) = (location.span.start as usize, location.span.end as usize);
    let Position { line, column } = location.position;
    (&text[start..end], line, column)
}

#[test]
fn a_scalar_has_the_location_of_its_raw_text_in_every_style() {
    let text = "\
plain: some text
single: 'it''s'
double: \"tab\\tbed\"
ünï: ä
literal: |
  one
  two
folded: >-
  one
  two
multi: one
  two
";
    let root = only(text);
    assert_eq!(raw(text, &root, "plain"), ("some text", 1, 8));
    assert_eq!(raw(text, &root, "single"), ("'it''s'", 2, 9));
    assert_eq!(raw(text, &root, "double"), ("\"tab\\tbed\"", 3, 9));
    assert_eq!(raw(text, &root, "ünï"), ("ä", 4, 6));
    assert_eq!(raw(text, &root, "literal"), ("one\n  two\n", 6, 3));
    assert_eq!(raw(text, &root, "folded"), ("one\n  two\n", 9, 3));
    assert_eq!(raw(text, &root, "multi"), ("one\n  two", 11, 8));
    let value = |key| root.get(key).and_then(DocumentNode::string);
    assert_eq!(value("single"), Some("it's"));
    assert_eq!(value("literal"), Some("one\ntwo\n"));
    assert_eq!(value("folded"), Some("one two"));
}

#[test]
fn locations_are_relative_to_the_file() {
    let text = "a: 1\n---\n# ü\nb: x\n---\nc: y\n";
    let roots: Vec<_> = read(text, "", Booleans::Yaml12).flatten().collect();
    assert_eq!(raw(text, &roots[1], "b"), ("x", 4, 4));
    assert_eq!(raw(text, &roots[2], "c"), ("y", 6, 4));
}

#[test]
fn json_is_read_as_json_with_its_locations() {
    let text = "{\n\t\"a\": \"x\\/y\",\n\t\"b\": [true, null, 1e5]\n}\n";
    for name in ["a.json", "a.yaml"] {
        let root = read(text, name, Booleans::Yaml12).next();
        let root = root.expect("a document").expect("no error");
        assert_eq!(raw(text, &root, "a"), ("\"x\\/y\"", 2, 7));
        assert_eq!(root.get("a").and_then(DocumentNode::string), Some("x/y"));
        let kinds = |node: &DocumentNode<'_>| {
            node.elements()
                .map(|e| e.iter().map(DocumentNode::kind).collect())
        };
        let expected = vec![ValueKind::Boolean, ValueKind::Null, ValueKind::Number];
        assert_eq!(root.get("b").and_then(kinds), Some(expected));
    }
    let entries = only(text).entries().map(|e| e[1].key.location.position);
    assert_eq!(entries, Some(Position { line: 3, column: 2 }));
}

#[test]
fn yaml_in_braces_is_yaml() {
    assert_eq!(
        only("{a: b}").get("a").and_then(DocumentNode::string),
        Some("b")
    );
    let both = "{\"a\": 1}\n---\n{\"b\": 2}\n";
    assert_eq!(read(both, "a.yaml", Booleans::Yaml11).count(), 2);
}

#[test]
fn an_error_has_its_position_and_does_not_affect_other_documents() {
    let text = "a: 1\n---\nb: \"open\nc: 2\n---\nd: [1\n---\ne: 3\n";
    let read: Vec<_> = read(text, "a.yaml", Booleans::Yaml11).collect();
    assert!(read[0].is_ok() && read[3].is_ok());
    // The position of the opening quote, not of the line where the closing quote is missing.
    assert_eq!(
        errors(text, "a.yaml")[0],
        (3, 4, "unclosed quote".to_owned())
    );
    assert_eq!(
        errors(text, "a.yaml")[1].0,
        6,
        "{:?}",
        errors(text, "a.yaml")
    );
    let (line, column, reason) = errors("{\n  \"a\": 1,\n}", "a.json").remove(0);
    assert_eq!((line, column), (2, 9), "the comma, not the brace");
    assert!(reason.starts_with("the text is not JSON: "), "{reason}");
}

#[test]
fn a_quoted_text_need_not_be_indented_deeper_than_its_key() {
    let text = "\
first: 1
---
outer:
  single: '[
    {\"a\": \"it''s\"
  }
]' # behind it
  double: \"one \\
  two\n three\"
  list: ['x
y', {k: v}]
last: z
";
    let mut documents = read(text, "a.yaml", Booleans::Yaml11);
    let _first = documents.next();
    let root = documents.next().expect("a document").expect("no error");
    let outer = root.get("outer").expect("outer");
    assert_eq!(
        outer.get("single").and_then(DocumentNode::string),
        Some("[ {\"a\": \"it's\" } ]")
    );
    assert_eq!(
        outer.get("double").and_then(DocumentNode::string),
        Some("one two three")
    );
    let single = "'[\n    {\"a\": \"it''s\"\n  }\n]'";
    assert_eq!(raw(text, outer, "single"), (single, 4, 11));
    assert_eq!(raw(text, outer, "double").1, 8);
    let list = outer
        .get("list")
        .and_then(DocumentNode::elements)
        .expect("a list");
    let inner = &list[1].entries().expect("an object")[0].value;
    assert_eq!(
        inner.location.position,
        Position {
            line: 12,
            column: 9
        }
    );
    assert_eq!(raw(text, &root, "last"), ("z", 13, 7));
    let map = ScalarMap::new(
        text,
        outer.get("single").expect("single").location,
        "[ {\"a\": \"it's\" } ]",
    );
    let map = map.expect("a map");
    assert_eq!(&text[map.offset(17)..][..2], "]'");
}

#[test]
fn the_number_of_indented_lines_is_limited() {
    let text = format!("a:\n  b: '{}'\n", "\nx".repeat(5000));
    assert_eq!(errors(&text, "a.yaml").len(), 1);
    let text = format!("a:\n  b: '{}'\n", "\nx".repeat(500));
    assert_eq!(errors(&text, "a.yaml"), []);
}

#[test]
fn empty_texts_have_no_documents() {
    for text in [
        "",
        "\n",
        "# only a comment",
        "---\n---\n",
        "~\n",
        "\u{feff}",
    ] {
        for name in ["a.yaml", "a.json"] {
            assert_eq!(read(text, name, Booleans::Yaml11).count(), 0, "{text:?}");
        }
    }
}

#[test]
fn on_and_off_are_booleans_in_yaml_1_1_only() {
    let kind = |booleans| read("off", "", booleans).flatten().next().map(|n| n.kind());
    assert_eq!(kind(Booleans::Yaml11), Some(ValueKind::Boolean));
    assert_eq!(kind(Booleans::Yaml12), Some(ValueKind::String));
}

#[test]
fn aliases_and_merges_are_expanded_and_tags_ignored() {
    let root = only("a: &x {b: c}\nd: *x\ne:\n  <<: *x\nf: !Ref [g]\n");
    for key in ["a", "d", "e"] {
        let inner = root.get(key).and_then(|node| node.get("b"));
        assert_eq!(inner.and_then(DocumentNode::string), Some("c"), "{key}");
    }
    assert_eq!(
        root.get("d").map(|n| n.location),
        root.get("a").map(|n| n.location)
    );
    assert_eq!(root.get("f").map(DocumentNode::kind), Some(ValueKind::List));
}

#[test]
fn many_aliases_may_share_one_configuration() {
    let mut text = String::from("- &x {spec: {config: '{}'}}\n");
    text.push_str(&"- *x\n".repeat(10_000));
    assert_eq!(only(&text).elements().map(<[_]>::len), Some(10_001));
}

#[test]
fn bombs_are_errors() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    let escaped = format!("a: &a \"\\t{}\"\nb: [", "x".repeat(100_000));
    let copies = format!("{escaped}{}]\n", "*a, ".repeat(10_000));
    let block = (0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth)));
    for text in [laughs, copies, "[".repeat(100_000), block.collect()] {
        assert_eq!(errors(&text, "a.yaml").len(), 1, "{:.40}", text);
    }
    let flat = format!("{{{}\"b\":\"\\\",\"}}", "\"a\":1,".repeat(300_000));
    let (_, _, reason) = errors(&flat, "a.json").remove(0);
    assert!(reason.starts_with("the document is too large"), "{reason}");
    let nested = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert_eq!(errors(&nested, "a.json").len(), 1);
}

#[test]
fn the_deepest_documents_fit_on_a_small_stack() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(99), close.repeat(99));
    let thread = std::thread::Builder::new().stack_size(1 << 21);
    let read_both = move || {
        only(&deep("[", "]"));
        let text = deep("{\"a\":", "}");
        assert!(read(&text, "a.json", Booleans::Yaml12).all(|d| d.is_ok()));
    };
    thread
        .spawn(read_both)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn messages_contain_no_control_characters() {
    let (_, _, reason) = errors("a: \u{1b}[31m\n", "a.yaml").remove(0);
    assert!(!reason.contains(char::is_control), "{reason:?}");
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("---\n"),
        Just("...\n"),
        Just("- "),
        Just("a: "),
        Just("&a "),
        Just("*a "),
        Just("<<: *a\n"),
        Just("|\n"),
        Just(">-\n  "),
        Just("\""),
        Just("'"),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(", "),
        Just("\n"),
        Just("  "),
        Just("\t"),
        Just("# ü"),
        Just("!!binary "),
        Just("!x "),
        Just("%YAML 1.2\n"),
        Just("? "),
        Just("\u{feff}"),
        Just("\r"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn within(text: &str, node: &DocumentNode<'_>) -> bool {
    let span = node.location.span.start as usize..node.location.span.end as usize;
    text.get(span).is_some()
        && node
            .elements()
            .unwrap_or_default()
            .iter()
            .all(|e| within(text, e))
        && node
            .entries()
            .unwrap_or_default()
            .iter()
            .all(|e| within(text, &e.key) && within(text, &e.value))
}

proptest! {
    #[test]
    fn no_text_panics_and_every_location_is_in_it(text in prop_oneof![hostile(), any::<String>()]) {
        for name in ["a.yaml", "a.json"] {
            for document in read(&text, name, Booleans::Yaml11) {
                prop_assert!(document.map_or(true, |node| within(&text, &node)));
            }
        }
    }
}
