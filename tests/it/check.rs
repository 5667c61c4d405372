//! `nadmit check`: its findings on files, their positions and formats, and the exit codes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    check::{self, CheckOptions, CheckOutcome, File, OutputFormat},
    rules::{Level, Policy},
};

use crate::command;
use crate::support::TestResult;
use crate::support::same;

pub(crate) fn tests() -> Vec<Trial> {
    let snapshots = OutputFormat::ALL.into_iter().map(|format| {
        Trial::test(format!("check::format::{}", format.name()), move || {
            snapshot(format)
        })
    });
    let others = tests!["check";
        carets_are_under_the_very_place,
        sarif_names_known_rules,
        seed_examples_have_their_verdict,
        fragments_have_their_verdict,
        networks_elsewhere_are_warned_of,
        exit_codes,
        no_name_steers_a_terminal,
        a_profile_goes_before_the_environment,
        a_duplicate_object_is_reported,
        whereabouts_settings_are_judged,
    ];
    snapshots.chain(others).collect()
}

/// Checks the files below these paths, relative to the repository.
fn checked(paths: &[&str]) -> Result<CheckOutcome, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
    let mut files = check::gather(&paths, |_, _| {})?;
    for file in &mut files {
        let prefix = format!("{}/", root.display());
        file.name = file.name.trim_start_matches(&prefix).to_owned();
    }
    Ok(check::run(
        files,
        &Policy::default(),
        CheckOptions::default(),
    ))
}

/// Checks one text.
fn text(name: &str, text: &str, options: CheckOptions) -> CheckOutcome {
    let file = File {
        name: name.to_owned(),
        text: Ok(text.to_owned()),
    };
    check::run(vec![file], &Policy::default(), options)
}

/// A file's name may contain terminal control characters; no format and no error prints them.
fn no_name_steers_a_terminal() -> TestResult {
    let folder = tempfile::tempdir()?;
    let name = folder
        .path()
        .join("a\u{1b}[2J\u{9b}31m\u{7}\r\u{202e}.yaml");
    fs::write(
        &name,
        "kind: Pod\napiVersion: v1\nmetadata: {name: \"a\\e[2J\"",
    )?;
    let missing = folder.path().join("\u{1b}[2J.yaml");
    for format in OutputFormat::ALL.map(OutputFormat::name) {
        for path in [&name, &missing] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
            command.env_remove("NADMIT_CONFIG");
            let output = command
                .args(["check", "--format", format])
                .arg(path)
                .output()?;
            let (out, err) = (
                String::from_utf8(output.stdout)?,
                String::from_utf8(output.stderr)?,
            );
            let printed = format!("{out}{err}");
            if printed.is_empty() {
                return Err(format!("{format} says nothing of {path:?}").into());
            }
            let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            if printed.contains(steers) {
                return Err(format!("{format}: {printed:?}").into());
            }
            if matches!(format, "json" | "sarif") && path == &name {
                let _: serde_json::Value = serde_json::from_str(&out)?;
            }
        }
    }
    Ok(())
}

/// Returns each diagnostic: level, code and the text under the caret.
fn diagnostics(outcome: &CheckOutcome) -> Vec<(Level, &'static str, String)> {
    let one = |r: &check::Diagnostic| {
        let file = &outcome.files[r.file];
        let text = file.text.as_deref().unwrap_or_default();
        let part = text.get(r.span.start as usize..r.span.end as usize);
        (r.level, r.code, part.unwrap_or_default().to_owned())
    };
    outcome.diagnostics.iter().map(one).collect()
}

/// Compares the output for `tests/fixtures/check` with its snapshot; `NADMIT_UPDATE=1` rewrites it.
fn snapshot(format: OutputFormat) -> TestResult {
    let printed = format.render(&checked(&["tests/fixtures/check"])?);
    let printed = anstream::adapter::strip_str(&printed).to_string();
    let printed = printed.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    // The list of rules is documented elsewhere; only those with results matter here.
    let printed = match format {
        OutputFormat::Sarif => without_rules(&printed)?,
        _ => printed,
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/snapshots")
        .join(format!("check.{}", format.name()));
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, &printed)?;
    }
    same(&printed, &fs::read_to_string(&path).unwrap_or_default())
}

