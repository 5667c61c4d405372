//! The ways round the allocator: `address-by-cni-args`, `address-of-pool`.

use std::sync::Arc;

use crate::{
    allocation::Pool,
    network::{json::find, mac::HardwareAddress},
    rules::{
        Attachment, Check, Example, Levels, PodSubject, Report, Rule,
        examples::{POOL_OF_TWO, SERVED_NET, STORAGE_NET, pod},
    },
};

/// `address-by-cni-args`
pub const BY_CNI_ARGS: Rule = Rule {
    code: "address-by-cni-args",
    levels: Levels::AUTHORITY,
    summary: "On a network with a pool, addresses are asked for in cni-args",
    explanation: "The static plugin takes addresses from \"cni-args\": {\"cni\": {\"ips\": [...]}}, \
        macvlan and tuning a MAC. These would be recorded nowhere: on a network that an AddressPool \
        serves, \"ips\" and \"mac\" of the selection are the way. Source: executed with static v1.9.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "cni-args": {"cni": {"ips": ["192.0.2.2/29"]}}}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    check: Check::Pod(by_cni_args),
};

/// `address-of-pool`
pub const OF_POOL: Rule = Rule {
    code: "address-of-pool",
    levels: Levels::MISLEADS,
    summary: "An address of a pool is asked for on a network that the pool does not serve",
    explanation: "The address lies in a range of an AddressPool, but the network is not served by \
        it: nothing records the address, and the pool will give it to another pod. Where both \
        networks are on one wire, the two pods collide. Ranges that mean different wires belong in \
        address spaces of their own (networkName); then this is only a warning's worth.",
    wrong: Example(&[
        POOL_OF_TWO,
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["198.51.100.5/24"]}]"#),
    ]),
    check: Check::Pod(of_pool),
};

fn by_cni_args(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let pool = attachment.network().and_then(|n| n.address_pool.as_deref());
        let (Some(pool), Some(args)) = (pool, attachment.selection.cni_args) else {
            continue;
        };
        let members = args.members().unwrap_or_default();
        let cni = find(&members, "cni").and_then(|m| m.value.members());
        let cni = cni.unwrap_or_default();
        for key in ["ips", "mac"] {
            let Some(member) = find(&cni, key).filter(|m| !m.value.is_empty()) else {
                continue;
            };
            report.add(
                attachment.place(&format!("cni-args.cni.{key}"), member.value.span()),
                format!("\"{key}\" in cni-args goes round address pool {pool:?}"),
                format!("write \"{key}\" beside \"name\", or leave it out to be given one"),
            );
        }
    }
}

fn of_pool(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let layout = subject.catalog.layout();
    if layout.pools.is_empty() {
        return;
    }
    let pools: Vec<&Arc<Pool>> = layout.pools.values().collect();
    for attachment in subject.attachments() {
        let unserved = attachment.network().filter(|n| n.address_pool.is_none());
        if report.is_full() || unserved.is_none() {
            continue;
        }
        named_ips(attachment, &pools, subject, report);
        named_mac(attachment, &pools, subject, report);
    }
}

fn named_ips(
    attachment: Attachment<'_, '_>,
    pools: &[&Arc<Pool>],
    subject: &PodSubject<'_>,
    report: &mut Report<'_>,
) {
    let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    for (index, ip) in ips.enumerate() {
        let Some(address) = ip.ok().map(|ip| ip.address) else {
            continue;
        };
        let pool = pools.iter().find(|pool| pool.range_of(address).is_some());
        let Some(pool) = pool else { continue };
        let place = attachment.place(&format!("ips[{index}]"), ip.span);
        let message = message(attachment, &address.to_string(), pool);
        let help = help(pool);
        if on_one_wire(attachment, pool, subject) {
            report.add(place, message, help);
        } else {
            report.add_lesser(Levels::ADVICE, place, message, help);
        }
    }
}

fn named_mac(
    attachment: Attachment<'_, '_>,
    pools: &[&Arc<Pool>],
    subject: &PodSubject<'_>,
    report: &mut Report<'_>,
) {
    let Some(written) = &attachment.selection.mac else {
        return;
    };
    let Some(HardwareAddress::Ethernet(mac)) = written.ok() else {
        return;
    };
    let holds = |pool: &&&Arc<Pool>| pool.macs.as_ref().is_some_and(|macs| macs.contains(*mac));
    if let Some(pool) = pools.iter().find(holds) {
        let place = attachment.place(attachment.member("mac"), written.span);
        let message = message(attachment, &mac.to_string(), pool);
        if on_one_wire(attachment, pool, subject) {
            report.add(place, message, help(pool));
        } else {
            report.add_lesser(Levels::ADVICE, place, message, help(pool));
        }
    }
}

fn message(attachment: Attachment<'_, '_>, address: &str, pool: &Pool) -> String {
    format!(
        "{address} is one of address pool {:?}, which does not serve network \"{}\"",
        pool.name,
        attachment.selection.network_name().unwrap_or_default()
    )
}

fn help(pool: &Pool) -> String {
    format!(
        "ask for an address outside of the pool, or let the pool serve the network: annotate the \
         NetworkAttachmentDefinition with nadmit.io/address-pool: {}",
        pool.name
    )
}

/// Whether nothing shows that the network is on another wire than those that the pool serves.
fn on_one_wire(attachment: Attachment<'_, '_>, pool: &Pool, subject: &PodSubject<'_>) -> bool {
    let wire = |network: &crate::network::Network| {
        let main = network.config.loaded().and_then(|config| config.main());
        main.map(|main| main.wire.clone())
    };
    let own = attachment.network().and_then(wire);
    let mut served = subject
        .catalog
        .served_by(&pool.name)
        .map(|network| wire(network))
        .peekable();
    served.peek().is_none() || served.any(|other| other == own)
}
