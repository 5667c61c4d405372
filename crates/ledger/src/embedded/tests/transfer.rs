//! Export and import.

use std::io::Cursor;

use super::support::*;
use crate::{EmbeddedLedger, ImportError, Store as _};
use nadmit_allocation::Version;

/// Returns the export of a ledger with two records.
fn exported() -> String {
    let folder = folder();
    let ledger = open(&folder);
    let batch = vec![create(1, "a"), create(2, "b")];
    runtime().block_on(ledger.write(batch)).unwrap();
    export(&ledger)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn import(ledger: &EmbeddedLedger, text: &[u8]) -> Result<u64, ImportError> {
    runtime().block_on(ledger.import(Cursor::new(text.to_vec())))
}

fn export(ledger: &EmbeddedLedger) -> String {
    let mut out = Vec::new();
    ledger.export(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_export_is_a_line_each_and_is_read_back() {
    let text = exported();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(r#"{"kind":"nadmit.io/allocations","schema":1,"records":2}"#)
    );
    let first: nadmit_allocation::Allocation = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(first, allocation(1, "a"));
    assert_eq!(lines.count(), 1);

    let folder = folder();
    let ledger = open(&folder);
    assert_eq!(import(&ledger, text.as_bytes()).unwrap(), 2);
    assert_eq!(export(&ledger), text);
    let (_, cursor) = runtime().block_on(ledger.list()).unwrap();
    assert_eq!(cursor.version(), Version(2));
    drop(ledger);
    assert_eq!(export(&open(&folder)), text);
}

#[test]
fn an_empty_ledger_is_exported_and_imported() {
    let folder = folder();
    let ledger = open(&folder);
    let text = export(&ledger);
    assert_eq!(text.lines().count(), 1);
    assert_eq!(import(&ledger, text.as_bytes()).unwrap(), 0);
}

#[test]
fn an_invalid_import_is_refused_with_its_line_and_changes_nothing() {
    let good = exported();
    let lines: Vec<&str> = good.lines().collect();
    let header =
        |records| format!(r#"{{"kind":"nadmit.io/allocations","schema":1,"records":{records}}}"#);
    let long = "x".repeat(70_000);
    for (text, says) in [
        (String::new(), "line 1: no header of an export"),
        (long, "line 1: longer than 65536 bytes"),
        (lines[1..].join("\n"), "line 1: no header of an export"),
        (
            good.replace("nadmit.io/", "example.com/"),
            r#"its kind is "example.com/allocations""#,
        ),
        (
            good.replace(r#""schema":1"#, r#""schema":2"#),
            "schema is 2, this nadmit reads 1",
        ),
        (
            good.replace(r#""schema":1"#, r#""schema":0"#),
            "line 1: no header of an export",
        ),
        (
            lines[..2].join("\n"),
            "announces 2 records, but the export has 1",
        ),
        (
            format!("{good}{}\n", lines[1]),
            "line 4: 192.0.2.1 was on line 2 already",
        ),
        (format!("{good}\n"), "line 4: no allocation"),
        (
            format!("{}\n{}\n{{}}", header(2), lines[1]),
            "line 3: no allocation: missing field",
        ),
        (
            good.replace("192.0.2.2", "192.0.2.300"),
            "line 3: no allocation",
        ),
        (
            good[..good.len() - 10].to_owned(),
            "line 3: no allocation: EOF",
        ),
    ] {
        let folder = folder();
        let ledger = open(&folder);
        let error = import(&ledger, text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}\nshould say: {says}");
        assert!(error.ends_with("nothing was imported"), "{error}");
        assert_eq!(export(&ledger).lines().count(), 1);
    }
}

#[test]
fn an_import_overwrites_nothing() {
    let folder = folder();
    let ledger = open(&folder);
    runtime()
        .block_on(ledger.write(vec![create(2, "z")]))
        .unwrap();
    let error = import(&ledger, exported().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: 192.0.2.2 of the unnamed address space is allocated to pod db/z already; take another address, or import into an empty data directory; nothing was imported"
    );
    assert_eq!(runtime().block_on(names_and_holders(&ledger)).len(), 1);
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let folder = folder();
    let ledger = open(&folder);
    assert!(import(&ledger, &[0xff, 0xfe, b'\n']).is_err());
}
