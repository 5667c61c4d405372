//! The chart renders the same objects as the overlays.

use std::{collections::BTreeSet, fs};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{
    objects::{CERTIFICATE_SOURCES, by_name, kustomized, missing, path, run, templated},
    unless,
};
use crate::support::TestResult;

/// Labels and annotations that helm adds to every object.
const HELM_METADATA: [&str; 3] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];
const POLICY: &str = "helm.sh/resource-policy";

pub(super) fn tests() -> Vec<Trial> {
    let mut tests: Vec<Trial> = CERTIFICATE_SOURCES
        .into_iter()
        .map(|(overlay, way)| {
            let name = format!("chart::is_the_overlay_{overlay}");
            unless(missing(true), &name, move || same_objects(overlay, way))
        })
        .collect();
    tests.extend([
        trial!["chart"; with unless(missing(true)); denies_as_the_component],
        trial!["chart"; with unless(missing(true)); serves_as_the_component],
        trial!["chart"; with unless(missing(true)); injects_at_creation_as_the_component],
        trial!["chart"; with unless(missing(true)); is_clean],
        trial!["chart"; with unless(missing(true)); refuses_what_it_does_not_know],
        trial!["chart"; with unless(missing(true)); follows_its_namespace],
        trial!["chart"; with unless(missing(true)); keeps_the_kinds],
        trial!["chart"; with unless(missing(true)); takes_what_nadmit_makes],
        trial!["deploy::chart"; copies_are_current],
    ]);
    tests
}

fn same_objects(overlay: &str, way: &str) -> TestResult {
    let overlay = format!("overlays/{overlay}");
    let applied = kustomized(&["crds", &overlay], &["components/monitoring"])?;
    let certificates = format!("--set=certificates={way}");
    same(
        applied,
        templated(&[&certificates, "--set=monitoring.enabled=true"])?,
    )
}

/// Mode deny, failing closed.
fn denies_as_the_component() -> TestResult {
    let mut applied = kustomized(
        &["crds", "overlays/self-managed"],
        &["components/fail-closed"],
    )?;
    for object in &mut applied {
        if let Some(text) = object["data"]["nadmit.yaml"].as_str() {
            object["data"]["nadmit.yaml"] = text.replace("mode: warn", "mode: deny").into();
        }
    }
    same(applied, templated(&["--set=mode=deny,failClosed=true"])?)
}

/// All new pods with networks are sent.
fn injects_at_creation_as_the_component() -> TestResult {
    let mut applied = kustomized(
        &["crds", "overlays/self-managed"],
        &["components/injection-at-creation"],
    )?;
    for object in &mut applied {
        if let Some(text) = object["data"]["nadmit.yaml"].as_str() {
            object["data"]["nadmit.yaml"] = format!("{text}injection: create\n").into();
        }
    }
    same(applied, templated(&["--set=config.injection=create"])?)
}

/// Networks of Whereabouts are served, in its namespace of each platform, and ranges of static are pools.
fn serves_as_the_component() -> TestResult {
    for (values, overlay, namespace) in [
        ("whereabouts=serve", "self-managed", "kube-system"),
        (
            "whereabouts=serve,certificates=openshift",
            "openshift",
            "openshift-multus",
        ),
        (
            "whereabouts=serve,whereaboutsNamespace=ipam",
            "self-managed",
            "ipam",
        ),
    ] {
        let overlay = format!("overlays/{overlay}");
        let mut applied = kustomized(&["crds", &overlay], &["components/whereabouts"])?;
        for object in &mut applied {
            if object["metadata"]["name"] == "nadmit-whereabouts" {
                object["metadata"]["namespace"] = namespace.into();
            }
            if let Some(text) = object["data"]["nadmit.yaml"].as_str() {
                let more = "inlinePools: enabled\nwhereabouts: serve\n";
                let home = match namespace {
                    "ipam" => "whereaboutsNamespaces: [ipam]\n",
                    _ => "",
                };
                object["data"]["nadmit.yaml"] = format!("{text}{more}{home}").into();
            }
        }
        let values = format!("--set=inlinePools=enabled,{values}");
        same(applied, templated(&[&values])?)?;
    }
    Ok(())
}

/// The kinds of objects that nadmit fills in itself: the chart has them without content, so that
/// they are deleted with the release. With an overlay they are deleted with the namespace.
const FILLED_BY_NADMIT: [&str; 2] = ["Lease", "Secret"];

fn is_made(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| FILLED_BY_NADMIT.contains(&kind))
}

