//! Reads the contents of deploy/, as files and as kubectl and helm render them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use libtest_mimic::Failed;
use serde_json::Value;

pub(super) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The sources of a certificate: the overlay, and the chart's value.
pub(super) const CERTIFICATE_SOURCES: [(&str, &str); 3] = [
    ("self-managed", "selfManaged"),
    ("cert-manager", "certManager"),
    ("openshift", "openshift"),
];

/// Returns the path of a file or folder of deploy/.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join("deploy").join(name)
}

/// Parses the objects of a YAML text.
pub(crate) fn parsed(text: &str) -> Result<Vec<Value>, Failed> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(objects.into_iter().filter(|o| !o.is_null()).collect())
}

/// Returns the objects of a file of deploy/.
pub(super) fn of_file(name: &str) -> Result<Vec<Value>, Failed> {
    parsed(&fs::read_to_string(path(name))?)
}

/// Returns the objects of all files of a folder of deploy/, without its kustomizations.
pub(super) fn of_folder(name: &str) -> Result<Vec<Value>, Failed> {
    let mut names: Vec<String> = fs::read_dir(path(name))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|file| file.ends_with(".yaml") && file != "kustomization.yaml")
        .collect();
    names.sort();
    let mut all = Vec::new();
    for file in names {
        all.extend(of_file(&format!("{name}/{file}"))?);
    }
    Ok(all)
}

/// Returns the object of this kind, if there is exactly one.
pub(super) fn one<'o>(objects: &'o [Value], kind: &str) -> Result<&'o Value, Failed> {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    match (of_kind.next(), of_kind.next()) {
        (Some(object), None) => Ok(object),
        (None, _) => Err(format!("no {kind}").into()),
        (Some(_), Some(_)) => Err(format!("more than one {kind}").into()),
    }
}

/// Returns the objects by kind, namespace and name.
pub(crate) fn by_name(objects: Vec<Value>) -> Result<BTreeMap<String, Value>, Failed> {
    let mut all = BTreeMap::new();
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let name = format!(
            "{} {} {}/{}",
            text(&object["apiVersion"]),
            text(&object["kind"]),
            text(&metadata["namespace"]),
            text(&metadata["name"])
        );
        if all.insert(name.clone(), object).is_some() {
            return Err(format!("{name} is there twice").into());
        }
    }
    Ok(all)
}

/// Returns the path of a tool: installed by `tests/tools.sh`, or the machine's own.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let own = Path::new(ROOT).join("target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [own].into_iter().chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Returns the reason if kubectl or, if required, helm is missing.
pub(crate) fn missing(helm: bool) -> Option<&'static str> {
    if tool("kubectl").is_none() {
        return Some("no kubectl: run tests/tools.sh");
    }
    (helm && tool("helm").is_none()).then_some("no helm: run tests/tools.sh")
}

/// Runs a tool, and returns its output; its standard error on a failure.
pub(super) fn run(name: &str, arguments: &[&str]) -> Result<String, Failed> {
    let tool = tool(name).ok_or_else(|| format!("no {name}"))?;
    let home = tempfile::tempdir()?;
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(ROOT)
        // The user's own configuration must not affect the test.
        .env("HOME", home.path())
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} {}: {printed}", arguments.join(" ")).into())
}

/// Returns the objects of a kustomization that combines these of deploy/.
pub(crate) fn kustomized(bases: &[&str], components: &[&str]) -> Result<Vec<Value>, Failed> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let up = pathdiff(folder.path())?;
    let list = |names: &[&str]| {
        let lines = names.iter().map(|name| format!("- {up}deploy/{name}\n"));
        lines.collect::<String>()
    };
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{}{}{}",
        list(bases),
        if components.is_empty() {
            ""
        } else {
            "components:\n"
        },
        list(components),
    );
    fs::write(folder.path().join("kustomization.yaml"), text)?;
    let path = folder.path().display().to_string();
    parsed(&run("kubectl", &["kustomize", &path])?)
}

/// Returns the relative path from a folder in the repository to its root, as kustomize requires.
fn pathdiff(folder: &Path) -> Result<String, Failed> {
    let inside = folder.strip_prefix(ROOT);
    let depth = inside.map_err(|_| "the target folder is not in the repository")?;
    Ok("../".repeat(depth.components().count()))
}

/// Returns the chart's objects with these values, which always include the namespace.
pub(super) fn templated(values: &[&str]) -> Result<Vec<Value>, Failed> {
    let mut arguments = vec![
        "template",
        "nadmit",
        "deploy/helm/nadmit",
        "--namespace=nadmit",
    ];
    arguments.push("--set=namespace.create=true");
    arguments.extend(values);
    parsed(&run("helm", &arguments)?)
}
