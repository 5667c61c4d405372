//! The kinds: their schemas are structural, accept valid objects, and equal those in deploy/crds.

use std::{fs, path::Path, sync::Arc};

use crate::support::TestResult;
use cel::{Context, Value as CelValue, parser::Parser};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    allocation::{Allocation, Holder, NetworkRef, ParsedSpec, PodRef, Space, Timestamp},
    api::{
        self, AddressAllocation, AddressAllocationSpec, AddressPoolSpec, AddressReservationSpec,
    },
};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Trial> {
    tests!["crds";
        deploy_is_current,
        schemas_are_structural,
        selectable_fields_exist,
        examples_fit,
        invalid_objects_do_not_fit,
        immutable_fields_stay,
        messages_are_the_same,
        allocations_are_stored_and_read_back,
    ]
}

/// Each kind has a file with the name of its definition.
fn deploy_is_current() -> TestResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
    let mut names = Vec::new();
    for crd in &api::crds() {
        let name = format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default());
        let text = api::yaml(crd)?;
        if std::env::var_os("NADMIT_UPDATE").is_some() {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(&name), &text)?;
        }
        if fs::read_to_string(folder.join(&name)).unwrap_or_default() != text {
            return Err(format!(
                "deploy/crds/{name} is not what `nadmit crds` prints; NADMIT_UPDATE=1 cargo test \
                 --test it crds rewrites it"
            )
            .into());
        }
        names.push(name);
    }
    let mut found: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.push("kustomization.yaml".to_owned());
    names.sort();
    found.sort();
    assert_eq!(found, names);
    Ok(())
}

fn schema(kind: &str) -> Result<Value, Failed> {
    for crd in &api::crds() {
        if crd.spec.names.kind == kind {
            let version = &crd.spec.versions[0];
            let schema = version
                .schema
                .as_ref()
                .and_then(|s| s.open_api_v3_schema.as_ref());
            return Ok(serde_json::to_value(schema)?);
        }
    }
    Err(format!("no kind {kind}").into())
}

/// selectableFields takes simple paths that begin with a dot: the API server rejects a definition
/// with another path (apiextensions, `ValidateCustomResourceSelectableFields`).
fn selectable_fields_exist() -> TestResult {
    let mut found = 0;
    for crd in &api::crds() {
        let kind = &crd.spec.names.kind;
        for field in crd.spec.versions[0].selectable_fields.iter().flatten() {
            let path = &field.json_path;
            let names = path.strip_prefix('.');
            let names = names.ok_or_else(|| format!("{kind}: {path} begins with no dot"))?;
            let mut part = schema(kind)?;
            for name in names.split('.') {
                part = part["properties"][name].take();
            }
            let plain = ["string", "boolean", "integer"]
                .contains(&part["type"].as_str().unwrap_or_default());
            if !plain || names.starts_with("metadata.") {
                return Err(format!("{kind}: {path} is {part}").into());
            }
            found += 1;
        }
    }
    match found {
        0 => Err("no field is selected by".into()),
        _ => Ok(()),
    }
}

