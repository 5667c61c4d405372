//! `invalid-bandwidth`: a limit that the plugin rejects or that is not positive.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{BANDWIDTH_NET, pod},
};
use nadmit_cni::{Network, Spanned, cni::Capability};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-bandwidth",
    levels: Levels::FAILS,
    summary: "A bandwidth limit is not above zero, or a rate or burst is missing",
    docs: RuleDocs {
        checks: "A rate (bit/s) or a burst (bits) is not a whole number above zero, or a burst \
            has no rate. On a network with the bandwidth plugin, a rate also needs a burst. \
            Where no plugin of the network has the capability \"bandwidth\", the plugin never \
            reads the value, and the profile multus only warns.",
        consequence: "Multus passes on any value. The bandwidth plugin then fails, and the pod \
            stays in ContainerCreating.",
        fix: "Write a rate and a burst above zero, such as \"ingressRate\": 2048 and \
            \"ingressBurst\": 300. Remove limits that you do not need.",
        source: "The spec, section 4.1.2.1.8; bandwidth, validateRateAndBurst.",
    },
    wrong: Example(&[
        BANDWIDTH_NET,
        pod!(r#"[{"name": "bandwidth-net", "bandwidth": {"ingressBurst": 300}}]"#),
    ]),
    right: Example(&[
        BANDWIDTH_NET,
        pod!(
            r#"[{"name": "bandwidth-net", "bandwidth": {"ingressRate": 2048, "ingressBurst": 300}}]"#
        ),
    ]),
    check: Check::Pod(check),
};

type Limit = Option<Spanned<i64>>;

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let Some(bandwidth) = &attachment.selection.bandwidth else {
            continue;
        };
        let limits = &bandwidth.value;
        let directions = [
            ("ingress", &limits.ingress_rate, &limits.ingress_burst),
            ("egress", &limits.egress_rate, &limits.egress_burst),
        ];
        for (direction, rate, burst) in directions {
            check_positive(attachment, &format!("{direction}Rate"), rate, report);
            check_positive(attachment, &format!("{direction}Burst"), burst, report);
            check_pair(attachment, direction, rate, burst, report);
        }
    }
}

fn check_positive(
    attachment: Attachment<'_, '_>,
    key: &str,
    limit: &Limit,
    report: &mut Report<'_>,
) {
    let Some(limit) = limit.as_ref().filter(|limit| limit.value <= 0) else {
        return;
    };
    report.add_capped(
        attachment.rejection_class(Capability::Bandwidth),
        attachment.field_ref(&format!("bandwidth.{key}"), limit.span),
        format!("expected {key} above zero, got {}", limit.value),
        "write a number above zero, or remove the limit",
    );
}

fn check_pair(
    attachment: Attachment<'_, '_>,
    direction: &str,
    rate: &Limit,
    burst: &Limit,
    report: &mut Report<'_>,
) {
    let (given, there, lacking) = match (rate, burst) {
        (None, Some(burst)) => (burst, "Burst", "Rate"),
        // Only the plugin bandwidth requires the burst; the specification does not.
        (Some(rate), None) if attachment.network().is_some_and(limits_by_bandwidth) => {
            (rate, "Rate", "Burst")
        }
        _ => return,
    };
    report.add_capped(
        attachment.rejection_class(Capability::Bandwidth),
        attachment.field_ref(&format!("bandwidth.{direction}{there}"), given.span),
        format!("\"{direction}{there}\" is set without \"{direction}{lacking}\""),
        format!("add \"{direction}{lacking}\", a number above zero"),
    );
}

fn limits_by_bandwidth(network: &Network) -> bool {
    let config = network.config.loaded();
    config.is_some_and(|config| config.plugins.iter().any(|p| &*p.kind == "bandwidth"))
}
