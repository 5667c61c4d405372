//! The definitions with which other projects run `nadmit check`: the pre-commit hook and the GitHub
//! action. Their own command lines are run, with the built `nadmit`.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn tests() -> Vec<Trial> {
    let no_bash = Command::new("bash").arg("--version").output().is_err();
    tests!["hooks";
        pre_commit,
        action.with_ignored_flag(no_bash),
    ]
}

fn definition(name: &str) -> Result<Value, Failed> {
    let text = fs::read_to_string(Path::new(ROOT).join(name))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, Failed> {
    let text = value[key].as_str();
    text.ok_or_else(|| format!("no text {key:?} in {value:#}").into())
}

/// Writes two files that are correct only together, and a wrong one.
fn manifests() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: \
                   {name: net-a, namespace: db}\nspec:\n  config: '{\"cniVersion\": \"0.3.1\", \
                   \"type\": \"macvlan\", \"ipam\": {\"type\": \"dhcp\"}}'\n";
    let pod = |network: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: db\n  annotations:\n    \
             k8s.v1.cni.cncf.io/networks: {network}\n"
        )
    };
    fs::create_dir(folder.path().join("more"))?;
    fs::write(folder.path().join("network.yaml"), network)?;
    fs::write(folder.path().join("pod.yaml"), pod("net-a"))?;
    fs::write(folder.path().join("more/wrong.yaml"), pod("net-b"))?;
    Ok(folder)
}

/// Runs a command with the built `nadmit` in its PATH.
fn run(command: &mut Command, folder: &Path) -> Result<Output, Failed> {
    let built = Path::new(env!("CARGO_BIN_EXE_nadmit"));
    let path = std::env::var("PATH").unwrap_or_default();
    let bin = built.parent().unwrap_or(built).display();
    let command = command.current_dir(folder).env_remove("NADMIT_CONFIG");
    Ok(command.env("PATH", format!("{bin}:{path}")).output()?)
}

fn expect(what: &str, output: &Output, code: i32, says: &str) -> TestResult {
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(code) && printed.contains(says) {
        return Ok(());
    }
    Err(format!(
        "{what}: {}, not {code} with {says:?}\n{printed}{errors}",
        output.status
    )
    .into())
}

/// Runs the hook's entry with the files of a commit, as pre-commit does.
fn pre_commit() -> TestResult {
    let hooks = definition(".pre-commit-hooks.yaml")?;
    let hook = &hooks[0];
    assert_eq!(text(hook, "language")?, "system");
    assert_eq!(hook["types_or"], serde_json::json!(["yaml", "json"]));
    assert_eq!(
        hook["require_serial"], true,
        "one run, or networks are missing"
    );
    let mut words = text(hook, "entry")?.split_whitespace();
    let program = words.next().ok_or("an empty entry")?;
    let words: Vec<&str> = words.collect();
    let folder = manifests()?;
    let commit = |files: &[&str]| {
        run(
            Command::new(program).args(&words).args(files),
            folder.path(),
        )
    };
    let right = commit(&["network.yaml", "pod.yaml"])?;
    expect("right", &right, 0, "no finding")?;
    let wrong = commit(&["network.yaml", "more/wrong.yaml"])?;
    expect("wrong", &wrong, 1, "deny: [nadmit unknown-network]")
}

/// Runs the script of the action's last step with its inputs in the environment.
fn action() -> TestResult {
    let action = definition("action.yml")?;
    assert_eq!(text(&action["runs"], "using")?, "composite");
    let steps = action["runs"]["steps"].as_array().ok_or("no steps")?;
    let [build, check] = &steps[..] else {
        return Err("not two steps".into());
    };
    assert!(text(build, "run")?.starts_with("cargo install --locked --path"));
    let inputs = check["env"].as_object().ok_or("no env")?;
    for (variable, input) in inputs {
        let name = input
            .as_str()
            .and_then(|i| i.strip_prefix("${{ inputs.")?.strip_suffix(" }}"));
        let known = name.is_some_and(|name| action["inputs"][name]["default"].is_string());
        assert!(known, "{variable} is no input with a default");
    }
    let script = text(check, "run")?;
    let folder = manifests()?;
    let config = folder.path().join("nadmit-settings");
    fs::write(&config, "rules: {unknown-network: off}\n")?;
    let checked = |paths: &str, config: &str, strict: &str| {
        let mut shell = Command::new(text(check, "shell")?);
        // As GitHub runs a step of that shell.
        let shell = shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        let shell = shell
            .env("PATHS", paths)
            .env("CONFIG", config)
            .env("STRICT", strict);
        run(shell, folder.path())
    };
    expect(
        "right",
        &checked("network.yaml pod.yaml", "", "false")?,
        0,
        "",
    )?;
    expect(
        "a folder",
        &checked(".", "", "false")?,
        1,
        "::error file=./more/wrong.yaml,line=7,",
    )?;
    expect(
        "alone",
        &checked("pod.yaml", "", "false")?,
        0,
        "::warning file=pod.yaml,",
    )?;
    expect(
        "strict",
        &checked("pod.yaml", "", "true")?,
        1,
        "::error file=pod.yaml,",
    )?;
    let config = config.display().to_string();
    expect(
        "settings",
        &checked("network.yaml more", &config, "false")?,
        0,
        "",
    )?;
    expect("no command", &checked("$(touch x)", "", "false")?, 2, "")?;
    match folder.path().join("x").exists() {
        true => Err("an input was run as a command".into()),
        false => Ok(()),
    }
}