/// Uninstalling the release deletes everything that nadmit has created, except its kinds.
fn takes_what_nadmit_makes() -> TestResult {
    for (_, way) in CERTIFICATE_SOURCES {
        let all = templated(&[&format!("--set=certificates={way}")])?;
        let made: Vec<&Value> = all.iter().filter(|object| is_made(object)).collect();
        let expected = if way == "selfManaged" { 2 } else { 1 };
        let has_content = |object: &&Value| {
            ["spec", "data", "type"]
                .iter()
                .any(|key| !object[*key].is_null())
        };
        if made.len() != expected || made.iter().any(has_content) {
            return Err(format!("{made:#?}").into());
        }
    }
    Ok(())
}

fn same(applied: Vec<Value>, mut templated: Vec<Value>) -> TestResult {
    templated.retain(|object| !is_made(object));
    let [applied, templated] = [by_name(applied)?, by_name(templated)?];
    let names: BTreeSet<&String> = applied.keys().chain(templated.keys()).collect();
    let mut wrong = Vec::new();
    for name in names {
        let [one, other] = [&applied, &templated].map(|all| all.get(name).map(plain));
        if one != other {
            wrong.push((name, one, other));
        }
    }
    if wrong.is_empty() && !applied.is_empty() {
        return Ok(());
    }
    let lines = wrong.iter().map(|(name, one, other)| {
        let shown = |object: &Option<Value>| match object {
            Some(object) => format!("{object:#}"),
            None => "is not there".to_owned(),
        };
        format!(
            "{name}\nby kustomize {}\nby helm {}\n",
            shown(one),
            shown(other)
        )
    });
    Err(lines.collect::<String>().into())
}

/// Returns an object without helm's own marks, with normalized numbers, and with parsed settings.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    let members = |object: &mut Value, place: &str, keep: &dyn Fn(&str, &Value) -> bool| {
        let members = object.pointer_mut(place).and_then(Value::as_object_mut);
        if let Some(members) = members {
            members.retain(|key, value| keep(key, value));
        }
    };
    members(&mut object, "/metadata/labels", &|key, _| {
        !HELM_METADATA.contains(&key)
    });
    members(&mut object, "/metadata/annotations", &|key, _| {
        key != POLICY
    });
    members(&mut object, "/metadata", &|_, value| *value != json!({}));
    if let Some(text) = object["data"]["nadmit.yaml"].as_str() {
        let settings: Result<Value, _> = serde_saphyr::from_str(text);
        object["data"]["nadmit.yaml"] = settings.unwrap_or_else(|e| json!(e.to_string()));
    }
    if let Some(text) = object["data"]["nadmit.json"].as_str() {
        object["data"]["nadmit.json"] = text.trim_end().into();
    }
    evened(object)
}

/// Normalizes numbers: 1 and 1.0 are the same to every reader.
fn evened(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Number(number), Value::from),
        Value::Array(list) => list.into_iter().map(evened).collect(),
        Value::Object(members) => members.into_iter().map(|(k, v)| (k, evened(v))).collect(),
        other => other,
    }
}

fn is_clean() -> TestResult {
    run("helm", &["lint", "--strict", "deploy/helm/nadmit"]).map(drop)
}

fn refuses_what_it_does_not_know() -> TestResult {
    for value in [
        "mode=loud",
        "failClosed=maybe",
        "certificates=none",
        "replicas=two",
        "replica=2",
        "config.mode=deny",
        "config.whereabouts=serve",
        "whereabouts=sometimes",
        "whereaboutsNamespace=A",
        "inlinePools=on",
        "image.digest=latest",
        "monitoring.interval=often",
        "reconcilerCronExpression=daily",
        "networkPolicy.apiServerPorts={0}",
    ] {
        if templated(&[&format!("--set={value}")]).is_ok() {
            return Err(format!("{value} is taken").into());
        }
    }
    Ok(())
}

/// In a namespace of another name nothing refers to the default one.
fn follows_its_namespace() -> TestResult {
    let arguments = [
        "template",
        "nadmit",
        "deploy/helm/nadmit",
        "--namespace=net",
    ];
    for (_, way) in CERTIFICATE_SOURCES {
        let way = format!("--set=certificates={way},namespace.create=true,monitoring.enabled=true");
        let text = run("helm", &[&arguments[..], &[&*way]].concat())?;
        for object in super::objects::parsed(&text)? {
            let named = object["metadata"]["namespace"].as_str();
            if named.is_some_and(|namespace| namespace != "net") {
                return Err(format!("{object:#}").into());
            }
        }
        for usual in [
            "serviceaccount:nadmit:",
            "namespace: nadmit",
            "nadmit.nadmit",
            "nadmit/nadmit",
        ] {
            if let Some(line) = text.lines().find(|line| line.contains(usual)) {
                return Err(format!("{line:?} names the usual namespace").into());
            }
        }
        if !text.contains("ownUsers:\n    - system:serviceaccount:net:nadmit") {
            return Err("the settings do not name nadmit's ServiceAccount".into());
        }
    }
    Ok(())
}

