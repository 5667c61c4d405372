//! `prefix-of-pool`: a requested address has a prefix length other than that of its pool's range.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{POOL_OF_TWO, SERVED_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "prefix-of-pool",
    levels: Levels::ADVICE,
    summary: "An address is asked for with another prefix length than its pool's range has",
    explanation: "The prefix length decides what the pod looks for on the wire itself: with /24 on a range \
        of /27 it does not reach its neighbours beyond the range through their gateway, and with /32 \
        nobody at all. The range says what the wire is. Where nadmit puts addresses in, it writes the \
        prefix length of the range and keeps the text as it was in nadmit.io/requested-networks; the \
        address itself stays as asked for. The pod is never refused for it.",
    wrong: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/24"]}]"#),
    ]),
    right: Example(&[
        POOL_OF_TWO,
        SERVED_NET,
        pod!(r#"[{"name": "pooled-net", "ips": ["192.0.2.2/29"]}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for served in subject.pooled() {
        let Some(pool) = subject.catalog.pool(served.pool).valid() else {
            continue;
        };
        let attachment = served.attachment;
        let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
        for (index, ip) in ips.enumerate() {
            let Some((address, written)) = ip.ok().and_then(|ip| Some((ip.address, ip.prefix?)))
            else {
                continue;
            };
            let range = pool.range_of(address).and_then(|at| pool.ranges.get(at));
            let Some(range) = range.filter(|range| range.subnet.prefix != written) else {
                continue;
            };
            let right = range.subnet.prefix;
            report.add(
                attachment.field_ref(&format!("ips[{index}]"), ip.span),
                format!(
                    "{address}/{written} has the prefix length {written}, but the range {} of address \
                     pool {:?} has {right}",
                    range.subnet, pool.name
                ),
                format!("write {address}/{right}; where nadmit puts addresses in, it does so itself"),
            );
        }
    }
}
