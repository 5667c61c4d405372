//! `mac-unsupported`: a requested MAC for an ipvlan interface, which shares that of its master.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{IPVLAN_NET, STORAGE_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "mac-unsupported",
    levels: Levels::MISLEADS,
    summary: "A MAC is requested on ipvlan, whose interfaces have the MAC of their master",
    docs: RuleDocs {
        checks: "\"mac\" is set on an attachment to an ipvlan network.",
        consequence: "All ipvlan interfaces share the MAC of their master; this is the purpose \
            of ipvlan. The request is lost, or a chained tuning plugin fails on it.",
        fix: "Remove \"mac\", or use a macvlan network.",
        source: "Linux, ipvlan; executed with ipvlan v1.9.",
    },
    wrong: Example(&[
        IPVLAN_NET,
        pod!(r#"[{"name": "ipvlan-net", "mac": "02:5e:00:00:00:01"}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "mac": "02:5e:00:00:00:01"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(mac) = &attachment.selection.mac else {
            continue;
        };
        let config = attachment
            .network()
            .and_then(|network| network.config.loaded());
        if config
            .and_then(|c| c.main())
            .is_none_or(|plugin| &*plugin.kind != "ipvlan")
        {
            continue;
        }
        report.add(
            attachment.field_ref("mac", mac.span),
            "an ipvlan interface has the MAC of its master and cannot have another",
            "remove \"mac\", or use a macvlan network",
        );
    }
}