/// Checks the API server's rules for structural schemas (apiextensions, "Specifying a structural
/// schema").
fn schemas_are_structural() -> TestResult {
    const KEYS: [&str; 23] = [
        "title",
        "type",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "default",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    ];
    // Others are unknown, and cause a warning at each `kubectl apply`.
    const FORMATS: [&str; 3] = ["int32", "int64", "date-time"];
    fn walk(path: &str, schema: &Value, wrong: &mut Vec<String>) {
        let Some(members) = schema.as_object() else {
            return wrong.push(format!("{path} is {schema}"));
        };
        for key in members.keys().filter(|key| !KEYS.contains(&&***key)) {
            wrong.push(format!("{path} has {key}"));
        }
        let kind = schema["type"].as_str().unwrap_or_default();
        if !["object", "array", "string", "integer", "boolean"].contains(&kind) {
            wrong.push(format!("{path} is of type {:?}", schema["type"]));
        }
        if let Some(format) = schema["format"].as_str()
            && !FORMATS.contains(&format)
        {
            wrong.push(format!("{path} is of format {format}"));
        }
        if members.contains_key("properties") && members.contains_key("additionalProperties") {
            wrong.push(format!("{path} has properties of two kinds"));
        }
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if rule["message"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{path} has a rule without words: {rule}"));
            }
        }
        for (name, part) in schema["properties"].as_object().into_iter().flatten() {
            // The root's metadata is defined by the API server.
            if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&&**name) {
                continue;
            }
            let described = !part["description"].as_str().unwrap_or_default().is_empty();
            if !described && name != "spec" && name != "status" {
                wrong.push(format!("{path}.{name} is not described"));
            }
            walk(&format!("{path}.{name}"), part, wrong);
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(part) = schema.get(key) {
                walk(&format!("{path}{suffix}"), part, wrong);
            }
        }
    }
    let mut wrong = Vec::new();
    for crd in &api::crds() {
        let kind = &crd.spec.names.kind;
        let mut found = Vec::new();
        walk("", &schema(kind)?, &mut found);
        wrong.extend(found.into_iter().map(|found| format!("{kind}{found}")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

/// Returns the violations of an object's schema and its CEL rules.
fn misfits(path: &str, schema: &Value, value: &Value, old: Option<&Value>) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |what: String| found.push(format!("{path}: {what}"));
    let fits = match schema["type"].as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        _ => false,
    };
    if !fits {
        add(format!("{value} is no {}", schema["type"]));
        return found;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        add(format!("{value} is none of {words:?}"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        add(format!("{value} is too small"));
    }
    let length = value
        .as_str()
        .map(str::len)
        .or(value.as_array().map(Vec::len))
        .or(value.as_object().map(serde_json::Map::len));
    for (key, low) in [
        ("minLength", true),
        ("maxLength", false),
        ("maxItems", false),
        ("minProperties", true),
        ("maxProperties", false),
    ] {
        if let (Some(bound), Some(length)) = (schema[key].as_u64(), length) {
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            if (low && length < bound) || (!low && length > bound) {
                add(key.to_owned());
            }
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap_or_default()).is_none() {
            add(format!("{required} is missing"));
        }
    }
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = rule["rule"].as_str().unwrap_or_default();
        // A transition rule does not apply to a new object.
        if text.contains("oldSelf") && old.is_none() {
            continue;
        }
        match evaluate(text, value, old) {
            Ok(true) => {}
            Ok(false) => add(rule["message"].as_str().unwrap_or_default().to_owned()),
            Err(error) => add(format!("{text}: {error}")),
        }
    }
    for (key, part) in value.as_object().into_iter().flatten() {
        let old = old.and_then(|old| old.get(key));
        let known = schema["properties"]
            .get(key)
            .or(schema.get("additionalProperties"));
        let path = format!("{path}.{key}");
        match known {
            Some(known) => found.extend(misfits(&path, known, part, old)),
            None => found.push(format!("{path}: is not known")),
        }
    }
    for (index, part) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(
            &format!("{path}[{index}]"),
            &schema["items"],
            part,
            None,
        ));
    }
    found
}

