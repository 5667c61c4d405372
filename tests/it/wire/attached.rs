//! The model's attachments, for tests that run the real plugins for a pod.

use serde_json::{Value, json};

use super::{
    go_json::AttachFailure,
    multus::{self, MultusAttachment, Nad, PodAnnotations},
    plugins::with_runtime_config,
};

/// A NetworkAttachmentDefinition: namespace, name and configuration.
pub(crate) type NadDefinition = (String, String, String);

/// One attachment, as libcni passes it to the plugins.
#[derive(Debug, Clone)]
pub(crate) struct PluginAttachment {
    /// `namespace/name`
    pub(crate) network: String,
    pub(crate) interface: String,
    /// Set if it replaces the cluster's network.
    pub(crate) is_default: bool,
    /// The plugins' configurations, with `runtimeConfig`.
    pub(crate) plugins: Vec<Value>,
    /// An addition to `CNI_ARGS`.
    pub(crate) args: String,
}

/// Returns what Multus would attach, in its order.
///
/// # Errors If Multus would fail before attaching; the reason is the model's.
pub(crate) fn attached(
    namespace: &str,
    networks: Option<&str>,
    default_network: Option<&str>,
    definitions: Vec<NadDefinition>,
) -> Result<Vec<PluginAttachment>, String> {
    let pod = PodAnnotations {
        namespace,
        networks,
        default_network,
    };
    // The model borrows names for its own lifetime; a test leaks only a few.
    let nads: Vec<Nad> = definitions
        .into_iter()
        .map(|(namespace, name, config)| Nad {
            namespace: namespace.leak(),
            name: name.leak(),
            config,
        })
        .collect();
    let attachments = multus::attachments(pod, &nads).map_err(message_of)?;
    let mut interfaces = multus::interfaces_before(pod);
    attachments
        .iter()
        .map(|attachment| {
            if !interfaces.insert(attachment.interface.clone()) {
                return Err(message_of(AttachFailure::Multus("the interface is there")));
            }
            of(attachment)
        })
        .collect()
}

fn of(attachment: &MultusAttachment) -> Result<PluginAttachment, String> {
    let plugins = attachment.plugins.iter().map(|plugin| {
        let mut config: Value =
            serde_json::from_str(&with_runtime_config(plugin, attachment).to_string())
                .map_err(|error| error.to_string())?;
        config["name"] = json!(attachment.name);
        config["cniVersion"] = json!(attachment.cni_version);
        Ok(config)
    });
    let mut args = String::new();
    if !attachment.mac.is_empty() {
        args += &format!(";MAC={}", attachment.mac);
    }
    if let Some(ips) = &attachment.ips {
        args += &format!(";IP={}", ips.join(","));
    }
    Ok(PluginAttachment {
        network: format!("{}/{}", attachment.namespace, attachment.name),
        interface: attachment.interface.clone(),
        is_default: attachment.is_default,
        plugins: plugins.collect::<Result<_, String>>()?,
        args,
    })
}

fn message_of(failure: AttachFailure) -> String {
    match failure {
        AttachFailure::Decode(what)
        | AttachFailure::Panic(what)
        | AttachFailure::Multus(what)
        | AttachFailure::Plugin(what) => {
            format!("the model of Multus: {what}")
        }
    }
}
