//! `ips-with-claim`: an attachment with both `ips` and an IPAM claim.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "ips-with-claim",
    levels: Levels::SPEC,
    summary: "An attachment has both ips and ipam-claim-reference",
    docs: RuleDocs {
        checks: "A network entry has both \"ips\" and ipam-claim-reference.",
        consequence: "An IPAM claim holds the addresses of an attachment, and the spec forbids a \
            request for others. Multus itself does not check this.",
        fix: "Remove \"ips\" or ipam-claim-reference.",
        source: "The spec, section 4.1.2.1.11.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "ipam-claim-reference": "db-0"}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let selection = attachment.selection;
        let asked = selection
            .ips
            .as_ref()
            .is_some_and(|ips| !ips.value.is_empty());
        let Some(claim) = selection.ipam_claim.as_ref().filter(|_| asked) else {
            continue;
        };
        report.add(
            attachment.field_ref("ipam-claim-reference", claim.span),
            format!(
                "the claim \"{}\" and \"ips\" both request addresses",
                claim.value
            ),
            "remove \"ips\" or \"ipam-claim-reference\"",
        );
    }
}
