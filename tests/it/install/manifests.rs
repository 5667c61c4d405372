//! The printed and the installed manifests equal what kustomize renders from `deploy/`.

use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::deploy::objects;
use crate::support::TestResult;

pub(super) fn tests() -> Vec<Trial> {
    let overlays = ["self-managed", "cert-manager", "openshift"];
    let tests = overlays.map(|overlay| {
        let name = format!("install::what_is_printed_is_the_overlay::{overlay}");
        let missing = objects::missing(false);
        let test =
            Trial::test(name, move || compared(overlay)).with_ignored_flag(missing.is_some());
        match missing {
            Some(reason) => test.with_kind(reason),
            None => test,
        }
    });
    tests.into()
}

fn printed(arguments: &[&str]) -> Result<String, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_nadmit"))
        .args(["install", "--print"])
        .args(arguments)
        .env_remove("NADMIT_IMAGE")
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Writes whole numbers without the `.0` that the generated definitions have on some of them.
fn whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0) {
                // All are small: bounds in schemas, ports, counts.
                *value = Value::from(float as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(whole),
        Value::Object(members) => members.values_mut().for_each(whole),
        _ => {}
    }
}

/// Changes what the component leaves to its user: the setting, and OpenShift's namespace of Whereabouts.
fn as_serving(overlay: &str, objects: &mut [Value]) {
    for object in objects {
        if let Some(text) = object["data"]["nadmit.yaml"].as_str() {
            object["data"]["nadmit.yaml"] = format!("{text}whereabouts: serve\n").into();
        }
        if object["metadata"]["name"] == "nadmit-whereabouts" && overlay == "openshift" {
            object["metadata"]["namespace"] = "openshift-multus".into();
        }
    }
}

fn compared(overlay_name: &str) -> TestResult {
    for more in [
        &[][..],
        &["--monitoring"],
        &["--fail-closed"],
        &["--whereabouts=serve"],
    ] {
        let arguments = [&["--certificates", overlay_name], more].concat();
        let mut printed = objects::parsed(&printed(&arguments)?)?;
        let components: Vec<String> = more
            .iter()
            .map(|flag| flag.replace("--", "components/").replace("=serve", ""))
            .collect();
        let components: Vec<&str> = components.iter().map(|name| &**name).collect();
        let overlay = format!("overlays/{overlay_name}");
        let mut kustomized = objects::kustomized(&["crds", &overlay], &components)?;
        printed.iter_mut().chain(&mut kustomized).for_each(whole);
        if more == ["--whereabouts=serve"] {
            as_serving(overlay_name, &mut kustomized);
        }
        let (printed, kustomized) = (objects::by_name(printed)?, objects::by_name(kustomized)?);
        let all = printed.keys().chain(kustomized.keys());
        for name in all {
            let (one, other) = (printed.get(name), kustomized.get(name));
            if one != other {
                return Err(format!("{name}: printed {one:#?}\nkustomize {other:#?}").into());
            }
        }
    }
    Ok(())
}
