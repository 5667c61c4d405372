//! A CNI network configuration: the content of a NAD's `spec.config`.
//!
//! It is read as Multus v4 and libcni v1.3 read it: a single configuration has `type`, a list has
//! `plugins`; with both, `type` wins. A configuration that they reject is a [`NetworkConfigError`]
//! with its span.

mod capabilities;
mod error;
mod plugin;

use self::plugin::{plugin, string};
pub use self::{
    capabilities::{Capabilities, Capability},
    error::{NetworkConfigError, NetworkConfigFault},
    plugin::{BridgeGateway, Plugin},
};
use super::{
    ipam::Ipam,
    json::{JsonMember, JsonNode, find},
};

/// A configuration that Multus and libcni accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The network's name; if absent, Multus uses the NAD's name.
    pub name: Option<Box<str>>,
    /// The version of the CNI specification, as written.
    pub cni_version: Option<Box<str>>,
    /// The plugins in the order in which they run; never empty.
    pub plugins: Box<[Plugin]>,
}

impl NetworkConfig {
    /// Parses `text` as Multus and libcni do.
    ///
    /// # Errors
    /// Returns the first mistake for which they reject the configuration for every pod.
    pub fn parse(text: &str) -> Result<Self, NetworkConfigError> {
        let document = JsonNode::document(text).map_err(NetworkConfigError::syntax)?;
        let members = document
            .members()
            .ok_or_else(|| NetworkConfigError::kind("the configuration", "an object", document))?;
        let name = string(&members, "name")?;
        if let Some((name, node)) = &name
            && !name.is_empty()
            && !is_cni_name(name)
        {
            return Err(NetworkConfigError::at(
                *node,
                NetworkConfigFault::Name(name.clone()),
            ));
        }
        let cni_version = string(&members, "cniVersion")?;
        let single = string(&members, "type")?.filter(|(kind, _)| !kind.is_empty());
        let plugins = match single {
            Some(_) => Box::from([plugin(&members, 0, document)?]),
            None => plugin_list(&members, document)?,
        };
        let value = |pair: Option<(Box<str>, JsonNode<'_>)>| {
            pair.map(|(text, _)| text).filter(|text| !text.is_empty())
        };
        Ok(Self {
            name: value(name),
            cni_version: value(cni_version),
            plugins,
        })
    }

    /// Returns true if a plugin that reads `capability` declares it.
    pub fn has(&self, capability: Capability) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.capabilities.has(capability) && plugin.reads(capability))
    }

    /// Returns the first plugin, which creates the interface.
    pub fn main(&self) -> Option<&Plugin> {
        self.plugins.first()
    }

    /// Returns the IPAM that assigns the interface's addresses: that of the first plugin with one.
    pub fn ipam(&self) -> Option<&Ipam> {
        self.addressing()?.ipam.as_ref()
    }

    /// Returns the plugin whose IPAM assigns the interface's addresses: the first with one.
    pub fn addressing(&self) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.ipam.is_some())
    }
}