fn without_rules(sarif: &str) -> Result<String, Failed> {
    let mut log: serde_json::Value = serde_json::from_str(sarif)?;
    log["runs"][0]["tool"]["driver"]["rules"] = serde_json::json!([]);
    for result in log["runs"][0]["results"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        result["ruleIndex"] = serde_json::json!(0);
    }
    Ok(format!("{log:#}\n"))
}

/// The rule of every result is the one at its index.
fn sarif_names_known_rules() -> TestResult {
    let printed = OutputFormat::Sarif.render(&checked(&["tests/fixtures/check"])?);
    let log: serde_json::Value = serde_json::from_str(&printed)?;
    let run = &log["runs"][0];
    let results = run["results"].as_array().ok_or("no results")?;
    for result in results {
        let index = result["ruleIndex"].as_u64().ok_or("no index")?;
        let rule = &run["tool"]["driver"]["rules"][usize::try_from(index)?];
        same(&rule["id"], &result["ruleId"])?;
    }
    if results.is_empty() {
        return Err("no results".into());
    }
    Ok(())
}

fn carets_are_under_the_very_place() -> TestResult {
    let found = diagnostics(&checked(&["tests/fixtures/check"])?);
    let texts: Vec<(&str, &str)> = found.iter().map(|(_, c, text)| (*c, &**text)).collect();
    for expected in [
        ("unknown-network", "storage-nett"),
        ("unknown-key", "it''s"),
        ("ip-without-prefix", "192.0.2.205"),
        ("invalid-mac", "CA:FE"),
        ("invalid-ip", "192.0.2.206/40"),
        ("reserved-interface-name", "eth0"),
        ("unknown-network", "front-net"),
        ("invalid-ip", "192.0.2.300/24"),
        ("fixed-address-in-template", "[\"192.0.2.207/24\"]"),
        ("fixed-address-in-template", "02:5e:00:00:00:07"),
        ("unknown-network", "db/storage-nt"),
    ] {
        if !texts.contains(&expected) {
            return Err(format!("no {expected:?} in {texts:#?}").into());
        }
    }
    Ok(())
}

/// The findings on configurations that users copy from documentation.
fn seed_examples_have_their_verdict() -> TestResult {
    let folder = "tests/fixtures/seed-examples";
    let verdict =
        |name: &str| Ok::<_, Failed>(diagnostics(&checked(&[&format!("{folder}/{name}")])?));
    let line = |name: &str| -> Result<Vec<(usize, usize)>, Failed> {
        let outcome = checked(&[&format!("{folder}/{name}")])?;
        let printed: serde_json::Value =
            serde_json::from_str(&OutputFormat::Json.render(&outcome))?;
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default() as usize;
        let findings = printed["findings"].as_array().cloned().unwrap_or_default();
        let places = findings
            .iter()
            .map(|f| (number(&f["line"]), number(&f["column"])));
        Ok(places.collect())
    };
    // The configuration is an object: the caret is at its brace.
    same(
        &verdict("fast-ipam-nad-config-as-object.yaml")?,
        &vec![(Level::Deny, "invalid-manifest", String::new())],
    )?;
    same(
        &line("fast-ipam-nad-config-as-object.yaml")?,
        &vec![(7, 11)],
    )?;
    same(
        &line("static-mac-ip.json")?,
        // A name that libcni would reject.
        &vec![(3, 11)],
    )?;
    same(&verdict("cno-dhcp-shim.yaml")?, &Vec::new())?;
    // Both mistakes: `cniVersion` for `apiVersion`, and an unclosed quote.
    same(
        &verdict("cno-whereabouts-dual-stack-broken.yaml")?
            .iter()
            .map(|got| got.1)
            .collect::<Vec<_>>(),
        &vec!["invalid-manifest", "invalid-network-config"],
    )?;
    // Checked alone, its network is elsewhere.
    same(
        &verdict("pod-fast-ipam.yaml")?,
        &vec![(Level::Warn, "unknown-network", "wb-ipam".to_owned())],
    )?;
    same(&line("pod-fast-ipam.yaml")?, &vec![(7, 51)])?;
    // The closing line of the quoted text is not indented deeper than its key, which kubectl
    // accepts. The name is a placeholder.
    same(
        &verdict("pod-static-mac-ip.yaml")?,
        &vec![(Level::Deny, "invalid-network-name", "<name>".to_owned())],
    )?;
    same(&line("pod-static-mac-ip.yaml")?, &vec![(8, 18)])
}

