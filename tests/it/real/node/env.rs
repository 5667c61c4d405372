//! A container's environment.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;

/// The image's own variables, as the Dockerfile has them.
const IMAGE_VARIABLES: [(&str, &str); 4] = [
    ("NADMIT_LISTEN", "0.0.0.0:8443"),
    ("NADMIT_ADMIN_LISTEN", "0.0.0.0:8081"),
    ("NADMIT_LOG_FORMAT", "json"),
    ("NADMIT_DATA_DIR", "/var/lib/nadmit"),
];

/// Returns the variables of a container. The API server is named by its own address, because its
/// Service's address is not served here.
///
/// # Errors If a source is not supported here.
pub(super) fn variables(
    pod: &Pod,
    container: &Container,
    addresses: &[String],
    api_server: (IpAddr, u16),
) -> Result<BTreeMap<String, String>, String> {
    let (host, port) = api_server;
    let own = [
        ("HOSTNAME", pod.name_any()),
        ("KUBERNETES_SERVICE_HOST", host.to_string()),
        ("KUBERNETES_SERVICE_PORT", port.to_string()),
    ];
    let of_image = IMAGE_VARIABLES.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut all: BTreeMap<String, String> = of_image.into();
    all.extend(own.map(|(name, text)| (name.to_owned(), text)));
    if container.env_from.is_some() {
        return Err("envFrom is not known here".to_owned());
    }
    for variable in container.env.iter().flatten() {
        let text = match &variable.value_from {
            None => variable.value.clone().unwrap_or_default(),
            Some(source) => {
                let path = source.field_ref.as_ref().map(|found| &*found.field_path);
                match path {
                    Some("status.podIP") => addresses.first().cloned().unwrap_or_default(),
                    Some(path) => field(pod, path)?,
                    None => return Err(format!("{}: its source is not known here", variable.name)),
                }
            }
        };
        all.insert(variable.name.clone(), text);
    }
    Ok(all)
}

/// Returns a field of a pod by its downward API name.
pub(super) fn field(pod: &Pod, path: &str) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let found = match path {
        "metadata.name" => Some(pod.name_any()),
        "metadata.namespace" => pod.namespace(),
        "metadata.uid" => pod.uid(),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        _ => return Err(format!("the field {path} is not known here")),
    };
    Ok(found.unwrap_or_default())
}