fn evaluate(rule: &str, value: &Value, old: Option<&Value>) -> Result<bool, String> {
    let expression = Parser::new().enable_optional_syntax(true).parse(rule);
    let expression = expression.map_err(|error| error.to_string())?;
    let mut context = Context::default();
    for (name, value) in [("self", Some(value)), ("oldSelf", old)] {
        if let Some(value) = value {
            let value = cel::to_value(value).map_err(|error| error.to_string())?;
            context.add_variable_from_value(name, value);
        }
    }
    match context.resolve(&expression) {
        Ok(CelValue::Bool(answer)) => Ok(answer),
        Ok(other) => Err(format!("not a boolean: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn spec_misfits(kind: &str, spec: &Value, old: Option<&Value>) -> Result<Vec<String>, Failed> {
    let schema = schema(kind)?;
    Ok(misfits("spec", &schema["properties"]["spec"], spec, old))
}

/// The pools and reservations of deploy/examples are valid.
fn examples_fit() -> TestResult {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/networks/pool.yaml");
    let text = fs::read_to_string(file)?;
    let mut seen = 0;
    for document in text.split("---\n") {
        let object: Value = serde_saphyr::from_str(document)?;
        if object["apiVersion"] != "nadmit.io/v1alpha1" {
            continue;
        }
        let kind = object["kind"].as_str().unwrap_or_default();
        assert_eq!(
            spec_misfits(kind, &object["spec"], None)?,
            [""; 0],
            "{document}"
        );
        seen += 1;
    }
    assert_eq!(seen, 2);
    Ok(())
}

fn invalid_objects_do_not_fit() -> TestResult {
    for (kind, spec, part) in [
        ("AddressPool", json!({}), "the pool assigns nothing"),
        (
            "AddressPool",
            json!({"ranges": []}),
            "the pool assigns nothing",
        ),
        ("AddressPool", json!({"ranges": [{}]}), "is missing"),
        (
            "AddressPool",
            json!({"macs": {}}),
            "either a prefix, or start and end",
        ),
        (
            "AddressPool",
            json!({"macs": {"prefix": "02", "start": "02:00:00:00:00:01"}}),
            "either a prefix, or start and end",
        ),
        (
            "AddressPool",
            json!({"macs": {"prefix": "02"}, "retention": "Forever"}),
            "is none of",
        ),
        (
            "AddressPool",
            json!({"macs": {"prefix": "02"}, "nodeSliceSize": "/28"}),
            "a pool with a range",
        ),
        (
            "AddressPool",
            json!({"ranges": [{"range": "10.5.0.0/20"}], "nodeSliceSize": "/28", "retention": "Workload"}),
            "cannot follow its workload",
        ),
        (
            "AddressPool",
            json!({"macs": {"prefix": "02"}, "strictSlices": true}),
            "no meaning without nodeSliceSize",
        ),
        (
            "AddressPool",
            json!({"whereabouts": {"networks": ["db/a"]}, "ranges": [{"range": "10.5.0.0/20"}]}),
            "have no meaning",
        ),
        (
            "AddressPool",
            json!({"whereabouts": {"networks": ["db/a"]}, "namespaceSelector": {}}),
            "have no meaning",
        ),
        (
            "AddressPool",
            json!({"macs": {"prefix": "02"}, "maxPerNamespace": 0}),
            "too small",
        ),
        (
            "AddressReservation",
            json!({"network": "a", "holder": {"pod": "p"}}),
            "nothing is reserved",
        ),
        (
            "AddressReservation",
            json!({"network": "a", "holder": {}, "mac": "02:5e:00:00:00:01"}),
            "exactly one of pod",
        ),
        (
            "AddressReservation",
            json!({"network": "a", "holder": {"pod": "p", "virtualMachine": "v"}, "ips": ["192.0.2.5"]}),
            "exactly one of pod",
        ),
        (
            "AddressReservation",
            json!({"network": "a", "holder": {"statefulSet": "p"}, "ips": ["192.0.2.5"]}),
            "go together",
        ),
        (
            "AddressReservation",
            json!({"network": "a", "holder": {"pod": "p"}, "ips": [5]}),
            "is no",
        ),
    ] {
        let found = spec_misfits(kind, &spec, None)?;
        if !found.iter().any(|found| found.contains(part)) {
            return Err(format!("{spec}: {found:?}").into());
        }
    }
    Ok(())
}

fn allocation() -> Result<Allocation, Failed> {
    Ok(Allocation {
        address: "192.0.2.205".parse()?,
        space: Space::new("blue"),
        pool: "storage".into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        holder: Holder::Replica {
            namespace: "db".into(),
            stateful_set: "db".into(),
            ordinal: 0,
        },
        pod: Some(PodRef {
            name: "db-0".into(),
            uid: Some("u-1".into()),
            node: Some("node-a".into()),
        }),
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(1_800_000_000),
    })
}

fn allocations_are_stored_and_read_back() -> TestResult {
    let (namespace, name): (Arc<str>, Arc<str>) = ("db".into(), "x".into());
    let holders = [
        allocation()?.holder,
        Holder::Pod {
            namespace: Arc::clone(&namespace),
            name: Arc::clone(&name),
        },
        Holder::Unnamed {
            namespace: Arc::clone(&namespace),
            generate_name: Arc::clone(&name),
            token: "t".into(),
        },
        Holder::VirtualMachine {
            namespace: Arc::clone(&namespace),
            name: Arc::clone(&name),
        },
        Holder::Reservation {
            namespace: Arc::clone(&namespace),
            name: Arc::clone(&name),
        },
        Holder::Network { namespace, name },
    ];
    for holder in holders {
        let mut allocation = allocation()?;
        allocation.holder = holder;
        let object = AddressAllocation::of(&allocation)?;
        assert_eq!(object.metadata.name.as_deref(), Some("blue.192.0.2.205"));
        assert_eq!(object.spec.allocation()?, allocation);
        let spec = serde_json::to_value(&object.spec)?;
        assert_eq!(spec["since"], "2027-01-15T08:00:00Z");
        assert_eq!(spec_misfits("AddressAllocation", &spec, None)?, [""; 0]);
        // Exactly one holder is allowed.
        let mut spec = spec;
        spec["holder"]["pod"] = json!({"namespace": "db", "name": "y"});
        spec["holder"]["machine"] = json!({"namespace": "db", "name": "y"});
        let found = spec_misfits("AddressAllocation", &spec, None)?;
        assert_eq!(found, ["spec.holder: maxProperties"]);
        let stored: AddressAllocationSpec = serde_json::from_value(spec.clone())?;
        assert!(stored.allocation().is_err());
        spec["holder"] = json!({});
        let found = spec_misfits("AddressAllocation", &spec, None)?;
        assert_eq!(found, ["spec.holder: minProperties"]);
    }
    Ok(())
}

fn immutable_fields_stay() -> TestResult {
    let old = serde_json::to_value(AddressAllocationSpec::of(&allocation()?)?)?;
    let change = |key: &str, value: Value| -> Result<_, Failed> {
        let mut new = old.clone();
        new[key] = value;
        spec_misfits("AddressAllocation", &new, Some(&old))
    };
    assert_eq!(
        change("pod", json!({"name": "db-0", "uid": "u-2"}))?,
        [""; 0]
    );
    let address = change("address", json!("192.0.2.206"))?;
    assert_eq!(address, ["spec: address is immutable"]);
    let space = change("networkName", json!("green"))?;
    assert_eq!(space, ["spec: networkName is immutable"]);
    let mut unnamed = old.clone();
    if let Some(members) = unnamed.as_object_mut() {
        members.remove("networkName");
    }
    let space = spec_misfits("AddressAllocation", &unnamed, Some(&old))?;
    assert_eq!(space, ["spec: networkName is immutable"]);
    let slice = json!({"pool": "storage", "node": "a", "range": "192.0.2.0/28"});
    let mut other = slice.clone();
    other["range"] = json!("192.0.2.16/28");
    let found = spec_misfits("AddressSlice", &other, Some(&slice))?;
    assert_eq!(found, ["spec: range is immutable"]);
    Ok(())
}

/// Every member is the same in an object and its parsed specification, as JSON.
fn messages_are_the_same() -> TestResult {
    let pool = json!({
        "ranges": [{"range": "192.0.2.0/24", "rangeStart": "192.0.2.9", "rangeEnd": "192.0.2.99",
            "exclude": ["192.0.2.64/28"], "gateway": "192.0.2.1"}],
        "macs": {"prefix": "02:5e:00", "start": "a", "end": "b"}, "networkName": "a",
        "nodeSliceSize": "/28", "strictSlices": true, "retention": "Pod",
        "workloadRetention": {"whenScaled": "Retain", "whenDeleted": "Release"},
        "quarantine": "30s", "lostNodeQuarantine": "10m", "maxPerNamespace": 9,
        "namespaceSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["b"]}]},
        "virtualMachines": "MAC", "whereabouts": {"networks": ["db/storage-net"]},
    });
    let words = ParsedSpec::of_pool(&pool).spec;
    assert_eq!(serde_json::to_value(&words)?, pool);
    let object = AddressPoolSpec::from_spec(&words)?;
    assert_eq!(serde_json::to_value(&object)?, pool);
    assert_eq!(object.to_spec()?, words);
    let reservation = json!({
        "network": "storage-net", "interface": "net1", "ips": ["192.0.2.205/27"], "mac": "x",
        "holder": {"pod": "p", "statefulSet": "db", "ordinal": 0, "virtualMachine": "v"},
    });
    let words = ParsedSpec::of_reservation(&reservation).spec;
    let object = AddressReservationSpec::from_spec(&words)?;
    assert_eq!(serde_json::to_value(&object)?, reservation);
    assert_eq!(object.to_spec()?, words);
    Ok(())
}
