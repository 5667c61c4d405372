//! `invalid-bandwidth`: a limit that the plugin rejects or that is not positive.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{BANDWIDTH_NET, pod},
};
use nadmit_cni::{Network, Spanned, cni::Capability};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-bandwidth",
    levels: Levels::FAILS,
    summary: "A bandwidth limit is zero, negative, or lacks its counterpart",
    explanation: "Rates (bit/s) and bursts (bits) are whole numbers above zero, and a burst needs \
        its rate. The bandwidth plugin also wants a burst with each rate. Multus passes anything \
        on, and the plugin fails. Source: the spec, section 4.1.2.1.8; bandwidth, \
        validateRateAndBurst.",
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
        format!("{key} is {}, but has to be above zero", limit.value),
        "write a number above zero, or leave the limit out",
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
        format!("{direction}{there} stands without {direction}{lacking}"),
        format!("add \"{direction}{lacking}\""),
    );
}

fn limits_by_bandwidth(network: &Network) -> bool {
    let config = network.config.loaded();
    config.is_some_and(|config| config.plugins.iter().any(|p| &*p.kind == "bandwidth"))
}
