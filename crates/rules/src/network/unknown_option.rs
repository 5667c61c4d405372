//! `unknown-plugin-option`: an option that the plugin does not have.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::{
    json::{JsonMember, folds_to},
    link::family,
};

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-plugin-option",
    levels: Levels::ADVICE,
    summary: "A plugin does not have the option and ignores it",
    docs: RuleDocs {
        checks: "A plugin has an option that it does not know. Options whose names have a dot, or begin \
            with \"_\" or \"//\", are comments and are not reported. Plugins that nadmit does not \
            know are not checked.",
        consequence: "Plugins decode only the options that they know. A misspelt option, or one of another \
            plugin, has no effect, and no error reports it. macvlan and ipvlan have no option \
            \"vlan\": their interfaces are on the L2 segment of their master, without a tag. Two \
            such networks on one master are on one L2 segment.",
        fix: "Correct the name of the option, or remove it. For a VLAN of macvlan or ipvlan, create a \
            VLAN interface on the node and write it as master.",
        source: "The plugins v1.9, OVN-Kubernetes 1.4 and the other projects' newest versions, as they \
            decode their configuration.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1", "vlan": 100, "ipam": {"type": "dhcp"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

/// The options of every plugin, written by users, libcni or Multus.
const COMMON: &[&str] = &[
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "args",
    "capabilities",
    "ipam",
    "dns",
    "prevResult",
    "runtimeConfig",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "plugins",
    "deviceID",
    "pciBusID",
];

/// The options of each plugin in addition to [`COMMON`].
const OPTIONS: &[(&str, &[&str])] = &[
    (
        "bridge",
        &[
            "bridge",
            "isGateway",
            "isDefaultGateway",
            "forceAddress",
            "ipMasq",
            "ipMasqBackend",
            "mtu",
            "hairpinMode",
            "promiscMode",
            "vlan",
            "vlanTrunk",
            "preserveDefaultVlan",
            "macspoofchk",
            "enabledad",
            "disableContainerInterface",
            "portIsolation",
        ],
    ),
    (
        "macvlan",
        &[
            "master",
            "mode",
            "mtu",
            "mac",
            "linkInContainer",
            "bcqueuelen",
        ],
    ),
    ("ipvlan", &["master", "mode", "mtu", "linkInContainer"]),
    ("vlan", &["master", "vlanId", "mtu", "linkInContainer"]),
    (
        "host-device",
        &["device", "hwaddr", "kernelpath", "DPDKMode"],
    ),
    ("ptp", &["ipMasq", "ipMasqBackend", "mtu"]),
    ("dummy", &[]),
    (
        "tap",
        &[
            "multiQueue",
            "mtu",
            "mac",
            "owner",
            "group",
            "selinuxContext",
            "bridge",
        ],
    ),
    ("ipoib", &["master", "mtu"]),
    (
        "tuning",
        &[
            "dataDir", "sysctl", "mac", "promisc", "mtu", "txQLen", "allmulti",
        ],
    ),
    (
        "bandwidth",
        &[
            "ingressRate",
            "ingressBurst",
            "egressRate",
            "egressBurst",
            "unshapedSubnets",
            "shapedSubnets",
        ],
    ),
    (
        "portmap",
        &[
            "backend",
            "snat",
            "conditionsV4",
            "conditionsV6",
            "masqAll",
            "markMasqBit",
            "externalSetMarkChain",
        ],
    ),
    ("sbr", &["table", "gateways", "addSourceHints"]),
    ("vrf", &["vrfname", "table"]),
    (
        "firewall",
        &[
            "backend",
            "iptablesAdminChainName",
            "firewalldZone",
            "ingressPolicy",
        ],
    ),
    (
        "route-override",
        &[
            "flushroutes",
            "flushgateway",
            "delroutes",
            "addroutes",
            "skipcheck",
        ],
    ),
    (
        "sriov",
        &[
            "master",
            "mtu",
            "mac",
            "vlan",
            "vlanQoS",
            "vlanProto",
            "min_tx_rate",
            "max_tx_rate",
            "spoofchk",
            "trust",
            "link_state",
            "logLevel",
            "logFile",
        ],
    ),
    (
        "ib-sriov",
        &[
            "master",
            "pkey",
            "link_state",
            "rdmaIsolation",
            "ibKubernetesEnabled",
            "vfioPciMode",
        ],
    ),
    ("rdma", &[]),
    (
        "accelerated-bridge",
        &[
            "debug",
            "bridge",
            "vlan",
            "trunk",
            "setUplinkVlan",
            "mac",
            "mtu",
        ],
    ),
    (
        "ovs",
        &[
            "bridge",
            "vlan",
            "mtu",
            "trunk",
            "ofport_request",
            "interface_type",
            "configuration_path",
            "socket_file",
            "link_state_check_retries",
            "link_state_check_interval",
        ],
    ),
    (
        "bond",
        &[
            "mode",
            "linksInContainer",
            "failOverMac",
            "miimon",
            "links",
            "mtu",
            "allSlavesActive",
            "tlbDynamicLb",
            "xmitHashPolicy",
        ],
    ),
    (
        nadmit_cni::ovn::PLUGIN,
        &[
            "role",
            "topology",
            "netAttachDefName",
            "mtu",
            "subnets",
            "excludeSubnets",
            "reservedSubnets",
            "infrastructureSubnets",
            "joinSubnet",
            "transitSubnet",
            "defaultGatewayIPs",
            "vlanID",
            "allowPersistentIPs",
            "physicalNetworkName",
            "transport",
            "outboundSNAT",
            "evpn",
            "uplink",
            "logFile",
            "logLevel",
            "logfile-maxsize",
            "logfile-maxbackups",
            "logfile-maxage",
        ],
    ),
];

/// Options of IPAM plugins, which users misplace outside of `ipam`.
const IPAM_OPTIONS: &[&str] = &[
    "addresses",
    "exclude",
    "gateway",
    "network_name",
    "range",
    "range_end",
    "range_start",
    "rangeEnd",
    "rangeStart",
    "ranges",
    "routes",
    "subnet",
];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for (kind, plugin) in Fields::plugins(subject) {
        let known = OPTIONS.iter().find(|(known, _)| *known == family(kind));
        let Some((_, options)) = known else { continue };
        for member in plugin.members() {
            if report.is_full() {
                return;
            }
            let name = &*member.name.value;
            let knows = |list: &[&str]| list.iter().any(|known| folds_to(name, known));
            if is_comment(name) || knows(COMMON) || knows(options) {
                continue;
            }
            report.add(
                plugin.name_ref(member),
                format!("{kind} has no option {} and ignores it", quoted(name)),
                help(kind, member, options),
            );
        }
    }
}

/// Returns true for names that mark comments, such as `_note`, `//` or `example.com/note`.
fn is_comment(name: &str) -> bool {
    name.contains('.') || name.starts_with(['_', '/', '#', '$']) || name == "comment"
}

fn help(kind: &str, member: &JsonMember<'_>, options: &[&'static str]) -> String {
    let name = &*member.name.value;
    let has_no_vlan = ["macvlan", "ipvlan"].contains(&kind);
    if has_no_vlan && (folds_to(name, "vlan") || folds_to(name, "vlanId")) {
        let vlan = member.value.integer().unwrap_or(100);
        return format!(
            "create a VLAN interface on the node and write it as master, such as \"eth0.{vlan}\": \
             {kind} sends frames without a tag"
        );
    }
    if IPAM_OPTIONS.contains(&name) {
        return format!("move it into \"ipam\", or remove {}", quoted(name));
    }
    let similar = (name.len() <= MAX_NAME_LENGTH)
        .then(|| nadmit_catalog::most_similar(name, options.iter().copied()))
        .flatten();
    match similar {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => format!(
            "remove {}, or use a plugin that has this option",
            quoted(name)
        ),
    }
}

/// The maximum length of a name for which a similar one is searched.
const MAX_NAME_LENGTH: usize = 40;
