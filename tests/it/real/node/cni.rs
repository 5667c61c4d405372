//! CNI plugins, run for a sandbox as containerd and libcni run them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::command::{self, CniCall};

/// A command of the CNI specification.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Add,
    Del,
}

/// The runtime parameters of plugins for a sandbox.
#[derive(Debug, Clone)]
pub(super) struct CniSandbox {
    pub(super) container: String,
    /// The node of the sandbox, which Whereabouts looks for among node slices.
    pub(super) node: String,
    /// The file of the network namespace.
    pub(super) namespace: PathBuf,
    pub(super) interface: String,
    /// `CNI_ARGS`
    pub(super) args: String,
    /// The folder of the plugins.
    pub(super) plugins: PathBuf,
}

/// Runs one program, and returns the result that it prints, or its error message.
pub(super) fn exec(
    program: &Path,
    verb: Verb,
    target: &CniSandbox,
    config: &Value,
) -> Result<Value, String> {
    let (command, in_words) = match verb {
        Verb::Add => ("ADD", "add"),
        Verb::Del => ("DEL", "delete"),
    };
    let named = format!(
        "plugin type={} name={} failed ({in_words}): ",
        config["type"], config["name"]
    );
    let call = CniCall {
        program,
        verb: command,
        container: &target.container,
        namespace: &target.namespace,
        interface: &target.interface,
        args: &target.args,
        plugins: &target.plugins,
    };
    let mut command = call.command();
    let output = command::run(command.env("NODENAME", &target.node), &config.to_string());
    let output = output.map_err(|error| format!("{named}{error}"))?;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if output.status.success() {
        return Ok(printed);
    }
    let words =
        [&printed["msg"], &printed["details"]].map(|word| word.as_str().unwrap_or_default());
    let words = words.join(" ");
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{named}{} {}",
        words.trim(),
        errors.lines().last().unwrap_or_default()
    ))
}

/// Runs ADD for the plugins of a chain in order; each gets the result of the previous one.
pub(super) fn add(target: &CniSandbox, plugins: &[Value]) -> Result<Value, String> {
    let mut result = Value::Null;
    for plugin in plugins {
        let mut config = plugin.clone();
        if !result.is_null() {
            config["prevResult"] = result;
        }
        result = exec(&program(target, plugin), Verb::Add, target, &config)?;
    }
    Ok(result)
}

/// Runs DEL for the plugins of a chain in reverse order.
pub(super) fn del(target: &CniSandbox, plugins: &[Value]) -> Result<(), String> {
    let outcomes = plugins
        .iter()
        .rev()
        .map(|plugin| exec(&program(target, plugin), Verb::Del, target, plugin).map(drop));
    outcomes.fold(Ok(()), Result::and)
}

fn program(target: &CniSandbox, plugin: &Value) -> PathBuf {
    let kind = plugin["type"].as_str().unwrap_or_default();
    // A name with slashes may not lead out of the folder.
    target.plugins.join(kind.replace('/', "_"))
}

/// Returns the plugins of a list, each with the list's name and version.
pub(super) fn plugins_of(list: &Value) -> Vec<Value> {
    let plugins = list["plugins"].as_array().into_iter().flatten();
    let named = plugins.map(|plugin| {
        let mut plugin = plugin.clone();
        plugin["name"] = list["name"].clone();
        plugin["cniVersion"] = list["cniVersion"].clone();
        plugin
    });
    named.collect()
}

/// Returns the addresses of a result, with their prefixes.
pub(super) fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().into_iter().flatten();
    ips.filter_map(|ip| Some(ip["address"].as_str()?.to_owned()))
        .collect()
}

/// Returns the entry of an attachment in the network-status annotation.
pub(super) fn status(network: &str, interface: &str, result: &Value) -> Value {
    let inside = result["interfaces"].as_array().into_iter().flatten();
    let inside = inside.filter(|one| one["sandbox"].as_str().is_some_and(|text| !text.is_empty()));
    let mac = inside.map(|one| one["mac"].clone()).next();
    let plain = addresses(result);
    let plain = plain.iter().filter_map(|address| address.split('/').next());
    json!({
        "name": network, "interface": interface, "ips": plain.collect::<Vec<_>>(),
        "mac": mac, "default": interface == "eth0", "dns": {},
    })
}
