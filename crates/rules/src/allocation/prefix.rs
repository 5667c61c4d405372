//! `prefix-of-pool`: a requested address has a prefix length other than that of its pool's range.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL_OF_TWO, SERVED_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "prefix-of-pool",
    levels: Levels::ADVICE,
    summary: "A pod requests an address with another prefix length than the range of its pool",
    docs: RuleDocs {
        checks: "A pod requests an address of a pool with a prefix length that the pool's range \
            does not have. The rule never denies the pod. Where nadmit injects addresses, it \
            writes the prefix length of the range and does not change the address. The original \
            text stays in nadmit.io/requested-networks.",
        consequence: "The prefix length decides which addresses the pod looks for on its own L2 \
            segment. With /24 on a range of /27 the pod does not reach hosts outside of the \
            range through the gateway. With /32 it reaches no host.",
        fix: "Write the address with the prefix length of the pool's range.",
        source: "docs/pools.md.",
    },
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
        if report.is_full() {
            return;
        }
        let Some(pool) = subject.catalog.pool(served.pool).valid() else {
            continue;
        };
        let attachment = served.attachment;
        let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
        for (index, ip) in ips.enumerate() {
            if report.is_full() {
                return;
            }
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
                    "{address}/{written} does not have the prefix length of the range {} of pool \
                     {:?}",
                    range.subnet, pool.name
                ),
                format!("write {address}/{right}, as nadmit does where it injects addresses"),
            );
        }
    }
}