/// Returns true if libcni accepts `text` as a network's name.
pub fn is_cni_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn plugin_list(
    members: &[JsonMember<'_>],
    document: JsonNode<'_>,
) -> Result<Box<[Plugin]>, NetworkConfigError> {
    let Some(list) = find(members, "plugins") else {
        return Err(NetworkConfigError::at(
            document,
            NetworkConfigFault::NoPlugin,
        ));
    };
    let elements = list
        .value
        .elements()
        .ok_or_else(|| NetworkConfigError::kind("\"plugins\"", "a list of objects", list.value))?;
    if elements.is_empty() {
        return Err(NetworkConfigError::at(
            list.value,
            NetworkConfigFault::EmptyPlugins,
        ));
    }
    let read = |(index, element): (usize, &JsonNode<'_>)| {
        let members = element.members().ok_or_else(|| {
            NetworkConfigError::kind(format!("\"plugins[{index}]\""), "an object", *element)
        })?;
        plugin(&members, index, *element)
    };
    elements.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> NetworkConfigFault {
        NetworkConfig::parse(text).map(|_| ()).unwrap_err().fault
    }

    #[test]
    fn a_list_has_its_plugins_capabilities_and_ipam() {
        let config = NetworkConfig::parse(
            r#"{"cniVersion":"0.3.1","name":"storage","plugins":[
                {"type":"macvlan","capabilities":{"ips":true,"mac":false},"ipam":{"type":"static"}},
                {"type":"tuning","capabilities":{"mac":true}}]}"#,
        )
        .unwrap_or_else(|e| panic!("{e}"));
        assert!(config.has(Capability::Ips) && config.has(Capability::Mac));
        assert!(!config.plugins[0].capabilities.has(Capability::Mac));
        assert_eq!(config.ipam().map(Ipam::name), Some("static"));
        assert_eq!(config.main().map(|plugin| &*plugin.kind), Some("macvlan"));
    }

    #[test]
    fn args_have_to_be_objects_where_multus_adds_to_them() {
        let invalid = |args: &str| {
            let text = format!(r#"{{"type":"x",{args}}}"#);
            let config = NetworkConfig::parse(&text).unwrap_or_else(|e| panic!("{e}"));
            config.plugins[0].non_object_args
        };
        assert_eq!(invalid(r#""args":null"#), Some("args"));
        assert_eq!(invalid(r#""args":{"cni":[]}"#), Some("args.cni"));
        assert_eq!(invalid(r#""args":{"cni":null}"#), Some("args.cni"));
        assert_eq!(invalid(r#""args":{"CNI":null}"#), None);
        assert_eq!(invalid(r#""args":{"cni":{}}"#), None);
        assert_eq!(invalid(r#""Args":[]"#), None);
    }

    #[test]
    fn with_type_and_plugins_the_type_wins() {
        let config = NetworkConfig::parse(r#"{"type":"x","plugins":[{"type":"y"}]}"#);
        assert_eq!(config.map(|c| c.plugins[0].kind.clone()), Ok("x".into()));
    }

    #[test]
    fn capabilities_count_only_on_the_plugin_itself() {
        let config = NetworkConfig::parse(
            r#"{"capabilities":{"ips":true},"plugins":[{"type":"macvlan","ipam":{"type":"static","capabilities":["ips"]}}]}"#,
        );
        assert_eq!(config.map(|c| c.has(Capability::Ips)), Ok(false));
    }

    #[test]
    fn capabilities_count_on_plugins_that_read_them() {
        let has = |plugins: &str, capability| {
            let config = NetworkConfig::parse(&format!(r#"{{"plugins":[{plugins}]}}"#));
            config.map(|config| config.has(capability))
        };
        let ips = |plugins| has(plugins, Capability::Ips);
        assert_eq!(
            ips(r#"{"type":"macvlan","ipam":{"type":"static"}},
                {"type":"tuning","capabilities":{"ips":true}}"#),
            Ok(false)
        );
        assert_eq!(
            ips(r#"{"type":"macvlan","capabilities":{"ips":true},"ipam":{"type":"static"}}"#),
            Ok(true)
        );
        assert_eq!(
            ips(r#"{"type":"kube-ovn","capabilities":{"ips":true}}"#),
            Ok(true)
        );
        let mac = |plugins| has(plugins, Capability::Mac);
        assert_eq!(
            mac(r#"{"type":"portmap","capabilities":{"mac":true}}"#),
            Ok(false)
        );
        assert_eq!(
            mac(r#"{"type":"bridge","capabilities":{"mac":true}}"#),
            Ok(true)
        );
        assert_eq!(
            has(
                r#"{"type":"bridge","capabilities":{"portMappings":true}}"#,
                Capability::PortMappings
            ),
            Ok(false)
        );
    }

    #[test]
    fn configurations_that_multus_rejects_are_errors() {
        assert!(matches!(
            fault(r#"{"type":"#),
            NetworkConfigFault::Syntax(_)
        ));
        assert!(matches!(
            fault(r#"[{"type":"x"}]"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert_eq!(fault(r#"{"name":"n"}"#), NetworkConfigFault::NoPlugin);
        assert_eq!(fault(r#"{"plugins":[]}"#), NetworkConfigFault::EmptyPlugins);
        assert!(matches!(
            fault(r#"{"plugins":[null]}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"plugins":"x"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert_eq!(
            fault(r#"{"plugins":[{"type":"x"},{"a":1}]}"#),
            NetworkConfigFault::NoType(1)
        );
        assert_eq!(
            fault(r#"{"name":"a/b","type":"x"}"#),
            NetworkConfigFault::Name("a/b".into())
        );
        assert!(matches!(
            fault(r#"{"cniVersion":1.0,"type":"x"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","ipam":"dhcp"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","capabilities":["ips"]}"#),
            NetworkConfigFault::Kind { .. }
        ));
    }

    #[test]
    fn an_error_has_its_span() {
        let text = r#"{"type":"x","ipam":"dhcp"}"#;
        let span = NetworkConfig::parse(text).map(|_| ()).unwrap_err().span;
        assert_eq!(&text[span.start as usize..span.end as usize], r#""dhcp""#);
    }
}