/// Fragments of configurations, each as a network's configuration: the position of the mistake.
fn fragments_have_their_verdict() -> TestResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seed-examples");
    let lines = fs::read_to_string(folder.join("ipam-fragments.jsonl"))?;
    let list = fs::read_to_string(folder.join("static-mac-ip.json"))?;
    let mut texts = vec![(list, "<name>".to_owned())];
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let config = line["text"].as_str().ok_or("no text")?.to_owned();
        let comma = config.contains(",}");
        // A fragment alone has no plugin; the JSON parser reports the trailing comma first.
        texts.push((config, if comma { ",}" } else { "{\"ipam\"" }.to_owned()));
    }
    for (config, under) in texts {
        let block: String = config.lines().map(|line| format!("    {line}\n")).collect();
        let manifest = format!(
            "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {{name: a}}\nspec:\n  config: |-\n{block}"
        );
        let outcome = text("a.yaml", &manifest, CheckOptions::default());
        let remark = outcome.diagnostics.first().ok_or("nothing is found")?;
        same(&remark.code, &"invalid-network-config")?;
        let place = remark.span.start as usize;
        let there = manifest.get(place..).unwrap_or_default();
        let there = there.trim_start_matches('"');
        if !there.starts_with(&under) {
            return Err(format!("{under:?} is not at {there:?}: {}", remark.message).into());
        }
    }
    Ok(())
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    \
                   k8s.v1.cni.cncf.io/networks: net-a\n";

fn networks_elsewhere_are_warned_of() -> TestResult {
    let level = |strict_networks, more: &str| {
        let outcome = text(
            "a.yaml",
            &format!("{POD}---\n{more}"),
            CheckOptions { strict_networks },
        );
        outcome.diagnostics.first().map(|remark| remark.level)
    };
    same(&level(false, ""), &Some(Level::Warn))?;
    same(&level(true, ""), &Some(Level::Deny))?;
    let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: \
                   {name: b}\n";
    same(&level(false, network), &Some(Level::Deny))
}

fn nadmit(arguments: &[&str], input: &str) -> Result<Output, Failed> {
    nadmit_with(arguments, input, None)
}

fn nadmit_with(arguments: &[&str], input: &str, config: Option<&str>) -> Result<Output, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nadmit"));
    command
        .args(arguments)
        .env_remove("NADMIT_CONFIG")
        .envs(config.map(|path| ("NADMIT_CONFIG", path)));
    Ok(command::run(&mut command, input)?)
}

