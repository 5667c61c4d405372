//! A DaemonSet of Multus: its program, arguments and configuration files.

use serde_json::Value;

use super::IsolationUnknown;
use crate::network::json::{self, JsonNode};

/// Default configuration file of the thick plugin's daemon.
const DAEMON_CONFIG: &str = "/etc/cni/net.d/multus.d/daemon-config.json";
/// Value instead of a file name: Multus generates its configuration.
const AUTO: &str = "auto";

/// A DaemonSet that runs Multus.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    set: &'a Value,
    container: &'a Value,
    program: MultusProgram,
    args: Vec<&'a str>,
}

/// Program that a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MultusProgram {
    /// `multus-daemon`, the thick plugin.
    Daemon,
    /// `thin_entrypoint`, also as the default entry point of the image.
    Thin,
    /// `entrypoint.sh` of releases before 4.0.
    Script,
}

/// Effective setting of a DaemonSet's Multus.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MultusSetting {
    pub(super) isolates: bool,
    pub(super) global: Vec<String>,
    /// Name of the object with the setting.
    pub(super) source: String,
}

/// A file of a container that is mounted from a ConfigMap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) config_map: String,
    pub(super) key: String,
}

/// Relevant members of a configuration file; `None` if absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileSetting {
    isolates: Option<bool>,
    global: Option<String>,
    /// File that the thick plugin copies to the node, or `auto`.
    config_file: Option<String>,
}

impl<'a> Daemon<'a> {
    /// Finds the container of a DaemonSet that runs Multus.
    pub(super) fn of(set: &'a Value) -> Option<Self> {
        let containers = set["spec"]["template"]["spec"]["containers"].as_array()?;
        containers.iter().find_map(|container| {
            let args: Vec<&str> = ["command", "args"]
                .into_iter()
                .flat_map(|key| container[key].as_array().into_iter().flatten())
                .filter_map(Value::as_str)
                .flat_map(split_args)
                .map(|arg| arg.trim_matches(['"', '\'', ';']))
                .collect();
            let program = detect_program(container, &args)?;
            Some(Self {
                set,
                container,
                program,
                args,
            })
        })
    }

    /// Returns kind and name for messages: `DaemonSet kube-system/kube-multus-ds`.
    pub(super) fn display_name(&self) -> String {
        let name = self.set["metadata"]["name"].as_str().unwrap_or_default();
        format!("DaemonSet {}/{name}", self.namespace())
    }

    pub(super) fn namespace(&self) -> &str {
        let namespace = self.set["metadata"]["namespace"].as_str();
        namespace.unwrap_or_default()
    }

    /// The ConfigMaps that the pods mount: namespace and name.
    pub(super) fn config_maps(&self) -> Vec<(String, String)> {
        let volumes = self.volumes().iter();
        let names = volumes.filter_map(|volume| volume["configMap"]["name"].as_str());
        let own = self.namespace();
        names
            .map(|name| (own.to_owned(), name.to_owned()))
            .collect()
    }

    fn volumes(&self) -> &[Value] {
        let volumes = self.set["spec"]["template"]["spec"]["volumes"].as_array();
        volumes.map_or(&[], Vec::as_slice)
    }

    /// Returns the setting. `file` returns the content of a container's file and the name of its object.
    pub(super) fn setting(
        &self,
        file: impl Fn(&str) -> Result<(String, String), IsolationUnknown>,
    ) -> Result<MultusSetting, IsolationUnknown> {
        if self.program == MultusProgram::Daemon && self.flag("namespace-isolation").is_none() {
            let path = self.text_flag("config").unwrap_or(DAEMON_CONFIG);
            let (text, source) = file(path)?;
            let own = FileSetting::parse(&text).unwrap_or_default();
            // The daemon's own members override those of the file that it copies.
            let copied = own.config_file.as_deref().filter(|file| *file != AUTO);
            let copied = match (copied, own.isolates) {
                (Some(path), None) => FileSetting::parse(&file(path)?.0).unwrap_or_default(),
                _ => FileSetting::default(),
            };
            return Ok(MultusSetting {
                isolates: own.isolates.or(copied.isolates).unwrap_or_default(),
                global: split(&own.global.or(copied.global).unwrap_or_default()),
                source,
            });
        }
        let path = self.text_flag("multus-conf-file").unwrap_or(AUTO);
        if path != AUTO && self.program != MultusProgram::Daemon {
            let (text, source) = file(path)?;
            let written = FileSetting::parse(&text).unwrap_or_default();
            return Ok(MultusSetting {
                isolates: written.isolates.unwrap_or_default(),
                global: split(&written.global.unwrap_or_default()),
                source,
            });
        }
        Ok(MultusSetting {
            isolates: self.is_set("namespace-isolation"),
            global: split(self.text_flag("global-namespaces").unwrap_or_default()),
            source: self.display_name(),
        })
    }

