//! `ovn-request-refused`: a request that OVN-Kubernetes rejects.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{network, pod},
};
use nadmit_cni::{annotations::NETWORKS, ovn::OvnNetwork};

pub(crate) const RULE: Rule = Rule {
    code: "ovn-request-refused",
    levels: Levels::FAILS,
    summary: "OVN-Kubernetes refuses what is asked of its network",
    explanation: "On a secondary network with subnets (and on every one of layer3) OVN-Kubernetes gives \
        the addresses itself and refuses \"ips\"; without subnets \"ips\" are taken as they are. A \
        primary network is its namespaces' own: a pod that names it in its annotation is refused. Both \
        leave the pod in ContainerCreating. ipam-claim-reference counts only where the network has \
        allowPersistentIPs and subnets, and is passed over elsewhere: warned of. Source: \
        OVN-Kubernetes, validateStaticIPRequest and getPodNADToNetworkMapping.",
    wrong: Example(&[
        WITH_SUBNETS,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[WITH_SUBNETS, pod!(r#"[{"name": "storage-net"}]"#)]),
    check: Check::Pod(check),
};

const WITH_SUBNETS: &str = network!(
    r#"{"cniVersion": "0.4.0", "name": "storage-net", "type": "ovn-k8s-cni-overlay", "topology": "layer2", "subnets": "192.0.2.0/24", "netAttachDefName": "db/storage-net"}"#
);

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let config = attachment.network().and_then(|n| n.config.loaded());
        let plugin = config.and_then(|config| config.main());
        // OVN-Kubernetes handles the default network's annotation differently: it selects a pod's primary
        // network.
        let additional = attachment.request.origin.key == NETWORKS;
        if let (Some(network), true) = (plugin.and_then(|plugin| plugin.ovn.as_deref()), additional)
        {
            check_attachment(attachment, network, report);
        }
    }
}

fn check_attachment(attachment: Attachment<'_, '_>, network: &OvnNetwork, report: &mut Report<'_>) {
    let selection = attachment.selection;
    let name = selection.network_name().unwrap_or_default();
    if network.primary {
        return report.add(
            attachment.field_ref("", selection.span),
            format!(
                "\"{name}\" is a primary network of OVN-Kubernetes, which refuses pods that name it"
            ),
            "remove it: the pods of its namespaces have it as eth0 without asking",
        );
    }
    let ips = selection.ips.as_ref().filter(|ips| !ips.value.is_empty());
    if let Some(ips) = ips.filter(|_| network.assigns_addresses()) {
        report.add(
            attachment.field_ref("ips", ips.span),
            format!(
                "OVN-Kubernetes gives the addresses of \"{name}\" itself, and refuses \"ips\" there"
            ),
            "remove \"ips\", or \"subnets\" in the network; an address that lasts is held by an IPAMClaim \
             (ipam-claim-reference, with allowPersistentIPs)",
        );
    }
    let honoured = network.persistent && network.has_subnets;
    if let Some(claim) = selection.ipam_claim.as_ref().filter(|_| !honoured) {
        report.add_capped(
            Levels::ADVICE,
            attachment.field_ref("ipam-claim-reference", claim.span),
            format!("OVN-Kubernetes passes over the claim: \"{name}\" keeps no addresses for pods"),
            "add \"allowPersistentIPs\": true and \"subnets\" to the network, or remove the claim",
        );
    }
}