/// Uninstalling the release keeps all allocations.
fn keeps_the_kinds() -> TestResult {
    let all = templated(&[])?;
    let kinds = all
        .iter()
        .filter(|o| o["kind"] == "CustomResourceDefinition");
    let kept = kinds.filter(|o| o["metadata"]["annotations"][POLICY] == "keep");
    if kept.count() == nadmit::api::crds().len() {
        return Ok(());
    }
    Err("not all kinds are kept".into())
}

/// Files that a chart cannot read from elsewhere, and that kustomize may not generate, are copied
/// into it.
fn copies_are_current() -> TestResult {
    let mut wanted = Vec::new();
    for crd in &nadmit::api::crds() {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        let text = fs::read_to_string(path(&format!("crds/{name}.yaml")))?;
        let marked = text.replacen(
            "metadata:\n",
            &format!("metadata:\n  annotations:\n    {POLICY}: keep\n"),
            1,
        );
        let template = format!("{{{{- if .Values.crds.install }}}}\n{marked}{{{{- end }}}}\n");
        wanted.push((format!("helm/nadmit/templates/crds/{name}.yaml"), template));
    }
    for name in ["rules.yaml", "dashboard.json"] {
        let text = fs::read_to_string(path(&format!("monitoring/{name}")))?;
        if name == "dashboard.json" {
            let lines = text.lines().map(|line| format!("    {line}\n"));
            let whole = format!("{DASHBOARD}{}", lines.collect::<String>());
            wanted.push(("monitoring/dashboard.yaml".to_owned(), whole));
        }
        wanted.push((format!("helm/nadmit/files/{name}"), text));
    }
    let access = fs::read_to_string(path("base/access.yaml"))?;
    wanted.push((
        "helm/nadmit/templates/access.yaml".to_owned(),
        as_template(&access),
    ));
    let whereabouts = fs::read_to_string(path("components/whereabouts/access.yaml"))?;
    // nadmit needs the rights to give addresses back after `whereabouts: observe`.
    const KEEP: &str = "  annotations:\n    helm.sh/resource-policy: keep\n";
    let template = as_template(&whereabouts)
        .replace(
            "  namespace: kube-system\n",
            "  namespace: {{ include \"nadmit.whereaboutsNamespace\" . }}\n",
        )
        .replace("\nrules:\n", &format!("\n{KEEP}rules:\n"))
        .replace("\nroleRef:\n", &format!("\n{KEEP}roleRef:\n"));
    wanted.push((
        "helm/nadmit/templates/whereabouts.yaml".to_owned(),
        format!("{{{{- if eq .Values.whereabouts \"serve\" }}}}\n{template}{{{{- end }}}}\n"),
    ));
    for (name, text) in wanted {
        let file = path(&name);
        if std::env::var_os("NADMIT_UPDATE").is_some() {
            fs::write(&file, &text)?;
        }
        if fs::read_to_string(&file).unwrap_or_default() != text {
            return Err(format!(
                "deploy/{name} is not as what it is made from; NADMIT_UPDATE=1 cargo test --test it \
                 deploy::chart rewrites it"
            )
            .into());
        }
    }
    Ok(())
}

/// Returns the chart's template of a file of the base.
fn as_template(base: &str) -> String {
    base.replace(
        "subjects:\n- kind: ServiceAccount\n  name: nadmit\n  namespace: nadmit\n",
        "subjects: {{- include \"nadmit.subjects\" . | nindent 0 }}\n",
    )
    .replace(
        "  labels:\n    app.kubernetes.io/name: nadmit\n",
        "  labels: {{- include \"nadmit.labels\" . | nindent 4 }}\n",
    )
    .replace(
        "  namespace: nadmit\n",
        "  namespace: {{ .Release.Namespace }}\n",
    )
}

const DASHBOARD: &str = r#"# dashboard.json for Grafana's sidecar, which looks for the label.
apiVersion: v1
kind: ConfigMap
metadata:
  name: nadmit-dashboard
  namespace: nadmit
  labels:
    app.kubernetes.io/name: nadmit
    grafana_dashboard: "1"
data:
  nadmit.json: |
"#;
