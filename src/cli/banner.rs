//! The banner that is printed when the server has started: its addresses, and a command to try.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::json;

use super::output::{self, BOLD};
use crate::{catalog::Catalog, network::annotations};

/// Addresses and files of a running server.
pub(super) struct ServerInfo {
    /// Address of the webhooks.
    pub(super) webhooks: SocketAddr,
    /// Address of health and metrics.
    pub(super) admin: Option<SocketAddr>,
    /// Source of the catalog: a folder, or a cluster's URL.
    pub(super) origin: String,
    /// CA that verifies the server, if nadmit created its certificate.
    pub(super) ca: Option<PathBuf>,
}

/// Prints addresses, catalog size, and a command that works as printed.
pub(super) fn print(place: &ServerInfo, catalog: Option<&Catalog>) {
    let (networks, namespaces) = catalog.map_or((0, 0), |catalog| {
        (catalog.network_count(), catalog.namespace_count())
    });
    output::print_line(format_args!(
        "{BOLD}nadmit {}{BOLD:#}",
        env!("CARGO_PKG_VERSION")
    ));
    match catalog {
        Some(_) => output::print_line(format_args!(
            "networks   {networks} in {namespaces} namespaces, from {}",
            place.origin
        )),
        None => output::print_line(format_args!("cluster    {}", place.origin)),
    }
    output::print_line(format_args!(
        "webhooks   https://{}/validate and /mutate",
        place.webhooks
    ));
    if let Some(admin) = place.admin {
        output::print_line(format_args!(
            "admin      http://{admin}/livez, /readyz and /metrics"
        ));
    }
    output::print_line(format_args!(
        "\nSend it the review of a pod:\n\n{}\n",
        curl(place)
    ));
}

/// Returns a curl command that sends a review of a pod with an unknown network.
fn curl(place: &ServerInfo) -> String {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "db",
            "name": "db-0",
            "object": {"metadata": {"annotations": {annotations::NETWORKS: "macvlan-cnf"}}},
        },
    });
    let trust = match &place.ca {
        Some(ca) => {
            let ca = ca.display().to_string();
            format!("--cacert {}", shlex::try_quote(&ca).unwrap_or_default())
        }
        // The CA of a certificate from elsewhere is unknown.
        None => "--insecure".to_owned(),
    };
    format!(
        "curl {trust} https://{}/validate -H 'Content-Type: application/json' -d '{review}'",
        place.webhooks
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_special_characters_are_quoted() {
        for (ca, is_plain) in [("certs/ca.crt", true), ("it's here; rm", false)] {
            let line = curl(&ServerInfo {
                webhooks: SocketAddr::from(([127, 0, 0, 1], 8443)),
                admin: None,
                origin: String::new(),
                ca: Some(ca.into()),
            });
            let words = shlex::split(&line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(words.get(1..3), Some(&["--cacert".into(), ca.into()][..]));
            assert_eq!(line.contains(&format!(" {ca} ")), is_plain, "{line}");
        }
    }
}
