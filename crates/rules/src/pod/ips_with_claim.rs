//! `ips-with-claim`: an attachment with both `ips` and an IPAM claim.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{STORAGE_NET, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "ips-with-claim",
    levels: Levels::SPEC,
    summary: "ips and ipam-claim-reference stand together",
    explanation: "An IPAM claim holds the addresses of an attachment; asking for others beside it \
        is an error to the spec. Multus itself does not look. Source: the spec, section \
        4.1.2.1.11.",
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
                "the claim \"{}\" and \"ips\" both say which addresses to give",
                claim.value
            ),
            "keep one of the two",
        );
    }
}
