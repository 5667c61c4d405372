//! docs/api.md: nadmit's kinds field by field, generated from their definitions as docs/rules.md is
//! from the registry.

use std::{fmt::Write as _, fs, path::Path};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};
use nadmit::api;
use serde_json::Value;

const HEAD: &str = "# API

This page is made from the definitions of the kinds (`crates/api`, `nadmit crds`). All of them are of
`nadmit.io/v1alpha1`. What addresses, ranges and MACs may say is checked by the webhook and by
`nadmit check`: [rules.md](rules.md). What a pool means: [pools.md](pools.md).
";

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs"; api_page_is_current]
}

fn api_page_is_current() -> TestResult {
    let path = Path::new(super::ROOT).join("docs/api.md");
    let page = page()?;
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, &page)?;
    }
    if fs::read_to_string(&path).unwrap_or_default() == page {
        return Ok(());
    }
    Err(
        "docs/api.md is not what the definitions say; NADMIT_UPDATE=1 cargo test --test it docs \
         rewrites it"
            .into(),
    )
}

fn page() -> Result<String, Failed> {
    let mut page = HEAD.to_owned();
    for crd in &api::crds() {
        section(&mut page, &serde_json::to_value(crd)?)?;
    }
    Ok(page)
}

/// Writes the section of a kind.
fn section(page: &mut String, crd: &Value) -> TestResult {
    let spec = &crd["spec"];
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let names = &spec["names"];
    writeln!(page, "\n## {}\n", text(&names["kind"]))?;
    writeln!(page, "{}\n", description(schema))?;
    let lives = match text(&spec["scope"]) {
        "Cluster" => "Of the whole cluster",
        _ => "Of a namespace",
    };
    let short: Vec<&str> = list(&names["shortNames"]).map(text).collect();
    let short = match &*short {
        [] => String::new(),
        short => format!(", for short `{}`", short.join("`, `")),
    };
    writeln!(page, "{lives}: `{}`{short}.", text(&names["plural"]))?;
    columns(page, &version["additionalPrinterColumns"])?;
    writeln!(page, "\n| field | type | means |\n|---|---|---|")?;
    let mut rules = Vec::new();
    for (name, part, required) in fields(schema) {
        walk(page, name, part, required && name != "spec", &mut rules)?;
    }
    if !rules.is_empty() {
        writeln!(
            page,
            "\nThe API server itself refuses what is against these:\n"
        )?;
        for (at, message) in rules {
            writeln!(page, "- `{at}`: {message}")?;
        }
    }
    Ok(())
}

/// Writes the columns of `kubectl get`.
fn columns(page: &mut String, columns: &Value) -> TestResult {
    let of = |wide: bool| {
        let found = list(columns).filter(|column| (column["priority"] == 1) == wide);
        let names: Vec<&str> = found.map(|column| text(&column["name"])).collect();
        names.join(", ")
    };
    write!(page, "`kubectl get` shows {}", of(false))?;
    match &*of(true) {
        "" => writeln!(page, ".")?,
        wide => writeln!(page, "; with `-o wide` also {wide}.")?,
    }
    Ok(())
}

/// Writes a line for a field, and one for each field below it.
fn walk<'a>(
    page: &mut String,
    at: &str,
    schema: &'a Value,
    required: bool,
    rules: &mut Vec<(String, &'a str)>,
) -> TestResult {
    for rule in list(&schema["x-kubernetes-validations"]) {
        rules.push((at.to_owned(), text(&rule["message"])));
    }
    // The kind is described above its table already.
    if at != "spec" {
        let required = if required { ", required" } else { "" };
        let kind = sort(schema);
        let words = format!("{}{}", description(schema), limits(schema));
        writeln!(page, "| `{at}` | {kind}{required} | {} |", cell(&words))?;
    }
    let (below, separator) = match &schema["items"] {
        Value::Null => (schema, "."),
        items => (items, "[]."),
    };
    // A Condition is documented by Kubernetes.
    if is_conditions(schema) {
        return Ok(());
    }
    if !std::ptr::eq(below, schema) {
        for rule in list(&below["x-kubernetes-validations"]) {
            rules.push((format!("{at}[]"), text(&rule["message"])));
        }
    }
    for (name, part, required) in fields(below) {
        walk(
            page,
            &format!("{at}{separator}{name}"),
            part,
            required,
            rules,
        )?;
    }
    Ok(())
}

/// Returns the fields of an object by name, and whether they are required.
fn fields(schema: &Value) -> Vec<(&str, &Value, bool)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let required = |name: &str| list(&schema["required"]).any(|one| one == name);
    let mut fields: Vec<_> = properties
        .map(|(name, part)| (&**name, part, required(name)))
        .collect();
    fields.sort_by_key(|(name, ..)| *name);
    fields
}

fn is_conditions(schema: &Value) -> bool {
    list(&schema["x-kubernetes-list-map-keys"]).any(|key| key == "type")
}

/// Returns the type of a value.
fn sort(schema: &Value) -> String {
    if is_conditions(schema) {
        return "list of Condition".to_owned();
    }
    match text(&schema["type"]) {
        "array" => format!("list of {}", sort(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", sort(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns the limits of the schema, to follow the description.
fn limits(schema: &Value) -> String {
    let mut limits = String::new();
    let mut add = |limit: String| limits += &format!(" {limit}.");
    let choices: Vec<&str> = list(&schema["enum"]).map(text).collect();
    if !choices.is_empty() {
        add(format!("One of `{}`", choices.join("`, `")));
    }
    if schema["minLength"] == 1 {
        add("Not empty".to_owned());
    }
    for (key, before, behind) in [
        ("minimum", "At least ", ""),
        ("maximum", "At most ", ""),
        ("maxLength", "At most ", " characters"),
        ("maxItems", "At most ", " items"),
    ] {
        if let Some(number) = schema[key].as_f64() {
            add(format!("{before}{number}{behind}"));
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        add(format!("Matches `{pattern}`"));
    }
    limits
}

/// Returns the description, in one line.
fn description(schema: &Value) -> String {
    let words = text(&schema["description"]).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
