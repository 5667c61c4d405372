//! `pool-needs-capability`: no plugin of the network has the capability to take the pool's addresses.

use super::{ServingPool, ipams};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pooled},
    network::fields::Fields,
};
use nadmit_cni::cni::Capability;

pub(crate) const RULE: Rule = Rule {
    code: "pool-needs-capability",
    levels: Levels::FAILS,
    summary: "No plugin of a network with an address pool has the capability ips, or mac",
    docs: RuleDocs {
        checks: "Networks with an address pool and IPAM static in which no plugin has the \
            capability \"ips\". A pool that assigns only MACs does not need it. If the pool has \
            MACs, a plugin of the list (macvlan, or tuning after another) needs the capability \
            \"mac\". A missing \"mac\" is only a warning. So is a missing \"ips\" on a \
            network with an inline pool.",
        consequence: "IPAM static gets the addresses through the plugin's capability \"ips\". \
            Without it, only a fallback of Multus passes them on. The fallback appends them to \
            the configured addresses, against the specification. Without \"mac\", the MACs may \
            not be set.",
        fix: "Add \"capabilities\": {\"ips\": true} to the plugin with the IPAM. If the pool has \
            MACs, add \"mac\" to the plugin that sets MACs: macvlan, or tuning after it.",
        source: "The multi-network specification, section 4.1.2.1; run with the CNI plugins \
            v1.9.",
    },
    wrong: Example(&[
        POOL,
        pooled!(r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static"}}"#),
    ]),
    right: Example(&[POOL, POOLED_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(served) = ServingPool::of(subject) else {
        return;
    };
    let Some(config) = subject.parsed() else {
        return;
    };
    let plugins = Fields::plugins(subject);
    let with_ipam = config
        .plugins
        .iter()
        .position(|plugin| plugin.ipam.is_some());
    let Some((_, first)) = plugins.get(with_ipam.unwrap_or_default()) else {
        return;
    };
    let lacks = |capability| {
        (!config.has(capability)).then(|| {
            let message = format!(
                "no plugin that reads the capability \"{capability}\" declares it, but the pool \
                 {:?} needs it",
                served.name
            );
            let help = format!("add \"capabilities\": {{\"{capability}\": true}}");
            (message, help)
        })
    };
    let is_static = ipams(subject).iter().any(|(kind, _)| kind == "static");
    if let Some((message, help)) = lacks(Capability::Ips)
        && is_static
        && served.gives_addresses()
    {
        let help = format!("{help} to this plugin");
        // Without the capability static takes the addresses from CNI_ARGS.
        match served.is_inline() {
            true => report.add_capped(Levels::ADVICE, first.own_ref(), message, help),
            false => report.add(first.own_ref(), message, help),
        }
    }
    if let Some((message, help)) = lacks(Capability::Mac)
        && served.pool.as_ref().is_some_and(|pool| pool.macs.is_some())
    {
        let help = format!("{help} to the plugin that sets MACs: macvlan, or tuning after it");
        report.add_capped(Levels::ADVICE, first.own_ref(), message, help);
    }
}