    /// Returns the last occurrence of a flag: the value after `=`, and the next argument.
    fn flag(&self, name: &str) -> Option<(Option<&'a str>, Option<&'a str>)> {
        let used = self.args.iter().enumerate().rev().find_map(|(at, arg)| {
            let rest = arg.strip_prefix('-')?;
            let rest = rest.strip_prefix('-').unwrap_or(rest).strip_prefix(name)?;
            match rest.strip_prefix('=') {
                Some(value) => Some((at, Some(value))),
                None => rest.is_empty().then_some((at, None)),
            }
        });
        used.map(|(at, value)| (value, self.args.get(at + 1).copied()))
    }

    fn text_flag(&self, name: &str) -> Option<&'a str> {
        let (value, next) = self.flag(name)?;
        let value = value.or(next)?;
        Some(value.trim_matches(['"', '\'']))
    }

    fn is_set(&self, name: &str) -> bool {
        let value = self.flag(name).map(|(value, _)| value);
        match (self.program, value) {
            (_, None) => false,
            (MultusProgram::Script, Some(value)) => value == Some("true"),
            // Values that Go's strconv.ParseBool accepts as true.
            (_, Some(value)) => {
                value.is_none_or(|arg| matches!(arg, "1" | "t" | "T" | "true" | "TRUE" | "True"))
            }
        }
    }

    /// Returns the ConfigMap key that a file of the container is mounted from.
    pub(super) fn mounted(&self, path: &str) -> Option<Mounted> {
        let mounts = self.container["volumeMounts"].as_array()?.iter();
        let below = |mount: &'a Value| -> Option<(usize, &'a Value, String)> {
            let at = mount["mountPath"].as_str()?.trim_end_matches('/');
            let rest = path.strip_prefix(at)?;
            let sub = mount["subPath"].as_str();
            let relative = match (rest.strip_prefix('/'), sub) {
                (Some(rest), None) => rest.to_owned(),
                (Some(rest), Some(sub)) => format!("{sub}/{rest}"),
                // A single mounted file.
                (None, Some(sub)) if rest.is_empty() => sub.to_owned(),
                _ => return None,
            };
            Some((at.len(), mount, relative))
        };
        let (_, mount, relative) = mounts
            .filter_map(below)
            .max_by_key(|(length, ..)| *length)?;
        let volume = self
            .volumes()
            .iter()
            .find(|volume| volume["name"] == mount["name"])?;
        let config_map = volume["configMap"]["name"].as_str()?.to_owned();
        let key = match volume["configMap"]["items"].as_array() {
            None => relative,
            Some(items) => {
                let item = items.iter().find(|item| item["path"] == *relative)?;
                item["key"].as_str()?.to_owned()
            }
        };
        Some(Mounted { config_map, key })
    }
}

impl FileSetting {
    /// Parses a configuration like Go's decoder; `None` if Multus would reject it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let document = JsonNode::document(text).ok()?;
        let members = document.members()?;
        // In a configuration list, the plugin that is Multus.
        let plugins = json::find(&members, "plugins").and_then(|list| list.value.elements());
        let multus = plugins.into_iter().flatten().find(|plugin| {
            let members = plugin.members().unwrap_or_default();
            let kind = json::find(&members, "type").and_then(|kind| kind.value.string());
            kind.is_some_and(|kind| kind.starts_with("multus"))
        });
        let members = match multus {
            Some(multus) => multus.members()?,
            None => members,
        };
        let text = |name: &str| -> Option<Option<String>> {
            match json::find(&members, name) {
                None => Some(None),
                Some(found) => Some(Some(found.value.string()?.into_owned())),
            }
        };
        let isolates = match json::find(&members, "namespaceIsolation") {
            None => None,
            Some(found) => Some(found.value.boolean()?),
        };
        Some(Self {
            isolates,
            global: text("globalNamespaces")?.filter(|names| !names.is_empty()),
            config_file: text("multusConfigFile")?,
        })
    }
}

fn detect_program(container: &Value, args: &[&str]) -> Option<MultusProgram> {
    let runs = |name: &str| args.iter().any(|arg| arg.rsplit('/').next() == Some(name));
    let image = container["image"].as_str().unwrap_or_default();
    let is_named = container["name"] == "kube-multus" || image.contains("multus-cni");
    if runs("multus-daemon") {
        Some(MultusProgram::Daemon)
    } else if runs("thin_entrypoint") {
        Some(MultusProgram::Thin)
    } else if is_named && runs("entrypoint.sh") {
        Some(MultusProgram::Script)
    } else {
        is_named.then_some(MultusProgram::Thin)
    }
}

/// Splits an argument into words; a shell script has several.
fn split_args(argument: &str) -> Vec<&str> {
    match argument.starts_with('-') {
        true => vec![argument],
        false => argument.split_whitespace().collect(),
    }
}

fn split(names: &str) -> Vec<String> {
    let names = names.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}
