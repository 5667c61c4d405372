//! `pool-needs-capability`: no plugin of the network has the capability to take the pool's addresses.

use super::{ServingPool, ipams};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{POOL, POOLED_NET, pooled},
    network::fields::Fields,
};
use nadmit_cni::cni::Capability;

pub(crate) const RULE: Rule = Rule {
    code: "pool-needs-capability",
    levels: Levels::FAILS,
    summary: "A network with an address pool lacks the capability ips, or mac",
    explanation: "Addresses reach static IPAM by the plugin's capability \"ips\"; without it they \
        come by a fallback of Multus alone, appended to what is configured, against the spec. \
        Where the pool has MACs, too, a plugin of the list (macvlan, or tuning behind another) \
        wants the capability \"mac\": without it they may not be set, which is only warned of. \
        Source: the spec, section 4.1.2.1; executed with the plugins v1.9.",
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
                "no plugin that reads it has the capability \"{capability}\", by which it would get \
                 what the pool {:?} gives",
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
        report.add(first.own_ref(), message, format!("{help} to this plugin"));
    }
    if let Some((message, help)) = lacks(Capability::Mac)
        && served.pool.is_some_and(|pool| pool.macs.is_some())
    {
        let help = format!("{help} to the plugin that sets MACs: macvlan, or tuning behind it");
        report.add_capped(Levels::ADVICE, first.own_ref(), message, help);
    }
}
