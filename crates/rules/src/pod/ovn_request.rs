//! `ovn-request-refused`: a request that OVN-Kubernetes rejects.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{network, pod},
};
use nadmit_cni::{annotations::NETWORKS, ovn::OvnNetwork};

pub(crate) const RULE: Rule = Rule {
    code: "ovn-request-refused",
    levels: Levels::FAILS,
    summary: "OVN-Kubernetes refuses what the pod requests of its network",
    docs: RuleDocs {
        checks: "\"ips\" is set on a secondary network with subnets, or on any secondary network \
            of layer3. OVN-Kubernetes assigns the addresses of these networks itself. Without \
            subnets it uses \"ips\" unchanged. A primary network in the annotation for \
            additional networks is reported, too. An ipam-claim-reference on a network without \
            allowPersistentIPs or without subnets is only warned of.",
        consequence: "OVN-Kubernetes refuses the pod, which stays in ContainerCreating. A \
            primary network belongs to its namespaces, and no pod may name it. OVN-Kubernetes \
            ignores ipam-claim-reference where the network has no allowPersistentIPs or no \
            subnets.",
        fix: "Remove \"ips\", the entry of the primary network, or the claim. For an address \
            that lasts, use an IPAMClaim (ipam-claim-reference) on a network whose author sets \
            \"allowPersistentIPs\": true and \"subnets\". To allow \"ips\", the network's author \
            removes \"subnets\".",
        source: "OVN-Kubernetes, validateStaticIPRequest and getPodNADToNetworkMapping.",
    },
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
            format!("OVN-Kubernetes refuses pods that name its primary network \"{name}\""),
            "remove it: pods of its namespaces have it as eth0 without a request",
        );
    }
    let ips = selection.ips.as_ref().filter(|ips| !ips.value.is_empty());
    if let Some(ips) = ips.filter(|_| network.assigns_addresses()) {
        report.add(
            attachment.field_ref("ips", ips.span),
            format!(
                "OVN-Kubernetes assigns the addresses of network \"{name}\" and refuses \"ips\""
            ),
            "remove \"ips\"; for an address that lasts, use ipam-claim-reference on a network with \
             allowPersistentIPs",
        );
    }
    let honoured = network.persistent && network.has_subnets;
    if let Some(claim) = selection.ipam_claim.as_ref().filter(|_| !honoured) {
        report.add_capped(
            Levels::ADVICE,
            attachment.field_ref("ipam-claim-reference", claim.span),
            format!("OVN-Kubernetes ignores the claim: network \"{name}\" keeps no addresses for pods"),
            "remove the claim; to use it, the network's author adds \"allowPersistentIPs\": true and \
             \"subnets\"",
        );
    }
}