fn exit_codes() -> TestResult {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("nadmit.yaml");
    fs::write(&config, "rules: {unknown-network: off}\n")?;
    let mistaken = folder.path().join("mistaken.yaml");
    fs::write(&mistaken, "rulez: {}\n")?;
    let (config, mistaken) = (config.display().to_string(), mistaken.display().to_string());
    let cases: [(&[&str], &str, i32, &str); 10] = [
        (&["check", "-"], "", 0, "no finding"),
        (&["check", "-"], POD, 0, "<stdin>:6:34"),
        (&["check", "--strict-networks", "-"], POD, 1, "1 denial"),
        (&["check", "--config", &config, "-"], POD, 0, "no finding"),
        (
            &["check", "--format", "github", "-"],
            "a: [",
            1,
            "::error file=<stdin>,line=",
        ),
        (
            &["check", "--profile", "strict", "-"],
            POD,
            0,
            "unknown-network",
        ),
        (&["check"], "", 2, "PATH"),
        (&["check", "--format", "xml", "-"], "", 2, "sarif"),
        (&["check", "/nowhere"], "", 2, "/nowhere"),
        (
            &["check", "--config", &mistaken, "-"],
            "",
            2,
            "mistaken.yaml:1:1",
        ),
    ];
    for (arguments, input, code, expected) in cases {
        let output = nadmit(arguments, input)?;
        let got = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) || !got.contains(expected) {
            return Err(format!("{arguments:?}: {}\n{got}", output.status).into());
        }
    }
    Ok(())
}

/// NADMIT_CONFIG replaces `--config`; a profile on the command line takes precedence.
fn a_profile_goes_before_the_environment() -> TestResult {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("nadmit.yaml");
    fs::write(&config, "rules: {unknown-network: off}\n")?;
    let config = config.display().to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["check", "-"], 0, "no finding"),
        (&["check", "--profile", "strict", "-"], 0, "unknown-network"),
        (&["check", "--config", "/nowhere", "-"], 2, "/nowhere"),
        (
            &["check", "--profile", "strict", "--config", &config, "-"],
            2,
            "cannot be used with",
        ),
    ];
    for (arguments, code, expected) in cases {
        let output = nadmit_with(arguments, POD, Some(&config))?;
        let got = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) || !got.contains(expected) {
            return Err(format!("{arguments:?}: {}\n{got}", output.status).into());
        }
    }
    Ok(())
}

/// The second definition is reported, and names the first; objects without a name are ignored.
fn a_duplicate_object_is_reported() -> TestResult {
    let file = |name: &str, text: &str| File {
        name: name.to_owned(),
        text: Ok(text.to_owned()),
    };
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n";
    let network = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n";
    let one = format!("{network}metadata: {{name: net-a, namespace: db}}\n---\n{job}");
    let two = format!("{job}---\n{network}metadata: {{name: net-a, namespace: db}}\n");
    let other = format!("{network}metadata: {{name: net-a, namespace: web}}\n");
    let files = vec![
        file("a.yaml", &one),
        file("b.yaml", &two),
        file("c.yaml", &other),
    ];
    let outcome = check::run(files, &Policy::default(), CheckOptions::default());
    let found = outcome
        .diagnostics
        .iter()
        .filter(|r| r.code == check::DUPLICATE_OBJECT);
    let found: Vec<_> = found
        .map(|r| (r.file, r.level, r.span.start as usize, &*r.message))
        .collect();
    let place = two.find("apiVersion: k8s").unwrap_or_default();
    let message = "network db/net-a is also defined in a.yaml:1:1";
    same(&found, &vec![(1, Level::Warn, place, message)])
}

/// A schedule that would stop the reconciler is found at its position; other ConfigMaps are
/// ignored.
fn whereabouts_settings_are_judged() -> TestResult {
    let manifest = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: kube-system}}\n\
             data:\n  a: 'b'\n  cron-expression: '*/15 * 99 * *'\n"
        )
    };
    let judged =
        |name: &str| diagnostics(&text("a.yaml", &manifest(name), CheckOptions::default()));
    same(&judged("settings"), &Vec::new())?;
    let expected = (Level::Deny, "invalid-reconciler-schedule", "99".to_owned());
    same(&judged("whereabouts-config"), &vec![expected])?;
    // nadmit's own settings are under another key.
    same(&judged("nadmit-config"), &Vec::new())?;
    let own = manifest("nadmit-config").replace("cron-expression", "reconciler_cron_expression");
    let found = diagnostics(&text("a.yaml", &own, CheckOptions::default()));
    let expected = (Level::Deny, "invalid-reconciler-schedule", "99".to_owned());
    same(&found, &vec![expected])
}
